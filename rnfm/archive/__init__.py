"""Sub-volumes on disk: cutting, tar and Zarr shards, the manifest, the global order, reading, verification. No torch.

    ShardConfig, shard        volumes -> shard archive            VerifyConfig, verify    is it what was published?
    ShowConfig, show          what is in it                       open(uri, subset)       Archive: samples and streams
    order.StreamState         where a stream stands               order.batch_indices     which samples stand in a batch

The bytes are documented in shards/README.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rnfm.archive.shard import ShardConfig, ShardResult, shard
from rnfm.archive.show import ShowConfig, ShowResult, show
from rnfm.archive.verify import VerifyConfig, VerifyResult, verify

if TYPE_CHECKING:
    from rnfm.archive.order import StreamState
    from rnfm.archive.reader import Archive, open
    from rnfm.archive.samples import Batch, Sample
    from rnfm.archive.stream import Stream

__all__ = [
    "Archive",
    "Batch",
    "Sample",
    "ShardConfig",
    "ShardResult",
    "ShowConfig",
    "ShowResult",
    "Stream",
    "StreamState",
    "VerifyConfig",
    "VerifyResult",
    "open",
    "shard",
    "show",
    "verify",
]

# These come with NumPy; the configurations above do not.
_HOME_OF = {
    "Archive": "reader",
    "Batch": "samples",
    "Sample": "samples",
    "Stream": "stream",
    "StreamState": "order",
    "open": "reader",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
