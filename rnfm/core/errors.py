"""Every way a command can fail, and the exit code each owns.

    RnfmError                 1   something we did not foresee a mend for
    +-- ConfigError           2   wrong key, type, value or path; nothing was started
    +-- DataError             3   the data are not usable, or more of them are bad than the error budget allows
    +-- IntegrityError        4   bytes on disk are not what was published
    +-- NoCheckpointError     5   checkpoints exist and none verifies; nothing was touched
    +-- StoppedEarly         75   stopped on purpose with a checkpoint saved; run the same command again (EX_TEMPFAIL)

An error names the thing, the cause and the mend, one sentence each at most. It never holds a patient's identity.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class RnfmError(Exception):
    """A fault with a thing, a cause and a mend; `str(error)` is one line a user can act on."""

    exit_code = 1

    def __init__(self, thing: object, cause: str, mend: str) -> None:
        if not (str(thing) and cause and mend):
            raise TypeError("an error needs a thing, a cause and a mend")
        self.thing, self.cause, self.mend = str(thing), cause.rstrip("."), mend.rstrip(".")
        super().__init__(f"{self.thing}: {self.cause}. {self.mend}.")

    def __reduce__(self) -> tuple[type[RnfmError], tuple[str, str, str]]:
        return type(self), (self.thing, self.cause, self.mend)  # crosses process borders whole


class ConfigError(RnfmError):
    exit_code = 2


class DataError(RnfmError):
    exit_code = 3


class IntegrityError(RnfmError):
    exit_code = 4


class NoCheckpointError(RnfmError):
    exit_code = 5


class StoppedEarly(RnfmError):
    exit_code = 75


def nearest(word: str, known: Iterable[str]) -> str:
    """' (did you mean X?)' for the closest known word, else the empty string."""
    match = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean {match[0]!r}?)" if match else ""
