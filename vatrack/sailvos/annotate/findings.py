"""What `vatrack annotate` comes across in raw masks, and how it says so: in errors, in the summary,
in the file's `info`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vatrack.common.errors import InputError

Json = dict[str, Any]

# What is counted, and how the summary says it.
NOTES = {
    "frames_without_map": "annotated frames without a map in visible/, which have no annotations",
    "objects_without_folder": "annotations left out, of seen objects without a folder of masks",
    "objects_without_mask": "annotations left out, of seen objects without a mask of that frame",
    "objects_beyond_mask": "annotations whose amodal mask is widened, because more is seen of the "
    "object",
    "folders_without_images": "folders left out, with masks but without images/",
    "videos_without_frames": "videos left out, too short to have annotated frames",
    "videos_with_more_maps": "videos with maps after their last picture (are pictures missing at "
    "the end?)",
}
BROKEN_NAMED = 20
MODELS_NAMED = 5


@dataclass
class Findings:
    """What was found in a video, or in all of them.

    Attributes:
        left_out: annotations of models without a category, by model.
        notes: by the keys of `NOTES`; `examples` of each.
        pixels: visible ones outside the amodal masks.
        broken: files that cannot be used; `messages` of the first.
    """

    annotations: int = 0
    instances: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    pixels: int = 0
    broken: int = 0
    messages: list[str] = field(default_factory=list)

    def add_broken(self, message: str) -> None:
        self.broken += 1
        self.messages = [*self.messages, message][:BROKEN_NAMED]

    def note(self, kind: str, example: object, times: int = 1) -> None:
        self.notes[kind] += times
        self.examples.setdefault(kind, str(example))

    def add(self, other: Findings) -> None:
        self.annotations += other.annotations
        self.instances += other.instances
        self.left_out += other.left_out
        for kind, times in other.notes.items():
            self.note(kind, other.examples[kind], times)
        self.pixels += other.pixels
        self.broken += other.broken
        self.messages = (self.messages + other.messages)[:BROKEN_NAMED]


def check_usable(total: Findings, raw: Path, models: Path | None) -> None:
    """Raises InputError where files are broken, or where nothing is annotated."""
    if total.broken == 1:
        raise InputError(total.messages[0])
    if total.broken:
        more = (
            [f"and {total.broken - len(total.messages)} more"]
            if total.broken > len(total.messages)
            else []
        )
        head = f"{raw}: {total.broken} files cannot be used; mend them or leave their videos out:"
        raise InputError("\n  ".join([head, *total.messages, *more]))
    if not total.annotations:
        found = "; ".join(_warnings(total, models)) or "no object is seen in any frame"
        raise InputError(f"{raw}: there is nothing to annotate: {found}")


def describe_origin(total: Findings, models: Path | None) -> Json:
    """The object `info` of the file: that it is not the official one, what is not from the masks,
    what is left out."""
    return {
        "description": "made from the raw masks by `vatrack annotate`; not the official "
        "annotations",
        "not_from_masks": _not_from_masks(models),
        "annotations_left_out": dict(total.left_out.most_common()),
        "notes": {kind: total.notes[kind] for kind in NOTES if total.notes[kind]},
        "pixels_added_to_masks": total.pixels,
    }


def _not_from_masks(models: Path | None) -> dict[str, str]:
    """Fields that the raw data does not give, and how they are filled."""
    given = f"from {models.name}; models that are not in it: " if models else ""
    return {
        "category_id": f"{given}person for names with _Ped_, others are left out",
        "model_id": f"{given}numbered by name",
        "supercategory": "as in the file of models if it is an official JSON, else the name of the "
        "category",
        "occlu_depth": "0 everywhere",
    }


def _warnings(total: Findings, models: Path | None) -> list[str]:
    lines = []
    if total.left_out:
        why = (
            f"models that {models} gives no category"
            if models
            else "ONLY PERSONS ARE ANNOTATED, others need --models"
        )
        named = [f"{model} {times}" for model, times in total.left_out.most_common(MODELS_NAMED)]
        more = ["..."] if len(total.left_out) > len(named) else []
        count = f"annotations left out: {total.left_out.total()} of {len(total.left_out)} models"
        lines.append(f"{why}; {count} ({', '.join([*named, *more])})")
    for kind, text in NOTES.items():
        if total.notes[kind]:
            by = f", {total.pixels} pixels in all" if kind == "objects_beyond_mask" else ""
            lines.append(f"{text}: {total.notes[kind]}{by} (first: {total.examples[kind]})")
    return lines


def summarise(total: Findings, videos: int, frames: int, models: Path | None, out: Path) -> str:
    """The lines that `vatrack annotate` prints."""
    count = f"{total.annotations} annotations of {total.instances} objects"
    fields = (
        f"not told by the masks: {', '.join(_not_from_masks(models))} (how they are filled: "
        f"see info in the file)"
    )
    lines = [f"annotated {videos} videos with {frames} frames: {count} in {out}", fields]
    return "\n".join([*lines, *(f"warning: {line}" for line in _warnings(total, models))])
