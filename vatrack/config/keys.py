"""Names of the config's keys: which there are, which was meant, and values for them as text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel

from vatrack.common.errors import InputError
from vatrack.common.similar import nearest
from vatrack.common.value_files import parse_yaml
from vatrack.config.layers import merged
from vatrack.config.renamed import with_new_names

REFERENCE = "docs/config.md lists all keys"


def known_keys(model: type[BaseModel]) -> list[str]:
    """The full names of all keys, sections too.

    Example: `"training.optimizer.learning_rate" in known_keys(Config)`
    """
    return list(_keys(model))


def _keys(model: type[BaseModel], section: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield f"{section}{name}"
        for inner in _models(field.annotation):
            yield from _keys(inner, f"{section}{name}.")


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for choice in get_args(annotation):
        yield from _models(choice)


def list_length(name: str, model: type[BaseModel]) -> int:
    """How many items the value of a key must have; 1 where any number will do.

    Example: `list_length("input.image_scale", Config) == 2`
    """
    annotation: Any = model
    for key in name.split("."):
        inner = next((each for each in _models(annotation) if key in each.model_fields), None)
        if inner is None:
            return 1
        annotation = inner.model_fields[key].annotation
    fixed = [
        get_args(choice)
        for choice in (annotation, *get_args(annotation))
        if get_origin(choice) is tuple and ... not in get_args(choice)
    ]
    return len(fixed[0]) if fixed else 1


def unknown_key(name: str, model: type[BaseModel], value: Any = None) -> str:
    """What is said of a key that does not exist: how it is meant to be written, or nearest keys.

    Args:
        name: the full name, `training.epoch` for example.
        value: what was given for it.
    """
    known = known_keys(model)
    if name in known:  # one key with dots in it, not sections
        return f"unknown key; write it in sections: {nested(name, value)}"
    section, _, last = name.rpartition(".")
    siblings = {key.rpartition(".")[2]: key for key in known if key.rpartition(".")[0] == section}
    key, colon, rest = last.partition(":")
    if colon and key in siblings:
        return f"unknown key; put a space behind the colon: {key}: {rest}"
    near = [siblings[found] for found in nearest(last, siblings)]
    # A key of another section, or in a section that was misspelled.
    near = near or [key for key in known if key.rpartition(".")[2] == last]
    near = near or nearest(name, known)
    if not near:
        return f"unknown key; remove it ({REFERENCE})"
    return f"unknown key; did you mean {' or '.join(near[:3])}? ({REFERENCE})"


def nested(name: str, value: Any) -> str:
    """A dotted key as YAML on one line.

    Example: `nested("training.epochs", 6) == "training: {epochs: 6}"`
    """
    first, *inner = name.split(".")
    shown = yaml.safe_dump(value, default_flow_style=True, width=10_000).strip()
    text = shown.removesuffix("\n...").strip()
    for key in reversed(inner):
        text = f"{{{key}: {text}}}"
    return f"{first}: {text}"


def overridden(values: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Plain values of a config with some of them replaced.

    Args:
        overrides: `KEY=VALUE` each, as `--set` takes them: a key with its sections, and a value in
            YAML. A mapping changes only the keys that it has.

    Raises:
        InputError: one has another form.

    Example: `overridden({"seed": 1}, ["training.epochs=6"])` is
        `{"seed": 1, "training": {"epochs": 6}}`.
    """
    layers = [dict(values)]
    for text in overrides:
        name, equals, given = text.partition("=")
        if not equals or not re.fullmatch(r"\w+(\.[\w-]+)*", name):
            raise InputError(
                f"--set {text}: not a setting; write KEY=VALUE, such as --set training.epochs=6"
            )
        try:
            value = parse_yaml(given, f"--set {text}")
        except InputError as error:
            problem = str(error).removesuffix("; correct it")
            raise InputError(
                f"{problem}; correct it: lists are written as [a, b], and strings with special "
                "characters in quotation marks"
            ) from None
        for key in reversed(name.split(".")):
            value = {key: value}
        # Under their new names, so that they replace what a file has under those.
        layers.append(with_new_names(value, f"--set {text}"))
    return reduce(merged, layers)
