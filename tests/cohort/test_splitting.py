"""The split stage on hand-made cohorts: roles, refusals, warnings, a second run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from rnfm.cohort import SplitConfig, read_split, split, table
from rnfm.core import artifact, config
from rnfm.core.errors import ConfigError, DataError, IntegrityError

CohortMaker = Callable[..., Path]


@pytest.fixture
def cohort(tmp_path: Path) -> CohortMaker:
    """`cohort(name, [(patient, label), ...])` publishes a cohort artefact with one lesion-scan a pair."""

    def make(
        name: str,
        lesions: Sequence[tuple[str, int | None]],
        *,
        site: str | Callable[[str], str] = "a",
        key_table: str = "K-1",
        kind: str = "cohort",
    ) -> Path:
        rows = []
        for number, (patient, label) in enumerate(lesions):
            row = dict.fromkeys((column for column, _, _ in table.COLUMNS), None)
            row |= {"patient": patient, "scan": f"S-{name}{number}", "lesion": f"{patient}-L{number}", "label": label}
            row |= {
                "dataset": name,
                "site": site if isinstance(site, str) else site(patient),
                "has_mask": True,
                "classified": True,
                "mask_values": [],
            }
            rows.append(row | {"shape_vox": [8, 8, 8], "spacing_mm": [1.0, 1.0, 1.0]})
        contract = {"key_table": key_table} if kind == "cohort" else {}
        with artifact.publish(tmp_path / name, kind, 1, contract=contract) as draft:
            table.write(draft.path / "cohort.parquet", table.from_rows(rows))
        return tmp_path / name

    return make


def _lesions(count: int, prefix: str = "P") -> list[tuple[str, int | None]]:
    return [(f"{prefix}-{number:03d}", int(number % 3 == 0)) for number in range(count)]


def test_roles_and_folds(tmp_path: Path, cohort: CohortMaker) -> None:
    inner, outer = (
        cohort("inner", _lesions(30) + _lesions(30)),
        cohort("outer", _lesions(6, "X"), site="b", kind="volumes"),
    )
    result = split(SplitConfig(cohorts=(inner,), external=(outer,), out=tmp_path / "split", repeats=2))
    frame = read_split(tmp_path / "split")
    assert list(frame.columns) == ["patient", "site", "role", "fold_0", "fold_1"]
    assert frame["role"].value_counts().to_dict() == {"train": 24, "holdout": 6, "external": 6}
    assert frame["patient"].is_unique
    external = frame[frame["role"] == "external"]
    assert set(external["patient"]) == {f"X-{number:03d}" for number in range(6)}
    assert set(external["site"]) == {"b"}
    assert set(external["fold_0"]) == {-1}
    assert sorted(frame.loc[frame["role"] != "external", "fold_1"].value_counts()) == [6] * 5
    assert (result.patients["holdout"], result.with_rn["holdout"]) == (6, 2)
    assert artifact.Artifact.open(tmp_path / "split").contract == {"holdout": 0.2, "folds": 5, "repeats": 2, "seed": 0}
    assert "train 24 (8 with RN), holdout 6 (2 with RN), external 6 (2 with RN); 5 folds x 2" in result.summary()


def test_the_hold_out_of_the_paper(tmp_path: Path, cohort: CohortMaker) -> None:
    """109 lesions (32 RN) of 72 patients, 9 with both classes: 20% of each class of patients, about 22 lesions."""
    kinds = [(1, 0)] * 9 + [(1,)] * 23 + [(0, 0)] * 28 + [(0,)] * 12
    lesions = [(f"P-{number:03d}", label) for number, labels in enumerate(kinds) for label in labels]
    assert (len(lesions), sum(label for _, label in lesions)) == (109, 32)
    path = cohort("molab", lesions, site=lambda patient: "04" if int(patient[2:]) % 5 < 3 else "01")
    held = []
    for seed in range(8):
        result = split(SplitConfig(cohorts=(path,), out=tmp_path / f"split{seed}", repeats=5, seed=seed))
        assert (result.patients, result.with_rn["holdout"]) == ({"train": 58, "holdout": 14, "external": 0}, 6)
        assert result.lesions["train"] + result.lesions["holdout"] == 109
        assert result.lesions_with_rn == {"train": 26, "holdout": 6, "external": 0}
        held.append(result.lesions["holdout"])
        frame = read_split(tmp_path / f"split{seed}")
        for repeat in range(5):
            assert sorted(frame[f"fold_{repeat}"].value_counts()) == [14, 14, 14, 15, 15]
    assert 17 <= min(held) <= max(held) <= 26
    assert "labelled lesions: train" in result.summary()


def test_a_centre_can_be_the_external_one(tmp_path: Path, cohort: CohortMaker) -> None:
    path = cohort("c", _lesions(30), site=lambda patient: f"site-{int(patient[2:]) % 3}")
    config = SplitConfig(cohorts=(path,), out=tmp_path / "split", external_sites=("site-2",))
    result = split(config)
    frame = read_split(tmp_path / "split")
    assert set(frame.loc[frame["role"] == "external", "site"]) == {"site-2"}
    assert result.patients == {"train": 16, "holdout": 4, "external": 10}
    assert artifact.Artifact.open(tmp_path / "split").contract["external_sites"] == ["site-2"]
    assert not split(config).fresh


@pytest.mark.parametrize(
    ("sites", "sentence"),
    [
        (
            ("site-3",),
            r"external_sites: no patient is of centre 'site-3' \(did you mean 'site-2'\?\)\. Give one of site-0,",
        ),
        (
            ("site-0", "site-1", "site-2"),
            "split: every patient is of an external centre. Leave one centre to train on.",
        ),
    ],
)
def test_wrong_centres(tmp_path: Path, cohort: CohortMaker, sites: tuple[str, ...], sentence: str) -> None:
    path = cohort("c", _lesions(9), site=lambda patient: f"site-{int(patient[2:]) % 3}")
    with pytest.raises((ConfigError, DataError), match=sentence):
        split(SplitConfig(cohorts=(path,), out=tmp_path / "split", external_sites=sites))


def test_a_cohort_given_twice_is_refused(tmp_path: Path, cohort: CohortMaker) -> None:
    path = cohort("c", _lesions(9))
    with pytest.raises(ConfigError, match=r"c: is given twice \(also as .*c\)\. Give each cohort once\."):
        split(SplitConfig(cohorts=(path,), external=(path,), out=tmp_path / "split"))


def test_a_patient_with_both_classes_counts_as_rn(tmp_path: Path, cohort: CohortMaker) -> None:
    path = cohort("c", [("P-1", 0), ("P-1", 1), ("P-2", 0), ("P-3", None), ("P-4", 1)])
    result = split(SplitConfig(cohorts=(path,), out=tmp_path / "split"))
    assert sum(result.with_rn.values()) == 2


def test_a_second_run_does_nothing_and_other_settings_are_refused(tmp_path: Path, cohort: CohortMaker) -> None:
    first = SplitConfig(cohorts=(cohort("c", _lesions(20)),), out=tmp_path / "split")
    assert split(first).fresh
    stamp = (tmp_path / "split/split.parquet").stat().st_mtime_ns
    again = split(first)
    assert not again.fresh
    assert "up to date" in again.summary()
    assert (tmp_path / "split/split.parquet").stat().st_mtime_ns == stamp
    with pytest.raises(ConfigError, match="exists already, made with other settings or inputs"):
        split(config.with_overrides(first, {"seed": 1}))
    assert split(config.with_overrides(first, {"seed": 1, "overwrite": True})).fresh


def test_a_patient_on_both_sides_is_refused(tmp_path: Path, cohort: CohortMaker) -> None:
    inner, outer = cohort("inner", _lesions(10)), cohort("outer", [("P-003", 1), ("X-1", 0)])
    with pytest.raises(DataError, match=r"^split: 1 patients stand in the cohorts and in the external ones \(P-003\)"):
        split(SplitConfig(cohorts=(inner,), external=(outer,), out=tmp_path / "split"))
    assert not (tmp_path / "split").exists()


@pytest.mark.parametrize(
    ("lesions", "warning"),
    [
        ([("P-1", None)], "nobody is held out, since no class has two patients"),
        ([("P-1", None)], "folds reduced from 5 to 1, since the cohort has too few patients"),
        (
            [("P-1", 1), ("P-2", 1), ("P-3", 0), ("P-4", 0)],
            "folds reduced from 5 to 2, since the smaller class has too few",
        ),
        ([(f"P-{n}", None) for n in range(9)], "no patient has a label: dealt by centre"),
        ([(f"P-{n}", 0) for n in range(9)], "all labelled patients are of one class"),
    ],
)
def test_tiny_and_unlabelled_cohorts_are_dealt_and_warned(
    tmp_path: Path, cohort: CohortMaker, lesions: list[tuple[str, int | None]], warning: str
) -> None:
    result = split(SplitConfig(cohorts=(cohort("c", lesions),), out=tmp_path / "split"))
    assert any(text.startswith(warning) for text in result.warnings)
    assert len(read_split(tmp_path / "split")) == len(lesions)


def test_two_key_tables_are_warned_of(tmp_path: Path, cohort: CohortMaker) -> None:
    paths = (cohort("c", _lesions(20)), cohort("d", _lesions(20, "Q"), key_table="K-2"))
    result = split(SplitConfig(cohorts=paths, out=tmp_path / "split"))
    assert any("made with 2 key tables" in text for text in result.warnings)


def test_wrong_inputs(tmp_path: Path, cohort: CohortMaker) -> None:
    with pytest.raises(ConfigError, match="no artefact folder here"):
        split(SplitConfig(cohorts=(tmp_path / "nothing",), out=tmp_path / "split"))
    with pytest.raises(ConfigError, match=r"1 fault in the configuration: 'cohorts' is missing"):
        config.load(SplitConfig, None, ["--out", "x"])
    loaded = config.load(SplitConfig, None, ["a", "b", "--external", "c", "d", "--out", "x"])
    assert (loaded.cohorts, loaded.external) == ((Path("a"), Path("b")), (Path("c"), Path("d")))


def test_a_split_that_is_not_as_promised_is_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = {"patient": ["P-1", "P-1"], "site": ["a", "a"], "role": ["train", "holdout"], "fold_0": [0, 1]}
    with artifact.publish(tmp_path / "split", "split", 1, contract={"repeats": 1}) as draft:
        pq.write_table(pa.table(rows), draft.path / "split.parquet")
    with pytest.raises(IntegrityError, match="is not as the contract says"):
        read_split(tmp_path / "split")
