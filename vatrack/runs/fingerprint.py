"""Short fingerprints of configs: which runs were made with the same settings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from vatrack.config import SAILVOS, TECHNICAL_KEYS, RunConfig, start_names
from vatrack.config.renamed import RENAMED

LENGTH = 10  # hexadecimal digits
# How and where the work is done; none of it is meant to change what a run reaches.
MACHINE = {
    "": ("results", "run_label", "launcher", "mlflow"),
    "dataset": ("raw", "archives", "archive_strip", "train_json", "valid_json", "validation"),
    "compute": ("device", "workers", "loader_timeout_seconds", "compile"),
    "training": TECHNICAL_KEYS,
    "evaluation": ("extended",),  # changes no other metric
}
# Files that a training reads, by the names of their digests in its identity: what messages call
# them. Older versions did not note them, and start weights may be gone when it is resumed.
CONTENTS = {"annotations": "the data", "weights": "the content of training.weights"}

VALIDATION_DATA = "validation data"  # digests of the validation set, among an identity's `valid`


def config_hash(run: RunConfig) -> str:
    """Fingerprint of all settings that decide the numbers of a run: equal on every machine."""
    return _digest(_science(run))


def without_seed_hash(run: RunConfig) -> str:
    """Fingerprint of the settings of runs that differ in nothing but the seed."""
    settings = _science(run)
    del settings["seed"]
    return _digest(settings)


def comparison(run: RunConfig) -> str:
    """What runs share that differ in nothing but the method and the seed.

    Its form is <dataset>-<backbone>-<fingerprint>.
    """
    settings = _science(run)
    del settings["method"], settings["seed"]
    # The paper's value depends on the method: it would keep apart the runs that are compared.
    del settings["training"]["schedule"]["warmup_iterations"]
    return f"{run.dataset.name}-{run.backbone}-{_digest(settings)}"


def same_training(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether two identities, as training.json has them, are of the same training."""
    known = all(found.get(name) == wanted.get(name) for name in ("recipe", "data"))
    return known and not other_contents(found, wanted)


def other_contents(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """The names in `CONTENTS` of files whose contents differ; one that is not known does not."""
    pairs = {name: (found.get(name), wanted.get(name)) for name in CONTENTS}
    return [name for name, (old, new) in pairs.items() if None not in (old, new) and old != new]


def changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Full names of the settings that differ."""
    old, new = flatten(before), flatten(now)
    names = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
    return sorted({RENAMED.get(name, name) for name in names})


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} becomes {"a.b": 1}; lists stay values."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _science(run: RunConfig) -> dict[str, Any]:
    settings = run.model_dump(mode="json")
    for section, keys in MACHINE.items():
        for key in keys:
            del (settings[section] if section else settings)[key]
    # Folders differ from machine to machine, the files in them should not.
    weights = settings["training"].pop("weights")
    settings["training"] |= start_names(weights and PurePath(weights).name)
    for key in ("fetch", "download", "mode", "curves"):
        del settings["dataset"]["clips"][key]
    # The classes themselves count, not how the config names them; runs of older versions name none.
    if run.classes is not None:
        del settings["dataset"]["classes"]
    if run.classes == SAILVOS.names:
        del settings["classes"]
    structure = settings["dataset"]["clips"]["structure"]
    settings["dataset"]["clips"]["structure"] = PurePath(structure).name
    return settings


def _digest(settings: dict[str, Any]) -> str:
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]
