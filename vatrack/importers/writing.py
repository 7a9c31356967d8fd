"""Writes a foreign dataset as joint JSON (contract 3), one annotation after another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import orjson
from pycocotools import mask as coco_mask

from vatrack.common.errors import InputError
from vatrack.common.files import atomic_path, create_text
from vatrack.common.json_types import Json
from vatrack.common.rle import box_of, decode, encode
from vatrack.data.fields import NEEDED, is_flag, read_masks, shown
from vatrack.importers.dataset import FIX, Dataset, Object

Size = tuple[int, int]


@dataclass
class Counts:
    """What came out.

    Attributes:
        annotations: written; `tracks`: different objects.
        empty: objects left out because no pixel of them is in the image.
        hidden: objects whose visible mask is known and empty.
        united: objects whose visible mask left the amodal one, which was united with it.
    """

    annotations: int = 0
    tracks: int = 0
    empty: int = 0
    hidden: int = 0
    united: int = 0


def write_joint(dataset: Dataset, out: Path) -> Counts:
    """Writes the file, whole or not at all.

    Raises:
        InputError: the source is wrong somewhere.
    """
    writer = _Writer(dataset)
    with atomic_path(out) as temporary, create_text(temporary) as stream:
        stream.write("{")
        for name in ("categories", "videos", "images"):
            _write_list(stream, name, getattr(dataset, name))
            stream.write(",\n")
        stream.write('"annotations":[')
        for item in dataset.objects:
            annotation = writer.annotation(item)
            if annotation is not None:
                stream.write(",\n" if annotation["id"] else "\n")
                stream.write(orjson.dumps(annotation).decode())
        stream.write("\n]}\n")
    return writer.counts


def _write_list(stream: IO[str], name: str, items: list[Json]) -> None:
    stream.write(f'"{name}":[')
    for number, item in enumerate(items):
        stream.write(",\n" if number else "\n")
        stream.write(orjson.dumps(item).decode())
    stream.write("\n]")


class _Writer:
    """Turns objects into annotations and counts."""

    def __init__(self, dataset: Dataset) -> None:
        self.counts = Counts()
        self._whole_if_absent = dataset.whole_if_absent
        self._categories = {item["id"] for item in dataset.categories}
        self._instances: dict[Any, int] = {}
        self._next: dict[int, int] = {}
        self._seen: set[int] = set()

    def annotation(self, item: Object) -> Json | None:
        """The annotation of an object; None where no pixel of it is in the image."""
        if item.category_id not in self._categories:
            raise InputError(
                f"{item.where}: category_id {item.category_id} is not in the list of categories; "
                f"add it there, or correct it"
            )
        if not is_flag(item.crowd):
            raise InputError(f"{item.where}: iscrowd is {shown(item.crowd)}; {NEEDED['flag']}")
        size = (item.image["height"], item.image["width"])
        amodal, visible = self._masks(item, size)
        if amodal is None and not visible:
            self.counts.empty += 1
            return None
        areas = {
            name: _area(mask, size)
            for name, mask in (("amodal", amodal), ("visible", visible))
            if mask is not None
        }
        self.counts.hidden += areas.get("visible") == 0
        boxes = {
            f"bbox_{name}": box_of(mask, size)
            for name, mask in (("amodal", amodal), ("visible", visible))
            if mask is not None
        }
        rate = None
        if len(areas) == 2:
            rate = (areas["amodal"] - areas["visible"]) / areas["amodal"]
        annotation = {
            "id": self.counts.annotations,
            "video_id": item.image["video_id"],
            "image_id": item.image["id"],
            "category_id": item.category_id,
            "instance_id": self._instance(item),
            "iscrowd": int(bool(item.crowd)),
            "bbox": boxes.get("bbox_amodal", boxes.get("bbox_visible")),
            **boxes,
            **{f"area_{name}": area for name, area in areas.items()},
            "occlude_rate": rate,
            "amodal_mask": _code(amodal, size),
            "visible_mask": _code(visible, size),
            **item.fields,
        }
        self.counts.annotations += 1
        return annotation

    def _masks(self, item: Object, size: Size) -> tuple[bytes | None, bytes | None]:
        """Amodal and visible mask; None is unknown. An empty amodal mask counts as absent."""
        amodal = _read(item.amodal, size, f"{item.where}: its amodal mask")
        visible = _read(item.visible, size, f"{item.where}: its visible mask")
        hidden = _read(item.hidden, size, f"{item.where}: its hidden part")
        if amodal is not None and not _area(amodal, size):
            amodal = None
        if visible is None and amodal is not None:
            if hidden is not None:
                visible = _merge(amodal, _complement(hidden), size, intersect=True)
            elif self._whole_if_absent:
                visible = amodal
        if amodal is None and hidden is not None and _area(hidden, size):
            # A hidden part alone belongs to an object of which nothing else is there.
            visible = visible or _empty(size)
            amodal = _merge(visible, hidden, size)
        elif amodal is None and visible is not None and not _area(visible, size):
            visible = None
        if amodal is not None and visible is not None and visible != amodal:
            united = _merge(amodal, visible, size)
            if united != amodal:
                self.counts.united += 1
                amodal = united
        return amodal, visible

    def _instance(self, item: Object) -> int:
        """The number of an object within its video, from 1."""
        video, image = item.image["video_id"], item.image["id"]
        number = self._instances.get((video, item.track)) if item.track is not None else None
        if number is None:
            number = self._next[video] = self._next.get(video, 0) + 1
            self.counts.tracks += 1
        if item.track is not None:
            self._instances[video, item.track] = number
            pair = image << 40 | number  # one number takes less memory than two
            if pair in self._seen:
                raise InputError(
                    f"{item.where}: track {item.track} is in image {item.image['file_name']} "
                    f"twice; {FIX}"
                )
            self._seen.add(pair)
        return number


def is_absent(mask: Any) -> bool:
    """Whether a source says by this value that there is no mask."""
    if isinstance(mask, Mapping):
        return not mask or mask.get("counts") in (None, "", [])
    return mask is None or (isinstance(mask, list | str) and not any(mask))


def _read(mask: Any, size: Size, name: str) -> bytes | None:
    """The canonical run lengths of a mask; None where it is absent."""
    if is_absent(mask):
        return None
    if isinstance(mask, list) and not isinstance(mask[0], list | dict):
        mask = [mask]  # one polygon without the list around it
    return read_masks([mask], [size], [name])[0][0]


def _code(counts: bytes | None, size: Size) -> Json | None:
    return None if counts is None else {"size": list(size), "counts": counts.decode()}


def _area(counts: bytes, size: Size) -> int:
    return int(coco_mask.area({"size": list(size), "counts": counts}))


def _merge(first: bytes, second: bytes, size: Size, *, intersect: bool = False) -> bytes:
    codes = [{"size": list(size), "counts": counts} for counts in (first, second)]
    return encode(decode(coco_mask.merge(codes, intersect=intersect)["counts"]))


def _empty(size: Size) -> bytes:
    return encode([size[0] * size[1]])


def _complement(counts: bytes) -> bytes:
    runs = decode(counts)
    return encode(runs[1:] if runs[0] == 0 else [0, *runs])
