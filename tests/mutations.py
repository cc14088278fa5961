"""Named one-line mutations of the source, each with the test that must fail: proof that the tests can fail.

    make mutate                      all of them
    python tests/mutations.py NAME   one

Each mutation is applied to a copy of the tree in a temporary folder; the checkout is never touched. A mutation whose test
still passes "survives", and the command exits with 1.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Mutation:
    name: str
    file: str
    old: str
    new: str
    test: str


MUTATIONS: tuple[Mutation, ...] = (
    Mutation(
        "artifact-skips-content",
        "rnfm/core/artifact.py",
        "elif (deep or name in HEADS) and files.sha256(file)",
        "elif name in HEADS and files.sha256(file)",
        "tests/core/test_artifact.py::test_each_damage_is_found",
    ),
    Mutation(
        "artifact-leaves-halves",
        "rnfm/core/artifact.py",
        "        shutil.rmtree(draft.path, ignore_errors=True)",
        "        pass",
        "tests/core/test_artifact.py::test_an_exception_leaves_nothing",
    ),
    Mutation(
        "config-forgives-unknown-keys",
        "rnfm/core/config.py",
        'extra="forbid"',
        'extra="ignore"',
        "tests/core/test_config.py::test_all_faults_at_once_with_the_nearest_name",
    ),
    Mutation(
        "keys-run-together",
        "rnfm/core/keyed.py",
        '"\\x1f".join',
        '"".join',
        "tests/core/test_small.py::test_keyed_numbers_are_the_same_for_ever",
    ),
    Mutation(
        "spool-forgets-what-was-not-sent",
        "rnfm/tracking/spool.py",
        "return events[sent:], sent, run_id",
        "return [], sent, run_id",
        "tests/tracking/test_tracking.py::test_a_dead_store_never_stops_or_delays_a_run_and_sync_loses_nothing",
    ),
    Mutation(
        "secrets-leave",
        "rnfm/tracking/redact.py",
        '    if _KEY.search(key) and value not in (None, ""):',
        "    if False:",
        "tests/tracking/test_tracking.py::test_redaction",
    ),
    Mutation(
        "cohort-rn-date-excluded",
        "rnfm/cohort/timepoint.py",
        "month <= rn_months",
        "month < rn_months",
        "tests/cohort/test_timepoint.py::test_each_branch",
    ),
    Mutation(
        "folds-unbalanced",
        "rnfm/cohort/assign.py",
        "(shift + index) % count",
        "(shift + index // 2) % count",
        "tests/cohort/test_assign.py::test_folds_are_balanced_and_know_no_order",
    ),
    Mutation(
        "key-table-readable-by-all",
        "rnfm/cohort/keys.py",
        "table._as_csv(), mode=MODE)",
        "table._as_csv())",
        "tests/cohort/test_keys.py::test_nobody_else_can_read_it",
    ),
    Mutation(
        "treatment-of-the-future",
        "rnfm/cohort/adapters/molab/sheet.py",
        '"wbrt": any(begin <= day for begin in self.wbrt_days)',
        '"wbrt": bool(self.wbrt_days)',
        "tests/cohort/adapters/molab/test_molab.py::test_clinical_facts_are_those_known_on_the_day",
    ),
    Mutation(
        "gzip-not-drained",
        "rnfm/volume/reading.py",
        "            _drain(stream)",
        "            pass",
        "tests/volume/test_reading.py::test_no_bit_flip_is_silent",
    ),
    Mutation(
        "zarr-without-checksum",
        "rnfm/volume/store.py",
        "checksum=True",
        "checksum=False",
        "tests/volume/test_archive.py::test_a_flipped_byte_is_found_by_verify_and_by_reading",
    ),
    Mutation(
        "mask-of-another-grid",
        "rnfm/volume/single.py",
        "GRID_TOLERANCE_VOX = 0.25",
        "GRID_TOLERANCE_VOX = 25",
        "tests/volume/test_single.py::test_a_mask_of_another_grid_is_refused",
    ),
    Mutation(
        "order-same-tail",
        "rnfm/archive/order.py",
        "self._turn = int(generator.integers(self.samples))",
        "self._turn = 0",
        "tests/archive/test_order.py::test_the_left_out_samples_change_even_with_one_shard",
    ),
    Mutation(
        "shard-unchecked",
        "rnfm/archive/tar.py",
        "if zlib.crc32(data.data) != extent.crc32:",
        "if False:",
        "tests/archive/test_reader.py::test_damage_met_while_reading_names_shard_key_and_offset",
    ),
    Mutation(
        "lesion-cut",
        "rnfm/archive/crops.py",
        "start = min(max(start, high - crop), low)",
        "start = max(start, high - crop)",
        "tests/archive/test_crops.py::test_a_lesion_that_fits_is_whole_inside_the_crop",
    ),
    Mutation(
        "mae-peeks",
        "rnfm/objective/mae/objective.py",
        "self.backbone.encode(visible_BVE)",
        "self.backbone.encode(tokens_BNE)",
        "tests/objective/mae/test_objective.py::test_predictions_are_blind_to_hidden_voxels",
    ),
    Mutation(
        "foundation-shallow-check",
        "rnfm/foundation/loading.py",
        "artifact.require_intact(deep=True)",
        "artifact.require_intact()",
        "tests/foundation/test_loading.py::test_a_tampered_artefact_is_refused",
    ),
    Mutation(
        "surgery-changes-heads",
        "rnfm/model/surgery.py",
        'CHANGEABLE = {"name",',
        'CHANGEABLE = {"name", "heads",',
        "tests/model/test_surgery.py::test_what_cannot_be_adapted_is_refused_before_anything_is_copied",
    ),
    Mutation(
        "noise-not-rician",
        "rnfm/insilico/physics.py",
        "return np.hypot(real, imaginary)",
        "return np.abs(real)",
        "tests/insilico/test_physics.py::test_rician_moments",
    ),
    Mutation(
        "nuisance-knows-label",
        "rnfm/insilico/traits.py",
        'lesion, "nuisances"))',
        'lesion, "nuisances", label))',
        "tests/insilico/test_traits.py::test_nuisances_are_the_same_whatever_the_label",
    ),
    Mutation(
        "rn-date-misplaced",
        "rnfm/insilico/molab.py",
        '"RADIATION NECROSIS": lesion.rn_day',
        '"RADIATION NECROSIS": lesion.srs_day',
        "tests/insilico/test_molab.py::test_every_cell_of_a_lesion_has_its_place",
    ),
    Mutation(
        "delong-unclustered",
        "rnfm/stats/delong.py",
        "total + 2 * both",
        "total + 0 * both",
        "tests/stats/test_delong.py::test_a_patient_with_both_classes_against_obuchowskis_formula",
    ),
    Mutation(
        "html-unescaped",
        "rnfm/viz/html.py",
        "autoescape=True",
        "autoescape=False",
        "tests/viz/test_html.py::test_values_are_escaped",
    ),
    Mutation(
        "leak-excused",
        "rnfm/report/choose.py",
        "if found and found.found:",
        "if found and found.found and because is None:",
        "tests/report/test_models.py::test_promoting_a_better_a_worse_and_a_leaked_model",
    ),
    Mutation(
        "guard-lets-all-through",
        "rnfm/downstream/protocol.py",
        "strangers = set(self._patients[rows]) - self._allowed",
        "strangers = set[str]()",
        "tests/downstream/test_protocol.py::test_leaky_twin_scaling_fitted_on_all_rows_inside_a_fit_is_refused",
    ),
    Mutation(
        "sweep-sees-holdout",
        "rnfm/downstream/protocol.py",
        '"inner", ("train",), 1)',
        '"inner", ("train", "holdout"), 1)',
        "tests/downstream/test_fuse.py::test_a_sweep_sees_training_patients_only",
    ),
    Mutation(
        "sweep-end-missed",
        "rnfm/sweep/tune.py",
        "int(axis.high) + 1",
        "int(axis.high)",
        "tests/sweep/test_tune.py::test_whole_numbers_reach_both_ends",
    ),
    Mutation(
        "slurm-warning-kills",
        "rnfm/cli/templates/slurm.sbatch.j2",
        "(trap '' USR1; exec",
        "(exec",
        "tests/cli/test_launch.py::TestSlurmScript::test_the_warning_to_every_process_of_the_step_does_no_harm",
    ),
    Mutation(
        "resume-without-moments",
        "rnfm/pretrain/engine.py",
        "                own[moment].copy_(saved[moment])",
        "                pass",
        "tests/pretrain/test_stage.py::test_stop_and_go_equals_going_on",
    ),
    Mutation(
        "resume-without-step-count",
        "rnfm/pretrain/engine.py",
        '"step": torch.tensor(float(step))',
        '"step": torch.tensor(0.0)',
        "tests/pretrain/test_stage.py::test_stop_and_go_equals_going_on",
    ),
    Mutation(
        "resume-without-cursor",
        "rnfm/pretrain/stage.py",
        'stream = type(fresh.stream)(**state["stream"])',
        "stream = fresh.stream",
        "tests/pretrain/test_stage.py::test_stop_and_go_equals_going_on",
    ),
    Mutation(
        "checkpoint-unverified",
        "rnfm/pretrain/checkpoint.py",
        "require_intact(deep=True)",
        "require_intact()",
        "tests/pretrain/test_stage.py::test_damaged_checkpoints_are_passed_over_and_if_none_is_left_nothing_is_touched",
    ),
    Mutation(
        "nan-reaches-weights",
        "rnfm/pretrain/loop.py",
        "if mean_loss != mean_loss or",
        "if False and",
        "tests/pretrain/test_stage.py::test_a_loss_that_is_not_finite_stops_before_any_weight_moves",
    ),
    Mutation(
        "zero-stages-12-unlinked",
        "rnfm/pretrain/engine.py",
        "engine.optimizer._hp_optimizer_states_linked = False",
        "pass",
        "tests/pretrain/test_stage.py::test_each_zero_stage_resumes_exactly_and_agrees_with_stage_0",
    ),
    Mutation(
        "rtstruct-left-is-right",
        "rnfm/cohort/adapters/dicom/rtstruct.py",
        "points * (-1.0, -1.0, 1.0)",
        "points * (1.0, 1.0, 1.0)",
        "tests/cohort/adapters/dicom/test_convert.py::test_a_ball_region_lies_on_the_converted_grid",
    ),
    Mutation(
        "dicom-trusts-the-converter",
        "rnfm/cohort/adapters/dicom/convert.py",
        "len(image.shape) != 3 or not same_place(grid, image.affine, image.shape)",
        "len(image.shape) != 3",
        "tests/cohort/adapters/dicom/test_convert.py::test_an_image_that_lies_elsewhere_than_the_headers_say_is_refused",
    ),
    Mutation(
        "dicom-copies-free-text",
        "rnfm/cohort/scanner.py",
        'else "other"',
        "else words",
        "tests/cohort/adapters/test_bids.py::test_sidecars_with_free_text_or_without_sense_are_findings_not_values",
    ),
    Mutation(
        "dicom-takes-native-series",
        "rnfm/cohort/adapters/dicom/choice.py",
        "if NATIVE.search(series.words):",
        "if False:",
        "tests/cohort/adapters/dicom/test_choice.py::test_an_agent_copied_over_the_study_does_not_make_a_pre_scan_a_post_scan",
    ),
    Mutation(
        "brats-mets-oedema-is-lesion",
        "rnfm/cohort/adapters/brats_mets.py",
        "lesion={1: NECROTIC, 3: ENHANCING}, other={2: OEDEMA, 4: CAVITY}",
        "lesion={1: NECROTIC, 2: OEDEMA, 3: ENHANCING}, other={4: CAVITY}",
        "tests/cohort/adapters/test_public.py::test_scans_masks_days_and_lesions[brats_mets]",
    ),
    Mutation(
        "layout-passes-dates-on",
        "rnfm/cohort/layout.py",
        "day=scan.day - first[scan.patient])",
        "day=scan.day)",
        "tests/cohort/test_layout.py::test_days_count_from_each_patients_first_scan",
    ),
    Mutation(
        "proteas-doubles-patients",
        "rnfm/cohort/adapters/proteas.py",
        "(?P<patient>P\\d+)[ab]?)",
        "(?P<patient>P\\d+[ab]?))",
        "tests/cohort/adapters/test_public.py::test_proteas_folders_a_and_b_are_one_patient",
    ),
    Mutation(
        "folder-swallows-a-named-layout",
        "rnfm/cohort/adapters/__init__.py",
        " and not (hinted and name == FORMATS[-1])",
        "",
        "tests/cohort/adapters/test_choose.py::test_who_is_refused",
    ),
    Mutation(
        "namesakes-of-oneself",
        "rnfm/cohort/namesakes.py",
        "row.original not in here",
        "True",
        "tests/cohort/test_namesakes.py::test_indexing_one_data_set_twice_says_nothing",
    ),
    Mutation(
        "growth-from-the-last-volume",
        "rnfm/cohort/timepoint.py",
        "nadir_ml = volume_ml if nadir_ml is None else min(nadir_ml, volume_ml)",
        "nadir_ml = volume_ml if nadir_ml is None else nadir_ml",
        "tests/cohort/test_timepoint.py::test_growth",
    ),
    Mutation(
        "label-free-rule-sees-the-date",
        "rnfm/cohort/timepoint.py",
        "replace(series, rn_months=None) if chosen.label_free else series",
        "series",
        "tests/cohort/test_timepoint.py::test_a_label_free_rule_is_not_shown_the_date",
    ),
    Mutation(
        "time-that-tells-is-a-feature",
        "rnfm/cohort/rows.py",
        "with_months = RULES[rule].label_free",
        "with_months = True",
        "tests/cohort/test_rows.py::test_the_time_is_a_feature_under_label_free_rules_only",
    ),
    Mutation(
        "molab-takes-dates-for-days",
        "rnfm/cohort/adapters/molab/__init__.py",
        "row.srs_day is None or row.unreadable",
        "row.srs_day is None",
        "tests/cohort/adapters/molab/test_imitation.py::test_a_trap_changes_what_it_should_and_nothing_else",
    ),
    Mutation(
        "split-edited-by-hand",
        "rnfm/cohort/splitting.py",
        "opened.require_intact(deep=True)",
        "opened.require_intact()",
        "tests/cohort/test_apart.py::test_planted_cases",
    ),
    Mutation(
        "reading-forgives-a-tail",
        "rnfm/volume/reading.py",
        'if left < 0 or chunk.strip(b"\\0"):',
        "if left < 0:",
        "tests/volume/test_reading.py::test_malformed_files_are_refused_for_the_right_reason",
    ),
    Mutation(
        "grid-turned-without-origin",
        "rnfm/volume/geometry.py",
        "exact[:3, 3] = np.where(turn.min(axis=1) < 0, np.array(volume.shape) - 1, 0)",
        "exact[:3, 3] = 0",
        "tests/volume/test_geometry.py::test_a_grid_is_found_in_each_of_its_48_orders",
    ),
    Mutation(
        "landmarks-see-test-patients",
        "rnfm/volume/landmarks.py",
        'if row["role"] == "train"}',
        'if row["role"]}',
        "tests/volume/test_landmarks.py::test_prepare_fits_on_training_patients_only",
    ),
    Mutation(
        "guard-sets-no-limit",
        "rnfm/volume/guard.py",
        "    _set((min(bounds), before[1]))",
        "    pass",
        "tests/volume/test_guard.py::test_what_takes_too_much_is_too_large",
    ),
    Mutation(
        "contract-forgets-the-skull-strip",
        "rnfm/core/contract.py",
        '("axes", "spacing_mm", "brain", "bias", "intensity")',
        '("axes", "spacing_mm", "intensity")',
        "tests/core/test_contract.py::test_each_difference_is_named",
    ),
    Mutation(
        "planes-swap-sides",
        "rnfm/viz/planes.py",
        "grey[::-1, ::-1].T",
        "grey[:, ::-1].T",
        "tests/viz/test_planes.py::test_the_sides_of_the_picture",
    ),
    Mutation(
        "qc-hides-the-refused",
        "rnfm/volume/page.py",
        "lines = [Shown(entry.code, None, [entry]) for entry in refused]",
        "lines: list[Shown] = []",
        "tests/volume/test_page.py::test_refused_come_first_then_findings_then_the_rest_in_order",
    ),
    Mutation(
        "qc-before-is-after",
        "rnfm/volume/intensities.py",
        "undo_intensity(after, parameters, rule).astype(np.float64)",
        "after",
        "tests/volume/test_intensities.py::test_before_is_what_the_scanner_said",
    ),
    Mutation(
        "progress-promises-early",
        "rnfm/core/progress.py",
        "            self._seen.popleft()",
        "            break",
        "tests/core/test_progress.py::test_what_a_resume_finds_done_does_not_promise_an_early_end",
    ),
    Mutation(
        "page-runs-any-script",
        "rnfm/viz/html.py",
        "if hashes else page",
        "if not hashes else page",
        "tests/viz/test_html.py::test_the_policy_names_a_templates_own_scripts_and_no_others",
    ),
    Mutation(
        "prepared-scan-taken-unread",
        "rnfm/volume/workfolder.py",
        " and not found.verify(deep=True):",
        ":",
        "tests/volume/test_workfolder.py::test_a_half_written_or_damaged_scan_is_never_taken",
    ),
    Mutation(
        "changed-source-not-read-again",
        "rnfm/volume/workfolder.py",
        '"source": _stamp(scan, recipe)',
        '"source": ""',
        "tests/volume/test_workfolder.py::test_a_source_that_changed_is_read_again",
    ),
    Mutation(
        "hung-worker-leaves-children",
        "rnfm/volume/workers.py",
        "os.killpg(process.pid, signal.SIGKILL)",
        "process.kill()",
        "tests/volume/test_workers.py::test_a_process_that_hangs_is_ended_with_all_that_it_started",
    ),
    Mutation(
        "lost-scans-not-tried-again",
        "rnfm/volume/finishing.py",
        "for again in died:",
        "for again in ():",
        "tests/volume/test_finishing.py::test_a_process_that_dies_after_its_scan_was_finished_loses_nothing",
    ),
    Mutation(
        "lost-shard-reads-as-zeros",
        "rnfm/volume/archive.py",
        "os.stat(self.artifact.path / _shard(row, name))",
        "pass",
        "tests/volume/test_archive.py::test_a_shard_lost_while_the_archive_is_open_is_not_read_as_zeros",
    ),
    Mutation(
        "overlap-believes-middling-scores",
        "rnfm/cohort/overlapping.py",
        "found.score >= max(others, default=-1.0) + STANDS_OUT",
        "found.score >= -1.0 + STANDS_OUT",
        "tests/cohort/test_overlapping.py::test_a_middling_score_counts_only_where_it_stands_out",
    ),
    Mutation(
        "key-table-cut-short",
        "rnfm/cohort/keys.py",
        "if checks and (checks != [_digest(rows)]",
        "if checks and (False",
        "tests/cohort/test_keys.py::test_a_table_that_lost_something_is_refused",
    ),
    Mutation(
        "screening-forgets-a-mirroring",
        "rnfm/cohort/screening.py",
        "(1, 1, 1), (-1, 1, 1), (1, -1, 1)",
        "(1, 1, 1), (1, 1, 1), (1, -1, 1)",
        "tests/cohort/test_screening.py::test_a_mirroring_permutes_the_spectrum",
    ),
    Mutation(
        "likeness-holds-the-background",
        "rnfm/cohort/likeness.py",
        "np.where(within, plane, 0)",
        "plane",
        "tests/cohort/test_likeness.py::test_outside_the_foreground_it_is_0_and_nothing_there_counts",
    ),
    Mutation(
        "aligning-forgets-the-shift",
        "rnfm/cohort/aligning.py",
        "b.mirrored(axes), start, STEPS",
        "b.mirrored(axes), np.eye(4), STEPS",
        "tests/cohort/test_aligning.py::test_a_cut_field_of_view",
    ),
    Mutation(
        "simulated-scan-taken-cut-short",
        "rnfm/insilico/workfolder.py",
        "        return record if whole else None",
        "        return record",
        "tests/insilico/test_making.py::test_a_record_counts_only_with_its_files",
    ),
    Mutation(
        "course-tells-the-class-early",
        "rnfm/insilico/growth.py",
        "classified_cc=classified_cc,\n        later_cc",
        "classified_cc=classified_cc * (1.2 if label else 1.0),\n        later_cc",
        "tests/insilico/test_growth.py::test_up_to_the_classified_scan_both_classes_have_one_course",
    ),
    Mutation(
        "simulation-begins-on-a-full-disk",
        "rnfm/insilico/bill.py",
        "if self.bytes > self.free:",
        "if False:",
        "tests/insilico/test_making.py::test_where_disk_is_short_nothing_is_begun",
    ),
    Mutation(
        "clinical-csv-with-shifted-cells",
        "rnfm/cohort/sidecar.py",
        "if any(any(line[len(head) :]) for line in lines):",
        "if False:",
        "tests/cohort/test_sidecar.py::test_faults_quote_nothing",
    ),
)


def main(names: list[str]) -> int:
    chosen = [mutation for mutation in MUTATIONS if not names or mutation.name in names]
    survivors = []
    for mutation in chosen:
        verdict = apply(mutation)
        print(f"{verdict:9}{mutation.name}", flush=True)
        survivors += [mutation.name] if verdict != "killed" else []
    print(f"killed {len(chosen) - len(survivors)} of {len(chosen)} planted")
    return 1 if survivors else 0


def apply(mutation: Mutation) -> str:
    """'killed' if the test fails on the mutated copy, 'survived' if it passes, 'stale' if the source line is gone."""
    source = (ROOT / mutation.file).read_text()
    if source.count(mutation.old) < 1:
        return "stale"
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        ignore = shutil.ignore_patterns("__pycache__")
        for name in ("rnfm", "tests", "benchmarks", "launch"):
            if (ROOT / name).exists():
                shutil.copytree(ROOT / name, copy / name, ignore=ignore)
        shutil.copy(ROOT / "pyproject.toml", copy)
        (copy / mutation.file).write_text(source.replace(mutation.old, mutation.new, 1))
        environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-m", "pytest", "-x", "-q", mutation.test]
        result = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    return {0: "survived", 1: "killed"}.get(result.returncode, f"error {result.returncode}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
