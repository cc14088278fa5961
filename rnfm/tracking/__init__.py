"""What happened: MLflow runs behind a local spool, and the model registry. Never able to stop a run.

MLflow is imported only when something is sent.
"""

from rnfm.tracking.config import TrackingConfig
from rnfm.tracking.registry import CLASSIFIER, FOUNDATION, register
from rnfm.tracking.run import Run, known_id, start
from rnfm.tracking.store import client, resolve

__all__ = ["CLASSIFIER", "FOUNDATION", "Run", "TrackingConfig", "client", "known_id", "register", "resolve", "start"]
