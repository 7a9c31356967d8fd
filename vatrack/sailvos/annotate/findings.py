"""What `vatrack annotate` finds in raw masks, and how errors, summary and `info` say so."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from vatrack.common.counted import counted, few
from vatrack.common.errors import InputError
from vatrack.common.json_types import Json

# What is counted, and how the summary says it.
NOTES = {
    "frames_without_map": "annotated frames without a map in visible/ (they get no annotations)",
    "objects_without_folder": "annotations skipped: visible objects without a mask folder",
    "objects_without_mask": "annotations skipped: visible objects without a mask of that frame",
    "objects_beyond_mask": "annotations whose amodal mask was extended by visible pixels",
    "folders_without_images": "folders skipped: masks but no images/",
    "videos_without_frames": "videos skipped: too short to have annotated frames",
    "videos_with_more_maps": "videos with maps after their last image (check whether images are "
    "missing at the end)",
}
BROKEN_NAMED = 20
MODELS_NAMED = 5


@dataclass
class Findings:
    """What was found in a video, or in all of them.

    Attributes:
        counts: `annotations`, `instances`, `broken` files, visible `pixels` outside the amodal
            masks, and those of `NOTES`.
        left_out: annotations of models without a category, by model.
        examples: the first one of each of `NOTES`.
        messages: of the first broken files.
    """

    counts: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def note(self, code: str, example: object) -> None:
        """Counts one of `NOTES`."""
        self.add(Findings(Counter({code: 1}), examples={code: str(example)}))

    def add_broken(self, error: InputError) -> None:
        """Counts a file that cannot be used."""
        self.add(Findings(Counter(broken=1), messages=[str(error)]))

    def add(self, other: Findings) -> None:
        """Takes over the findings of another video."""
        self.counts += other.counts
        self.left_out += other.left_out
        self.examples = other.examples | self.examples
        self.messages = (self.messages + other.messages)[:BROKEN_NAMED]


@dataclass(frozen=True)
class Annotated:
    """What `annotate_files` has written, and what it found on the way.

    Attributes:
        out: the file.
        videos, frames: how many are in it.
        models: the file with the models' categories, if there was one.
        findings: of all videos; `findings.counts` also has the `annotations` and `instances`.
    """

    out: Path
    videos: int
    frames: int
    models: Path | None
    findings: Findings

    def __str__(self) -> str:
        counts = self.findings.counts
        objects = counted(counts["instances"], "object")
        count = f"{counted(counts['annotations'], 'annotation')} of {objects}"
        lines = [
            f"annotated {counted(self.videos, 'video')} with {counted(self.frames, 'frame')}: "
            f"{count} in {self.out}",
            f"not derived from the masks: {', '.join(_not_from_masks(self.models))} (see `info` in "
            "the file for the values used)",
        ]
        warnings = _warnings(self.findings, self.models)
        return "\n".join([*lines, *(f"warning: {line}" for line in warnings)])


def check_usable(total: Findings, raw: Path, models: Path | None) -> None:
    """Makes sure that something is annotated and nothing is broken.

    Raises:
        InputError: it is not so; names the broken files.
    """
    broken, named = total.counts["broken"], total.messages
    if broken == 1:
        raise InputError(named[0])
    if broken:
        more = [f"and {broken - len(named)} more"] * (broken > len(named))
        head = f"{raw}: {counted(broken, 'file')} cannot be used; fix them or exclude their videos:"
        raise InputError("\n  ".join([head, *named, *more]))
    if not total.counts["annotations"]:
        found = "; ".join(_warnings(total, models)) or "no frame has a visible object"
        raise InputError(f"{raw}: nothing to annotate: {found}; check the masks")


def describe_origin(total: Findings, models: Path | None) -> Json:
    """The file's `info`: that it is not official, what the masks do not tell, what is left out."""
    return {
        "description": "generated from the raw masks by `vatrack annotate`; not the official "
        "annotations",
        "not_from_masks": _not_from_masks(models),
        "annotations_left_out": dict(total.left_out.most_common()),
        "notes": {code: total.counts[code] for code in NOTES if total.counts[code]},
        "pixels_added_to_masks": total.counts["pixels"],
    }


def _not_from_masks(models: Path | None) -> dict[str, str]:
    """Fields that the raw data does not give, and how they are filled."""
    given = f"from {models.name}; other models: " if models else ""
    return {
        "category_id": f"{given}person for names with _Ped_, others are skipped",
        "model_id": f"{given}numbered by name",
        "supercategory": "as in the models file if it is an official JSON, otherwise the category "
        "name",
        "occlu_depth": "0 everywhere",
    }


def _warnings(total: Findings, models: Path | None) -> list[str]:
    lines = []
    if left_out := total.left_out:
        named = few((f"{model} {n}" for model, n in left_out.most_common()), MODELS_NAMED)
        only = "only persons are annotated; give --models for other classes"
        lines.append(
            f"{f'models without a category in {models}' if models else only}; annotations "
            f"skipped: {left_out.total()} of {counted(len(left_out), 'model')} ({named})"
        )
    for code, text in NOTES.items():
        if count := total.counts[code]:
            more = f", {counted(total.counts['pixels'], 'pixel')} in all" * (
                code == "objects_beyond_mask"
            )
            lines.append(f"{text}: {count}{more} (first: {total.examples[code]})")
    return lines
