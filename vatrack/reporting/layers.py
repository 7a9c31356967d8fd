"""The true and the predicted objects of frames, and how they are drawn for people to compare."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask
from scipy.optimize import linear_sum_assignment

from vatrack.common.bitmaps import encode_bitmap
from vatrack.common.errors import InputError
from vatrack.common.frame_folders import require_frames
from vatrack.common.images import read_image
from vatrack.common.mask_types import MASK_TYPES, MaskType
from vatrack.common.rle import boxes_of, iou, measure
from vatrack.common.value_files import read_json
from vatrack.data.fields import mask_types_of, problem
from vatrack.evaluation.io.checks import list_of
from vatrack.evaluation.io.gaps import warn_of_gaps
from vatrack.evaluation.io.ground_truth import Images, read_images, read_objects
from vatrack.evaluation.io.predictions import read_predictions
from vatrack.reporting.drawing import ImageArray, scale_image, track_colours
from vatrack.reporting.sheet import evenly
from vatrack.reporting.video import DrawSettings, draw_frame
from vatrack.runs.folder import RunFolder
from vatrack.runs.results import masks_of_run

GREY = (170, 170, 170)  # of predictions that belong to no object
FOUND_IOU = 0.25  # mean over the frames of the longer track
PARTS = ("outline", "fill", "hidden", "class")


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
    """N masks of one type: the true objects of all frames, or the predicted ones.

    `image` [N]: index into `Images`; `track` [N]; `label` (N texts); `counts` (N compressed
    strings).
    """

    mask_type: MaskType
    image: np.ndarray
    track: np.ndarray
    label: Sequence[str]
    counts: Sequence[bytes]

    def rows(self, row: int) -> list[int]:
        """Which of the masks are in a frame."""
        return np.flatnonzero(self.image == row).tolist()

    def shown(self, row: int) -> list[int]:
        """Which of them have pixels."""
        rows = self.rows(row)
        areas, _ = measure([self.counts[n] for n in rows])
        return [n for n, area in zip(rows, areas.tolist(), strict=True) if area]


def read_layers(
    listed: FrameList, predictions: Path, score: float
) -> tuple[list[Layer], list[Layer]]:
    """The true and the predicted objects, a layer for each mask type of the predictions.

    Without any prediction, these are the types of the run's method, else of the ground truth.

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
    shown = np.flatnonzero(found.score >= score).tolist()
    truth, predicted = [], []
    annotations = list_of(document, "annotations", source)
    # Predictions of nothing do not tell what masks the method has; the run's config does.
    own = found.mask_types or _masks_of_method(predictions) or mask_types_of(annotations)
    for mask_type in own or MASK_TYPES:
        true = read_objects(document, images, mask_type, source)
        masks, tracks = true.masks, true.instance
        pairs = zip(masks.category.tolist(), tracks, strict=True)
        labels = [f"{named[category]} #{track}" for category, track in pairs]
        truth.append(Layer(mask_type, masks.image, tracks, labels, masks.counts))
        counts = found.counts[mask_type]
        drawn = {row: text for row in shown if (text := counts[row]) is not None}
        rows = list(drawn)
        labels = [
            f"{named[int(found.category[row])]} #{found.track[row]}  {found.score[row]:.2f}"
            for row in rows
        ]
        image, track = found.image[rows], found.track[rows]
        predicted.append(Layer(mask_type, image, track, labels, list(drawn.values())))
    return truth, predicted


def _masks_of_method(predictions: Path) -> tuple[MaskType, ...] | None:
    """The mask types of the method, where the predictions are those in a run's folder."""
    run = RunFolder(predictions.parent)
    return masks_of_run(run.path) if predictions == run.predictions else None


def choose_clips(images: Images, truth: Sequence[Layer], number: int) -> list[int]:
    """Video ids, evenly chosen among those with true objects, or among all where none has any."""
    filled = [images.video[layer.image] for layer in truth if len(layer.image)]
    videos = np.unique(np.concatenate(filled) if filled else images.video)
    return [int(videos[index]) for index in evenly(len(videos), number)]


class Side(NamedTuple):
    """The objects of one side of a frame, as `draw_frame` takes them; `names` are their labels."""

    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    names: Sequence[str]
    track_ids: npt.NDArray[np.int64]
    rles: Mapping[MaskType, Sequence[dict[str, Any]]]


