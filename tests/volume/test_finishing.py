"""Resuming, losses and full disks: what is finished is not done twice, what is lost is judged, nothing is lost in silence."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from rnfm.core.artifact import Artifact
from rnfm.core.errors import ConfigError, DataError, RnfmError
from rnfm.core.ledger import Ledger
from rnfm.volume import PrepareConfig, VolumeArchive, bill, finishing, prepare
from rnfm.volume.workers import Lost


def settings(cohort, **more) -> PrepareConfig:
    given = {"cohort": cohort.path, "out": cohort.path.parent / "volumes", "spacing_mm": (3, 3, 3), "max_bad": 0.9}
    return PrepareConfig(**(given | more))


def copies(cohort, recipes, diary: Path) -> dict:
    """A recipe for every scan that copies its files and notes that it was called."""
    sources = zip(cohort.codes, cohort.images, cohort.masks, strict=True)
    return {code: recipes.Copy(image, mask, diary) for code, image, mask in sources}


def test_recipes_give_the_bytes_of_files_and_need_no_key_table(make_cohort: Callable, recipes, tmp_path: Path) -> None:
    cohort = make_cohort(3)
    from_files = VolumeArchive.open(prepare(settings(cohort)).path).digest
    cohort.keys.unlink()
    result = prepare(settings(cohort, out=tmp_path / "direct"), copies(cohort, recipes, tmp_path / "diary"))
    assert VolumeArchive.open(result.path).digest == from_files
    assert not list(tmp_path.glob("direct.work-*"))
    with pytest.raises(ConfigError, match="no key table here"):
        prepare(settings(cohort, out=tmp_path / "other"), {cohort.codes[0]: recipes.Copy(cohort.images[0])})


def test_after_an_error_only_what_is_not_finished_is_done(
    make_cohort: Callable, recipes, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    cohort = make_cohort(4)
    straight = VolumeArchive.open(prepare(settings(cohort, out=tmp_path / "straight")).path).digest
    made = copies(cohort, recipes, tmp_path / "diary")
    broken = made | {cohort.codes[2]: recipes.Raises(cohort.images[2])}
    with pytest.raises(ZeroDivisionError):
        prepare(settings(cohort), broken)
    assert not settings(cohort).out.exists()
    finished = {path.parent.name for path in tmp_path.glob("volumes.work-*/scans/*/*/digests.json")}
    (tmp_path / "diary").unlink()
    result = prepare(settings(cohort), made)
    again = (tmp_path / "diary").read_text().split()[::2]
    left = [image.name for code, image in zip(cohort.codes, cohort.images, strict=True) if code not in finished]
    assert sorted(again) == left  # no finished one again, none twice, none left out
    assert result.resumed == len(finished) > 0
    assert f"{len(finished)} scans had been finished by an earlier run" in result.summary()
    assert f"prepare: {len(finished)} of 4 scans were finished by an earlier run" in capsys.readouterr().err
    assert VolumeArchive.open(result.path).digest == straight
    assert not list(tmp_path.glob("volumes.work-*"))


def test_over_the_budget_the_rest_is_kept_and_the_mended_are_read_again(
    make_cohort: Callable, recipes, tmp_path: Path
) -> None:
    cohort = make_cohort(4)
    content = [image.read_bytes() for image in cohort.images]
    for image in cohort.images[:2]:
        image.write_bytes(b"")
    with pytest.raises(DataError, match=r"2 of 4 .*\(2 corrupt\).*finished scans are kept"):
        prepare(settings(cohort, max_bad=0.0))
    cohort.images[0].write_bytes(content[0])
    result = prepare(settings(cohort, max_bad=0.0))
    assert (result.resumed, result.scans, result.refused) == (3, 3, {"corrupt": 1})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cohort", "cohort.keys.csv", "source", "volumes"]


def test_other_settings_take_nothing_of_an_unfinished_run(make_cohort: Callable, tmp_path: Path) -> None:
    cohort = make_cohort(3)
    for image in cohort.images[:2]:
        image.write_bytes(b"")
    with pytest.raises(DataError):
        prepare(settings(cohort, max_bad=0.0))
    assert prepare(settings(cohort, margin_mm=8)).resumed == 0


@pytest.mark.slow
def test_scans_that_end_their_process_cost_only_themselves(make_cohort: Callable, recipes, tmp_path: Path) -> None:
    """One dies once (and comes through alone), one always, one hangs; the other three are as ever."""
    cohort = make_cohort(6)
    made = copies(cohort, recipes, tmp_path / "diary")
    once, always, hangs = (cohort.codes[i] for i in (1, 3, 5))
    made[once] = recipes.Dies(cohort.images[1], diary=tmp_path / "once", times=1)
    made[always] = recipes.Dies(cohort.images[3], diary=tmp_path / "always", how="segfault")
    made[hangs] = recipes.Hangs(cohort.images[5], diary=tmp_path / "pid")
    result = prepare(settings(cohort, workers=2, scan_seconds=8), made)
    assert (result.scans, result.refused) == (4, {"crashed": 1, "timed_out": 1})
    details = {e.code: e.detail for e in Ledger.read(result.path / "quarantine.jsonl")}
    assert details == {
        always: "twice, the second time alone: its process died by SIGSEGV",
        hangs: "it was not done after 8 s",
    }
    assert len((tmp_path / "always").read_text().splitlines()) == 2
    assert len((tmp_path / "diary").read_text().splitlines()) == 3
    assert once in VolumeArchive.open(result.path).scans["scan"].tolist()


def test_a_lost_scan_is_tried_again_by_the_next_run(make_cohort: Callable, recipes, tmp_path: Path) -> None:
    cohort = make_cohort(3)
    made = copies(cohort, recipes, tmp_path / "diary")
    dies = {
        code: recipes.Dies(cohort.images[i], cohort.masks[i], diary=tmp_path / code, times=2)
        for i, code in enumerate(cohort.codes[:2])
    }
    with pytest.raises(DataError, match=r"\(2 crashed\)"):
        prepare(settings(cohort, max_bad=0.0), made | dies)
    result = prepare(settings(cohort, max_bad=0.0), made | dies)
    assert (result.scans, result.resumed) == (3, 1)


def test_a_process_that_dies_after_its_scan_was_finished_loses_nothing() -> None:
    """The loss is reported, the scan is done once more over the finished one, and no refusal is left."""
    tries = []

    def run(jobs, count):
        for job in jobs:
            tries.append((job, count))
            yield job, Lost(False, "gone") if len(tries) == 1 else None

    job = type("Job", (), {"scan": type("Scan", (), {"code": "S-1"})})()
    assert dict(finishing._losses(run, [job], 7)) == {}
    assert tries == [(job, 7), (job, 1)]


def test_a_full_disk_is_one_sentence(make_cohort: Callable, recipes, tmp_path: Path) -> None:
    cohort = make_cohort(2)
    full = copies(cohort, recipes, tmp_path / "diary") | {
        cohort.codes[1]: recipes.Raises(cohort.images[1], error="full")
    }
    with pytest.raises(
        RnfmError, match=r"volumes: its disk is full\. Free some space and run again: finished scans are kept"
    ):
        prepare(settings(cohort), full)
    with pytest.raises(OSError, match="Input/output error"), finishing._full_disk_said(tmp_path):
        raise OSError(errno.EIO, "Input/output error")


def test_the_bill_is_asked_before_any_work(
    make_cohort: Callable, recipes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort = make_cohort(1)
    monkeypatch.setattr(bill, "bytes_needed", lambda *_: 1 << 60)
    with pytest.raises(ConfigError, match=r"needs about 1\.15e\+09 GB and .* GB are free"):
        prepare(settings(cohort), copies(cohort, recipes, tmp_path / "diary"))
    assert not (tmp_path / "diary").exists()


def test_a_second_run_on_the_same_output_is_refused(make_cohort: Callable) -> None:
    from rnfm.volume import workfolder

    cohort = make_cohort(1)
    config = settings(cohort)
    digest = Artifact.open(cohort.path).digest
    with (
        workfolder.opened(config.out, config.result_hash(), digest),
        pytest.raises(ConfigError, match="another `rnfm data prepare` is writing it"),
    ):
        prepare(config)
