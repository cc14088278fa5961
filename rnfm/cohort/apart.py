"""Nobody in two places: what keeps one patient out of two roles of a split.

    one code, two sides             a patient code among the cohorts and among the external ones
    one code, two centres           a patient seen at an external centre and at another one
    two codes, equal voxels         one scan under two patients (two key tables, two ids): seen where volumes are given

Each is refused with DataError: an external test on a patient who trained is no test, and nothing later would notice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rnfm.core.artifact import Artifact
from rnfm.core.errors import ConfigError, DataError, nearest

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 5


def require_once(opened: Sequence[Artifact]) -> None:
    """ConfigError if one folder's content is given twice."""
    seen: dict[str, Artifact] = {}
    for artefact in opened:
        first = seen.setdefault(artefact.digest, artefact)
        if first is not artefact:
            raise ConfigError(artefact.path, f"is given twice (also as {first.path})", "Give each cohort once")


def require_no_shared_code(inner: Iterable[str], outer: Iterable[str]) -> None:
    shared = sorted(set(inner) & set(outer))
    if shared:
        raise DataError(
            "split",
            f"{len(shared)} patients stand in the cohorts and in the external ones ({listed(shared)})",
            "An external test must hold other patients: leave them out on one side",
        )


def at_sites(frames: Sequence[pd.DataFrame], external: Sequence[str]) -> set[str]:
    """Codes of the patients of the external centres. ConfigError for an unknown centre; DataError for a patient who was
    seen at another one too, or if nobody is left to train on.
    """
    sites_of: dict[str, set[str]] = {}
    for frame in frames:
        for patient, site in zip(frame["patient"], frame["site"], strict=True):
            sites_of.setdefault(patient, set()).add(site)
    known = sorted(set().union(*sites_of.values()))
    for site in external:
        if site not in known:
            raise ConfigError(
                "external_sites",
                f"no patient is of centre {site!r}{nearest(site, known)}",
                f"Give one of {', '.join(known)}",
            )
    theirs = {patient for patient, sites in sites_of.items() if sites & set(external)}
    torn = sorted(patient for patient in theirs if not sites_of[patient] <= set(external))
    if torn:
        raise DataError(
            "split",
            f"{len(torn)} patients were seen at an external centre and at another one ({listed(torn)})",
            "Leave them out of the cohort, or make both centres external",
        )
    if len(theirs) == len(sites_of):
        raise DataError("split", "every patient is of an external centre", "Leave one centre to train on")
    return theirs


def require_no_shared_scan(opened: Sequence[Artifact], roles: Mapping[str, str]) -> None:
    """Refuse equal voxels under two patients unless both are external. `roles`: patient code -> inner or outer."""
    patients_of: dict[str, set[str]] = {}
    for artefact in opened:
        for patient, digest in _scans(artefact):
            if patient in roles:
                patients_of.setdefault(digest, set()).add(patient)
    pairs = sorted(
        {
            tuple(sorted(patients))
            for patients in patients_of.values()
            if len(patients) > 1 and {roles[patient] for patient in patients} != {"outer"}
        }
    )
    if pairs:
        raise DataError(
            "split",
            f"{len(pairs)} scans stand under two patients, voxel for voxel ({listed(' = '.join(pair) for pair in pairs)})",
            "Index their data sets with one key table and namespace, or leave one copy out (rnfm data overlap lists them)",
        )


def listed(words: Iterable[str]) -> str:
    """The first few words, and how many more there are."""
    all_words = list(words)
    more = f" and {len(all_words) - SHOWN} more" if len(all_words) > SHOWN else ""
    return ", ".join(all_words[:SHOWN]) + more


def _scans(artefact: Artifact) -> list[tuple[str, str]]:
    """(patient, hash of the decoded voxels) of every scan; nothing for a cohort, whose voxels nobody has decoded yet."""
    import pyarrow.parquet as pq

    if artefact.kind != "volumes" or "scans.parquet" not in artefact.files:
        return []
    names = pq.read_schema(artefact.file("scans.parquet")).names
    if not {"patient", "voxels_sha256"} <= set(names):
        return []
    table = pq.read_table(artefact.file("scans.parquet"), columns=["patient", "voxels_sha256"])
    return list(zip(table["patient"].to_pylist(), table["voxels_sha256"].to_pylist(), strict=True))
