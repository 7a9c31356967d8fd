"""Whether this machine can do what the package does: `vatrack doctor`.

Nothing is changed: what is written to see whether it can be written is removed at once.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.config import Config, load_config
from vatrack.doctor.check import Check, Look, looked
from vatrack.doctor.machine import look_at_cores, look_at_files, look_at_gpus, look_at_shared_memory
from vatrack.doctor.paths import look_at_data, look_at_folders, look_at_weights
from vatrack.doctor.services import look_at_mlflow, look_at_slurm
from vatrack.doctor.software import look_at_codecs, look_at_extras, look_at_packages, look_at_python

LOOKS: dict[str, Look] = {
    "Python": look_at_python,
    "packages": look_at_packages,
    "extras": look_at_extras,
    "GPU": look_at_gpus,
    "cores": look_at_cores,
    "codecs": look_at_codecs,
    "SLURM": look_at_slurm,
    "MLflow": look_at_mlflow,
    "folders": look_at_folders,
    "/dev/shm": look_at_shared_memory,
    "open files": look_at_files,
}
OF_CONFIG = ("SLURM", "MLflow", "folders")  # what a config that cannot be read would name


@dataclass(frozen=True)
class Report:
    """All that was found."""

    checks: tuple[Check, ...]

    @property
    def fails(self) -> bool:
        """Whether something does not work at all."""
        return any(check.state == "fails" for check in self.checks)

    def __str__(self) -> str:
        count = Counter[str](check.state for check in self.checks)
        end = ", ".join(
            (
                f"{count['ok']} ok",
                counted(count["warning"], "warning"),
                counted(count["fails"], "failure"),
            )
        )
        return "\n".join([*map(str, self.checks), end])


def looks_at_config(options: str) -> dict[str, Look]:
    """The looks at what only a config names.

    Args:
        options: what gives this config on a command line, for commands that help.
    """
    return {"data": look_at_data, "weights": partial(look_at_weights, options=options)}


def examine(path: Path | None = None, overrides: Sequence[str] | None = None) -> Report:
    """Looks at software, machine, services and folders.

    Args:
        path: a config file, whose files and folders are looked at, too; None: the defaults.
        overrides: `KEY=VALUE` each, on top of it (`vatrack.config.load_config`).
    """
    found: list[Check] = []
    looks = LOOKS
    try:
        config = load_config(path, overrides)
        if path:
            found.append(Check("config", "ok", str(path)))
            words = ["--config", str(path), *(w for one in overrides or () for w in ("--set", one))]
            looks = LOOKS | looks_at_config(shlex.join(words))
    except InputError as error:
        lost = f"every command with this --config; not checked: {', '.join(OF_CONFIG)}"
        found.append(Check("config", "fails", str(error), lost, "correct it, and run again"))
        config = Config()
        looks = {name: look for name, look in LOOKS.items() if name not in OF_CONFIG}
    for name, look in looks.items():
        found += looked(name, look, config)
    return Report(tuple(found))
