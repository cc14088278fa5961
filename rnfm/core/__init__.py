"""Configuration, errors, the one artefact and its publishing protocol, keyed randomness, the run folder. No torch."""

from rnfm.core.artifact import Artifact, publish
from rnfm.core.config import Config, Field
from rnfm.core.contract import InputContract, IntensityRule
from rnfm.core.errors import ConfigError, DataError, IntegrityError, NoCheckpointError, RnfmError, StoppedEarly
from rnfm.core.ledger import Ledger, Reason
from rnfm.core.run import RunFolder

__all__ = [
    "Artifact",
    "Config",
    "ConfigError",
    "DataError",
    "Field",
    "InputContract",
    "IntegrityError",
    "IntensityRule",
    "Ledger",
    "NoCheckpointError",
    "Reason",
    "RnfmError",
    "RunFolder",
    "StoppedEarly",
    "publish",
]
