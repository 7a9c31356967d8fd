"""From YAML files and plain values to checked configs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from vatrack.common.errors import InputError
from vatrack.common.files import read_yaml
from vatrack.config.base import Frozen
from vatrack.config.layers import read_layers
from vatrack.config.models import Config, RunConfig
from vatrack.config.renamed import with_new_names

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
            f"{source}: the configuration is not valid: {values!r:.60} is no mapping of keys; see "
            f"docs/config.md"
        )
    if model in (Config, RunConfig):
        values = with_new_names(values, source)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        lines = [f"{source}: the configuration is not valid:"]
        for item in error.errors():
            if _is_other_choice(item["loc"], item["input"]):
                continue
            name = ".".join(str(part) for part in item["loc"] if not _is_choice(part))
            message = (
                "unknown key; remove it or see docs/config.md"
                if item["type"] == "extra_forbidden"
                else item["msg"]
            )
            lines.append(f"  {name or '(top)'}: {message}")
        raise InputError("\n".join(lines)) from None


def _is_choice(part: str | int) -> bool:
    """Whether a part of a name only says which of several forms of a value is meant."""
    return isinstance(part, str) and part.startswith(("literal[", "tuple["))


def _is_other_choice(name: tuple[str | int, ...], value: Any) -> bool:
    """Whether a word is missed where a list was given, or a list where a word was."""
    last = str(name[-1]) if name else ""
    return (last.startswith("literal[") and isinstance(value, list | tuple)) or (
        last.startswith("tuple[") and isinstance(value, str)
    )


def load_config(path: Path | str) -> Config:
    """Reads a config file, and the files that it extends.

    Example: `load_config("config/sailvos_cut.yaml").dataset.name == "sailvos-cut"`

    Raises:
        InputError: a file is missing, is not valid YAML, or holds an unknown key or a bad value.
    """
    return parse_config(read_layers(path), str(path), Config)


def load_run_config(path: Path | str) -> RunConfig:
    """Reads the config.yaml of a run's folder; those of older versions, too.

    Raises:
        InputError: the file is missing, is not valid YAML, or holds an unknown key or a bad value.
    """
    return parse_config(read_yaml(path), str(path), RunConfig)


def json_schema() -> dict[str, Any]:
    """The JSON schema (2020-12) of a config file, as in workflow/schemas/config.schema.json."""
    schema = Config.model_json_schema()
    extends = {
        "type": "string",
        "title": "Extends",
        "description": "config file that this one changes, relative to it",
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "properties": {"extends": extends, **schema["properties"]},
    }
