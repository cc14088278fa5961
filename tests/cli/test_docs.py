"""The pages against the code: every command in the README parses, every dependency has its reason, every link leads somewhere."""

from __future__ import annotations

import itertools
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from rnfm.cli.main import find
from rnfm.core.config import load

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
COMMANDS = [
    line.split("#")[0].removeprefix("$ ").replace(".venv/bin/", "").strip()
    for line in README.splitlines()
    if line.startswith(("$ rnfm", "$ .venv/bin/rnfm"))
]


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_of_the_readme_parses(line: str) -> None:
    command, rest = find(shlex.split(line)[1:])
    load(command.config_class(), None, rest)


def test_the_readme_shows_the_road() -> None:
    assert len(COMMANDS) >= 13


def test_every_dependency_has_its_reason_in_the_decisions() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    page = (ROOT / "docs/decisions/0002-dependencies.md").read_text()
    names = [re.split(r"[\[>=<~ ]", entry)[0] for entry in project["dependencies"]]
    assert [name for name in names if name not in page] == []


def test_constraints_hold_every_dependency_at_one_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    wanted = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    names = {re.split(r"[\[>=<~ ]", entry)[0].lower().replace("_", "-") for entry in wanted}
    assert names - pinned == {"rnfm"}  # the developers' extra includes the others by name


@pytest.mark.parametrize("page", ["README.md", "docs/pipeline.md", "shards/README.md", "launch/README.md"])
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text()
    targets = [link.split("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert [target for target in targets if target and not (ROOT / page).parent.joinpath(target).exists()] == []
