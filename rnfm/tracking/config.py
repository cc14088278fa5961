"""Where runs are recorded. Light on purpose: every stage's configuration holds one of these."""

from __future__ import annotations

from rnfm.core.config import Config, Field


class TrackingConfig(Config):
    """MLflow settings; the environment's MLFLOW_* variables are honoured."""

    enabled: bool = Field(True, description="record this run in MLflow")
    uri: str | None = Field(
        None, description="tracking URI; default: MLFLOW_TRACKING_URI, else sqlite:///<working folder>/mlflow.db"
    )
    parent_run_id: str | None = Field(None, description="MLflow run under which this one appears (sweeps)")
