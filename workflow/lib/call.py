"""What one call of Snakemake asks for: its config, and a cluster where it needs one."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import reduce
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from snakemake_logger_plugin_vatrack.command_line import IF_TARGET
from vatrack.common.errors import ConfigError, InputError, with_fix
from vatrack.common.files import write_yaml
from vatrack.common.locks import patience, shared, try_locked
from vatrack.common.text_files import nearest_existing, no_such
from vatrack.common.value_files import read_yaml
from vatrack.config import Config
from vatrack.config.keys import known_keys, nested
from vatrack.config.layers import merged, read_layers
from vatrack.config.reading import is_run
from vatrack.config.renamed import with_new_names
from vatrack.jobs.slurm import require_slurm

T = TypeVar("T")
LISTS = ("methods", "backbones", "seeds")
# Given for one section or several, as `--config 'training={epochs: 6}'`.
SECTIONS = tuple(
    name
    for name, field in Config.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
)


def stopping(source: str, function: Callable[..., T], *arguments: Any) -> T:
    """The function's result. Bad input ends the program with one message: Snakemake would show an
    exception with lines of code.

    Args:
        source: what messages call the config.
    """
    try:
        return function(*arguments)
    except InputError as error:
        if isinstance(error, ConfigError):
            error.source = source
        sys.exit(f"error: {error}")
    except OSError as error:  # a folder that may not be read or written
        sys.exit(f"error: {with_fix(error)}")


def shell_prefix() -> str:
    """What the shell of every job does first: commands are those of the Python that runs here."""
    folder = shlex.quote(str(Path(sys.executable).parent))
    return f"set -euo pipefail; export PATH={folder}:$PATH; "


def command_for(
    target: str,
    files: Sequence[Path | str],
    entries: Sequence[str],
    snakefile: Path | None = None,
    directory: Path | None = None,
) -> str:
    """The command that makes one target with the config, and in the folder, of this call.

    Example:
        >>> command_for("clips", ["mine.yaml"], [])
        'snakemake clips --cores 2 --configfile mine.yaml'
    """
    words = ["snakemake", target, "--cores", "2"]
    for name, path in (("--snakefile", snakefile), ("--directory", directory)):
        words += [name, str(path)] if path else []
    for option, values in (("--configfile", files), ("--config", entries)):
        words += [option, *map(str, values)] if values else []
    return shlex.join(words)


def rebuilding(root: str, command: Callable[[str], str], *, clips: bool) -> dict[str, str]:
    """How to rebuild the folders of `root` that no finished result asks for, by their paths.

    Args:
        command: of a target, see `command_for`; `clips`: whether the workflow makes clips.
    """
    found = {f"{root}/clips": f"rebuild the clips: {command('clips')}"} if clips else {}
    # Newer annotations would repeat the trainings.
    keep = (
        f"rebuild them: {command('annotations')}; then keep the results: {command('all')} --touch"
    )
    return found | {f"{root}/annotations": keep}


def layered_config(files: Sequence[Path | str], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The config of one call of Snakemake, as plain values.

    Args:
        files: its config files, each with what it extends; later ones change earlier ones.
        overrides: what `--config` gives, on top of all files.

    Raises:
        InputError: a file cannot be read, a single value is given for a list or a section, or a
            key without its section.
    """
    for key in LISTS:
        value = overrides.get(key)
        if isinstance(value, str | int | float):
            raise InputError(
                f"--config {key}={value}: must be a list; write --config '{key}=[{value}]'"
            )
    for key in SECTIONS:
        value = overrides.get(key)
        if key in overrides and not isinstance(value, Mapping):
            raise InputError(
                f"--config {key}={value}: {key} is a section; write --config "
                f"'{key}={{name: value}}'"
            )
    for key, value in overrides.items():
        _check_name(key, value)
    layers = []
    for number, file in enumerate(files):
        values = read_layers(file)
        if not isinstance(values, dict):
            raise InputError(f"{file}: not a mapping of sections; see docs/config.md")
        if is_run(values):
            raise InputError(
                f"{file}: the config of one run (it has `method` and `backbone`); give the config "
                "file of the whole workflow, such as config/config.yaml"
            )
        known = values.keys() & Config.model_fields.keys()
        if number and Path(file).suffix == ".json" and not known:
            raise InputError(
                f"{file}: taken for a config file, but sets none of its keys{IF_TARGET}"
            )
        layers.append(values)
    return reduce(merged, [*layers, with_new_names(overrides, "--config")], {})


def _check_name(key: str, value: Any) -> None:
    """Refuses the key of another section, and a dotted key, with the form that Snakemake takes."""
    given = {key: value}
    if isinstance(value, Mapping):
        given = {f"{key}.{name}": inner for name, inner in value.items() if "." in str(name)}
    known = known_keys(Config)
    for name, inner in given.items():
        last = name.rpartition(".")[2]
        full = [name] if name in known else [key for key in known if key.split(".")[-1] == last]
        if name in Config.model_fields or len(full) != 1:
            continue
        section, _, text = nested(full[0], inner).partition(": ")
        raise InputError(
            f"--config {name}={inner}: {name} is not a section; write --config '{section}={text}'"
        )


def check_results(folder: Path) -> None:
    """Checks that the folder of all results can be made.

    Raises:
        InputError: it, or a part of its path, is a file or a broken link.
    """
    there = nearest_existing(folder)
    if not there.is_dir():
        raise ConfigError("results", f"{there} {no_such(there, 'folder')}; choose another folder")


@contextmanager
def config_in_use(file: str, values: Mapping[str, Any]) -> Iterator[None]:
    """Writes the checked config into the folder of all results, as its first file, and keeps it:
    all jobs of this call read it. Several calls may do so if their configs are the same.

    Raises:
        InputError: the folder may not be written, or the like; or another call is at work there
            with another config.
    """
    folder = Path(file).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # A file, because a network file system cannot lock a folder.
        with (folder / ".config.lock").open("a+") as lock:
            with try_locked(lock) as alone:
                if alone:
                    write_yaml(file, values)
            with shared(lock, patience(60, str(folder))):
                if read_yaml(file) != values:
                    raise ConfigError(
                        "results",
                        f"{folder}: another snakemake is running there with another config; wait "
                        "until it ends, or choose another folder",
                    )
                yield
    except OSError as error:
        raise ConfigError("results", with_fix(error)) from None


def check_cluster(executor: str, trains_on_slurm: bool) -> None:
    """Checks, before any job is started, that SLURM is there where it is needed.

    Args:
        executor: of Snakemake.
        trains_on_slurm: whether a training is to be done, and goes to SLURM.

    Raises:
        InputError: there is no SLURM on this machine.
    """
    if executor == "slurm":
        require_slurm("the profile or --executor asks for SLURM", "remove that option")
    if trains_on_slurm:
        require_slurm(
            "is slurm", "train here: --config 'launcher={cluster: local}'", key="launcher.cluster"
        )
