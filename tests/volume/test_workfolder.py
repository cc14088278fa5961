"""The work folder: whose it is, what of it may be taken, and what is removed."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from rnfm.core.artifact import publish
from rnfm.core.errors import ConfigError, IntegrityError
from rnfm.volume import workfolder
from rnfm.volume.sources import Scan
from rnfm.volume.workfolder import WorkFolder, opened


@pytest.fixture
def scan(tmp_path: Path) -> Scan:
    (tmp_path / "image").write_bytes(b"1234")
    (tmp_path / "mask").write_bytes(b"12")
    return Scan("S-0B77E1D4", "P-0", "A", tmp_path / "image", tmp_path / "mask", True, ())


def finish(work: WorkFolder, scan: Scan, recipe: object = None) -> Path:
    folder = work.folder_of(scan)
    with publish(folder, workfolder.KIND, workfolder.VERSION, lineage=work.lineage_of(scan, recipe)) as draft:  # type: ignore[arg-type]
        (draft.path / "image").write_bytes(b"shard")
    return folder


def test_what_was_finished_is_found_again(tmp_path: Path, scan: Scan) -> None:
    with opened(tmp_path / "volumes", "settings", "cohort") as work:
        assert work.finished(scan, None) is None
        folder = finish(work, scan)
        assert folder.relative_to(work.path) == Path("scans/1D4/S-0B77E1D4")
    with opened(tmp_path / "volumes", "settings", "cohort") as again:
        found = again.finished(scan, None)
        assert found is not None
        assert found.path == folder
    about = (work.path / "about.json").read_text()
    assert "settings" in about
    assert str(tmp_path) not in about


@pytest.mark.parametrize("damage", ["flip", "cut", "remove", "no record", "half record", "unlisted"])
def test_a_half_written_or_damaged_scan_is_never_taken(tmp_path: Path, scan: Scan, damage: str) -> None:
    with opened(tmp_path / "volumes", "settings", "cohort") as work:
        folder = finish(work, scan)
        match damage:
            case "flip":
                (folder / "image").write_bytes(b"shbrd")
            case "cut":
                (folder / "image").write_bytes(b"sha")
            case "remove":
                (folder / "image").unlink()
            case "no record":
                (folder / "digests.json").unlink()
            case "half record":
                (folder / "digests.json").write_text((folder / "digests.json").read_text()[:40])
            case "unlisted":
                (folder / "mask").write_bytes(b"")
        assert work.finished(scan, None) is None
        assert not folder.exists()


@pytest.mark.parametrize("change", ["size", "time", "mask", "gone"])
def test_a_source_that_changed_is_read_again(tmp_path: Path, scan: Scan, change: str) -> None:
    with opened(tmp_path / "volumes", "settings", "cohort") as work:
        finish(work, scan)
        match change:
            case "size":
                scan.image.write_bytes(b"12345")
            case "time":
                os.utime(scan.image, ns=(0, 1))
            case "mask":
                os.utime(scan.mask or "", ns=(0, 1))
            case "gone":
                scan.image.unlink()
        assert work.finished(scan, None) is None


def test_another_recipe_is_another_source(tmp_path: Path, scan: Scan) -> None:
    with opened(tmp_path / "volumes", "settings", "cohort") as work:
        finish(work, scan, partial(divmod, 1))
        assert work.finished(scan, partial(divmod, 1)) is not None
        assert work.finished(scan, partial(divmod, 2)) is None


@pytest.mark.parametrize("other", [("settings", "another"), ("another", "cohort")])
def test_other_settings_or_another_cohort_are_another_folder(
    tmp_path: Path, scan: Scan, other: tuple[str, str]
) -> None:
    with opened(tmp_path / "volumes", "settings", "cohort") as work:
        finish(work, scan)
    with opened(tmp_path / "volumes", *other) as changed:
        assert changed.path != work.path
        assert changed.finished(scan, None) is None
        os.makedirs(changed.folder_of(scan).parent)
        os.rename(work.folder_of(scan), changed.folder_of(scan))  # nor can it be smuggled in
        assert changed.finished(scan, None) is None


def test_a_run_that_ends_before_the_first_scan_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), opened(tmp_path / "volumes", "settings", "cohort") as work:
        assert work.path.is_dir()
        raise ZeroDivisionError
    assert not work.path.exists()


def test_another_release_is_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path / "volumes", "settings", "cohort") as work:
        pass
    monkeypatch.setattr(workfolder, "__version__", "99")
    with opened(tmp_path / "volumes", "settings", "cohort") as later:
        assert later.path != work.path


def test_one_run_at_a_time(tmp_path: Path) -> None:
    with (
        opened(tmp_path / "volumes", "settings", "cohort"),
        pytest.raises(ConfigError, match="another `rnfm data prepare` is writing it. Wait until it ends, or stop it"),
        opened(tmp_path / "volumes", "settings", "cohort"),
    ):
        pass
    with opened(tmp_path / "volumes", "settings", "cohort"):
        pass


def test_what_is_removed_once_the_archive_stands(tmp_path: Path, scan: Scan) -> None:
    out = tmp_path / "vol[1]umes"
    for settings in ("old", "new"):
        with opened(out, settings, "cohort") as work:
            finish(work, scan)
    (work.path / "about.json").unlink()  # as a removal that was killed in the middle leaves it
    with opened(out, "held", "cohort") as held, opened(tmp_path / "volumes", "x", "cohort") as neighbour:
        mine = tmp_path / "vol[1]umes.work-notes"
        mine.mkdir()
        workfolder.remove_all(out)
        left = {path for path in tmp_path.iterdir() if path.is_dir()}
    assert left == {held.path, neighbour.path, mine}


def test_a_scan_that_is_not_where_its_worker_put_it(make_cohort: Callable, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="Check that all workers see the same file system"):
        workfolder.record_of(tmp_path / "scans" / "S-0B77E1D4")
