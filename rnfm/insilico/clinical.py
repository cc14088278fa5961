"""Clinical columns with the modest signal they have in reality: together they reach an AUC of about 0.64.

Columns of a patient follow the share of his lesions that are necrotic, columns of a lesion its own label. All of them are
known before the outcome.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rnfm.core import keyed

DAYS_A_MONTH = 365.25 / 12
PRIMARIES = ("breast", "NSCLC", "SCLC", "melanoma", "kidney", "colon")
PRIMARY_SHARES = (0.24, 0.42, 0.07, 0.15, 0.07, 0.05)
SEXES = ("F", "M")


@dataclass(frozen=True)
class PatientClinical:
    """What belongs to a patient. `age_years` at the first MRI; WBRT and immunotherapy came before radiosurgery's follow-up."""

    age_years: int
    sex: str
    primary: str
    wbrt: bool
    immunotherapy: bool


@dataclass(frozen=True)
class LesionClinical:
    """What belongs to a lesion: dose of its radiosurgery [Gy] and the time since then at the classified visit [months]."""

    srs_dose_gy: float
    months_since_srs: float


def draw_patient(seed: int, site: str, patient: int, share_of_necrosis: float) -> PatientClinical:
    """One patient. necrosis against progression: age -2 years, WBRT 34% / 25%, immunotherapy 44% / 33%."""
    rng = keyed.rng(seed, site, "patient", patient, "clinical")
    age = rng.normal(61 - 2 * share_of_necrosis, 11)
    return PatientClinical(
        age_years=int(np.clip(round(age), 22, 90)),
        sex=SEXES[int(rng.random() < 0.48)],
        primary=str(rng.choice(PRIMARIES, p=PRIMARY_SHARES)),
        wbrt=bool(rng.random() < 0.25 + 0.09 * share_of_necrosis),
        immunotherapy=bool(rng.random() < 0.33 + 0.11 * share_of_necrosis),
    )


def draw_lesion(seed: int, site: str, lesion: int, label: int) -> LesionClinical:
    """One lesion. necrosis against progression: +0.6 Gy, +0.16 in the logarithm of months."""
    rng = keyed.rng(seed, site, "lesion", lesion, "clinical")
    dose_gy = float(np.clip(rng.normal(19.6 + 0.6 * label, 2.4), 12, 27))
    months = math.exp(rng.normal(2.05 + 0.16 * label, 0.55))
    return LesionClinical(round(dose_gy * 2) / 2, float(np.clip(months, 1.0, 48.0)))
