"""The report's contact sheet: ground truth above predictions for a few frames of a few clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.files import read_json, require_ending
from vatrack.common.frame_folders import require_frames
from vatrack.common.images import read_image
from vatrack.common.mask_types import MASK_TYPES, MaskType
from vatrack.common.scores import check_score
from vatrack.data.fields import mask_types_of, problem
from vatrack.data.known_forms import JOINT, wants
from vatrack.evaluation.io.checks import list_of
from vatrack.evaluation.io.gaps import warn_of_gaps
from vatrack.evaluation.io.ground_truth import Images, read_images, read_objects
from vatrack.evaluation.io.predictions import read_predictions
from vatrack.reporting.drawing import (
    ImageArray,
    draw_instances,
    put_text,
    scale_image,
    text_mask,
    track_colours,
)
from vatrack.reporting.sheet import FAINT, INK, PAPER, Text, evenly, grid, pad, save_image, tile

FRAMES = 4  # columns: frames of a clip
CELL_WIDTH = 480  # pixels; smaller frames are enlarged, so that labels leave room for the objects
LABEL_SIZE = 14  # pixels
MARGIN, GAP = 142, 6  # pixels: the column of the row titles; the space between images
LEGEND = (
    "Label: class #track, score.  Colours show track numbers; ground truth and predictions "
    "are numbered separately."
)


@dataclass(frozen=True)
class FrameList:
    """The frames of a ground truth; each is told by its row in `images`.

    `source` and `document`: its file and JSON; `folder`: the `files`, by id of the image, are in
    it; `titles`: names of the videos by id.
    """

    source: Path
    document: Any
    images: Images
    folder: Path
    files: Mapping[int, str]
    titles: Mapping[int, str]

    @classmethod
    def read(cls, ground_truth: Path, folder: Path) -> FrameList:
        """Reads a joint JSON; its file names begin in the folder.

        Raises:
            InputError: the file is missing, not in its form or without images, or the folder lacks
                its frames.
        """
        document = read_json(ground_truth)
        images = read_images(document, str(ground_truth))
        files = names_by_id(document, "images", "file_name", ground_truth)
        if not files:
            raise InputError(
                f"{ground_truth}: contains no images; use a file written by `vatrack convert`"
            )
        require_frames(Path(folder), files.values(), ground_truth)
        titles = names_by_id(document, "videos", "name", ground_truth)
        return cls(ground_truth, document, images, Path(folder), files, titles)

    def file(self, row: int) -> Path:
        """The file of a frame."""
        return self.folder / self.files[int(self.images.id[row])]

    def frame(self, row: int) -> ImageArray:
        """A frame.

        Raises:
            InputError: it cannot be read, or has another size than its masks.
        """
        height, width = self.images.size[row].tolist()
        return read_image(self.file(row), (width, height))


@dataclass(frozen=True)
class Layer:
    """One row of images: its title, the mask type, and N masks.

    `image` [N]: index into `Images`; `track` [N]; `label` (N texts); `counts` (N compressed
    strings).
    """

    title: str
    mask_type: MaskType
    image: np.ndarray
    track: np.ndarray
    label: Sequence[str]
    counts: Sequence[bytes]


@dataclass(frozen=True)
class ContactSheet:
    """What `write_contact_sheet` wrote: so many clips of all, each with so many rows of images."""

    file: Path
    clips: int
    of_clips: int
    rows: int
    score: float

    def __str__(self) -> str:
        return (
            f"{self.file}: {self.clips} of {counted(self.of_clips, 'clip')}, "
            f"{counted(self.rows, 'row')} each; predictions with a score of {self.score:g} or more"
        )


@wants(ground_truth=JOINT)
def write_contact_sheet(
    ground_truth: Path, predictions: Path, images: Path, out: Path, *, score: float, clips: int
) -> ContactSheet:
    """Draws a PNG: for a few clips, four frames as columns, masks of both sides as rows.

    Mask types that the predictions do not have are left out.

    Args:
        ground_truth: frame-level JSON in the joint form (design contract 3, spec 1.5).
        predictions: JSON Lines or a JSON array (contract 2).
        images: the folder that the file names of the ground truth are relative to.
        out: the PNG file.
        score: predictions below it are not drawn; 0 to 1.
        clips: how many clips are drawn, evenly chosen among those with objects.

    Raises:
        InputError: a file is missing or not in its form, the number of clips is below 1, or the
            score is not from 0 to 1.
    """
    out = Path(out)
    require_ending(out, "the contact sheet is a PNG image", ".png")
    if clips < 1:
        raise InputError(f"--clips {clips}: nothing to draw; must be 1 or more")
    check_score(score)
    listed = FrameList.read(ground_truth, images)
    layers = read_layers(listed, predictions, score)
    blocks = []
    chosen = choose_clips(listed.images, layers, clips)
    for video in chosen:
        rows = listed.images.rows_of(video)
        columns = rows[evenly(len(rows), FRAMES)].tolist()
        title = f"{listed.titles[video]}   ({counted(len(rows), 'frame')})"
        blocks.append(draw_clip(title, columns, listed, layers, score))
    top = tile(34, blocks[0].shape[1], Text(LEGEND, MARGIN, 8, 15))
    save_image(grid([[top], *([pad(block, 14, 0)] for block in blocks)]), out)
    return ContactSheet(out, len(chosen), len(listed.images.frames), len(layers), score)


def read_layers(listed: FrameList, predictions: Path, score: float) -> list[Layer]:
    """The rows of the sheet: for each mask type of the predictions, ground truth and predictions.

    Raises:
        InputError: a file is not in its form.
    """
    document, images, source = listed.document, listed.images, str(listed.source)
    found = read_predictions(predictions, images)
    warn_of_gaps(
        predictions,
        found,
        found.mask_types,
        "only the ground truth is drawn",
        "they are not drawn where masks of this type are",
    )
    names = names_by_id(document, "categories", "name", listed.source)
    named = [names[number] for number in images.categories.tolist()]
    layers = []
    # Predictions of nothing do not tell what masks the method has.
    annotations = list_of(document, "annotations", source)
    for mask_type in found.mask_types or mask_types_of(annotations) or MASK_TYPES:
        true = read_objects(document, images, mask_type, source)
        masks, tracks = true.masks, true.instance
        pairs = zip(masks.category.tolist(), tracks, strict=True)
        labels = [f"{named[category]} #{track}" for category, track in pairs]
        layers.append(Layer("Ground truth", mask_type, masks.image, tracks, labels, masks.counts))
        rows = np.flatnonzero(found.score >= score).tolist()
        counts = found.counts[mask_type]
        drawn = {row: text for row in rows if (text := counts[row]) is not None}
        rows, texts = list(drawn), list(drawn.values())
        labels = [
            f"{named[int(found.category[row])]} #{found.track[row]}  {found.score[row]:.2f}"
            for row in rows
        ]
        image, track = found.image[rows], found.track[rows]
        layers.append(Layer("Prediction", mask_type, image, track, labels, texts))
    return layers


def choose_clips(images: Images, layers: Sequence[Layer], number: int) -> list[int]:
    """Video ids, evenly chosen among those with true objects, or among all where none has any."""
    truth = [images.video[layer.image] for layer in layers if layer.title == "Ground truth"]
    filled = np.unique(np.concatenate([*truth, np.empty(0, np.int64)]))
    videos = filled if len(filled) else np.unique(images.video)
    return [int(videos[place]) for place in evenly(len(videos), number)]


def draw_clip(
    title: str,
    columns: Sequence[int],
    listed: FrameList,
    layers: Sequence[Layer],
    score: float,
) -> ImageArray:
    """One clip: a title line, frame numbers, then a row of images per layer.

    Args:
        title: of the clip.
        columns: the frames, rows of `listed`.
        listed: the frames of the ground truth.
        layers: the rows.
        score: what was left out below, for the note on an empty image.

    Raises:
        InputError: an image cannot be read or has another size than its masks.
    """
    images = listed.images
    heads = [f"frame {images.position[row]}  ({listed.file(row).name})" for row in columns]
    frames = [listed.frame(row) for row in columns]
    rows = [
        [tile(23, MARGIN), *(tile(23, CELL_WIDTH + GAP, Text(head, 0, 0, 15)) for head in heads)]
    ]
    for layer in layers:
        name = Text(layer.title, 8, 4, 16, INK, bold=True), Text(layer.mask_type, 8, 28, 16, INK)
        cells = [
            _draw_cell(frame, row, layer, images, score)
            for frame, row in zip(frames, columns, strict=True)
        ]
        rows.append([tile(52, MARGIN, *name), *(pad(cell, GAP, GAP) for cell in cells)])
    width = MARGIN + FRAMES * (CELL_WIDTH + GAP)
    return grid([[tile(35, width, Text(title, MARGIN, 4, 20, INK, bold=True))], [grid(rows)]])


def _draw_cell(
    frame: ImageArray, row: int, layer: Layer, images: Images, score: float
) -> ImageArray:
    height, width = (int(side) for side in images.size[row])
    chosen = np.flatnonzero(layer.image == row)
    size = [height, width]
    encoded = [{"size": size, "counts": layer.counts[index]} for index in chosen.tolist()]
    masks = np.zeros((0, height, width), bool)
    if encoded:
        masks = np.moveaxis(coco_mask.decode(encoded), 2, 0).astype(bool)
    seen = masks.any(axis=(1, 2))
    scaled, masks = scale_image(frame, masks[seen], CELL_WIDTH)
    chosen = chosen[seen]
    labels, colours = [layer.label[n] for n in chosen.tolist()], track_colours(layer.track[chosen])
    cell = draw_instances(scaled, masks, None, labels, colours, text_size=LABEL_SIZE)
    if not len(chosen):
        note = (
            "no object"
            if layer.title == "Ground truth"
            else f"no prediction with a score of {score:g} or more"
        )
        height, width = text_mask(note, 14).shape
        cell[: height + 8, : width + 12] = PAPER
        put_text(cell, note, (6, 4), 14, FAINT)
    return cell


def names_by_id(document: Any, key: str, name: str, source: Path) -> dict[int, str]:
    """{id: name} of a list whose ids are already checked."""
    for item in document[key]:
        if not isinstance(item.get(name), str):
            raise InputError(
                f"{source}: item {item['id']} of '{key}' has no '{name}'; use a file written by "
                "`vatrack convert`"
            )
        if name == "file_name" and (text := problem(name, item[name])):
            raise InputError(f"{source}: item {item['id']} of '{key}': {text}")
    return {int(item["id"]): item[name] for item in document[key]}
