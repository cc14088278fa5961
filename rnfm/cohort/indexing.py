"""`rnfm data index`: find the scans of a data set, replace identities by codes, publish the cohort table.

    source tree --adapter--> records --headers--> usable | refused --key table--> codes --> cohort/ + keys.csv (0600)

Order of events: nothing is written before the headers are read; the key table is saved before the cohort is published,
so no published code can be without its key. The cohort's configuration hash and lineage hold no path: the input digest
is a fingerprint of the source tree under a secret of the key table (`rnfm.cohort.source`).
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rnfm.cohort import headers, keys, namesakes, rows, summary, table
from rnfm.cohort.adapters import LayoutWord, choose
from rnfm.cohort.keys import KeyTable
from rnfm.cohort.records import Adapter, Match, Options
from rnfm.cohort.source import fingerprint
from rnfm.core import artifact
from rnfm.core.config import Config, Field, positional
from rnfm.core.errors import ConfigError, DataError
from rnfm.core.ledger import Ledger, require_budget
from rnfm.core.progress import track

KIND, VERSION = "cohort", 1
DICOM = ("dicom", "brain_tr_gammaknife")
# Layouts, and the options that are theirs alone.
OPTIONS_OF = ((("folder",), ("image_glob", "mask_glob", "masks")), (DICOM, ("series_glob", "converted")))


class IndexConfig(Config):
    """Find scans, masks, labels and clinical facts in a data set, and replace identities by codes."""

    source: Path = positional("top folder of the data set, or a cohort.csv")
    out: Path = Field(description="cohort folder to write")
    keys: Path | None = Field(None, description="key table (CSV, mode 0600) to use or begin; none: <out>.keys.csv")
    layout: LayoutWord = Field("auto", description="layout of the source folder; auto: guessed, and said why")
    image_glob: str | None = Field(
        None, description="folder layout: pattern of the T1CE images inside the source, such as '**/*_t1c.nii.gz'"
    )
    mask_glob: str | None = Field(None, description="folder layout: pattern of the masks inside the source")
    masks: Path | None = Field(None, description="folder layout: folder of masks with the file names of their images")
    series_glob: str | None = Field(
        None, description="DICOM layouts: pattern of the series description that is wanted, such as '*T1*POST*'"
    )
    converted: Path | None = Field(
        None, description="DICOM layouts: folder (mode 0700) for converted series; none: <key table>.converted"
    )
    namespace: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$",
        description="whose ids these are (never a person's name); none: the data set's own name",
    )
    site: str | None = Field(None, min_length=1, description="centre of all scans; none: as the data set says")
    max_bad: float = Field(0.001, ge=0, le=1, description="refused scans allowed, at least 1 [share of all scans]")
    timepoint_rule: Literal["rn_date_or_growth", "rn_date", "first_growth", "first_post_srs", "last_post_srs"] = Field(
        "rn_date_or_growth",
        description="which scan of a lesion is classified, of those after radiosurgery; rn_date_or_growth: the last not "
        "later than the recorded necrosis, else the first with growth, else the last; rn_date: without the growth; "
        "first_growth, first_post_srs, last_post_srs: never look at the necrosis date",
    )
    overwrite: bool = Field(False, description="replace a cohort that was made with other settings or inputs")


@dataclass(frozen=True)
class IndexResult:
    """Where the cohort and its key table are, and what the cohort holds."""

    path: Path
    keys: Path
    layout: str
    why: str
    counts: summary.Counts
    fresh: bool
    converted: Path | None = None

    def summary(self) -> str:
        state = "written" if self.fresh else "up to date"
        return "\n".join(
            [
                f"cohort {self.path}: {state}",
                f"layout {self.layout}, because {self.why} (--layout overrides)",
                *summary.lines(self.counts),
                f"key table {self.keys}: the only way back to the patients; keep it, and share it with nobody",
                *(
                    [f"converted series {self.converted}: keep them until `data prepare` has run"]
                    if self.converted
                    else []
                ),
                f"next: rnfm data split {self.path} --out SPLIT; rnfm data prepare {self.path} --out VOLUMES",
            ]
        )


def index(config: IndexConfig) -> IndexResult:
    """Index a data set. ConfigError: paths, layout, key table; DataError: no scan, or more bad ones than allowed."""
    if not config.source.exists():
        raise ConfigError(config.source, "no such folder", "Give the top folder of the data set")
    key_file = keys.location(config.keys, config.out)
    adapter, match = choose(config.source, config.layout)
    _require_own_options(config, adapter)
    dataset = config.namespace or adapter.namespace(config.source)
    settings = _settings_hash(config, adapter, dataset)
    if key_file.exists():
        known = KeyTable.open(key_file)
        standing = artifact.current(config.out, KIND, settings, {"source": _fingerprint(config, adapter, known)})
        if standing is not None:
            return _result(config, key_file, adapter, match, fresh=False)
        _require_same_table(config, known)
    elif (config.out / "digests.json").is_file() and not config.overwrite:
        raise ConfigError(
            key_file,
            "no key table here, though the cohort stands, so its patients would get new codes",
            "Give the cohort's own --keys, choose another --out, or pass --overwrite",
        )
    artifact.require_free(config.out, config.overwrite)
    _index(config, adapter, dataset, settings, key_file)
    return _result(config, key_file, adapter, match, fresh=True)


def _index(config: IndexConfig, adapter: Adapter, dataset: str, settings: str, key_file: Path) -> None:
    options = Options(
        image_glob=config.image_glob,
        mask_glob=config.mask_glob,
        masks=config.masks,
        series_glob=config.series_glob,
        converted=_converted(config, key_file),
    )
    reading = adapter.read(config.source, options)
    if not reading.scans:
        raise DataError(
            "source folder", f"holds no scan in the {adapter.NAME} layout", "Give another folder or --layout"
        )
    inspected = [headers.inspect(scan) for scan in track(reading.scans, len(reading.scans), "headers")]
    with KeyTable.edit(key_file) as key_table:
        found = [*reading.findings, *namesakes.findings(adapter, reading.scans, key_table, dataset)]
        coded = rows.build(inspected, found, key_table, dataset=dataset, site=config.site, rule=config.timepoint_rule)
        contract = {
            "dataset": dataset,
            "layout": adapter.NAME,
            "timepoint_rule": config.timepoint_rule,
            "key_table": key_table.id,
        }
        inputs = {"source": _fingerprint(config, adapter, key_table)}
    _require_budget(config, coded.quarantine, total=len(inspected))
    lineage = {"config_hash": settings, "inputs": inputs}
    with artifact.publish(
        config.out, KIND, VERSION, contract=contract, lineage=lineage, overwrite=config.overwrite
    ) as draft:
        frame = table.from_rows(coded.rows)
        table.write(draft.path / "cohort.parquet", frame)
        coded.quarantine.write(draft.path / "quarantine.jsonl")
        coded.findings.write(draft.path / "findings.jsonl")
        counts = summary.count(frame, coded.quarantine.entries, coded.findings.entries)
        text = summary.markdown(frame, counts, contract=contract, notes=reading.notes, courses=coded.courses)
        (draft.path / "summary.md").write_text(text)


def _result(config: IndexConfig, key_file: Path, adapter: Adapter, match: Match, *, fresh: bool) -> IndexResult:
    """From the published artefact, so that a second run reports what stands there."""
    cohort = artifact.Artifact.open(config.out, KIND, VERSION)
    ledgers = (Ledger.read(cohort.file(f"{name}.jsonl")) for name in ("quarantine", "findings"))
    counts = summary.count(table.read(cohort.file("cohort.parquet")), *ledgers)
    converted = _converted(config, key_file) if adapter.NAME in DICOM else None
    return IndexResult(config.out, key_file, adapter.NAME, match.why, counts, fresh, converted)


def _converted(config: IndexConfig, key_file: Path) -> Path:
    """Converted series are pictures of patients: they lie with the key table, not with the cohort."""
    return config.converted or key_file.with_name(
        f"{key_file.name.removesuffix('.csv').removesuffix('.keys')}.converted"
    )


def _require_own_options(config: IndexConfig, adapter: Adapter) -> None:
    """ConfigError for an option that the chosen layout would pass over in silence."""
    for layouts, names in OPTIONS_OF:
        if adapter.NAME not in layouts and any(getattr(config, name) is not None for name in names):
            raise ConfigError(
                ", ".join(names),
                f"are for the {' and '.join(layouts)} layout{'s' * (len(layouts) > 1)}, and this is {adapter.NAME}",
                f"Leave them out, or add --layout {layouts[0]}",
            )


def _settings_hash(config: IndexConfig, adapter: Adapter, dataset: str) -> str:
    """What changes the result and is no path. Globs may name people: they go into the keyed fingerprint instead."""
    values = [VERSION, table.REVISION, adapter.NAME, dataset, config.site, config.timepoint_rule]
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def _fingerprint(config: IndexConfig, adapter: Adapter, key_table: KeyTable) -> str:
    roots = [config.source, *([config.masks] if config.masks else [])]
    globs = (config.image_glob, config.mask_glob, *([config.series_glob] if config.series_glob else []))
    also = adapter.sources(config.source) if hasattr(adapter, "sources") else []
    return fingerprint(key_table.secret, roots, globs, keys=key_table.path, also=also)


def _require_same_table(config: IndexConfig, known: KeyTable) -> None:
    """A cohort made with another key table would get new codes for the same patients."""
    if not (config.out / "digests.json").is_file() or config.overwrite:
        return
    theirs = artifact.Artifact.open(config.out, KIND).contract.get("key_table")
    if theirs != known.id:
        raise ConfigError(
            config.out,
            f"was made with key table {theirs}, and {known.path.name} is {known.id}",
            "Give its own --keys, choose another --out, or pass --overwrite",
        )


def _require_budget(config: IndexConfig, quarantine: Ledger, *, total: int) -> None:
    """Over budget nothing is published, but the reasons are left beside the place where the cohort would be."""
    ledger = config.out.with_name(f"{config.out.name}.quarantine.jsonl")
    try:
        require_budget(len(quarantine.entries), total, config.max_bad, config.out)
    except DataError as error:
        ledger.parent.mkdir(parents=True, exist_ok=True)
        quarantine.write(ledger)
        mend = re.sub(r"quarantine\.jsonl", ledger.name, error.mend)
        raise DataError(error.thing, f"{error.cause} ({summary.tally(quarantine.counts())})", mend) from None
    ledger.unlink(missing_ok=True)