def draw_side(
    frame: ImageArray,
    row: int,
    images: Images,
    layers: Sequence[Layer],
    owners: Mapping[int, int] | None,
    largest: tuple[float, float],
    *,
    line_width: int | None = None,
    text_size: int | None = None,
) -> ImageArray:
    """A frame with its true or predicted objects; one whose mask is empty is left out.

    Args:
        row: of the frame in `images`.
        layers: the objects, a layer for each mask type; the first tells which they are. Without
            layers, the frame alone.
        owners: of predictions: see `find_owners`. They get the colour of the true object, the
            others are grey. None: colours go with the track's number.
        largest: height and width, pixels.
        line_width, text_size: see `draw_frame`.
    """
    scaled = scale_image(frame, largest)
    chosen = layers[0].shown(row) if layers else []
    if not chosen:
        return scaled
    size, first = images.size[row].tolist(), layers[0]
    tracks = first.track[chosen].astype(np.int64)
    rles: dict[MaskType, list[dict[str, Any]]] = {}
    for layer in layers:
        known = {int(layer.track[n]): layer.counts[n] for n in layer.rows(row)}
        counts = [known.get(track) for track in tracks.tolist()]
        rles[layer.mask_type] = [_scaled(text, size, scaled.shape[:2]) for text in counts]
    boxes = boxes_of([first.counts[n] for n in chosen], np.array([size] * len(chosen)))
    boxes[:, 2:] += boxes[:, :2]
    boxes *= [scaled.shape[1] / size[1], scaled.shape[0] / size[0]] * 2
    colours = None
    if owners is not None:
        own = [owners.get(track) for track in tracks.tolist()]
        colours = track_colours([track or 0 for track in own])
        colours[[track is None for track in own]] = GREY
    labels, scores = [first.label[n] for n in chosen], np.ones(len(chosen), np.float32)
    side = Side(boxes.astype(np.float32), scores, labels, tracks, rles)
    settings = DrawSettings(PARTS, line_width)
    return draw_frame(scaled, side, settings, colours=colours, text_size=text_size)


def _scaled(counts: bytes | None, old: Sequence[int], new: Sequence[int]) -> dict[str, Any]:
    """The code of a mask, None: an empty one, in a frame of another height and width."""
    if counts is None:
        return encode_bitmap(np.zeros(new, bool))
    mask = coco_mask.decode({"size": old, "counts": counts})
    size = (new[1], new[0])
    return encode_bitmap(cv2.resize(mask * 255, size, interpolation=cv2.INTER_LINEAR) >= 128)


def find_owners(
    rows: npt.NDArray[np.int64], images: Images, truth: Sequence[Layer], found: Sequence[Layer]
) -> dict[int, int]:
    """Predicted track to the true one that it follows, over a clip: one to one, by the sum of their
    IoU over the frames that either is in."""
    predicted = found[0]
    true = next(layer for layer in truth if layer.mask_type == predicted.mask_type)
    sums: defaultdict[tuple[int, int], float] = defaultdict(float)
    for row in rows.tolist():
        for first, second, value in _overlaps(row, images, predicted, true):
            sums[first, second] += value
    if not sums:
        return {}
    lengths, true_lengths = (
        Counter(layer.track[np.isin(layer.image, rows)].tolist()) for layer in (predicted, true)
    )
    ids, true_ids = (sorted(set(tracks)) for tracks in zip(*sums, strict=True))
    score = np.array(
        [[sums[a, b] / max(lengths[a], true_lengths[b]) for b in true_ids] for a in ids]
    )
    return {
        ids[first]: true_ids[second]
        for first, second in zip(*linear_sum_assignment(score, maximize=True), strict=True)
        if score[first, second] >= FOUND_IOU
    }


def _overlaps(
    row: int, images: Images, found: Layer, true: Layer
) -> Iterator[tuple[int, int, float]]:
    first, second = found.rows(row), true.rows(row)
    counts = [found.counts[n] for n in first], [true.counts[n] for n in second]
    values = iou(*counts, images.size[row].tolist())
    for x, y in np.argwhere(values > 0).tolist():
        yield int(found.track[first[x]]), int(true.track[second[y]]), float(values[x, y])


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
