"""OpenBTAI/MOLAB at its full size: the cohort rule exact, and what each trap of the data set changes, to the number.

The tree without traps holds 160 irradiated, segmented lesions (35 RN, 125 without, 517 lesion-scans). The published one
holds 109 of them (32 RN, 77 without, 72 patients, 369 lesion-scans): 45 were never irradiated, 3 + 3 stand in no mask.
"""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rnfm.cohort import IndexConfig, headers, index, rows, table
from rnfm.cohort.adapters import choose, molab
from rnfm.cohort.adapters.molab import mask as molab_mask
from rnfm.cohort.keys import KeyTable
from rnfm.cohort.records import Options
from rnfm.core.ledger import Ledger, Reason

_SPEC = importlib.util.spec_from_file_location("molab_imitation", Path(__file__).with_name("imitation.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
imitation: Any = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = imitation
_SPEC.loader.exec_module(imitation)

Measured = dict[str, int]
LAST = "last of all, since none is known to follow radiosurgery"


def test_the_imitation_has_every_published_count() -> None:
    """Counted from the plan itself: what the description of the data set says, the tree has."""
    found = imitation.truth()
    cohort = [lesion for lesion in found.lesions if lesion.in_cohort]
    with_rn = [lesion for lesion in cohort if lesion.kind == "rn"]
    without = [lesion for lesion in cohort if lesion.kind == "no"]
    assert (len(found.scans), sum(map(len, found.scans.values())), len(found.lesions)) == (75, 293, 160)
    assert (sum(bool(lesion.days) for lesion in found.lesions), sum(len(lesion.days) for lesion in found.lesions)) == (
        154,
        499,
    )
    assert (len(with_rn), len(without), len({lesion.patient for lesion in cohort})) == (32, 77, 72)
    assert sum(len(lesion.days) for lesion in cohort) == 369
    by_prefix = Counter((lesion.patient[:2] == "04", lesion.rn is not None) for lesion in found.lesions)
    assert by_prefix == {(True, True): 30, (True, False): 66, (False, True): 5, (False, False): 59}

    def followed(lesion: imitation.Lesion) -> list[int]:
        return [day for day in lesion.days if lesion.srs is not None and day > lesion.srs]

    assert (sum(bool(followed(lesion)) for lesion in with_rn), sum(bool(followed(lesion)) for lesion in without)) == (
        31,
        59,
    )
    assert sum(any(abs(day - (lesion.rn or 0)) <= 90 for day in lesion.days) for lesion in with_rn) == 22
    early = {
        (one.patient, one.number) for one in cohort if one.rn is not None and one.srs is not None and one.rn < one.srs
    }
    lost = {(one.patient, one.number) for one in found.lesions if one.rn is not None and not one.days}
    assert early == {("010024", 1), ("040114", 3)}
    assert lost == {("040001", 2), ("040011", 1), ("040156", 1)}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("published")
    imitation.write(root / "tree")
    index(IndexConfig(source=root / "tree", out=root / "cohort"))
    return root


def test_the_published_tree_is_recognised(published: Path) -> None:
    adapter, match = choose(published / "tree")
    assert adapter.NAME == "molab"
    assert match.why.startswith("there are 293 scans named")


def test_the_cohort_rule_gives_109_lesions(published: Path) -> None:
    frame = table.read(published / "cohort/cohort.parquet")
    labelled = frame[frame["label"].notna()]
    chosen = labelled[labelled["classified"]]
    assert (len(frame), frame["scan"].nunique(), frame["patient"].nunique(), frame["lesion"].nunique()) == (
        499,
        293,
        75,
        154,
    )
    assert chosen["lesion"].is_unique
    assert chosen["label"].value_counts().to_dict() == {0: 77, 1: 32}
    assert (labelled["patient"].nunique(), len(labelled)) == (72, 369)
    assert Counter(zip(chosen["label"], chosen["label_source"], strict=True)) == {
        (1, "RN date recorded"): 32,
        (0, "no RN recorded"): 77,
    }
    assert (chosen.groupby("patient")["label"].nunique() == 2).sum() == 9
    assert (labelled["months_since_srs"].notna()).all()


def test_time_points_of_a_lesion_are_linked(published: Path) -> None:
    frame = table.read(published / "cohort/cohort.parquet")
    for _, course in frame.groupby("lesion"):
        assert course["timepoint"].tolist() == list(range(len(course)))
        assert course["day"].is_monotonic_increasing
    assert frame["timepoint"].max() == 3
    # 40 voxels of 8 x 8 x 1 mm, 52 when grown, and a quarter of them in slices of 4 mm.
    assert set(frame["volume_ml"].round(3)) == {2.56, 3.328}


def test_what_counts_is_said(published: Path) -> None:
    text = (published / "cohort/summary.md").read_text()
    for sentence in (
        "The clinical spreadsheet holds 160 lesions, 35 with a necrosis date. Of these 3 stand in no mask and do not count",
        "nor do 3 others without a mask. 45 lesions have a mask but no first radiosurgery",
        "Of the labelled lesions 19 (1 with RN, 18 without) have no mask after radiosurgery. They count,",
        "It does not mean that tumour progression was proven",
        "| 0 (no radiation necrosis recorded) | no RN recorded | 77 |",
        "| openbtai-04 | 47 | 184 | 93 | 27 | 40 | 26 |",
        f"| {LAST} | 1 | 18 | 45 |",
        "| first after radiosurgery with growth | 0 | 39 | 0 |",
        "| `rn_date_or_growth` (in force) | yes | 0 | 0 |",
        "it can be told for 90 of 90 lesions with a scan after radiosurgery",
    ):
        assert sentence in text, sentence


def test_no_identity_of_the_tree_leaves(published: Path) -> None:
    cohort = published / "cohort"
    payload = ("cohort.parquet", "findings.jsonl", "quarantine.jsonl", "summary.md", "config.json")
    said = b"".join((cohort / name).read_bytes() for name in payload)
    known = imitation.truth().scans
    assert not [patient for patient in known if patient.encode() in said]
    assert not [stamp for stamp in (b"19000101", b"T1POST", b"_msk") if stamp in said]
    assert Counter(str(entry.reason) for entry in Ledger.read(cohort / "findings.jsonl")) == {
        "label_order": 2,
        "lesion_missing": 6,
        "value_implausible": 1,
    }


# Trap -> every measured number that switching it on changes: the published traps beside the published tree without them,
# the others beside the published tree. What is not named does not change.
CHANGES: dict[str, Measured] = {
    # 3 of the 75 patients have no other lesion; 19 have necrosis beside a lesion that was never irradiated.
    "no_first_srs": {
        "lesions": -45,
        "without": -45,
        "patients": -3,
        "lesion_scans": -130,
        "both": -19,
        "wbrt_rows": -3,
    },
    # All three are at 04, one beside two lesions without necrosis; each stood in three masks.
    "rn_without_any_mask": {
        "lesions": -3,
        "rn": -3,
        "lesion_scans": -9,
        "both": -1,
        "rn_at_04": -3,
        "lesion_missing": 3,
    },
    "never_segmented": {"lesions": -3, "without": -3, "lesion_scans": -9, "lesion_missing": 3},
    "rn_before_srs": {"label_order": 2},
    "rn_without_follow_up": {"not_followed": 1, "rn_not_followed": 1},
    "no_follow_up": {"not_followed": 18},
    "growth": {"grown": 39},
    "both_classes": {"both": 9},
    "two_prefixes": {"sites": 1, "rn_at_04": 27},
    "float_ids": {},
    "float_ids_clinical": {},
    "footers": {},
    "blanks": {},
    "text_times": {},
    # A date is no number of days: the lesion loses its label, instead of counting as one without necrosis.
    "calendar_times": {
        "lesions": -3,
        "rn": -3,
        "lesion_scans": -12,
        "both": -3,
        "rn_at_04": -3,
        "value_implausible": 3,
    },
    "station_name": {"scans_with_vendor": 293},
    "field_15000": {"scans_with_field": -1, "value_implausible": 1},
    "thick_slices": {"thick_rows": 7},
    # WBRT 2 alone, from day 5: known on every scan but the one of day 0. SRS 2 and 3 move no label and no time.
    "second_courses": {"wbrt_rows": 24},
    "outcomes": {},
    "one_segment": {"one_segment_rows": 30},
    "lesion_twelve": {},
    "stray_value": {"value_implausible": 1},
    # The second scan of a day counts as a scan and shares its time point.
    "same_day": dict.fromkeys(
        ("lesion_scans", "scans", "scans_with_field", "scans_with_vendor", "wbrt_rows", "same_day"), 2
    ),
    # One lesion had no other mask; two more stand in the two masks that are lost.
    "image_missing": {
        "lesions": -1,
        "without": -1,
        "lesion_scans": -4,
        "lesion_missing": 1,
        "refused": 2,
        "scans": -2,
        "scans_with_field": -2,
        "scans_with_vendor": -2,
    },
}


def test_every_trap_has_its_row() -> None:
    assert set(CHANGES) == set(imitation.TRAPS)


def test_without_any_trap_every_lesion_counts(tmp_path: Path) -> None:
    found = _measure(tmp_path / "tree", ())
    wanted = {"lesions": 160, "rn": 35, "without": 125, "patients": 75, "lesion_scans": 517, "scans": 293}
    assert {name: found[name] for name in wanted} == wanted
    assert found["refused"] == found["not_followed"] == found["grown"] == found["value_implausible"] == 0


@pytest.fixture(scope="module")
def as_published(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    return _measure(tmp_path_factory.mktemp("base") / "tree", imitation.PUBLISHED)


@pytest.mark.parametrize("trap", CHANGES)
def test_a_trap_changes_what_it_should_and_nothing_else(tmp_path: Path, as_published: Measured, trap: str) -> None:
    other = _measure(tmp_path / "tree", imitation.PUBLISHED ^ {trap})
    on, off = (as_published, other) if trap in imitation.PUBLISHED else (other, as_published)
    assert {name: on[name] - off[name] for name in on if on[name] != off[name]} == CHANGES[trap]


@pytest.fixture(autouse=True, scope="module")
def each_content_once() -> Iterator[None]:
    """Thousands of files with a few hundred contents: a header or mask of known bytes is not decoded again."""
    seen: dict[tuple[str, bytes], Any] = {}
    patch = pytest.MonkeyPatch()

    def remember(module: Any, name: str, first_bytes: int | None) -> None:
        original = getattr(module, name)

        def read(file: Path) -> Any:
            if not file.is_file():
                return original(file)
            with open(file, "rb") as stream:
                key = name, stream.read(first_bytes) if first_bytes else stream.read()
            if key not in seen:
                seen[key] = original(file)
            return seen[key]

        patch.setattr(module, name, read)

    remember(headers, "read_header", 352)
    remember(molab_mask, "_count", None)
    yield
    patch.undo()


def _measure(root: Path, traps: Iterable[str]) -> Measured:
    """The tree through the adapter, the headers and the rows, as `index` does it; nothing is published."""
    imitation.write(root, traps)
    reading = molab.read(root, Options())
    inspected = [headers.inspect(scan) for scan in reading.scans]
    coded = rows.build(
        inspected, reading.findings, KeyTable(root / "keys.csv", []), dataset="d", site=None, rule="last_post_srs"
    )
    frame = table.from_rows(coded.rows)
    labelled = frame[frame["label"].notna()]
    lesions = labelled.drop_duplicates("lesion")
    scans = frame.drop_duplicates("scan")
    lost = Counter(course.label for course in coded.courses if course.choice("last_post_srs").branch == LAST)
    reasons = Counter(str(entry.reason) for entry in coded.findings.entries)
    return {
        "lesions": len(lesions),
        "rn": int((lesions["label"] == 1).sum()),
        "without": int((lesions["label"] == 0).sum()),
        "patients": lesions["patient"].nunique(),
        "lesion_scans": len(labelled),
        "scans": len(scans),
        "sites": frame["site"].nunique(),
        "rn_at_04": int((lesions[lesions["site"] == "openbtai-04"]["label"] == 1).sum()),
        "both": int((lesions.groupby("patient")["label"].nunique() == 2).sum()),
        "grown": sum(bool(course.series.grown) for course in coded.courses),
        "not_followed": lost[1] + lost[0],
        "rn_not_followed": lost[1],
        "scans_with_vendor": int(scans["vendor"].notna().sum()),
        "scans_with_field": int(scans["field_strength_t"].notna().sum()),
        "thick_rows": int((frame["spacing_mm"].map(lambda spacing_mm: spacing_mm[2]) == 4).sum()),
        "one_segment_rows": int((frame["mask_values"].map(len) == 1).sum()),
        "wbrt_rows": int(labelled["clinical_wbrt"].sum()),
        "refused": len(coded.quarantine.entries),
        **{str(reason): reasons[str(reason)] for reason in (*FINDINGS,)},
    }


FINDINGS = (Reason.LABEL_ORDER, Reason.LESION_MISSING, Reason.VALUE_IMPLAUSIBLE, Reason.SAME_DAY)
