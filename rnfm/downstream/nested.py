"""What a sweep may look at: one number from training patients, for a configuration of fine-tuning or of fusion."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rnfm.downstream.finetune import FinetuneConfig
    from rnfm.downstream.fuse import FuseConfig


def cross_validate(config: FinetuneConfig | FuseConfig, *, train_only: bool = True) -> float:
    """Pooled out-of-fold AUC; seeds and repeats are averaged a lesion. Nothing is written.

    `train_only`: over role=train patients alone; those of the hold-out and the external centre are never asked for, so a
    sweep that looks at this number stays nested. Otherwise over train + holdout, as the cv protocol does.
    Of fusion the last of `methods` counts. Raises what `finetune` and `fuse` raise.
    """
    from rnfm.downstream.finetune import FinetuneConfig

    name = "inner" if train_only else "cv"
    if isinstance(config, FinetuneConfig):
        from rnfm.downstream.finetuning import out_of_fold_auc

        return out_of_fold_auc(config, name)
    from rnfm.downstream.fusion import out_of_fold_auc as of_fusion

    return of_fusion(config, name)
