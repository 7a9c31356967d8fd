"""Keys that were renamed: configs of older runs, checkpoints and users stay readable."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from typing import Any

from vatrack.common.errors import InputError

# Keys that named files to start from; null, as older versions wrote it, says nothing. Where both
# are given the first one's file was taken last, and it filled the backbone or nothing of it.
STARTS = ("training.initial_checkpoint", "training.backbone_weights")
# Old name: new name.
RENAMED = {
    **dict.fromkeys(STARTS, "training.weights"),
    "training.image_scale": "input.image_scale",
    **{
        f"training.{key}": f"compute.{key}"
        for key in ("device", "precision", "tf32", "channels_last", "compile", "workers")
    },
}


def with_new_names(values: Mapping[str, Any], source: str) -> dict[str, Any]:
    """The same config with every renamed key under its new name; one warning names them all.

    Args:
        values: a config as plain values.
        source: names the config in messages, for example the file's path.

    Raises:
        InputError: a key is given under its old and its new name.
    """
    found = dict(copy.deepcopy(values))
    moved = []
    for old, new in RENAMED.items():
        section, key = old.split(".")
        if not isinstance(found.get(section), dict) or key not in found[section]:
            continue
        new_section, new_key = new.split(".")
        # Beside a section that is no mapping the old key stays, and the check names both.
        if old in STARTS and found[section][key] is None:
            del found[section][key]
            continue
        target = found.setdefault(new_section, {})
        if not isinstance(target, dict):
            continue
        if old == STARTS[1] and f"{STARTS[0]} -> {new}" in moved:
            del found[section][key]
            moved.append(f"{old} -> nothing, {STARTS[0]} is taken")
            continue
        if new_key in target:
            raise InputError(f"{source}: {old} is now {new}, but both are given; remove {old}")
        target[new_key] = found[section].pop(key)
        moved.append(f"{old} -> {new}")
    if moved:
        warnings.warn(
            f"{source}: keys were renamed; read under their new names: {', '.join(moved)}",
            stacklevel=2,
        )
    return found
