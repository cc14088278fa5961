"""The index stage as a user meets it: what it publishes, what it never tells, and what it refuses in one sentence."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import stat
from pathlib import Path

import pytest

from rnfm.cohort import IndexConfig, index, table
from rnfm.cohort.adapters import LAYOUTS
from rnfm.cohort.keys import KeyTable
from rnfm.core.artifact import Artifact
from rnfm.core.config import load, with_overrides
from rnfm.core.errors import ConfigError, DataError, RnfmError

NAME, MRN, DATE = "HANSEN", "10482230", "19530417"


@pytest.fixture
def planted(tmp_path: Path, nifti) -> Path:
    """Identities in folder names, file names and a header; one scan is damaged."""
    root = tmp_path / f"{NAME}-export"
    for patient, stamp in ((f"{NAME}-{MRN}", DATE), (f"{NAME}-{MRN}", "2021-03-04"), ("OTHER", "x")):
        path = nifti(root / "scans" / f"{patient}_{stamp}.nii")
        data = bytearray(path.read_bytes())
        data[148 : 148 + 20] = f"{NAME} {MRN}".ljust(20, "\0").encode()  # descrip
        path.write_bytes(bytes(data))
    nifti(root / "scans" / f"{NAME}-{MRN}_bad_{DATE}.nii", shape=(4, 4))
    return root


def _config(source: Path, out: Path, **values) -> IndexConfig:
    return IndexConfig(source=source, out=out, **values)


def _spoken(folder: Path, *texts: str) -> str:
    """Everything that was published or said, names of files included."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    return "\n".join(
        [
            *texts,
            *map(str, (file.relative_to(folder) for file in files)),
            *(file.read_bytes().decode("latin-1") for file in files),
        ]
    )


def test_what_is_published(tmp_path: Path, bids_tree: Path) -> None:
    result = index(_config(bids_tree, tmp_path / "cohort"))
    opened = Artifact.open(tmp_path / "cohort", "cohort", 1)
    assert set(opened.files) == {
        *("cohort.parquet", "quarantine.jsonl", "findings.jsonl", "summary.md", "config.json", "lineage.json"),
    }
    key_table = KeyTable.open(tmp_path / "cohort.keys.csv")
    assert opened.contract == {
        "dataset": "site-b-2nd-centre",
        "layout": "bids",
        "timepoint_rule": "rn_date_or_growth",
        "key_table": key_table.id,
    }
    frame = table.read(opened.file("cohort.parquet"))
    assert len(frame) == 5
    assert set(frame["scan"]) == set(key_table.scans())
    assert sorted(frame.loc[frame["classified"], "label"].tolist()) == [0, 1, 1]
    classified = frame[frame["classified"] & (frame["months_since_srs"] > 0)]
    assert classified["months_since_srs"].tolist() == [5.5]
    assert (
        "5 scans of 4 patients, 4 with a mask; 3 lesions, labelled: 2 radiation necrosis, 1 without" in result.summary()
    )
    assert "layout bids, because there are 7 files named" in result.summary()
    assert stat.S_IMODE((tmp_path / "cohort.keys.csv").stat().st_mode) == 0o600


def test_no_identity_leaves(tmp_path: Path, planted: Path, capfd: pytest.CaptureFixture[str]) -> None:
    result = index(_config(planted / "scans", tmp_path / "cohort"))
    again = index(_config(planted / "scans", tmp_path / "cohort"))
    said = _spoken(tmp_path / "cohort", result.summary(), again.summary(), *capfd.readouterr())
    said = said.replace(str(tmp_path), "")
    for secret in (NAME, NAME.lower(), MRN, DATE, "2021-03-04", "OTHER", "export", ".nii"):
        assert secret not in said, secret
    assert NAME in (tmp_path / "cohort.keys.csv").read_text()
    assert result.counts.refused == {"not_3d": 1}


