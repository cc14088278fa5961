"""Public layouts in, one coded cohort table out: adapters, pseudonyms, splits, overlap. No torch.

IndexConfig, index        source tree -> cohort artefact + key table
SplitConfig, split        cohorts -> split artefact; read_split(path) -> DataFrame
OverlapConfig, overlap    two cohorts or volumes -> what they share
WhoisConfig, whois        code -> identity, on a terminal only
table.read(path), table.write(path, frame)      cohort.parquet
keys.KeyTable.open(path).scans()                scan code -> Key(image, mask, ...)

Where to look:

    a new data set       adapters/ (one file or folder each), written with layout, cases, masks, sidecar, scanner; records
    `data index`         indexing: source, headers, rows, clinical, keys, namesakes -> table, summary
    which scan counts    courses, timepoint, sensitivity
    `data split`         splitting: assign, apart
    `data overlap`       overlapping: screening, aligning, likeness
    `data whois`         lookup
"""

from rnfm.cohort.indexing import IndexConfig, IndexResult, index
from rnfm.cohort.lookup import WhoisConfig, WhoisResult, whois
from rnfm.cohort.overlapping import OverlapConfig, OverlapResult, overlap
from rnfm.cohort.splitting import SplitConfig, SplitResult, read_split, split

__all__ = [
    "IndexConfig",
    "IndexResult",
    "OverlapConfig",
    "OverlapResult",
    "SplitConfig",
    "SplitResult",
    "WhoisConfig",
    "WhoisResult",
    "index",
    "overlap",
    "read_split",
    "split",
    "whois",
]
