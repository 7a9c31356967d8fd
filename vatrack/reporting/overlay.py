"""The report's contact sheet: ground truth and predictions one below the other for a few clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from vatrack.common.errors import InputError
from vatrack.common.files import atomic_path, read_json
from vatrack.common.images import read_image
from vatrack.evaluation.io.ground_truth import Images, read_images, read_objects
from vatrack.evaluation.io.predictions import read_predictions
from vatrack.reporting.drawing import (
    Picture,
    draw_instances,
    put_text,
    scale_picture,
    text_mask,
    track_colours,
)

FRAMES = 4  # columns: frames of a clip
CELL_WIDTH = (
    480  # pixels; smaller frames are enlarged, so that the labels leave room for the objects
)
LABEL_SIZE = 14  # pixels
MARGIN, GAP = 142, 6  # pixels: the column of the row titles; the space between pictures
INK, FAINT, PAPER = (30, 30, 30), (110, 110, 110), 255


@dataclass(frozen=True)
class Layer:
    """One row of pictures: `title`, kind of mask, and N masks.

    `image` [N]: index into `Images`; `track` [N]; `label` (N texts); `counts` (N compressed
    strings).
    """

    title: str
    kind: str
    image: np.ndarray
    track: np.ndarray
    label: Sequence[str]
    counts: Sequence[bytes]


def write_contact_sheet(
    ground_truth: Path, predictions: Path, images: Path, out: Path, *, score: float, clips: int
) -> str:
    """Draws a PNG: for a few clips, four frames as columns; amodal and visible masks of both sides
    as rows.

    Kinds of mask that the predictions do not have are left out.

    Args:
        ground_truth: frame-level JSON in the joint form (design contract 3, spec 1.5).
        predictions: JSON Lines or a JSON array (contract 2).
        images: the folder that the file names of the ground truth are relative to.
        out: the PNG file.
        score: predictions below it are not drawn.
        clips: how many clips are drawn, evenly chosen among those with objects.

    Raises:
        InputError: a file is missing or not in its form, or the number of clips is below 1.
    """
    out = Path(out)
    if out.suffix.lower() != ".png":
        raise InputError(f"{out}: the contact sheet is a PNG; give --out a name that ends in .png")
    if clips < 1:
        raise InputError(f"--clips {clips}: at least one clip is needed")
    document = read_json(ground_truth)
    listed = read_images(document, str(ground_truth))
    if not len(listed.id):
        raise InputError(
            f"{ground_truth}: lists no image; a file written by `vatrack convert` is needed"
        )
    files = _names(document, "images", "file_name", ground_truth)
    titles = _names(document, "videos", "name", ground_truth)
    layers = read_layers(document, listed, ground_truth, predictions, score)
    blocks = []
    chosen = choose_clips(listed, layers, clips)
    for video in chosen:
        rows = np.flatnonzero(listed.video == video)
        rows = rows[np.argsort(listed.position[rows])]
        columns = [
            (int(row), Path(images) / files[int(listed.id[row])]) for row in evenly(rows, FRAMES)
        ]
        blocks.append(
            draw_clip(f"{titles[video]}   ({len(rows)} frames)", columns, listed, layers, score)
        )
    save_png(stack(blocks), out)
    shown = f"{len(chosen)} of {len(listed.frames)} clips, {len(layers)} rows each"
    return f"{out}: {shown}; predictions with a score of {score:g} or more"


def read_layers(
    document: Any, images: Images, ground_truth: Path, predictions: Path, score: float
) -> list[Layer]:
    """The rows of the sheet: ground truth, then predictions, for each kind of mask that the
    predictions have.

    Raises:
        InputError: a file is not in its form.
    """
    names = _names(document, "categories", "name", ground_truth)
    found = read_predictions(predictions, images)
    layers = []
    for kind in found.mask_types:
        true = read_objects(document, images, kind, str(ground_truth))
        labels = [
            f"{names[category]} #{instance}"
            for category, instance in zip(true.masks.category, true.instance, strict=True)
        ]
        layers.append(
            Layer("Ground truth", kind, true.masks.image, true.instance, labels, true.masks.counts)
        )
        counts = found.counts[kind]
        drawn = [
            row for row in np.flatnonzero(found.score >= score).tolist() if counts[row] is not None
        ]
        labels = [
            f"{names[int(found.category[row])]} #{found.track[row]}  {found.score[row]:.2f}"
            for row in drawn
        ]
        masks = [text for text in (counts[row] for row in drawn) if text is not None]
        layers.append(
            Layer("Prediction", kind, found.image[drawn], found.track[drawn], labels, masks)
        )
    return layers


def choose_clips(images: Images, layers: Sequence[Layer], number: int) -> list[int]:
    """Video ids, evenly chosen among those with objects in the ground truth (among all where none
    has any)."""
    truth = [images.video[layer.image] for layer in layers if layer.title == "Ground truth"]
    filled = np.unique(np.concatenate([*truth, np.empty(0, np.int64)]))
    videos = filled if len(filled) else np.unique(images.video)
    return [int(video) for video in evenly(videos, number)]


def evenly(items: np.ndarray, number: int) -> np.ndarray:
    """The middles of `number` equal stretches of [n] items; all items where there are not more."""
    if len(items) <= number:
        return items
    return items[((np.arange(number) + 0.5) * len(items) / number).astype(int)]


def draw_clip(
    title: str,
    columns: Sequence[tuple[int, Path]],
    images: Images,
    layers: Sequence[Layer],
    score: float,
) -> Picture:
    """One clip: a title line, frame numbers, then a row of pictures per layer.

    Args:
        title: of the clip.
        columns: index into `images` and file of each frame.
        images: the images of the ground truth.
        layers: the rows.
        score: what was left out below, for the note on an empty picture.

    Raises:
        InputError: a picture cannot be read or has another size than its masks.
    """
    lines = []
    pictures = [_read_picture(path, images.size[row]) for row, path in columns]
    for layer in layers:
        cells = [
            _draw_cell(picture, row, layer, images, score)
            for picture, (row, _) in zip(pictures, columns, strict=True)
        ]
        height = max(len(cell) for cell in cells)
        lines.append(
            np.hstack(
                [
                    _row_title(layer, height),
                    *(_pad(cell, height, CELL_WIDTH + GAP) for cell in cells),
                ]
            )
        )
        lines.append(_blank(GAP, lines[0].shape[1]))
    header = _blank(58, MARGIN + FRAMES * (CELL_WIDTH + GAP))
    put_text(header, title, (MARGIN, 4), 20, INK, bold=True)
    for index, (row, path) in enumerate(columns):
        put_text(
            header,
            f"frame {images.position[row]}  ({path.name})",
            (MARGIN + index * (CELL_WIDTH + GAP), 35),
            15,
            FAINT,
        )
    return np.vstack([_pad(line, len(line), header.shape[1]) for line in (header, *lines)])


def _read_picture(path: Path, size: np.ndarray) -> Picture:
    picture: Picture = read_image(path)
    if picture.shape[:2] != tuple(size):
        found, expected = (f"{side[1]} x {side[0]} pixels" for side in (picture.shape, size))
        raise InputError(
            f"{path}: has {found}, the ground truth says {expected}; name the images of this data "
            f"set"
        )
    return picture


def _draw_cell(picture: Picture, row: int, layer: Layer, images: Images, score: float) -> Picture:
    height, width = (int(side) for side in images.size[row])
    chosen = np.flatnonzero(layer.image == row)
    encoded = [
        {"size": [height, width], "counts": layer.counts[index]} for index in chosen.tolist()
    ]
    masks = np.zeros((0, height, width), bool)
    if encoded:
        masks = np.moveaxis(coco_mask.decode(encoded), 2, 0).astype(bool)
    seen = masks.any(axis=(1, 2))
    scaled, masks, _ = scale_picture(picture, masks[seen], CELL_WIDTH)
    chosen = chosen[seen]
    labels = [layer.label[index] for index in chosen.tolist()]
    cell = draw_instances(
        scaled, masks, None, labels, track_colours(layer.track[chosen]), text_size=LABEL_SIZE
    )
    if not len(chosen):
        note = (
            "no object"
            if layer.title == "Ground truth"
            else f"nothing with a score of {score:g} or more"
        )
        cell[: text_mask(note, 14).shape[0] + 8, : text_mask(note, 14).shape[1] + 12] = PAPER
        put_text(cell, note, (6, 4), 14, FAINT)
    return cell


def _row_title(layer: Layer, height: int) -> Picture:
    title = _blank(height, MARGIN)
    put_text(title, layer.title, (8, 4), 16, INK, bold=True)
    put_text(title, layer.kind, (8, 28), 16, INK)
    return title


def stack(blocks: Sequence[Picture]) -> Picture:
    """The clips below each other, with a line that explains labels and colours."""
    width = max(block.shape[1] for block in blocks)
    top = _blank(34, width)
    note = (
        "Label: class #track, score.  The colour goes with the track's number; the two sides "
        "number their tracks on their own."
    )
    put_text(top, note, (MARGIN, 8), 15, FAINT)
    return np.vstack([top, *(_pad(block, len(block) + 14, width) for block in blocks)])


def _blank(height: int, width: int) -> Picture:
    return np.full((height, width, 3), PAPER, np.uint8)


def _pad(picture: Picture, height: int, width: int) -> Picture:
    page = _blank(height, width)
    page[: picture.shape[0], : picture.shape[1]] = picture
    return page


def save_png(picture: Picture, path: Path) -> None:
    """Writes a PNG whole or not at all."""
    encoded, data = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 7])
    if not encoded:
        raise RuntimeError(
            f"{path}: OpenCV could not encode a picture of {picture.shape[1]} x {picture.shape[0]} "
            f"pixels"
        )
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.tobytes())


def _names(document: Any, key: str, name: str, source: Path) -> dict[int, str]:
    """{id: name} of a list whose ids are already checked."""
    for entry in document[key]:
        if not isinstance(entry.get(name), str):
            raise InputError(
                f"{source}: entry {entry['id']} of '{key}' has no '{name}'; a file written by "
                f"`vatrack convert` is needed"
            )
    return {int(entry["id"]): entry[name] for entry in document[key]}
