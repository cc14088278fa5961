"""What made an artefact of this room: the settings that change the result, and the digests of what it was made from.

`out`, `overwrite`, worker counts and the paths of inputs change nothing in the result, so they stay out of the hash; what
lies at those paths enters through its digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from rnfm.core.config import Config


def result_hash(config: Config, *left_out: str) -> str:
    """sha256 over the settings of `config` without the top-level keys `left_out`; an unknown key is a mistake of ours."""
    tree = config.as_dict()
    for key in ("out", "overwrite", *left_out):
        del tree[key]
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()


def volume_inputs(digests: Sequence[str]) -> dict[str, str]:
    """Roles of one or several volume archives: `volumes`, or `volumes_0`, `volumes_1`, ... in the order given."""
    if len(digests) == 1:
        return {"volumes": digests[0]}
    return {f"volumes_{i}": digest for i, digest in enumerate(digests)}