def test_no_identity_leaves_in_errors(tmp_path: Path, planted: Path) -> None:
    for number in range(3):
        (planted / "scans" / f"{NAME}_{number}_{MRN}.nii").write_text("no header")
    with pytest.raises(DataError) as caught:
        index(_config(planted / "scans", tmp_path / "cohort"))
    ledger = (tmp_path / "cohort.quarantine.jsonl").read_text()
    for text in (str(caught.value), ledger):
        assert not any(secret in text for secret in (NAME, MRN, DATE, ".nii"))
    assert "4 of 7 scans were refused, the budget is 0.1% or 1 scan (4: not_3d 1, unreadable 3)" in str(caught.value)
    assert "reasons in cohort.quarantine.jsonl" in str(caught.value)
    assert not (tmp_path / "cohort").exists()
    codes = {json.loads(line)["code"] for line in ledger.splitlines()}
    assert codes <= set(KeyTable.open(tmp_path / "cohort.keys.csv").scans())
    assert index(_config(planted / "scans", tmp_path / "cohort", max_bad=0.6)).fresh
    assert not (tmp_path / "cohort.quarantine.jsonl").exists()


def test_a_second_run_does_nothing(tmp_path: Path, bids_tree: Path) -> None:
    config = _config(bids_tree, tmp_path / "cohort")
    first, before = index(config), (tmp_path / "cohort.keys.csv").read_bytes()
    second = index(config)
    assert (first.fresh, second.fresh) == (True, False)
    assert "up to date" in second.summary()
    assert second.counts == first.counts
    assert (tmp_path / "cohort.keys.csv").read_bytes() == before


def test_the_same_key_table_gives_equal_bytes(tmp_path: Path, bids_tree: Path) -> None:
    index(_config(bids_tree, tmp_path / "one", keys=tmp_path / "keys.csv"))
    moved = bids_tree.rename(tmp_path / "moved")
    index(_config(moved, tmp_path / "two", keys=tmp_path / "keys.csv"))
    for name in ("cohort.parquet", "findings.jsonl", "summary.md", "config.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert all(str(key.image).startswith(str(moved)) for key in KeyTable.open(tmp_path / "keys.csv").scans().values())


def test_another_key_table_gives_other_codes(tmp_path: Path, bids_tree: Path) -> None:
    for name in ("one", "two"):
        index(_config(bids_tree, tmp_path / name))
    one, two = (set(table.read(tmp_path / name / "cohort.parquet")["patient"]) for name in ("one", "two"))
    assert not one & two


def test_a_changed_source_is_noticed(tmp_path: Path, bids_tree: Path) -> None:
    config = _config(bids_tree, tmp_path / "cohort")
    index(config)
    (bids_tree / "participants.tsv").write_text("participant_id\tlabel\nsub-01\tRN\n")
    with pytest.raises(ConfigError, match="exists already, made with other settings or inputs"):
        index(config)
    assert index(with_overrides(config, {"overwrite": True})).counts.lesions == 1


@pytest.mark.parametrize(
    "change", [{"site": "north"}, {"namespace": "other"}, {"layout": "folder", "image_glob": "**/*ce*.nii.gz"}]
)
def test_other_settings_are_noticed(tmp_path: Path, bids_tree: Path, change: dict[str, str]) -> None:
    config = _config(bids_tree, tmp_path / "cohort")
    index(config)
    with pytest.raises(ConfigError, match="exists already, made with other settings or inputs"):
        index(with_overrides(config, change))


def test_an_output_inside_the_source_changes_nothing(bids_tree: Path) -> None:
    config = _config(bids_tree, bids_tree / "cohort")
    assert index(config).fresh
    assert not index(config).fresh


def test_lost_or_foreign_key_tables_are_refused(tmp_path: Path, bids_tree: Path) -> None:
    config = _config(bids_tree, tmp_path / "cohort")
    index(config)
    shutil.move(tmp_path / "cohort.keys.csv", tmp_path / "elsewhere.csv")
    with pytest.raises(
        ConfigError, match=r"no key table here, though the cohort stands, so its patients would get new codes"
    ):
        index(config)
    assert not index(with_overrides(config, {"keys": str(tmp_path / "elsewhere.csv")})).fresh
    index(_config(bids_tree, tmp_path / "other"))
    with pytest.raises(ConfigError, match=r"was made with key table K-[0-9A-F]{8}, and other.keys.csv is K-"):
        index(with_overrides(config, {"keys": str(tmp_path / "other.keys.csv")}))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"source": "nowhere"}, "nowhere: no such folder. Give the top folder of the data set."),
        ({"keys": "cohort/keys.csv"}, "would lie inside an artefact, and artefacts are shared"),
        ({"layout": "molab"}, "source folder: is not in the molab layout; nearest is bids"),
        (
            {"image_glob": "*.nii"},
            "are for the folder layout, and this is bids. Leave them out, or add --layout folder.",
        ),
        ({"masks": "nowhere", "layout": "folder"}, "masks: no such folder"),
    ],
)
def test_wrong_input_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, bids_tree: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, str], sentence: str
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    with pytest.raises(RnfmError) as caught:
        index(with_overrides(_config(bids_tree, Path("cohort")), change))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "work").iterdir()) == []


