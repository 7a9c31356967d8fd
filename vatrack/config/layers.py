"""Layers of config files: a file may extend another one and hold only what differs.

    extends: sailvos.yaml       # relative to this file
    dataset:
      name: sailvos-cut         # the other keys of `dataset` stay as in sailvos.yaml

Mappings are merged key by key; everything else, lists too, replaces the value of the base. A
mapping with `_replace_: true` in it replaces that of the base as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vatrack.common.errors import InputError
from vatrack.common.paths import from_home, real
from vatrack.common.text_files import no_such
from vatrack.common.value_files import read_yaml
from vatrack.config.renamed import with_new_names

EXTENDS = "extends"
REPLACE = "_replace_"


def read_layers(path: Path | str) -> Any:
    """The content of a YAML config file on top of the files that it extends, as plain values.

    Keys of older versions are under their new names, so that those of one file replace those of
    another.

    Raises:
        InputError: a file is missing or is not valid YAML, `extends` is not a path, files extend
            each other in a cycle, a file has no key, not even `extends`, or one has a key under
            its old and its new name.
    """
    values = _read(Path(path), ())
    if values is None:  # or it would stand for all defaults, which nobody means by such a file
        raise InputError(f"{path}: is empty; set at least one key, see docs/config.md")
    return values


def _read(path: Path, above: tuple[Path, ...]) -> Any:
    """`above`: the files that lead here, each extended by the one before it."""
    own = read_yaml(path)
    if not isinstance(own, dict):
        return own
    if EXTENDS not in own:
        return merged({}, with_new_names(own, str(path)))
    name = own.pop(EXTENDS)
    if not isinstance(name, str) or not name:
        raise InputError(f"{path}: {EXTENDS}: {name!r} is not the path of a config file; give one")
    base = path.parent / from_home(Path(name))
    chain = (*above, path)
    if real(base) in map(real, chain):
        circle = " -> ".join(map(str, (*chain, base)))
        raise InputError(
            f"{path}: {EXTENDS}: files extend each other in a cycle ({circle}); remove one of "
            "these lines"
        )
    if not base.is_file():
        raise InputError(
            f"{path}: {EXTENDS}: {base}: {no_such(base, 'file')}; give its path relative to "
            f"{path.name}"
        )
    values = _read(base, chain)
    if not isinstance(values, dict):
        found = "is empty" if values is None else "not a mapping of keys"
        raise InputError(
            f"{base}: {found}, but {path} extends it; give a config file (docs/config.md)"
        )
    return merged(values, with_new_names(own, str(path)))


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values of `over` in it.

    Example: `merged({"a": {"b": 1, "c": [2]}}, {"a": {"c": [3]}}) == {"a": {"b": 1, "c": [3]}}`
    """
    values = {} if over.get(REPLACE) is True else dict(base)
    for key, value in over.items():
        if key == REPLACE and value is True:
            continue
        below = values.get(key)
        if isinstance(value, Mapping):
            value = merged(below if isinstance(below, Mapping) else {}, value)
        values[key] = value
    return values
