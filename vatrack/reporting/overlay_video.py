"""A video of a few clips: ground truth on the left, predictions on the right, found objects in the
same colour."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask
from scipy.optimize import linear_sum_assignment

from vatrack.common.bitmaps import encode_bitmap
from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.files import require_ending
from vatrack.common.mask_forms import encode
from vatrack.common.mask_types import MaskType
from vatrack.common.rle import boxes_of
from vatrack.common.scores import check_score
from vatrack.data.known_forms import JOINT, wants
from vatrack.evaluation.io.ground_truth import Images
from vatrack.reporting.drawing import ImageArray, put_text, track_colours
from vatrack.reporting.overlay import FrameList, Layer, choose_clips, read_layers
from vatrack.reporting.video import DrawSettings, draw_frame
from vatrack.video.writer import VideoWriter

CELL = (400, 640)  # largest height and width of a side, pixels
BAR = 30  # pixels of the line above
GREY = (170, 170, 170)  # of predictions that belong to no object
PAPER, INK = (250, 250, 250), (30, 30, 30)
FOUND_IOU = 0.25  # mean over the frames of the longer track


@dataclass(frozen=True)
class OverlayVideo:
    """What `write_overlay_video` wrote."""

    file: Path
    clips: int
    frames: int

    def __str__(self) -> str:
        return f"{self.file}: {counted(self.frames, 'frame')} of {counted(self.clips, 'clip')}"


@dataclass
class Side:
    """The objects of one side of a frame, as `vatrack.reporting.video` draws them; `names` are
    their labels."""

    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    names: Sequence[str]
    track_ids: npt.NDArray[np.int64]
    rles: Mapping[MaskType, Sequence[dict[str, Any]]] = field(default_factory=dict)


def check_video(out: Path, rate: float) -> None:
    """Looks at what is asked for, before anything is written.

    Raises:
        InputError: the video is no MP4 file, or the rate is none.
    """
    require_ending(out, "the video is an MP4 file", ".mp4")
    check_rate(rate)


def check_rate(rate: float) -> None:
    """Refuses what is not a frame rate.

    Raises:
        InputError: it is not above 0 and at most 240 frames a second.
    """
    if not 0 < rate <= 240:
        raise InputError(
            f"--fps {rate}: not a frame rate; must be above 0 and at most 240 per second"
        )


@wants(ground_truth=JOINT)
def write_overlay_video(
    ground_truth: Path,
    predictions: Path,
    images: Path,
    out: Path,
    *,
    score: float,
    clips: int,
    rate: float = 8.0,
) -> OverlayVideo:
    """Draws an MP4 of the clips that the contact sheet shows, one after the other.

    Args:
        ground_truth, predictions, images, score, clips: as for `write_contact_sheet`.
        rate: frames a second.

    Raises:
        InputError: a file is missing or not in its form.
    """
    check_video(out, rate)
    check_score(score)
    listed = FrameList.read(ground_truth, images)
    layers = read_layers(listed, predictions, score)
    chosen = choose_clips(listed.images, layers, clips)
    truth = [layer for layer in layers if layer.title == "Ground truth"]
    found = [layer for layer in layers if layer.title != "Ground truth"]
    count = 0
    exact = Fraction(rate).limit_denominator(1000)
    with VideoWriter(out, (CELL[0] + BAR, 2 * CELL[1]), exact) as writer:
        for video in chosen:
            rows = listed.images.rows_of(video)
            owners = find_owners(rows, listed.images, truth, found)
            for row in rows.tolist():
                title = f"{listed.titles[video]}   frame {int(listed.images.position[row])}"
                drawn = _compose(row, listed, truth, found, owners, title, score)
                writer.write(drawn, float(count / exact))
                count += 1
    return OverlayVideo(out, len(chosen), count)


def _compose(
    row: int,
    listed: FrameList,
    truth: Sequence[Layer],
    found: Sequence[Layer],
    owners: Mapping[int, int],
    title: str,
    score: float,
) -> ImageArray:
    canvas = np.full((CELL[0] + BAR, 2 * CELL[1], 3), PAPER, np.uint8)
    frame = listed.frame(row)
    sides = (
        (f"Ground truth   {title}", truth, None),
        (f"Prediction   score {score:g} or more", found, owners),
    )
    for number, (text, layers, tracks) in enumerate(sides):
        put_text(canvas, text, (8 + number * CELL[1], 6), 15, INK)
        scaled = draw_side(frame, row, listed.images, layers, tracks, CELL)
        height, width = scaled.shape[:2]
        top = BAR + (CELL[0] - height) // 2
        left = number * CELL[1] + (CELL[1] - width) // 2
        canvas[top : top + height, left : left + width] = scaled
    return canvas


def draw_side(
    frame: ImageArray,
    row: int,
    images: Images,
    layers: Sequence[Layer],
    owners: Mapping[int, int] | None,
    largest: tuple[int, int],
) -> ImageArray:
    """A frame with its true or predicted objects.

    Args:
        row: of the frame in `images`.
        layers: the objects, a layer for each mask type.
        owners: of predictions: see `find_owners`. They get the colour of the true object, the
            others are grey. None: colours go with the track's number.
        largest: height and width, pixels.
    """
    side = _side(layers, row, images)
    scale = min(largest[0] / frame.shape[0], largest[1] / frame.shape[1])
    size = (max(1, round(frame.shape[1] * scale)), max(1, round(frame.shape[0] * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    scaled = np.asarray(cv2.resize(frame, size, interpolation=how), np.uint8)
    if not len(side.track_ids):
        return scaled
    colours = None
    if owners is not None:
        own = [owners.get(track) for track in side.track_ids.tolist()]
        colours = track_colours([track or 0 for track in own])
        colours[[track is None for track in own]] = GREY
    drawn = DrawSettings(("outline", "fill", "hidden", "class"))
    return draw_frame(scaled, _scaled(side, size), drawn, colours=colours)


def _side(layers: Sequence[Layer], row: int, images: Images) -> Side:
    """The objects of a frame with all their masks; those of the first type tell which they are."""
    size = images.size[row].tolist()
    first = layers[0]
    chosen = np.flatnonzero(first.image == row)
    tracks = first.track[chosen].astype(np.int64)
    rles: dict[MaskType, list[dict[str, Any]]] = {}
    for layer in layers:
        at = {
            int(layer.track[index]): index for index in np.flatnonzero(layer.image == row).tolist()
        }
        rles[layer.mask_type] = [
            {
                "size": size,
                "counts": layer.counts[at[track]] if track in at else _empty(size),
            }
            for track in tracks.tolist()
        ]
    codes = [first.counts[index] for index in chosen.tolist()]
    boxes = boxes_of(codes, np.array([size] * len(codes)).reshape(-1, 2)).astype(np.float32)
    boxes[:, 2:] += boxes[:, :2]
    labels = [first.label[index] for index in chosen.tolist()]
    return Side(boxes, np.ones(len(chosen), np.float32), labels, tracks, rles)


def _empty(size: Sequence[int]) -> bytes:
    return encode([size[0] * size[1]])


def _scaled(side: Side, size: tuple[int, int]) -> Side:
    """The same objects in a frame of another width and height."""
    width, height = size
    old_height, old_width = next(iter(side.rles.values()))[0]["size"]
    factors = np.array([width / old_width, height / old_height] * 2, np.float32)
    rles = {key: [_scaled_code(code, size) for code in codes] for key, codes in side.rles.items()}
    return Side(side.boxes * factors, side.scores, side.names, side.track_ids, rles)


def _scaled_code(code: dict[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    mask = coco_mask.decode(code)
    resized = cv2.resize(mask * 255, size, interpolation=cv2.INTER_LINEAR) >= 128
    return encode_bitmap(resized)


def find_owners(
    rows: npt.NDArray[np.int64], images: Images, truth: Sequence[Layer], found: Sequence[Layer]
) -> dict[int, int]:
    """Predicted track to the true one that it follows, over a clip: one to one, by the sum of their
    IoU over the frames that either is in."""
    mask_type = found[0].mask_type
    own = next(layer for layer in truth if layer.mask_type == mask_type)
    sums: dict[tuple[int, int], float] = {}
    lengths: dict[tuple[str, int], int] = {}
    for row in rows.tolist():
        pairs = list(_overlaps(row, images, found[0], own))
        for name, layer in (("found", found[0]), ("true", own)):
            for track in layer.track[layer.image == row].tolist():
                lengths[name, track] = lengths.get((name, track), 0) + 1
        for predicted, true, value in pairs:
            sums[predicted, true] = sums.get((predicted, true), 0.0) + value
    predicted_ids = sorted({pair[0] for pair in sums})
    true_ids = sorted({pair[1] for pair in sums})
    score = np.zeros((len(predicted_ids), len(true_ids)))
    for (predicted, true), value in sums.items():
        frames = max(lengths["found", predicted], lengths["true", true])
        score[predicted_ids.index(predicted), true_ids.index(true)] = value / frames
    return {
        predicted_ids[first]: true_ids[second]
        for first, second in zip(*linear_sum_assignment(-score), strict=True)
        if score[first, second] >= FOUND_IOU
    }


def _overlaps(
    row: int, images: Images, found: Layer, true: Layer
) -> Iterator[tuple[int, int, float]]:
    first, second = np.flatnonzero(found.image == row), np.flatnonzero(true.image == row)
    if not len(first) or not len(second):
        return
    size = images.size[row].tolist()
    codes = [
        [{"size": size, "counts": layer.counts[index]} for index in chosen.tolist()]
        for layer, chosen in ((found, first), (true, second))
    ]
    values = coco_mask.iou(*codes, [0] * len(second))
    for x, y in np.argwhere(values > 0).tolist():
        yield int(found.track[first[x]]), int(true.track[second[y]]), float(values[x, y])
