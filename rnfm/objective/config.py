"""The base of every objective's settings. No torch here: the command line reads it."""

from __future__ import annotations

from rnfm.core.config import Config


class ObjectiveConfig(Config):
    """Settings of one objective."""
