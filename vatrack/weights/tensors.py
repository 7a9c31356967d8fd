"""The weights in a file by name: where they lie in it, and what stands in front of their names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.weights.formats import read_file

BACKBONE = "backbone."
# Where training programs put weights, and running means of weights (EMA); the first is taken.
PLAIN = (
    "state_dict",
    "model_state_dict",
    "model",
    "net",
    "network",
    "weights",
    "params",
    "student",
)
MEANS = ("ema", "teacher", "average", "swa")
NO_WEIGHTS = ("optim", "sched", "scaler", "random", "rng")  # what else holds tensors
COMPILED = "_orig_mod."  # what torch.compile puts into names
OLD_MEANS = "ema_"  # how OpenMMLab's EMAHook names running means: dots become underscores
DEPTH = 3
WHAT = "weights file"
GIVE = "give the file with the weights"


@dataclass(frozen=True)
class WeightFile:
    """Tensors by name, and what else the file says about them.

    Attributes:
        weights: tensors by the names that the network has for them.
        meta: plain values; empty where the file says nothing.
        notes: what was chosen and left off to come to these tensors, a sentence each.
    """

    weights: dict[str, Tensor]
    meta: Mapping[str, Any]
    notes: tuple[str, ...] = ()


def read_weights(path: Path, wanted: Collection[str] = (), key: str | None = None) -> WeightFile:
    """Tensors by name from a file of PyTorch or a safetensors file.

    They may lie at its top or under a key ("state_dict", "model", "ema", ...), and their names may
    have any prefix in common ("module.", "_orig_mod.", "student."), which is taken off. Other
    things beside the tensors (an optimizer's state) are left alone.

    Args:
        wanted: names of the network that shall take them; they tell which of several groups of
            tensors is meant, and what is a prefix.
        key: the group or the prefix to take, in place of the first that fits.

    Raises:
        InputError: the file is missing, damaged, or holds something else.
    """
    return weights_in(read_file(path, WHAT), path, wanted, key)


def weights_in(
    content: Any, path: Path, wanted: Collection[str] = (), key: str | None = None
) -> WeightFile:
    """The same for what `read_file` has read from `path`."""
    groups = dict(_groups(content))
    if not groups:
        raise InputError(f"{path}: {_nothing(content)}")
    # What fits goes before what does not: an auxiliary network may lie beside the detector.
    fits = {
        name: max(_prefixes(group, wanted).values(), default=0) for name, group in groups.items()
    }
    half = max(fits.values()) / 2
    order = sorted(groups, key=lambda name: (fits[name] < half, *_rank(name)))
    name, prefix = _choose(groups, order, wanted, key, path)
    group = groups[name]
    found = {item: value for item, value in group.items() if isinstance(value, Tensor)}
    check_tensors(found, path)
    notes = []
    if name not in ("", "state_dict", "model"):
        notes.append(f"taking the weights from {name!r} in the file")
    others = [other for other in order if other != name and fits[other] >= half]
    if others and key is None:
        shown = ", ".join(f"{len(groups[other])} under {other!r}" for other in others)
        notes.append(
            f"the file has more tensors: {shown}; to import those: `vatrack import-checkpoint "
            f"--key {others[0]}`"
        )
    weights, more = _plain_names(found, wanted, prefix, path)
    about = content.get("meta")
    about = dict(about) if isinstance(about, Mapping) else {}
    about |= {key: content[key] for key in ("format", "config") if key in content}
    return WeightFile(weights, about, (*notes, *more))


def check_tensors(weights: Mapping[Any, Any], path: Path) -> None:
    """Sees that all are dense tensors of numbers, by names that are texts.

    Raises:
        InputError: one is not; the message names it.
    """
    for name, value in weights.items():
        if not isinstance(name, str):
            raise InputError(
                f"{path}: the name of a tensor is {name!r}, not a string; save the state dict of a "
                "network"
            )
        if problem := _problem(value):
            raise InputError(
                f"{path}: {name} is {problem}; it must be a dense tensor of numbers: create the "
                "file again"
            )


def _problem(value: object) -> str | None:
    if not isinstance(value, Tensor):
        return f"a {type(value).__name__}, not a tensor"
    if value.is_quantized:
        return "a quantized tensor"
    if value.layout != torch.strided:
        return f"a tensor of layout {str(value.layout).removeprefix('torch.')}"
    if value.is_nested:
        return "a nested tensor"
    if value.device.type != "cpu":
        return f"a tensor without data (device {value.device.type})"
    if value.is_complex():
        return "a complex tensor"
    if type(value.detach()) is not Tensor:
        return f"a tensor of class {type(value).__name__}"
    return None


def _groups(content: Any, name: str = "", depth: int = 0) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every dictionary with tensors, by the keys that lead to it; those of the network first."""
    if not isinstance(content, Mapping) or depth > DEPTH or "param_groups" in content:
        return
    inner = []
    for key in sorted(filter(_may_hold_weights, content), key=_rank):
        inner += list(_groups(content[key], f"{name}.{key}".lstrip("."), depth + 1))
    # Single tensors beside whole networks are counters or states of random generators.
    if not inner and any(isinstance(value, Tensor) for value in content.values()):
        inner = [(name, dict(content))]
    yield from inner


def _may_hold_weights(key: object) -> bool:
    return isinstance(key, str) and not any(word in key.lower() for word in NO_WEIGHTS)


def _rank(name: str) -> tuple[bool, int]:
    """For sorting: plain weights before means, well-known keys before others."""
    first = name.split(".")[0]
    return is_mean(name), PLAIN.index(first) if first in PLAIN else len(PLAIN)


def is_mean(name: str) -> bool:
    """Whether a key or prefix says that running means are behind it."""
    return any(word in name.lower() for word in MEANS)


def _nothing(content: Any) -> str:
    """Says what a file holds in place of tensors by name."""
    if not isinstance(content, Mapping):
        if isinstance(content, Tensor):
            return f"contains a single tensor instead of named tensors; {GIVE}"
        return f"contains a {type(content).__name__} instead of named tensors; {GIVE}"
    keys = ", ".join(map(str, list(content)[:8])) or "nothing"
    if "param_groups" in content or any("optim" in str(key).lower() for key in content):
        return f"contains an optimizer state but no named tensors (it has: {keys}); {GIVE}"
    return f"contains no named tensors (it has: {keys}); {GIVE}"


def _choose(
    groups: Mapping[str, Mapping[str, Any]],
    order: list[str],
    wanted: Collection[str],
    key: str | None,
    path: Path,
) -> tuple[str, str | None]:
    """The group to take, and the prefix where `key` names one; a tensor of the group has it."""
    if key is None:
        return order[0], None
    if key in groups:
        return key, None
    prefix = OLD_MEANS if key == OLD_MEANS else (key.rstrip(".") + ".").replace(COMPILED, "")
    means = _old_means(wanted)
    for name in order:
        for item, value in groups[name].items():
            plain = str(item).replace(COMPILED, "")
            fits = item in means if key == OLD_MEANS else plain.startswith(prefix)
            if fits and isinstance(value, Tensor):
                return name, prefix
    shown = ", ".join(name or "(the top of the file)" for name in groups)
    raise InputError(f"{path}: --key {key}: not found; choose from {shown}")


def _old_means(wanted: Collection[str]) -> dict[str, str]:
    """The wanted names by those that OpenMMLab's EMAHook gives their running means."""
    return {OLD_MEANS + name.replace(".", "_"): name for name in wanted}


def _prefixes(names: Collection[str], wanted: Collection[str]) -> Counter[str]:
    """How many of the wanted names there are behind each prefix."""
    trunk = {name.removeprefix(BACKBONE) for name in wanted if name.startswith(BACKBONE)}
    for goal in (set(wanted), trunk):  # a detector; a backbone alone
        found: Counter[str] = Counter()
        for name in map(str, names):
            plain = name.replace(COMPILED, "")
            at = 0
            while plain[at:] not in goal and (dot := plain.find(".", at)) >= 0:
                at = dot + 1
            if plain[at:] in goal:
                found[plain[:at]] += 1
        if found:
            return found
    return Counter()


def _plain_names(
    found: Mapping[str, Tensor], wanted: Collection[str], chosen: str | None, path: Path
) -> tuple[dict[str, Tensor], list[str]]:
    """Tensors by the names of the network, and what is to be said about that."""
    means = _old_means(wanted)
    if chosen == OLD_MEANS:
        return {means[name]: value for name, value in found.items() if name in means}, []
    notes: list[str] = []
    kept = [(name.replace(COMPILED, ""), value) for name, value in found.items()]
    if chosen is None:
        chosen, notes = _prefix(_prefixes(found, wanted), path)
    else:
        kept = [(name, value) for name, value in kept if name.startswith(chosen)]
        rest = _prefixes([name.removeprefix(chosen) for name, _ in kept], wanted)
        chosen += max(rest, key=lambda text: rest[text], default="")
    weights = {name.removeprefix(chosen): value.detach() for name, value in kept}
    if len(weights) < len(kept):
        raise InputError(
            f"{path}: some tensors exist twice, with and without the prefix "
            f"{chosen or COMPILED!r}; keep one of them"
        )
    front = [text for text in (COMPILED, chosen) if text and any(text in name for name in found)]
    if front:
        shown = " and ".join(map(repr, front))
        notes.insert(0, f"removing the prefix {shown} from tensor names")
    if unused := sum(name in means for name in found):
        notes.append(
            f"{counted(unused, 'tensor')} beginning with {OLD_MEANS!r} not used (running means of "
            f"the others); to import those: `vatrack import-checkpoint --key {OLD_MEANS}`"
        )
    return weights, notes


def _prefix(prefixes: Counter[str], path: Path) -> tuple[str, list[str]]:
    """The prefix behind which the network is, and a note for each other that would do."""
    most = max(prefixes.values(), default=0)
    order = sorted(
        (text for text in prefixes if prefixes[text] * 2 >= most),
        key=lambda text: (is_mean(text), text),
    )
    notes = []
    for other in order[1:]:
        if not is_mean(other):
            raise InputError(
                f"{path}: some tensors exist twice, with the prefixes {order[0]!r} and {other!r}; "
                "keep one of them, or choose with `vatrack import-checkpoint --key`"
            )
        notes.append(
            f"{counted(prefixes[other], 'tensor')} behind {other!r} would also fit; to import "
            f"those: `vatrack import-checkpoint --key {other.rstrip('.')}`"
        )
    return (order[0] if order else ""), notes
