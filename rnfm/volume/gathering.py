"""From finished scans to the archive's payload: what is kept, what is refused, tables, ledgers, summary.

    Records --judge--> kept, quarantine, findings --budget--> rows given out, shards linked, tables and ledgers written

Pure in the records, which come in the order of the cohort: neither the order in which scans were finished nor who finished
them can be seen in the result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as parquet

from rnfm.core import files
from rnfm.core.artifact import Artifact
from rnfm.core.errors import DataError
from rnfm.core.ledger import Ledger, Reason, require_budget
from rnfm.volume import alike, store
from rnfm.volume.findings import Finding
from rnfm.volume.preparing import PrepareConfig
from rnfm.volume.production import Record
from rnfm.volume.sources import Scan

STAGE = "prepare"


def write(
    folder: Path, cohort: Artifact, judged: tuple[list[tuple[Scan, Record]], Ledger, Ledger], config: PrepareConfig
) -> None:
    """Write the archive's payload into `folder`."""
    kept, quarantine, findings = judged
    contract = config.contract().as_dict()
    attributes = {name: contract[name] for name in ("axes", "spacing_mm", "brain", "bias", "intensity")}
    staged = [record.staged for _, record in kept if record.staged is not None]
    rows = store.assemble(folder, staged, attributes)
    parquet.write_table(scan_table(kept, rows), folder / "scans.parquet")
    staged_in = ((scan.code, record.staged.path) for scan, record in kept if record.staged is not None)
    alike.gather(folder / "likeness.parquet", staged_in)
    table = parquet.read_table(cohort.file("cohort.parquet"))
    through = pa.array([scan.code for scan, _ in kept], pa.string())
    parquet.write_table(table.filter(pc.is_in(table["scan"], through)), folder / "cohort.parquet")
    quarantine.write(folder / "quarantine.jsonl")
    findings.write(folder / "findings.jsonl")
    files.write_text(folder / "summary.md", _summary(kept, quarantine, findings))


def judge(scans: Sequence[Scan], records: Sequence[Record]) -> tuple[list[tuple[Scan, Record]], Ledger, Ledger]:
    """What is kept, in order, and the two ledgers; of scans with the same voxels the first is kept."""
    kept, quarantine, findings = [], Ledger(), Ledger()
    first_with: dict[object, str] = {}
    for scan, record in zip(scans, records, strict=True):
        refusal = record.refusal
        if refusal is None:
            first = first_with.setdefault(record.row["voxels_sha256"], scan.code)
            refusal = None if first == scan.code else Finding(Reason.DUPLICATE, f"it has the same voxels as {first}")
        if refusal is not None:
            quarantine.add(scan.code, STAGE, refusal.reason, refusal.detail)
            continue
        kept.append((scan, record))
        for finding in record.findings:
            findings.add(scan.code, STAGE, finding.reason, finding.detail)
    return kept, quarantine, findings


def require_within_budget(quarantine: Ledger, total: int, config: PrepareConfig) -> None:
    """Raise DataError over the budget. The ledger is then left beside the output, since there will be no artefact to hold it."""
    beside = config.out.with_name(config.out.name + ".quarantine.jsonl")
    try:
        require_budget(len(quarantine.entries), total, config.max_bad, config.out)
    except DataError as error:
        quarantine.write(beside)
        counts = ", ".join(f"{n} {reason}" for reason, n in sorted(quarantine.counts().items()))
        mend = f"Read {beside} for the code and reason of each, mend them or raise --max-bad; finished scans are kept"
        raise DataError(config.out, f"{error.cause} ({counts})", mend) from None
    beside.unlink(missing_ok=True)


def scan_table(kept: Sequence[tuple[Scan, Record]], rows: Sequence[int]) -> pa.Table:
    """scans.parquet (docs/pipeline.md, section 3)."""
    columns: dict[str, list[object]] = {"scan": [], "patient": [], "site": [], "geometry": [], "row": []}
    for (scan, record), number in zip(kept, rows, strict=True):
        geometry = store.geometry_name(record.staged.shape) if record.staged else ""
        row = {"scan": scan.code, "patient": scan.patient, "site": scan.site, "geometry": geometry, "row": number}
        for name, value in (row | record.row).items():
            columns.setdefault(name, []).append(value)
    types = {"affine": pa.list_(pa.float64()), "source_affine": pa.list_(pa.float64())}
    types |= {"source_shape_vox": pa.list_(pa.int32())}
    return pa.table({name: pa.array(values, types.get(name)) for name, values in columns.items()})


def _summary(kept: Sequence[tuple[Scan, Record]], quarantine: Ledger, findings: Ledger) -> str:
    """summary.md: counts for people; the ledgers hold each case."""
    shapes = Counter(record.staged.shape for _, record in kept if record.staged)
    sites = Counter(scan.site for scan, _ in kept)
    lines = [
        "# Canonical volumes",
        "",
        f"{len(kept)} scans of {len({scan.patient for scan, _ in kept})} patients, "
        f"{sum(scan.has_mask for scan, _ in kept)} with a mask; {len(quarantine.entries)} refused.",
        "",
        "| size (R x A x S, voxels) | scans |",
        "|---|---|",
        *(f"| {' x '.join(map(str, shape))} | {n} |" for shape, n in sorted(shapes.items())),
        "",
        "| site | scans |",
        "|---|---|",
        *(f"| {site} | {n} |" for site, n in sorted(sites.items())),
    ]
    for title, ledger in (("Refused", quarantine), ("Findings (used, but somebody should look)", findings)):
        lines += ["", f"## {title}", ""]
        lines += [f"- {reason}: {n}" for reason, n in sorted(ledger.counts().items())] or ["none"]
    return "\n".join(lines) + "\n"
