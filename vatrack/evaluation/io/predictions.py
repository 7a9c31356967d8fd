"""Predictions (contract 2) as columns, every prediction checked.

A track whose detections have different categories is accepted: each detection counts with its own
category in its image and in the tracking metrics, and the track as a whole has the category of its
first detection (quirk E8); such tracks are counted. An empty file is a valid prediction of nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from vatrack.common.mask_types import MASK_TYPES, MaskType
from vatrack.common.rle import Floats, Ints, canonical
from vatrack.data.fields import damage
from vatrack.evaluation.io.classes import category_ids, check_clips, names_of, notes_beside
from vatrack.evaluation.io.ground_truth import Images
from vatrack.evaluation.io.prediction_file import (
    OTHER_CLASSES,
    PredictionError,
    PredictionLines,
    open_predictions,
)
from vatrack.evaluation.io.prediction_form import Columns, append, append_all, unknown_image
from vatrack.evaluation.io.tracked_video import check_video

BATCH = 2048  # predictions whose form is checked together
LARGEST_SCORE = 3e38  # scores of tracks are summed as float32 values
# Share of an image's side by which a box may be turned inside out. The round-off of a detector
# makes such boxes, and they count as in the original; what is beyond is no box.
INSIDE_OUT = 0.01


@dataclass(frozen=True)
class Predictions:
    """N detections in file order.

    `number` [N]: of the line, or of the item in a JSON array, from 1, which `label` calls so;
    `image`, `category` [N]: indices into `Images`; `score`, `track` [N]; for each mask type: `box`
    [N, 4] (x, y, width, height in pixels, as given), `counts` (N compressed strings, None where the
    detection has no such mask), canonical, and `area` [N], the mask's pixels. `left_out`: how many
    more there were, of classes that the ground truth lacks or that are not wanted.
    """

    number: Ints
    image: Ints
    category: Ints
    score: Floats
    track: Ints
    box: Mapping[MaskType, Floats]
    counts: Mapping[MaskType, Sequence[bytes | None]]
    area: Mapping[MaskType, Ints]
    label: str = "prediction"
    left_out: int = 0

    def box_area(self, mask_type: MaskType) -> Floats:
        """Areas [N] of the boxes: plain products, as in the original, also of negative widths (a
        box turned inside out)."""
        with np.errstate(over="ignore"):
            return self.box[mask_type][:, 2] * self.box[mask_type][:, 3]

    def select(self, rows: Ints) -> Predictions:
        """The detections of these rows."""
        return Predictions(
            self.number[rows],
            self.image[rows],
            self.category[rows],
            self.score[rows],
            self.track[rows],
            {mask_type: values[rows] for mask_type, values in self.box.items()},
            {
                mask_type: [texts[row] for row in rows.tolist()]
                for mask_type, texts in self.counts.items()
            },
            {mask_type: values[rows] for mask_type, values in self.area.items()},
            self.label,
        )

    @property
    def mask_types(self) -> tuple[MaskType, ...]:
        """Mask types that at least one detection has."""
        return tuple(
            mask_type
            for mask_type in MASK_TYPES
            if any(text is not None for text in self.counts[mask_type])
        )


def read_predictions(path: Path | str, images: Images, document: Any, source: str) -> Predictions:
    """Reads and checks a whole file of predictions; the file is streamed, only its columns are
    kept.

    Where inference.yaml beside it lists the classes, they are matched by name (contract 2), and
    those that the ground truth lacks are left out.

    Args:
        images: those of `document`, the ground truth in the joint form; `source`: its file, for
            messages.

    Raises:
        InputError: the file is missing or cut off, or a prediction is wrong; the message
            has the line number, or the item number in a JSON array. Or the predictions have no
            class of the ground truth, or are for other clips.
    """
    path = Path(path)
    with open_predictions(path) as predictions:
        notes = notes_beside(path)
        videos = names_of(document, "videos")
        check_clips(videos, source, path, notes)
        check_video(path, images, videos, source)
        return parse_predictions(
            ((prediction.number, prediction.value) for prediction in predictions),
            images,
            predictions.label,
            category_ids(names_of(document, "categories"), source, path, notes, partly=True),
        )


def parse_predictions(
    predictions: Iterable[tuple[int, Any]],
    images: Images,
    label: str = "prediction",
    category_ids: Mapping[int, int | None] | None = None,
) -> Predictions:
    """Turns numbered predictions of contract 2 into columns.

    Args:
        predictions: pairs of a number, for messages, and a parsed object; or lines.
        images: the images of the ground truth.
        label: what the number counts.
        category_ids: the predictions' category ids to those of the ground truth; None: leave the
            prediction out. Ids that are not listed stay. Without it all stay.

    Raises:
        PredictionError: a prediction is wrong; of several the first one is named.
    """
    columns = Columns()
    wrong_form: PredictionError | None = None
    remaining = iter(predictions)
    while wrong_form is None:
        if isinstance(predictions, PredictionLines):
            numbers, usual, careful = predictions.batch(BATCH)
            if usual and append_all(columns, numbers, usual):
                continue
            remaining = iter(careful)
        batch = []
        try:
            # One by one, because those before a prediction that is not JSON are wanted.
            for prediction in islice(remaining, BATCH):
                batch.append(prediction)  # noqa: PERF402
        except PredictionError as error:
            wrong_form = error
        if not batch:
            break
        if not append_all(columns, *zip(*batch, strict=True)):
            problems = (
                (number, append(columns, number, prediction, images))
                for number, prediction in batch
            )
            first = next(((number, text) for number, text in problems if text), None)
            wrong_form = PredictionError(label, *first) if first else wrong_form

    found: list[tuple[int, str]] = []  # row, what is wrong

    def refuse(wrong: np.ndarray, message: str) -> None:
        found.extend((int(row), message) for row in np.flatnonzero(wrong)[:1])

    ids, category, track = (
        np.array(values, np.int64) for values in (columns.image, columns.category, columns.track)
    )
    image = images.index(ids)
    unknown = image < 0
    refuse(unknown, unknown_image(_first(ids, unknown)))
    kept = np.ones(len(category), bool)
    if category_ids:
        own, inverse = np.unique(category, return_inverse=True)
        others = [category_ids.get(number, number) for number in own.tolist()]
        kept = np.array([number is not None for number in others], bool)[inverse]
        category = np.array([-1 if n is None else n for n in others], np.int64)[inverse]
    index = images.category_index(category)
    strange = (index < 0) & kept
    refuse(
        strange,
        f"unknown category_id {_first(category, strange)}; {OTHER_CLASSES}",
    )
    large = np.abs(np.array(columns.score, np.float64)) > LARGEST_SCORE
    refuse(large, f"'score' is larger than {LARGEST_SCORE:g}; use smaller scores")
    order = np.lexsort((track, ids))
    repeated = np.zeros(len(order), bool)
    repeated[order[1:]] = (np.diff(ids[order]) == 0) & (np.diff(track[order]) == 0)
    refuse(
        repeated,
        f"track_id {_first(track, repeated)} occurs twice in image {_first(ids, repeated)}; give "
        "every object of an image a track_id of its own",
    )

    box = {
        mask_type: np.array(values, np.float64).reshape(-1, 4)
        for mask_type, values in columns.box.items()
    }
    for values in box.values():
        if len(images.id):
            least = -INSIDE_OUT * images.size[image][:, ::-1]
            wrong = (values[:, 2:] < least).any(1) & (image >= 0)
            refuse(
                wrong,
                f"the box {_first_box(values, wrong)} has a negative width or height; must be [x, "
                "y, width, height]",
            )
    area: dict[MaskType, Ints] = {}
    texts: dict[MaskType, list[bytes | None]] = {}
    for mask_type in MASK_TYPES:
        counts = columns.counts[mask_type]
        given = [text for text in counts if text is not None]
        rows = np.arange(len(counts))
        if len(given) < len(counts):
            rows = np.flatnonzero([text is not None for text in counts])
        size = np.array(columns.size[mask_type], np.int64).reshape(-1, 2)
        codes, pixels, totals = canonical(given)
        known = np.flatnonzero(image[rows] >= 0)
        needed = size.copy()
        needed[known] = images.size[image[rows[known]]]
        for at in np.flatnonzero((size != needed).any(1))[:1].tolist():
            own, other = size[at].tolist(), needed[at].tolist()
            message = (
                f"the {mask_type} mask has size {own}, but its image {other} (height, width); "
                "encode masks in the size of their image"
            )
            found.append((int(rows[at]), message))
        for at in np.flatnonzero(totals != size.prod(1))[:1].tolist():
            message = damage(int(totals[at]), size[at].tolist())
            found.append((int(rows[at]), f"the {mask_type} mask {message}"))
        area[mask_type] = np.zeros(len(counts), np.int64)
        area[mask_type][rows] = pixels
        code = iter(codes)
        texts[mask_type] = [None if text is None else next(code) for text in counts]
    if found:
        row, text = min(found, key=lambda item: item[0])
        raise PredictionError(label, columns.number[row], text)
    if wrong_form:
        raise wrong_form
    score = np.array(columns.score, np.float64)
    number = np.array(columns.number, np.int64)
    found_all = Predictions(number, image, index, score, track, box, texts, area, label)
    if kept.all():
        return found_all
    rows = np.flatnonzero(kept)
    return replace(found_all.select(rows), left_out=len(kept) - len(rows))


def _first(values: Ints, wrong: np.ndarray) -> int | None:
    rows = np.flatnonzero(wrong)
    return int(values[rows[0]]) if len(rows) else None


def _first_box(values: Floats, wrong: np.ndarray) -> list[float] | None:
    rows = np.flatnonzero(wrong)
    return values[rows[0]].tolist() if len(rows) else None
