"""The opened inputs of a fine-tuning run: everything that is checked before any training starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnfm.core.artifact import Artifact
from rnfm.core.contract import InputContract
from rnfm.downstream import protocol
from rnfm.downstream.crops import Crops, cut_crops, outgrown
from rnfm.downstream.lesions import Lesions, load_lesions, require_same_input
from rnfm.downstream.lineage import result_hash
from rnfm.downstream.network import make_backbone
from rnfm.downstream.splits import Split, read_split

if TYPE_CHECKING:
    from rnfm.downstream.finetune import FinetuneConfig
    from rnfm.downstream.protocol import Fit


class Session:
    """The opened inputs of a run: everything that is checked before training starts."""

    def __init__(self, config: FinetuneConfig) -> None:
        self.config = config
        self.foundation = Artifact.open(config.foundation, "foundation") if config.foundation else None
        self.split: Split = read_split(config.split)
        self.lesions: Lesions = load_lesions(config.volumes, max_bad=config.max_bad)
        self.table = self.lesions.table
        if self.foundation is not None:
            expected = InputContract.model_validate(self.foundation.contract["input"])
            require_same_input(config.volumes[0], self.lesions.contract, expected)
        self.inputs = {**self.lesions.inputs, "split": self.split.digest}
        if self.foundation is not None:
            self.inputs["foundation"] = self.foundation.digest
        self.hash = result_hash(config, "volumes", "split", "foundation", "threads", "device", "tracking")

    def plan(self, *protocols: str) -> list[Fit]:
        return protocol.plan(self.table, self.split, protocols)

    def cut(self) -> None:
        """Read the crops and the foundation."""
        self.make, self.size = make_backbone(self.config)
        self.crops: Crops = cut_crops(self.lesions, self.size, self.config.shift_vox if self.config.augment else 0)
        self.guarded: protocol.Guarded[Crops] = protocol.Guarded(list(self.table["patient"]), self.crops.rows)

    def pretraining_overlap(self) -> list[str]:
        """Test patients that the foundation has seen (without labels)."""
        seen = set(self.foundation.lineage.get("patients", ())) if self.foundation else set()
        roles = self.split.of(self.table["patient"])
        tested = set(roles.index[roles["role"] != "train"])
        return sorted(seen & tested)

    def warnings(self) -> tuple[str, ...]:
        lines = [f"left out: {reason}" for reason in self.lesions.left_out]
        overlap = self.pretraining_overlap()
        if overlap:
            lines.append(f"warning: the foundation saw scans of {len(overlap)} test patients (first: {overlap[0]})")
        if hasattr(self, "size") and (large := outgrown(self.lesions, self.size)):
            lines.append(f"warning: {len(large)} lesions are larger than the crop (first: {large[0]})")
        return tuple(lines)