def test_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError) as caught:
        index(_config(tmp_path / "empty", tmp_path / "cohort"))
    assert str(caught.value) == (
        f"source folder: is in none of the {len(LAYOUTS)} known layouts: there is no NIfTI image (.nii or .nii.gz) in it. "
        "Give the data set's own top folder, or another --layout (docs/layouts.md)."
    )


def test_a_folder_of_bad_scans_only(tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans/a_1.nii.gz").write_bytes(b"")
    with pytest.raises(DataError, match="none of 1 scans can be used"):
        index(_config(tmp_path / "scans", tmp_path / "cohort"))


def test_namespaces_keep_equal_ids_apart(tmp_path: Path, nifti) -> None:
    for folder in ("one", "two"):
        nifti(tmp_path / folder / "001_a.nii")
    keys = tmp_path / "keys.csv"
    index(_config(tmp_path / "one", tmp_path / "c1", keys=keys))
    with pytest.raises(
        ConfigError, match="namespace 'folder': its scans are known to this key table in another folder"
    ):
        index(_config(tmp_path / "two", tmp_path / "c2", keys=keys))
    index(_config(tmp_path / "two", tmp_path / "c2", keys=keys, namespace="second"))
    assert not set(table.read(tmp_path / "c1/cohort.parquet")["scan"]) & set(
        table.read(tmp_path / "c2/cohort.parquet")["scan"]
    )


def _index_in_a_process(source: Path, out: Path, keys: Path) -> None:
    index(IndexConfig(source=source, out=out, keys=keys))


def test_two_processes_share_one_key_table(tmp_path: Path, bids_tree: Path) -> None:
    context, keys = multiprocessing.get_context("spawn"), tmp_path / "keys.csv"
    outs = [tmp_path / "one", tmp_path / "two"]
    workers = [context.Process(target=_index_in_a_process, args=(bids_tree, out, keys)) for out in outs]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    one, two = (table.read(out / "cohort.parquet") for out in outs)
    assert one.equals(two)


def test_the_command_line_words() -> None:
    config = load(IndexConfig, None, ["data/t1c", "--masks", "data/masks", "--out", "cohort", "--max-bad", "0.01"])
    assert (config.source, config.masks, config.max_bad) == (Path("data/t1c"), Path("data/masks"), 0.01)
    with pytest.raises(ConfigError, match="namespace: string should match pattern"):
        load(IndexConfig, None, ["x", "--out", "y", "--namespace", "John Smith"])


@pytest.mark.realdata
def test_real_scans(tmp_path: Path, real_data: Path) -> None:
    result = index(_config(real_data / "t1c", tmp_path / "cohort", masks=real_data / "masks"))
    frame = table.read(tmp_path / "cohort/cohort.parquet")
    assert (len(frame), frame["patient"].nunique(), frame["has_mask"].sum()) == (16, 11, 16)
    assert sorted(frame.groupby("patient").size()) == [1] * 6 + [2] * 5
    assert result.counts.findings == {"spacing_implausible": 16}
    assert result.counts.refused == {}
    names = [file.name.split(".")[0] for file in (real_data / "t1c").glob("*.nii.gz")]
    published = _spoken(tmp_path / "cohort", result.summary())
    assert not any(name in published for name in names)
