"""`rnfm launch`: the file that starts pre-training on one or many nodes, made from a few settings.

    rnfm launch torchrun --nodes 1 --gpus 4 --pretrain_config run.yaml > pretrain.sh
    rnfm launch slurm --nodes 4 --time 12:00:00 --partition gpu --out pretrain.sbatch

The files under `launch/` in the repository are what the defaults give; a test keeps them so.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import field_validator

from rnfm.core.config import Config, Field, load, positional
from rnfm.core.errors import ConfigError

SCRIPTS = {"torchrun": "torchrun.sh.j2", "deepspeed": "deepspeed.sh.j2", "slurm": "slurm.sbatch.j2"}
HOSTFILE = "hostfile.example.j2"

_TIME = re.compile(r"\d+-\d{1,2}(:\d{2}){0,2}|\d+:\d{2}:\d{2}")
_PARTITION = re.compile(r"[A-Za-z0-9_.-]+(,[A-Za-z0-9_.-]+)*")


class LaunchConfig(Config):
    """Print or write a launch file for `rnfm pretrain`."""

    kind: Literal["torchrun", "deepspeed", "slurm"] = positional("launcher: torchrun, deepspeed or slurm")
    nodes: int = Field(2, ge=1, description="number of nodes")
    gpus: int = Field(8, ge=0, description="GPUs, and so processes, of a node; 0: one process a node on the CPU")
    pretrain_config: Path = Field(
        Path("pretrain.yaml"), description="YAML file of `rnfm pretrain`; checked if it is there"
    )
    time: str = Field("24:00:00", description="SLURM: time limit [hours:minutes:seconds or days-hours]")
    partition: str | None = Field(None, description="SLURM: partition; default: the cluster's own")
    out: Path | None = Field(None, description="file to write; default: print")
    overwrite: bool = Field(False, description="replace a different file at `out`")

    # Both stand in #SBATCH lines, which know no quotes.
    @field_validator("time", mode="before")
    @classmethod
    def _time(cls, value: Any) -> str:
        # 24:00:00 without quotes is 86400 in YAML 1.1, which SLURM would take for minutes.
        if not isinstance(value, str) or not _TIME.fullmatch(value):
            raise ValueError("write hours:minutes:seconds or days-hours:minutes:seconds, in quotes in a file")
        return value

    @field_validator("partition")
    @classmethod
    def _partition(cls, value: str | None) -> str | None:
        if value is not None and not _PARTITION.fullmatch(value):
            raise ValueError("write names of letters, digits, '_', '.' and '-', separated by commas")
        return value

    @property
    def processes(self) -> int:
        """Processes of one node."""
        return max(1, self.gpus)


@dataclass(frozen=True)
class LaunchResult:
    """`text` is the launch file; `written` what was written, nothing if it is to be printed."""

    text: str
    path: Path | None
    written: tuple[Path, ...] = ()

    def summary(self) -> str:
        if self.path is None:
            return self.text.rstrip("\n")
        return "\n".join([f"wrote {file}" for file in self.written] or [f"{self.path}: up to date"])


def launch(config: LaunchConfig) -> LaunchResult:
    """Render; write if `out` is given. Raises ConfigError for a pre-training configuration that is wrong or does not divide."""
    _check_pretraining(config)
    text = render(SCRIPTS[config.kind], config)
    if config.out is None:
        return LaunchResult(text, None)
    contents = {config.out: text}
    if config.kind == "deepspeed" and config.nodes > 1:
        contents[config.out.with_name("hostfile.example")] = render(HOSTFILE, config)
    return LaunchResult(text, config.out, _write(contents, config.overwrite))


def render(template: str, config: LaunchConfig) -> str:
    """A template of `rnfm/cli/templates` with the values of `config`; a name that it lacks is an error of ours."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # these are shell files; paths go through `quote`
    )
    environment.filters["quote"] = lambda value: shlex.quote(str(value))
    values: dict[str, Any] = {**config.model_dump(mode="python"), "processes": config.processes}
    return environment.get_template(template).render(values)


def _check_pretraining(config: LaunchConfig) -> None:
    """A configuration made on this machine is checked before it waits in a queue for a day."""
    if not config.pretrain_config.exists():
        return
    from rnfm.pretrain import PretrainConfig
    from rnfm.pretrain.engine import micro_batch

    pretraining = load(PretrainConfig, config.pretrain_config)
    micro_batch(pretraining.global_batch, pretraining.accumulation, config.nodes * config.processes)


def _write(contents: dict[Path, str], overwrite: bool) -> tuple[Path, ...]:
    from rnfm.core import files

    changed = {path: text for path, text in contents.items() if not path.is_file() or path.read_text() != text}
    taken = [path for path in changed if path.exists()]
    if taken and not overwrite:
        raise ConfigError(taken[0], "exists already with other content", "Choose another --out, or pass --overwrite")
    for path, text in changed.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_text(path, text, mode=0o755 if text.startswith("#!") else 0o644)
    return tuple(changed)
