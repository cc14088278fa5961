"""`rnfm COMMAND ...`: build the configuration, call the stage, print its summary; every foreseeable fault is one sentence."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rnfm import __version__
from rnfm.cli import help as helps
from rnfm.cli.command import Command
from rnfm.cli.commands import COMMANDS
from rnfm.core.config import load
from rnfm.core.errors import ConfigError, RnfmError, nearest


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code (documented in `rnfm.core.errors`)."""
    words = [word for word in (sys.argv[1:] if words is None else words) if not _is_launcher_word(word)]
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        return _dispatch(words)
    except RnfmError as error:
        if debug:
            raise
        if os.environ.get("RANK", "0") == "0":  # one sentence, not one a rank
            print(f"rnfm: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("rnfm: interrupted; artefacts already published stand, nothing is half-written.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0
    except Exception as error:
        if debug:
            raise
        # Not foreseen: say what it is and how to see more, instead of a page of frames.
        detail = " ".join(str(error).split())[:300]
        print(
            f"rnfm: {type(error).__name__}: {detail}. This was not foreseen; run again with --debug and report it.",
            file=sys.stderr,
        )
        return 1


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("--help", "-h", "help"):
        print(helps.overview())
        return 0
    if words[0] in ("--version", "-V"):
        print(f"rnfm {__version__}")
        return 0
    if words[1:] in (["--help"], ["-h"]) and any(command.words.startswith(f"{words[0]} ") for command in COMMANDS):
        print(helps.group(words[0]))
        return 0
    command, rest = find(words)
    if "--help" in rest or "-h" in rest:
        print(helps.of(command))
        return 0
    file, rest = _take_config(rest)
    if int(os.environ.get("WORLD_SIZE", 1)) > 1 and not command.launchable:
        raise ConfigError(
            f"rnfm {command.words}",
            "is one process, and a launcher started several",
            "Run it without torchrun or deepspeed",
        )
    result = command.stage()(load(command.config_class(), file, rest))
    if os.environ.get("RANK", "0") == "0":
        print(result.summary())
    return getattr(result, "exit_code", 0)


def find(words: list[str]) -> tuple[Command, list[str]]:
    """The command that the first words name, and the words after it."""
    known = {command.words: command for command in COMMANDS}
    for count in (2, 1):
        name = " ".join(words[:count])
        if name in known:
            return known[name], words[count:]
    group = [name for name in known if name.split()[0] == words[0]]
    if group:
        given = " ".join(words[:2])
        raise ConfigError(
            f"rnfm {given}", f"is not a command{nearest(given, group)}", f"Choose one of: {', '.join(group)}"
        )
    raise ConfigError(
        f"command {words[0]!r}", f"is not a command{nearest(words[0], known)}", "`rnfm --help` lists them"
    )


def _take_config(words: list[str]) -> tuple[Path | None, list[str]]:
    for i, word in enumerate(words):
        if word == "--config":
            if i + 1 == len(words):
                raise ConfigError("--config", "names no file", "Give the path of a YAML file after it")
            return Path(words[i + 1]), words[:i] + words[i + 2 :]
        if word.startswith("--config="):
            return Path(word.removeprefix("--config=")), words[:i] + words[i + 1 :]
    return None, words


def _is_launcher_word(word: str) -> bool:
    """The deepspeed launcher appends `--local_rank=N`; the rank comes from the environment."""
    return word.startswith(("--local_rank=", "--local-rank="))


if __name__ == "__main__":
    sys.exit(main())
