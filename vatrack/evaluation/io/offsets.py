"""Ground truth and predictions in files, split by video: by the offsets of their items.

Files are read once as a stream and only the offsets of the items are kept (some tens of bytes
each), so that a worker process can read the items of one video. The lines may come in any order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vatrack.common.errors import InputError
from vatrack.common.json_lists import Texts, read_lists
from vatrack.common.mask_types import MASK_TYPES, MaskType
from vatrack.common.rle import Ints
from vatrack.common.text_files import unpacked
from vatrack.data.fields import is_whole
from vatrack.evaluation.ap.overlaps import group_rows
from vatrack.evaluation.io.checks import all_known, integers
from vatrack.evaluation.io.ground_truth import Images
from vatrack.evaluation.io.item_columns import ItemColumns
from vatrack.evaluation.io.prediction_file import (
    AGAIN,
    PredictionError,
    PredictionLines,
    open_predictions,
)
from vatrack.evaluation.io.prediction_form import image_of, unknown_image
from vatrack.evaluation.io.prediction_heads import Heads
from vatrack.evaluation.io.truth_head import (
    NEVER,
    NO_ROWS,
    TruthHead,
    in_order,
    read_head,
    video_of_image,
)
from vatrack.evaluation.one_video import Video

_MASKS = {
    mask_type: re.compile(rb'"%s"\s*:\s*[^n\s]' % mask_type.encode()) for mask_type in MASK_TYPES
}


@dataclass(frozen=True)
class Files:
    """The (unpacked) files that `VideoOffsets` refer to; `label`: what messages call a prediction.

    `marks`: what tells whether a file is still the one that was split, by its path.
    """

    truth: Path
    predictions: Path
    tracks: Mapping[MaskType, Path]
    label: str
    marks: Mapping[Path, tuple[int, ...]]

    def check(self) -> None:
        """
        Raises:
            InputError: a file has changed since it was split, or is gone.
        """
        for path, mark in self.marks.items():
            if not path.exists() or _mark(path) != mark:
                raise InputError(f"{path}: changed while it was being read; run again")


@dataclass(frozen=True)
class VideoOffsets:
    """One video by the offsets of its items.

    `head`: its joint ground truth without annotations; `annotations` [N, 2]: offset and length of
    each; `tracks`: the same of the given per-video ground truth by mask type;
    `predictions` [N, 3]: number, offset, length; `first`: the smallest number.
    """

    head: Mapping[str, Any]
    annotations: Ints
    tracks: Mapping[MaskType, Ints]
    predictions: Ints

    @property
    def first(self) -> int:
        return int(self.predictions[0, 0]) if len(self.predictions) else NEVER

    def load(self, files: Files) -> Video:
        """The video itself; its predictions are read while they are asked for.

        Raises:
            InputError: a file has changed.
        """
        files.check()
        return Video(
            {**self.head, "annotations": Texts(files.truth).load_all(*self.annotations.T.tolist())},
            self._predictions(files),
            {
                mask_type: {"annotations": Texts(files.tracks[mask_type]).load_all(*at.T.tolist())}
                for mask_type, at in self.tracks.items()
            },
        )

    def _predictions(self, files: Files) -> PredictionLines:
        numbers, offsets, lengths = self.predictions.T.tolist()
        texts = Texts(files.predictions).read_all(offsets, lengths)
        return PredictionLines(numbers, texts, files.label)


@dataclass(frozen=True)
class FoundPredictions:
    """The offsets of all predictions, `video` [N] of each and [N, 3] number, offset, length; up to
    the first `wrong` one.

    `mask_types`: those that at least one has; `label`: what one is called in messages.
    """

    video: Ints
    offsets: Ints
    mask_types: tuple[MaskType, ...]
    label: str
    wrong: PredictionError | None


def find_truth(path: Path) -> tuple[TruthHead, dict[int, Ints]]:
    """The head of a joint ground truth, and the offsets [N, 2] of the annotations of each video.

    Raises:
        InputError: the file is missing, damaged or not in the joint form.
    """
    small: dict[str, list[dict[str, Any]]] = {"categories": [], "videos": [], "images": []}
    found = ItemColumns()
    for item in read_lists(path, required=(*small, "annotations")):
        if item.section == "annotations":
            _add(found, item.value, "image_id", str(path), item.offset, item.length)
        elif item.section in small:
            small[item.section].append(item.value)
    head = read_head(small, str(path))
    offsets = found.rows(2)
    of_image = head.images.index(found.keys())
    _refuse_unknown(of_image >= 0, path, offsets, "image_id")
    return head, {
        video: offsets[rows] for video, rows in group_rows(head.images.video[of_image]).items()
    }


def find_tracks(path: Path, head: TruthHead) -> dict[int, Ints]:
    """The offsets [N, 2] of the tracks of each video in a per-video ground truth.

    Raises:
        InputError: the file is missing, damaged or belongs to another ground truth.
    """
    found = ItemColumns()
    for item in read_lists(path, required=("annotations",)):
        if item.section == "annotations":
            _add(found, item.value, "video_id", str(path), item.offset, item.length)
    videos, offsets = found.keys(), found.rows(2)
    try:
        _refuse_unknown(np.isin(videos, list(head.heads)), path, offsets, "video_id")
    except InputError as error:
        error.misfit = True
        raise
    return {video: offsets[rows] for video, rows in group_rows(videos).items()}


def find_predictions(path: Path, name: Path, images: Images) -> FoundPredictions:
    """The offsets of all predictions in a file that is not packed; `name` is that of the original
    for messages.

    Raises:
        InputError: the file is missing or cannot be read.
    """
    found = ItemColumns()
    video_of = video_of_image(images)
    present: set[MaskType] = set()
    wrong = None

    def may_show_a_mask_type(text: bytes) -> bool:
        missing = [mask_type for mask_type in MASK_TYPES if mask_type not in present]
        # A name may be spelled with escapes.
        return bool(missing) and (
            b"\\u" in text or any(_MASKS[mask_type].search(text) for mask_type in missing)
        )

    with open_predictions(path, name) as predictions:
        try:
            for head in predictions.heads(may_show_a_mask_type):
                if isinstance(head, Heads):
                    _add_heads(found, head, images, predictions.label)
                    continue
                try:
                    # Numbers that are equal to an id without being integers are refused when the
                    # prediction itself is checked.
                    video = video_of[head.value["image_id"]]
                except (KeyError, TypeError):
                    image, problem = image_of(head.value)
                    raise PredictionError(
                        predictions.label, head.number, problem or unknown_image(image)
                    ) from None
                found.add(video, head.number, head.offset, head.length)
                if len(present) < len(MASK_TYPES):
                    present.update(
                        mask_type
                        for mask_type in MASK_TYPES
                        if head.value.get(mask_type) is not None
                    )
        except PredictionError as error:
            wrong = error
    return FoundPredictions(
        found.keys(), found.rows(3), in_order(present), predictions.label, wrong
    )


def _add_heads(found: ItemColumns, heads: Heads, images: Images, label: str) -> None:
    """Adds predictions up to the first of an unknown image.

    Raises:
        PredictionError: there is one.
    """
    image = images.index(heads.image_id)
    unknown = np.flatnonzero(image < 0)
    stop = int(unknown[0]) if len(unknown) else len(image)
    offsets = np.stack((heads.number, heads.offset, heads.length), 1)
    found.add_all(images.video[image[:stop]], offsets[:stop])
    if len(unknown):
        text = unknown_image(int(heads.image_id[stop]))
        raise PredictionError(label, int(heads.number[stop]), text)


def files_by_video(
    truth: Path, predictions: Path, tracks: Mapping[MaskType, Path], scratch: Path
) -> tuple[TruthHead, list[tuple[int, VideoOffsets]], FoundPredictions, Files]:
    """Splits files: the head of the ground truth, every video with the number of its first
    prediction, and where to read them.

    Args:
        truth: joint ground truth.
        predictions: contract 2.
        tracks: given per-video ground truths by mask type.
        scratch: a folder where packed files are unpacked.

    Raises:
        InputError: a file is missing or damaged or does not belong to the others. What is wrong
            with one prediction is not raised, but in the third of the results.
    """
    head, annotations = find_truth(truth)
    of_track = {mask_type: find_tracks(path, head) for mask_type, path in tracks.items()}
    plain = unpacked(predictions, scratch, AGAIN)
    found = find_predictions(plain, predictions, head.images)
    rows = group_rows(found.video)
    none = np.empty((0, 2), np.int64)
    offsets = []
    for video, lists in head.heads.items():
        given = {mask_type: of_video.get(video, none) for mask_type, of_video in of_track.items()}
        one = VideoOffsets(
            lists, annotations.get(video, none), given, found.offsets[rows.get(video, NO_ROWS)]
        )
        offsets.append((one.first, one))
    texts = (
        unpacked(truth, scratch),
        plain,
        {mask_type: unpacked(path, scratch) for mask_type, path in tracks.items()},
    )
    marks = {path: _mark(path) for path in (texts[0], plain, *texts[2].values())}
    return head, offsets, found, Files(*texts, found.label, marks)


def _mark(path: Path) -> tuple[int, ...]:
    about = path.stat()
    return about.st_ino, about.st_size, about.st_mtime_ns


def _add(
    found: ItemColumns, value: dict[str, Any], key: str, source: str, offset: int, length: int
) -> None:
    number: Any = value.get(key)
    if not is_whole(number):
        integers([value], key, source, "annotations")  # says what is wrong
    found.add(number, offset, length)


def _refuse_unknown(known: np.ndarray, path: Path, offsets: Ints, key: str) -> None:
    for row in np.flatnonzero(~known)[:1]:
        value = next(
            item.value
            for item in read_lists(path)
            if item.section == "annotations" and item.offset == offsets[row, 0]
        )
        all_known(np.zeros(1, bool), [value], key, str(path))
