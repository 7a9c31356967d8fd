"""The images of a comparison: the same frames of a clip, as they are and as each run sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2

from vatrack.common.arguments import check_score
from vatrack.common.errors import InputError
from vatrack.common.images import ImageArray, image_exists
from vatrack.common.paths import seen
from vatrack.reporting.compare.read import Side
from vatrack.reporting.html import data_url
from vatrack.reporting.layers import FrameList, Layer, draw_side, find_owners, read_layers
from vatrack.reporting.sheet import evenly

QUALITY = 85  # of a JPEG
LARGEST = (400, 480)  # height and width of an image, pixels


@dataclass(frozen=True)
class ClipImages:
    """Which images a page has.

    Attributes:
        clips: of so many clips; 0: none. `frames`: so many of each, evenly chosen.
        score: predictions below it are not drawn; 0 to 1.
        ground_truth, images: file and folder where those beside the first run are not meant.

    Raises:
        InputError: the score is not from 0 to 1.
    """

    clips: int = 5
    frames: int = 3
    score: float = 0.5
    ground_truth: Path | None = None
    images: Path | None = None

    def __post_init__(self) -> None:
        check_score(self.score)


class Frame(NamedTuple):
    """A frame: its title, and an image for the ground truth and for each run, as data URLs."""

    title: str
    images: tuple[str, ...]


class Clip(NamedTuple):
    """The frames of a clip."""

    name: str
    frames: tuple[Frame, ...]


def draw_clips(
    sides: Sequence[Side], worst: Sequence[str], wanted: ClipImages
) -> tuple[list[Clip], list[str]]:
    """The first clips of these, and what is missing for that.

    Raises:
        InputError: a file that was named is missing, or one is not in its form.
    """
    truth = wanted.ground_truth or next((s.ground_truth for s in sides if s.ground_truth), None)
    images = wanted.images or next((side.images for side in sides if side.images), None)
    if wanted.clips < 1:
        return [], []
    lacking = [
        f"{side.letter}'s predictions" for side in sides if not side.folder.predictions.is_file()
    ]
    lacking += ["the ground truth (--ground-truth)"] * (truth is None)
    lacking += ["the frames (--images)"] * (images is None)
    if lacking or truth is None or images is None:
        return [], [f"the page has no images, because these were not found: {', '.join(lacking)}"]
    listed = FrameList.read(truth, images)
    numbers = {name: number for number, name in listed.titles.items()}
    chosen = [(name, numbers[name]) for name in worst[: wanted.clips] if name in numbers]
    if worst and not chosen:
        return [], [f"the page has no images: {truth} has none of the worst clips"]
    layers = [read_layers(listed, side.folder.predictions, wanted.score) for side in sides]
    common = set.intersection(*({layer.mask_type for layer in own} for _, own in layers))
    true = [layer for layer in layers[0][0] if layer.mask_type in common]
    found = [[layer for layer in own if layer.mask_type in common] for _, own in layers]
    clips = []
    for name, video in chosen:
        rows = listed.images.rows_of(video)
        owners = [find_owners(rows, listed.images, true, own) for own in found]
        frames = []
        for row in rows[evenly(len(rows), wanted.frames)].tolist():
            path = listed.file(row)
            if not seen(partial(image_exists, path)):  # it may be a link into another folder
                return [], [f"the page has no images: {path} is missing or not accessible"]
            frame = listed.frame(row)
            columns: list[tuple[Sequence[Layer], dict[int, int] | None]] = [(true, None)]
            columns += zip(found, owners, strict=True)
            shown = [
                draw_side(frame, row, listed.images, own, who, LARGEST) for own, who in columns
            ]
            title = f"frame {int(listed.images.position[row])} ({path.name})"
            frames.append(Frame(title, tuple(map(_as_url, shown))))
        clips.append(Clip(name, tuple(frames)))
    return clips, []


def _as_url(image: ImageArray) -> str:
    done, code = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise InputError(
            "an image cannot be written as JPEG (it may be too large); use smaller images"
        )
    return data_url(code.tobytes(), "image/jpeg")
