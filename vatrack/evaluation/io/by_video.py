"""Ground truth and predictions split by video: objects in memory at once, files by the places of
their entries.

Files are read once as a stream and only the places of the entries are kept (some tens of bytes
each), so that a worker process can read the entries of one video. The lines may come in any order.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vatrack.common.errors import InputError
from vatrack.common.files import unpacked
from vatrack.common.json_lists import Texts, read_lists
from vatrack.common.rle import Ints
from vatrack.evaluation.ap.overlaps import group_rows
from vatrack.evaluation.io.checks import all_known, integers, is_integer, list_of
from vatrack.evaluation.io.ground_truth import IMAGE_FIELDS, KINDS, Images, read_images
from vatrack.evaluation.io.predictions import image_of, unknown_image
from vatrack.evaluation.io.records import AGAIN, RecordError, open_records, parse_line
from vatrack.evaluation.one_video import Part

NO_ROWS = np.empty(0, np.int64)
NEVER = 2**63  # a number behind that of any record
_MASKS = {kind: re.compile(rb'"%s"\s*:\s*[^n\s]' % kind.encode()) for kind in KINDS}


@dataclass(frozen=True)
class Files:
    """The (unpacked) files that `Places` refer to; `unit`: what messages call a prediction.

    `marks`: what tells whether a file is still the one that was split, by its path.
    """

    truth: Path
    predictions: Path
    tracks: Mapping[str, Path]
    unit: str
    marks: Mapping[Path, tuple[int, ...]]

    def check(self) -> None:
        """
        Raises:
            InputError: a file has changed since it was split, or is gone.
        """
        for path, mark in self.marks.items():
            if not path.exists() or _mark(path) != mark:
                raise InputError(f"{path}: has changed while it was read; start again")


@dataclass(frozen=True)
class Places:
    """One video by the places of its entries.

    `head`: its joint ground truth without annotations; `annotations` [N, 2]: offset and length of
    each; `tracks`: the same of the given per-video ground truth by kind; `records` [N, 3]: number,
    offset, length; `first`: smallest number among them.
    """

    head: Mapping[str, Any]
    annotations: Ints
    tracks: Mapping[str, Ints]
    records: Ints

    @property
    def first(self) -> int:
        return int(self.records[0, 0]) if len(self.records) else NEVER

    def load(self, files: Files) -> Part:
        """The video itself; its predictions are read while they are asked for.

        Raises:
            InputError: a file has changed.
        """
        files.check()
        return Part(
            {**self.head, "annotations": Texts(files.truth).load_all(*self.annotations.T.tolist())},
            self._records(files),
            {
                kind: {"annotations": Texts(files.tracks[kind]).load_all(*at.T.tolist())}
                for kind, at in self.tracks.items()
            },
        )

    def _records(self, files: Files) -> Iterator[tuple[int, Any]]:
        numbers, offsets, lengths = self.records.T.tolist()
        lines = Texts(files.predictions).read_all(offsets, lengths)
        for number, line in zip(numbers, lines, strict=True):
            yield number, parse_line(line, files.unit, number)


@dataclass
class Numbers:
    """Columns of integers that grow: for each entry of a list the id by which it is assigned, and
    its place."""

    key: array[int] = field(default_factory=lambda: array("q"))
    place: array[int] = field(default_factory=lambda: array("q"))

    def rows(self, width: int) -> Ints:
        """The places as [N, width]."""
        return np.array(self.place, np.int64).reshape(-1, width)


@dataclass(frozen=True)
class TruthHead:
    """The small lists of a joint ground truth: names by id (where given), images as columns, and
    the head of every video."""

    images: Images
    heads: Mapping[int, Mapping[str, Any]]
    category_names: Mapping[int, Any]
    video_names: Mapping[int, Any]


@dataclass(frozen=True)
class FoundRecords:
    """The places of all predictions, `video` [N] of each and [N, 3] number, offset, length; up to
    the first `wrong` one.

    `kinds`: of mask that at least one has; `unit`: what one is called in messages.
    """

    video: Ints
    places: Ints
    kinds: tuple[str, ...]
    unit: str
    wrong: RecordError | None


def read_head(document: Mapping[str, Any], source: str) -> TruthHead:
    """Checks and splits the small lists of a joint ground truth.

    Raises:
        InputError: see `read_images`.
    """
    images = read_images(document, source)
    categories = [{"id": entry["id"]} for entry in document["categories"]]
    of_video: dict[int, list[dict[str, Any]]] = {video: [] for video in images.frames}
    for entry in document["images"]:
        of_video[entry["video_id"]].append({key: entry[key] for key in IMAGE_FIELDS})
    heads = {
        video: {"categories": categories, "videos": [{"id": video}], "images": listed}
        for video, listed in of_video.items()
    }
    category_names, video_names = (
        {entry["id"]: entry.get("name", entry["id"]) for entry in document[key]}
        for key in ("categories", "videos")
    )
    return TruthHead(images, heads, category_names, video_names)


def split_memory(
    document: Any,
    head: TruthHead,
    records: Iterable[tuple[int, Any]],
    tracks: Mapping[str, tuple[str, Any]],
    source: str,
    unit: str,
) -> tuple[list[tuple[int, Part]], tuple[str, ...], RecordError | None]:
    """Splits objects in memory.

    Args:
        document: joint ground truth.
        head: of the same.
        records: predictions with their numbers.
        tracks: given per-video ground truths with their names, by kind.
        source, unit: what messages call the ground truth and a prediction.

    Returns:
        For every video the number of its first prediction and the video; the kinds of mask that the
        predictions have; and what is wrong with a prediction, if it cannot be assigned. All that
        come before it are assigned.

    Raises:
        InputError: something cannot be assigned to a video.
    """
    annotations = list_of(document, "annotations", source)
    of_image = head.images.index(integers(annotations, "image_id", source, "annotations"))
    all_known(of_image >= 0, annotations, "image_id", source)
    annotation_rows = group_rows(head.images.video[of_image])
    of_track = {}
    for kind, (name, given) in tracks.items():
        listed = list_of(given, "annotations", name)
        videos = integers(listed, "video_id", name, "annotations")
        all_known(np.isin(videos, list(head.heads)), listed, "video_id", name)
        of_track[kind] = listed, group_rows(videos)

    assigned: dict[int, list[tuple[int, Any]]] = {video: [] for video in head.heads}
    video_of = _video_of(head.images)
    present: set[str] = set()
    wrong = None
    for number, record in records:
        image, problem = image_of(record)
        video = video_of.get(image) if image is not None else None
        if video is None:
            wrong = RecordError(unit, number, problem or unknown_image(image))
            break
        assigned[video].append((number, record))
        present.update(kind for kind in KINDS if record.get(kind) is not None)

    parts = []
    for video, lists in head.heads.items():
        chosen = {
            kind: {"annotations": [listed[row] for row in rows.get(video, NO_ROWS)]}
            for kind, (listed, rows) in of_track.items()
        }
        kept = [annotations[row] for row in annotation_rows.get(video, NO_ROWS)]
        first = assigned[video][0][0] if assigned[video] else NEVER
        parts.append((first, Part({**lists, "annotations": kept}, assigned[video], chosen)))
    return parts, _ordered(present), wrong


def find_truth(path: Path) -> tuple[TruthHead, dict[int, Ints]]:
    """The head of a joint ground truth, and the places [N, 2] of the annotations of each video.

    Raises:
        InputError: the file is missing, damaged or not in the joint form.
    """
    small: dict[str, list[dict[str, Any]]] = {"categories": [], "videos": [], "images": []}
    found = Numbers()
    for entry in read_lists(path, required=(*small, "annotations")):
        if entry.section == "annotations":
            _add(found, entry.value, "image_id", str(path), entry.offset, entry.length)
        elif entry.section in small:
            small[entry.section].append(entry.value)
    head = read_head(small, str(path))
    places = found.rows(2)
    of_image = head.images.index(np.array(found.key, np.int64))
    _refuse_unknown(of_image >= 0, path, places, "image_id")
    return head, {
        video: places[rows] for video, rows in group_rows(head.images.video[of_image]).items()
    }


def find_tracks(path: Path, head: TruthHead) -> dict[int, Ints]:
    """The places [N, 2] of the tracks of each video in a per-video ground truth.

    Raises:
        InputError: the file is missing, damaged or belongs to another ground truth.
    """
    found = Numbers()
    for entry in read_lists(path, required=("annotations",)):
        if entry.section == "annotations":
            _add(found, entry.value, "video_id", str(path), entry.offset, entry.length)
    videos, places = np.array(found.key, np.int64), found.rows(2)
    _refuse_unknown(np.isin(videos, list(head.heads)), path, places, "video_id")
    return {video: places[rows] for video, rows in group_rows(videos).items()}


def find_records(path: Path, name: Path, images: Images) -> FoundRecords:
    """The places of all predictions in a file that is not packed; `name` is that of the original
    for messages.

    Raises:
        InputError: the file is missing or cannot be read.
    """
    found = Numbers()
    video_of = _video_of(images)
    present: set[str] = set()
    wrong = None

    def may_show_a_kind(line: bytes) -> bool:
        missing = [kind for kind in KINDS if kind not in present]
        # A name may be spelled by the numbers of its signs.
        return bool(missing) and (
            b"\\u" in line or any(_MASKS[kind].search(line) for kind in missing)
        )

    with open_records(path, name) as records:
        try:
            for number, value, offset, length in records.heads(may_show_a_kind):
                try:
                    # Numbers that are equal to an id without being integers are refused when the
                    # record itself is checked.
                    video = video_of[value["image_id"]]
                except (KeyError, TypeError):
                    image, problem = image_of(value)
                    raise RecordError(
                        records.unit, number, problem or unknown_image(image)
                    ) from None
                found.key.append(video)
                found.place.extend((number, offset, length))
                if len(present) < len(KINDS):
                    present.update(kind for kind in KINDS if value.get(kind) is not None)
        except RecordError as error:
            wrong = error
    return FoundRecords(
        np.array(found.key, np.int64), found.rows(3), _ordered(present), records.unit, wrong
    )


def split_files(
    truth: Path, predictions: Path, tracks: Mapping[str, Path], scratch: Path
) -> tuple[TruthHead, list[tuple[int, Places]], FoundRecords, Files]:
    """Splits files: the head of the ground truth, every video with the number of its first
    prediction, and where to read them.

    Args:
        truth: joint ground truth.
        predictions: contract 2.
        tracks: given per-video ground truths by kind.
        scratch: a folder where packed files are unpacked.

    Raises:
        InputError: a file is missing or damaged or does not belong to the others. What is wrong
            with one prediction is not raised, but in the third of the results.
    """
    head, annotations = find_truth(truth)
    of_track = {kind: find_tracks(path, head) for kind, path in tracks.items()}
    plain = unpacked(predictions, scratch, AGAIN)
    found = find_records(plain, predictions, head.images)
    rows = group_rows(found.video)
    none = np.empty((0, 2), np.int64)
    places = []
    for video, lists in head.heads.items():
        given = {kind: of_video.get(video, none) for kind, of_video in of_track.items()}
        one = Places(
            lists, annotations.get(video, none), given, found.places[rows.get(video, NO_ROWS)]
        )
        places.append((one.first, one))
    texts = (
        unpacked(truth, scratch),
        plain,
        {kind: unpacked(path, scratch) for kind, path in tracks.items()},
    )
    marks = {path: _mark(path) for path in (texts[0], plain, *texts[2].values())}
    return head, places, found, Files(*texts, found.unit, marks)


def _mark(path: Path) -> tuple[int, ...]:
    about = path.stat()
    return about.st_ino, about.st_size, about.st_mtime_ns


def _add(
    found: Numbers, value: dict[str, Any], key: str, source: str, offset: int, length: int
) -> None:
    number: Any = value.get(key)
    if not is_integer(number):
        integers([value], key, source, "annotations")  # says what is wrong
    found.key.append(number)
    found.place.extend((offset, length))


def _refuse_unknown(known: np.ndarray, path: Path, places: Ints, key: str) -> None:
    for row in np.flatnonzero(~known)[:1]:
        entry = next(
            item.value
            for item in read_lists(path)
            if item.section == "annotations" and item.offset == places[row, 0]
        )
        all_known(np.zeros(1, bool), [entry], key, str(path))


def _video_of(images: Images) -> dict[int, int]:
    return dict(zip(images.id.tolist(), images.video.tolist(), strict=True))


def _ordered(present: set[str]) -> tuple[str, ...]:
    return tuple(kind for kind in KINDS if kind in present)
