"""From a foundation to a judged classifier: embeddings, fine-tuning, baselines, fusion, and the prediction for one scan.

    >>> from rnfm import downstream
    >>> result = downstream.finetune(downstream.FinetuneConfig(...))      # doctest: +SKIP

Configurations are light; what needs torch, pandas or scikit-learn is imported when a stage runs.
"""

from __future__ import annotations

from rnfm.downstream.baseline import BaselineConfig, BaselineResult, baseline
from rnfm.downstream.embed import EmbedConfig, EmbedResult, embed
from rnfm.downstream.finetune import FinetuneConfig, FinetuneResult, finetune
from rnfm.downstream.fuse import FuseConfig, FuseResult, fuse
from rnfm.downstream.nested import cross_validate
from rnfm.downstream.predict import PredictConfig, Prediction, predict

__all__ = [
    "BaselineConfig",
    "BaselineResult",
    "EmbedConfig",
    "EmbedResult",
    "FinetuneConfig",
    "FinetuneResult",
    "FuseConfig",
    "FuseResult",
    "PredictConfig",
    "Prediction",
    "baseline",
    "cross_validate",
    "embed",
    "finetune",
    "fuse",
    "predict",
]
