"""What must never leave the process: secrets, by the name of their key and by the shape of their value."""

from __future__ import annotations

import re
from typing import Any

HIDDEN = "[redacted]"
_KEY = re.compile(r"passw|secret|token|api_?key|credential|private_?key", re.IGNORECASE)
_VALUES = (
    re.compile(r"(?<=://)[^/@\s:]+:[^/@\s]+(?=@)"),  # user:password in a URL
    re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),  # AWS access key ids
    re.compile(r"\b(?:ghp|gho|hf|sk|xox[bp])[_-][A-Za-z0-9_-]{16,}\b"),  # tokens with a telling prefix
    re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+\b"),  # JSON web tokens
)


def redact(key: str, value: Any) -> str:
    """`value` as text, with secrets replaced.

    >>> redact("db.uri", "postgresql://me:hunter2@host/db")
    'postgresql://[redacted]@host/db'
    """
    if _KEY.search(key) and value not in (None, ""):
        return HIDDEN
    text = str(value)
    for pattern in _VALUES:
        text = pattern.sub(HIDDEN, text)
    return text


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """A nested mapping as dotted keys and redacted text values, as MLflow parameters want them."""
    flat: dict[str, str] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = redact(prefix + key, value)
    return flat
