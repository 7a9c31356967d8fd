"""How well the hidden parts of objects are found: what belongs to the amodal mask, but not to the
visible one.

Formulas and corner cases stand in docs/evaluation.md. Letters in shapes: G true objects, C classes,
B = 4 bins (`BINS`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from vatrack.common.metric_names import HIDDEN_COLUMNS
from vatrack.common.rle import Bools, Floats, Ints, runs_of
from vatrack.evaluation.ap.matching import LOWEST_IOU, SETTINGS, Setting
from vatrack.evaluation.ap.overlaps import Overlaps
from vatrack.evaluation.ap.precision import Metrics
from vatrack.evaluation.io.ground_truth import Images, TrueObjects
from vatrack.evaluation.io.predictions import Predictions

# Every object, and the ranges of occlusion that average precision has, too.
RANGES = {setting.name: setting.rate for setting in SETTINGS if setting.rate != Setting.rate}
BINS = HIDDEN_COLUMNS[:-1]
CHUNK = 1 << 20  # characters of masks that are compared at once

Masks = Sequence[bytes]


@dataclass(frozen=True)
class HiddenCounts:
    """Counts of the classes that have an object with a hidden part.

    `category` [C], ascending; by bin [C, B]: number of these `objects`, of those `matched`, and the
    sum of the `iou` of the matched ones' hidden parts.
    """

    category: Ints
    objects: Ints
    matched: Ints
    iou: Floats

    def metrics(self) -> Metrics:
        """`HIDDEN_COLUMNS` of all classes together, in percent; None where undefined."""
        objects, matched, iou = (values.sum(0) for values in (self.objects, self.matched, self.iou))
        means = [
            100 * float(total) / int(number) if number else None
            for total, number in zip(iou, matched, strict=True)
        ]
        recall = 100 * int(matched[0]) / int(objects[0]) if objects[0] else None
        return dict(zip(HIDDEN_COLUMNS, [*means, recall], strict=True))

    def by_class(self) -> dict[int, Metrics]:
        """The same of every class by its category."""
        return {
            category: HiddenCounts(
                *(values[row : row + 1] for values in vars(self).values())
            ).metrics()
            for row, category in enumerate(self.category.tolist())
        }


def join_hidden(several: Sequence[HiddenCounts]) -> HiddenCounts:
    """The counts of several videos as one."""
    category, row = np.unique(
        np.concatenate([np.empty(0, np.int64), *(counts.category for counts in several)]),
        return_inverse=True,
    )
    joined = HiddenCounts(category, *_zeros(len(category)))
    for name in ("objects", "matched", "iou"):
        if len(several):
            values = np.concatenate([getattr(counts, name) for counts in several])
            np.add.at(getattr(joined, name), row, values)
    return joined


def hidden_counts(
    predictions: Predictions,
    amodal: TrueObjects,
    visible: TrueObjects,
    overlaps: Overlaps,
    images: Images,
) -> HiddenCounts:
    """Matches objects by their visible masks and compares their hidden parts.

    Args:
        predictions: all detections of whole images.
        amodal, visible: all true objects of these images, in the same order.
        overlaps: pairs of detections and objects, from `image.frame_overlaps` of the visible masks.
        images: the images.
    """
    truth = np.flatnonzero(
        ~visible.crowd
        & np.array(
            [a != v for a, v in zip(amodal.masks.counts, visible.masks.counts, strict=True)], bool
        )
    )
    detection = match_visible(predictions, visible.crowd, overlaps)[truth]
    area, iou = hidden_overlaps(
        [amodal.masks.counts[row] for row in truth.tolist()],
        [visible.masks.counts[row] for row in truth.tolist()],
        _masks_of(predictions.counts["amodal"], detection),
        _masks_of(predictions.counts["visible"], detection),
        int(images.size.prod(1).max(initial=0)),
    )
    kept = area > 0
    truth, detection, area, iou = truth[kept], detection[kept], area[kept], iou[kept]
    # Where both masks are there, the rate is known, whether it is stated or not.
    measured = area / amodal.mask_area[truth]
    rate = np.where(np.isnan(amodal.rate[truth]), measured, amodal.rate[truth])
    inside = np.ones((len(truth), len(BINS)), bool)
    for number, (low, high) in enumerate(RANGES.values(), 1):
        inside[:, number] = (rate >= low) & (rate <= high)
    matched = inside & (detection >= 0)[:, None]
    category, row = np.unique(images.categories[amodal.masks.category[truth]], return_inverse=True)
    counts = HiddenCounts(category, *_zeros(len(category)))
    np.add.at(counts.objects, row, inside)
    np.add.at(counts.matched, row, matched)
    np.add.at(counts.iou, row, np.where(matched, iou[:, None], 0.0))
    return counts


def match_visible(predictions: Predictions, crowd: Bools, overlaps: Overlaps) -> Ints:
    """The detection [G] that finds each object by its visible mask; -1 where there is none.

    Of an image and class, the best detection takes the free object of highest IoU, at least 0.5,
    then the next. Equal scores rank by row; of equal IoU the later object is taken. Crowds and
    detections without one of the masks take no part.
    """
    both = np.array(
        [
            amodal is not None and visible is not None
            for amodal, visible in zip(*predictions.counts.values(), strict=True)
        ],
        bool,
    )
    kept = np.flatnonzero(
        (overlaps.iou >= LOWEST_IOU) & both[overlaps.detection] & ~crowd[overlaps.truth]
    )
    detection, truth = overlaps.detection[kept], overlaps.truth[kept]
    order = np.lexsort((-truth, -overlaps.iou[kept], detection, -predictions.score[detection]))
    found, used = [-1] * len(crowd), set()
    for row, column in zip(detection[order].tolist(), truth[order].tolist(), strict=True):
        if found[column] < 0 and row not in used:
            found[column] = row
            used.add(row)
    return np.array(found, np.int64)


def hidden_overlaps(
    true_amodal: Masks, true_visible: Masks, amodal: Masks, visible: Masks, pixels: int
) -> tuple[Ints, Floats]:
    """The pixels of N true hidden parts, and their IoU with N predicted ones, without decoding.

    The hidden part of an object are the pixels of its amodal mask that are not in its visible one.

    Args:
        true_amodal, true_visible: sound masks of the objects.
        amodal, visible: those of the detections, of the same sizes; an empty string is an empty
            mask.
        pixels: as many as the largest image has.

    Returns:
        (pixels [N], IoU [N]; 0 where both hidden parts are empty).
    """
    area, iou = np.zeros(len(true_amodal), np.int64), np.zeros(len(true_amodal))
    columns = (true_amodal, true_visible, amodal, visible)
    for start, stop in _chunks(columns):
        true, found, common = _sweep([masks[start:stop] for masks in columns], pixels + 1)
        area[start:stop] = true
        iou[start:stop] = common / np.maximum(true + found - common, 1)
    return area, iou


def _chunks(columns: Sequence[Masks]) -> Iterator[tuple[int, int]]:
    """Rows whose masks together are some `CHUNK` characters long."""
    lengths = sum(np.fromiter(map(len, masks), np.int64, len(masks)) for masks in columns)
    chunk = np.cumsum(lengths) // CHUNK
    bounds = np.flatnonzero(np.diff(chunk, prepend=-1, append=-1)).tolist() if len(chunk) else []
    return pairwise(bounds)


def _sweep(columns: Sequence[Masks], stride: int) -> tuple[Ints, Ints, Ints]:
    """Pixels [N] of the true hidden parts, of the predicted ones, and common to both.

    Every edge of a mask's runs flips one of four bits: in the true amodal, true visible, amodal,
    visible mask or not. All edges are sorted by row and pixel, so that running over them tells
    which masks each stretch between two edges is in. `stride` is more than the pixels of any image.
    """
    rows = len(columns[0])
    runs = runs_of([text for masks in columns for text in masks])
    number = np.fromiter(map(len, runs), np.int64, len(runs))
    value = np.concatenate([np.empty(0, np.int64), *runs])
    stops = np.cumsum(number)
    edge = np.cumsum(value)
    edge -= np.repeat(np.append(0, edge)[stops - number], number)
    mask = np.repeat(np.arange(len(runs)), number)
    # The end of a last run of background is no edge.
    closing = np.zeros(len(value), bool)
    closing[stops[number % 2 == 1] - 1] = True
    mask, edge = mask[~closing], edge[~closing]
    key = (mask % rows * stride + edge) * len(columns) + mask // rows
    key.sort()
    at, column = np.divmod(key, len(columns))
    state = np.bitwise_xor.accumulate((1 << column).astype(np.uint8))[:-1]
    row, length = at[:-1] // stride, np.diff(at)
    true, found = (state & 3) == 1, (state & 12) == 4
    totals = [
        np.bincount(row, length * inside, minlength=rows).astype(np.int64)
        for inside in (true, found, true & found)
    ]
    return totals[0], totals[1], totals[2]


def _masks_of(counts: Sequence[bytes | None], rows: Ints) -> list[bytes]:
    """The masks of these rows; empty ones for -1."""
    return [b"" if row < 0 else counts[row] or b"" for row in rows.tolist()]


def _zeros(classes: int) -> tuple[Ints, Ints, Floats]:
    shape = classes, len(BINS)
    return np.zeros(shape, np.int64), np.zeros(shape, np.int64), np.zeros(shape)
