"""From YAML files and plain values to checked configs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from vatrack.common.arguments import as_path, several
from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.value_files import read_yaml
from vatrack.config.base import Frozen
from vatrack.config.keys import REFERENCE, list_length, overridden, unknown_key
from vatrack.config.layers import read_layers
from vatrack.config.methods import Backbone, Method
from vatrack.config.models import Config, RunConfig
from vatrack.config.plain_words import in_plain_words
from vatrack.config.renamed import with_new_names

FEW = 3  # unknown keys; a file with more than these and without any known one is no config
MOST = 10  # errors of a file that are shown

T = TypeVar("T", bound=Frozen)


def parse_config(values: Any, source: str, model: type[T]) -> T:
    """Checks plain values against a model: `Config`, `RunConfig` or one of their sections.

    Keys of older versions are taken under their new names, with a warning.

    Args:
        values: what a YAML or JSON file holds; None stands for an empty mapping.
        source: names the values in messages, for example the file's path.
        model: the class of the result.

    Raises:
        InputError: an unknown key or a bad value, each named with its full name; or a key that is
            given under its old and its new name.
    """
    values = {} if values is None else values
    if not isinstance(values, dict):
        raise InputError(
            f"{source}: invalid configuration: {values!r:.60} is not a mapping of keys; give "
            "keys with values, as in `seed: 1` (docs/config.md)"
        )
    if model in (Config, RunConfig):
        if len(values) > FEW and not any(key in model.model_fields for key in values):
            some = ", ".join(f"{key!s:.40}" for key in list(values)[:FEW])
            raise InputError(
                f"{source}: not a config: none of its {counted(len(values), 'key')} is known "
                f"(first: {some}); give a config file ({REFERENCE})"
            )
        values = with_new_names(values, source)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        found = error.errors()
        lines = [
            _complaint(item, model)
            for item in found
            if not (_is_other_choice(item["loc"], item["input"]) or _follows(item, found))
        ]
        more = [f"and {len(lines) - MOST} more"] if len(lines) > MOST else []
        shown = [f"{source}: invalid configuration:", *lines[:MOST], *more]
        raise InputError("\n  ".join(shown)) from None


def _complaint(item: Any, model: type[Frozen]) -> str:
    """One of pydantic's errors in a line: the full name of the key, what is wrong, what was
    meant."""
    name = ".".join(str(key) for key in item["loc"] if not _is_choice(key))
    message = in_plain_words(item, list_length(name, model))
    if item["type"] == "extra_forbidden":
        full = ".".join(key for key in item["loc"] if isinstance(key, str))
        message = unknown_key(full, model, item["input"])
    elif item["type"] == "value_error":  # our own words, which pydantic puts a title before
        message = str(item["ctx"]["error"])
    return f"{name}: {message}" if name else message


_FORMS = ("literal[", "tuple[", "dict[", "constrained-")


def _is_choice(key: str | int) -> bool:
    """Whether a part of a name only says which of several forms of a value is meant."""
    return isinstance(key, str) and (key.startswith(_FORMS) or key == "[key]")


def _follows(item: Any, found: Sequence[Any]) -> bool:
    """Whether a list is too short only because items of it are wrong."""
    name = item["loc"]
    return item["type"] == "too_short" and any(
        len(other["loc"]) > len(name) and other["loc"][: len(name)] == name for other in found
    )


def _is_other_choice(name: tuple[str | int, ...], value: Any) -> bool:
    """Whether a form is missed that a value does not even resemble: a word where a list or a
    mapping was given, for example."""
    last = str(name[-1]) if name else ""
    return (
        (last.startswith("literal[") and isinstance(value, list | tuple))
        or (last.startswith("tuple[") and isinstance(value, str))
        or (last.startswith("dict[") and not isinstance(value, dict))
        or (last.startswith("constrained-") and isinstance(value, dict))
    )


def load_config(path: Path | str | None, overrides: Sequence[str] | None = None) -> Config:
    """Reads a config file, and the files that it extends.

    The config.yaml of a run's folder is taken, too: it stands for a set of that one run.

    Args:
        path: None: all defaults.
        overrides: `KEY=VALUE`, one or several, on top of the file
            (`vatrack.config.keys.overridden`).

    Raises:
        InputError: a file is missing, is not valid YAML, or holds an unknown key or a bad value.

    Example:
        ```python
        config = vatrack.load_config("config/sailvos_cut.yaml", ["training.epochs=6"])
        assert (config.dataset.name, config.training.epochs) == ("sailvos-cut", 6)
        print([f"{run.method} {run.backbone}" for run in config.runs()])
        ```
    """
    return config_of(_read(path), path, overrides)


def config_of(
    values: Any, source: Path | str | None, overrides: Sequence[str] | None = None
) -> Config:
    """The same from plain values.

    Args:
        source: names the values in messages, for example the file's path; None: all defaults.
    """
    values, name = _with_overrides(values, source, overrides)
    if is_run(values):
        return parse_config(values, name, RunConfig).as_config()
    return parse_config(values, name, Config)


def load_run(
    path: Path | str,
    method: Method | None = None,
    backbone: Backbone | None = None,
    overrides: Sequence[str] | None = None,
    seed: int | None = None,
    *,
    any_seed: bool = False,
) -> RunConfig:
    """The config of one run, from a config file or from the config.yaml of a run's folder.

    Args:
        method, backbone: which run of those that the file describes; None: its only one.
        overrides: see `load_config`.
        seed: likewise, which of the file's `seeds`.
        any_seed: whether the seed makes no difference, as for a prediction.

    Raises:
        InputError: as `load_config`; the file is that of another run, or describes several runs and
            does not say which.
    """
    values, source = _with_overrides(_read(path), path, overrides)
    if is_run(values):
        run = parse_config(values, source, RunConfig)
        for name, asked, own in (
            ("method", method, run.method),
            ("backbone", backbone, run.backbone),
            ("seed", seed, run.seed),
        ):
            if asked not in (None, own):
                raise InputError(
                    f"{path}: the config of a run with {name} {own}, not {asked}; remove --{name}, "
                    "or give the config file of the run"
                )
        return run
    config = parse_config(values, source, Config)
    open_choices = {
        name: listed
        for name, asked, listed in (
            ("method", method, config.methods),
            ("backbone", backbone, config.backbones),
            ("seed", seed, () if any_seed else config.seeds or ()),
        )
        if asked is None and len(listed) > 1
    }
    if open_choices:
        lists = "; ".join(
            f"{name}s: {', '.join(map(str, listed))}" for name, listed in open_choices.items()
        )
        options = " and ".join(f"--{name}" for name in open_choices)
        raise InputError(f"{path}: describes several runs ({lists}); choose one with {options}")
    if seed is not None and seed not in (config.seeds or (config.seed,)):
        if not config.seeds:
            raise InputError(
                f"{path}: --seed {seed}: the config lists no seeds; set the seed with --set "
                f"seed={seed}"
            )
        listed = ", ".join(map(str, config.seeds))
        raise InputError(
            f"{path}: --seed {seed} is not in seeds ({listed}); choose one of them, or change the "
            f"config's seed: --set seed={seed}"
        )
    if not config.seeds:
        seed = None  # the config's own, which is no part of the run's name
    if seed is None and config.seeds and not any_seed:
        seed = config.seeds[0]
    return config.for_run(method or config.methods[0], backbone or config.backbones[0], seed)


def load_run_config(path: Path | str) -> RunConfig:
    """Reads the config.yaml of a run's folder; those of older versions, too.

    Raises:
        InputError: the file is missing, is not valid YAML, or holds an unknown key or a bad value.

    Example:
        ```python
        run = vatrack.load_run_config("run/config.yaml")
        print(run.method, run.backbone, run.seed, run.class_list.names)
        ```
    """
    return parse_config(read_yaml(as_path("the config", path)), str(path), RunConfig)


def _read(path: Path | str | None) -> Any:
    return {} if path is None else read_layers(as_path("the config", path))


def _with_overrides(
    values: Any, source: Path | str | None, overrides: Sequence[str] | None
) -> tuple[Any, str]:
    """Plain values with overrides, and what they are called in messages."""
    name = config_name(source)
    overrides = None if overrides is None else several("overrides", overrides, str)
    values = {} if values is None else values
    if not overrides or not isinstance(values, dict):
        return values, name
    named = with_new_names(values, name)
    return overridden(named, overrides), config_name(source, overrides=overrides)


def config_name(
    *files: Path | str | None, overrides: Iterable[str] | None = None, option: str = "--set"
) -> str:
    """What a config is called in messages: its files, and the overrides on top of them.

    Example: `config_name("mine.yaml", overrides=["seed=1"]) == "mine.yaml with --set seed=1"`

    Args:
        files: those given; None for all defaults.
        overrides: as the user gave them, or the names of their keys.
        option: that gives the overrides.
    """
    name = " and ".join(str(file) for file in files if file is not None) or "the configuration"
    return f"{name} with {option} {' '.join(overrides)}" if overrides else name


def is_run(values: Any) -> bool:
    """Whether these are the values of a run's config.yaml."""
    own = RunConfig.model_fields.keys() - Config.model_fields.keys()
    return isinstance(values, dict) and {"method", "backbone"} <= own & values.keys()


def json_schema() -> dict[str, Any]:
    """The JSON schema (2020-12) of a config file, as in workflow/schemas/config.schema.json."""
    schema = Config.model_json_schema()
    extends = {
        "type": "string",
        "title": "Extends",
        "description": "config file that this one extends; path relative to this file",
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "properties": {"extends": extends, **schema["properties"]},
    }
