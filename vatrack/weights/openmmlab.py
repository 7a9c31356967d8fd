"""Foreign checkpoints: the published ones with OpenMMLab's names, and files to start a training
from (spec 3.9, appendix B).

The networks here carry the published names, so nothing is renamed: an import compares, reports, and
writes the tensors in our own form. With `partial` only what fits is written, as initial weights.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.files import (
    check_target,
    refuse_same_file,
    require_ending,
    sha256_of,
    write_text,
)
from vatrack.config import ClassList, RunConfig
from vatrack.config.classes import SAILVOS, names_problem, shown_name
from vatrack.models.detector import build
from vatrack.weights.checkpoint import FORMAT, INITIAL_FORMAT, write
from vatrack.weights.checksum import refuse_broken_values
from vatrack.weights.class_rows import ClassRows
from vatrack.weights.initial import fitted, is_bare_backbone, with_classes
from vatrack.weights.networks import methods_of, remedy
from vatrack.weights.tensors import WeightFile, read_weights
from vatrack.weights.transfer import Transfer, compare, is_counter

WARNING = "warning: "  # begins a note on what a reader should check
SHOWN = 5  # names of a group; all of them go into a file


@dataclass(frozen=True)
class Imported:
    """What `import_checkpoint` wrote: what went where, and how to say it.

    Attributes:
        notes: of `text`, the lines on what was chosen, or what a reader should check: these begin
            with `WARNING`.
    """

    out: Path
    transfer: Transfer
    epoch: int
    text: str
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.text


def import_checkpoint(
    source: Path,
    run: RunConfig,
    out: Path,
    *,
    partial: bool = False,
    key: str | None = None,
    classes: ClassList | None = None,
) -> Imported:
    """Writes a foreign checkpoint as one of ours (`vatrack.weights.checkpoint`).

    Args:
        source: PyTorch or safetensors file with OpenMMLab's names (`read_weights` says where they
            may lie in it); with `partial` also a backbone alone in torchvision's format.
        run: method, backbone and widths of the network that shall take it.
        partial: take what fits, for `training.weights`; otherwise every tensor of the
            network must be there.
        key: where the weights lie in the file, or the prefix of their names, if there are several.
        classes: of the file, in its order; None: those of the run, or those that the file names
            itself (OpenMMLab's CLASSES) where it has another number of them. With `partial` the
            output layers are kept where they are given, and a training takes the rows of its
            classes from them.

    Returns:
        What went where: a table, and the first names of each group. Where a group is longer, all
        names are in a file beside `out`, OUT.names.txt.

    Raises:
        InputError: the file is damaged, holds code or values that are not finite, is `out`, is a
            checkpoint of ours, or does not fit; the message says what is missing or left over, as
            above. Or `out` has another ending than .pt or .pth.
    """
    refuse_same_file(out, source)
    refuse_same_file(_names_file(out), source)
    require_ending(out, "the checkpoint is a PyTorch file", ".pt", ".pth")
    check_target(out)
    run = run.to_predict(SAILVOS if run.classes is None else run.class_list)
    own = _shapes(run)
    file = read_weights(source, own, key)
    if file.meta.get("format") == FORMAT and not partial:
        raise InputError(
            f"{source}: is a checkpoint of vatrack already, which needs no import; use it as it "
            "is, for example with `vatrack track --checkpoint`"
        )
    named = _named_classes(file)
    rows = {
        value.shape[:1].numel()
        for name, value in file.weights.items()
        if name.endswith(".fc_cls.weight")
    }
    if classes is None and not partial and named and rows == {len(named) + 1}:
        classes = named if len(named) != len(run.class_list) else None
    if partial:
        return _import_initial(source, file, own, run, out, classes)
    if classes is not None and classes != run.class_list:
        run = run.to_predict(classes)
        own = _shapes(run)
    transfer = compare(own, file.weights)
    if transfer.random:
        raise InputError(_refusal(source, file, transfer, run, out))
    refuse_broken_values({name: file.weights[name] for name in transfer.copied}, source)
    # Older files lack the counters of batch norm, which no result depends on.
    counters = {name: torch.zeros((), dtype=torch.int64) for name in transfer.absent}
    chosen = {
        name: counters[name] if name in counters else _own_memory(file.weights[name], own[name])
        for name in own
    }
    epoch = file.meta.get("epoch")
    epoch = int(epoch) if isinstance(epoch, int | np.integer) else 0
    write(out, chosen, run, epoch, config=_origin(source, run))
    lines = [
        f"{out}: {run.method} with {run.backbone}, {counted(len(transfer.copied), 'tensor')} of "
        f"{source}, epoch {epoch or 'unknown'}"
    ]
    if counters:
        lines.append(
            f"{counted(len(counters), 'batch norm counter')} not in the file and set to 0, without "
            "effect on any result"
        )
    methods = methods_of(file.weights)
    notes = []
    if run.method not in methods:
        shown = " or ".join(methods)
        notes.append(
            f"{WARNING}the file has more heads than {run.method} and looks like {shown}; use "
            f"--method {methods[0]}"
        )
    notes += [*file.notes, *_remarks(named, run.class_list)]
    text = "\n".join([*lines, *notes, transfer.table(), *_names(transfer, out)])
    return Imported(out, transfer, epoch, text, tuple(notes))


def _origin(source: Path, run: RunConfig) -> dict[str, Any]:
    """What is known of foreign weights: the network they fit and the file they came from, but no
    data set and no recipe."""
    config = run.model_dump(mode="json", include={"method", "backbone", "model", "classes"})
    return config | {"imported_from": {"file": source.name, "sha256": sha256_of(source)}}


def _shapes(run: RunConfig) -> dict[str, Tensor]:
    """The tensors of the network without any memory."""
    with torch.device("meta"):
        return build(run.method, run.model, run.backbone).state_dict()


def _named_classes(file: WeightFile) -> ClassList | None:
    """The classes that OpenMMLab's file names, if they are sound."""
    names = file.meta.get("CLASSES")
    if isinstance(about := file.meta.get("dataset_meta"), Mapping):
        names = names or about.get("classes") or about.get("CLASSES")
    if isinstance(names, list | tuple) and not names_problem(names):
        return ClassList(tuple(names))
    return None


def _import_initial(
    source: Path,
    file: WeightFile,
    own: Mapping[str, Tensor],
    run: RunConfig,
    out: Path,
    classes: ClassList | None,
) -> Imported:
    kind = "a backbone alone" if is_bare_backbone(file.weights) else "a detector"
    weights, transfer = fitted(own, file.weights, source)
    if classes is not None and classes != run.class_list:
        transfer = with_classes(transfer, weights, ClassRows(run.class_list, classes))
        run = run.model_copy(update={"classes": classes.names})
    taken = (*transfer.copied, *transfer.by_class)
    refuse_broken_values({name: weights[name] for name in taken}, source)
    chosen = {name: _own_memory(weights[name], own[name]) for name in taken}
    write(out, chosen, run, 0, format_=INITIAL_FORMAT, config=_origin(source, run))
    lines = [
        f"{out}: initial weights of {run.method} with {run.backbone}, {len(chosen)} of "
        f"{counted(len(own), 'tensor')}, from {source} ({kind})",
        f"{counted(len(transfer.random), 'tensor')} still random: missing in the file or of a "
        "different shape",
    ]
    lines += [*file.notes, transfer.table(initial=True)]
    return Imported(out, transfer, 0, "\n".join([*lines, *_names(transfer, out)]))


def _names_file(out: Path) -> Path:
    return out.with_name(f"{out.name}.names.txt")


def _names(transfer: Transfer, out: Path) -> Iterator[str]:
    """The first names that were not copied, and the file with all of them where there are more."""
    listed = _names_file(out)
    if shown := transfer.names(SHOWN):
        yield shown
    if transfer.longest() > SHOWN:
        write_text(listed, transfer.names() + "\n")
        yield f"all names: {listed}"
    else:
        listed.unlink(missing_ok=True)  # of an import before


def _own_memory(value: Tensor, wanted: Tensor) -> Tensor:
    """The tensor in the wanted type; a view is copied, or all of its memory would be written."""
    value = value.to(wanted.dtype)
    return (
        value.clone()
        if value.untyped_storage().nbytes() > value.numel() * value.element_size()
        else value
    )


def _remarks(classes: ClassList | None, own: ClassList) -> Iterator[str]:
    """What a reader should look at, though it stops nothing."""
    if classes is not None and len(classes) == len(own):
        pairs = zip(map(_plain, classes.names), map(_plain, own.names), strict=True)
        different = [number for number, (name, ours) in enumerate(pairs) if name != ours]
        if different:
            first = different[0]
            yield (
                f"{WARNING}the file has different names for {counted(len(different), 'class')}, "
                f"first: number {first + 1}, {shown_name(classes.names[first])} instead of "
                f"{shown_name(own.names[first])}; check that their order is the same, or give them "
                "to `vatrack import-checkpoint` with --class"
            )


def _plain(name: str) -> str:
    """A name without the differences of spelling that files have for the same one."""
    return re.sub(r"[\W_]+", " ", name).strip().lower()


def _refusal(source: Path, file: WeightFile, transfer: Transfer, run: RunConfig, out: Path) -> str:
    missing = [name for name in transfer.absent if not is_counter(name)]
    line = (
        f"{source}: not a checkpoint of {run.method} with {run.backbone}: "
        f"{counted(len(missing), 'tensor')} missing, {len(transfer.mismatched)} of another shape; "
        f"{remedy(file.weights, run)}"
    )
    return "\n".join([line, *file.notes, transfer.table(), *_names(transfer, out)])
