"""Reads official annotations (spec 1.2) to the end whatever is wrong, and checks each by itself."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vatrack.common.errors import InputError
from vatrack.common.images import ENDINGS, SUFFIXES
from vatrack.common.json_lists import Item, read_lists
from vatrack.common.json_types import Json
from vatrack.common.mask_forms import MaskError, compress, form_problem
from vatrack.common.parallel import ordered_map
from vatrack.common.progress import progress
from vatrack.data.fields import flag, is_whole
from vatrack.data.joint.faults import SINGULAR
from vatrack.sailvos.official import (
    FIELDS,
    Fault,
    field_faults,
    image_file,
    value_faults,
    video_name,
)
from vatrack.validate.findings import Findings
from vatrack.validate.masks import Rle, Row, check_masks
from vatrack.validate.subset import (
    COLUMNS,
    MASKS,
    NONE,
    Image,
    Subset,
    Video,
    pack_size,
    split_suffix,
)

BATCH = 1 << 20  # bytes of text whose annotations are checked at a time


def read_subset(name: str, path: Path, compare: bool, processes: int, findings: Findings) -> Subset:
    """Reads the annotations of a subset, checks each by itself, and adds to `findings`.

    Args:
        compare: whether fields are compared with the masks.
        processes: processes that look into the masks.
    """
    reader = _Reader(name, Path(path))
    size = reader.subset.path.stat().st_size if reader.subset.path.is_file() else 0
    blocks = size // BATCH + 1
    batches = progress(reader.batches(), f"{path}, MB", blocks)
    masks = Findings()
    for found in ordered_map(check_masks, batches, min(processes, blocks), (str(path), compare)):
        masks.merge(found)
    # Apart until here, so that examples do not depend on the number of processes.
    findings.merge(reader.findings)
    findings.merge(masks)
    return reader.subset


class _Reader:
    def __init__(self, name: str, path: Path) -> None:
        self.subset = Subset(name, path)
        self.findings = Findings()
        self.columns = {column: array("q") for column in COLUMNS}
        self.seen: set[str] = set()
        self.sizes: dict[int, tuple[int, int]] = {}

    def batches(self) -> Iterator[list[Row]]:
        """The annotations, about `BATCH` bytes at a time; all else is kept in `subset`."""
        subset, rows, stop = self.subset, list[Row](), BATCH
        try:
            for listed in read_lists(subset.path):
                self.seen.add(listed.section)
                if listed.section == "annotations":
                    rows.append(self._annotation(listed))
                else:
                    self._small(listed)
                if listed.offset >= stop:
                    yield rows
                    rows, stop = [], listed.offset + BATCH
        except InputError as error:
            self.findings.add("json-broken", subset.path, detail=error.without(subset.path))
        else:
            subset.ended = True
            lost = [section for section in FIELDS if section not in self.seen]
            subset.whole = not lost
            self.findings.add_all("list-missing", subset.path, lost, lambda section: (section, ""))
        yield rows
        subset.annotations = {
            name: np.frombuffer(column, np.int64) for name, column in self.columns.items()
        }

    def _small(self, listed: Item) -> None:
        """Takes an item of one of the other lists."""
        keep = {
            "categories": self._category,
            "models": self._model,
            "videos": self._video,
            "images": self._image,
        }
        if listed.section not in keep:
            return
        item = _name(listed)
        for fault in field_faults(listed.section, listed.value):
            self.findings.add(fault.code, self.subset.path, item, fault.text)
        keep[listed.section](listed.value, item)

    def _category(self, value: Json, item: str) -> None:
        self.subset.categories.append((_whole(value, "id"), value.get("name")))

    def _model(self, value: Json, item: str) -> None:
        if is_whole(value.get("id")):
            self.subset.models.append(value["id"])

    def _video(self, value: Json, item: str) -> None:
        try:
            name = video_name(value, self.subset.path)
        except InputError as error:
            detail = error.without(self.subset.path, item)
            self.findings.add("video-name", self.subset.path, item, detail)
            names = (value.get("name"), value.get("vid_name"))
            self.subset.unusable.update(name for name in names if isinstance(name, str))
            return
        self.subset.videos.append(
            Video(name, _whole(value, "id"), _whole(value, "num_frames"), _whole(value, "num_objs"))
        )

    def _image(self, value: Json, item: str) -> None:
        number = _whole(value, "id")
        if number is None:
            return
        video, file = self._file(value, item) if "file_name" in value else (None, None)
        height, width = _whole(value, "height"), _whole(value, "width")
        size = (
            (height, width)
            if height is not None and width is not None and min(height, width) > 0
            else None
        )
        if size is not None:
            self.sizes[number] = size
        self.subset.images.append(
            Image(number, video, file, _whole(value, "video_id"), _whole(value, "frame_id"), size)
        )

    def _file(self, value: Json, item: str) -> tuple[str | None, str | None]:
        try:
            video, file = image_file(value, self.subset.path)
        except InputError as error:
            detail = error.without(self.subset.path, item)
            self.findings.add("image-place", self.subset.path, item, detail)
            return None, None
        if split_suffix(file)[1] not in SUFFIXES:
            detail = f"{file!r} does not end in {ENDINGS}"
            self.findings.add("image-place", self.subset.path, item, detail)
            return video, None
        return video, file

    def _annotation(self, listed: Item) -> Row:
        value, item = listed.value, _name(listed)
        self.subset.total += 1
        broken: set[str] = set()
        for fault in _annotation_faults(value):
            broken.update(fault.fields)
            self.findings.add(fault.code, self.subset.path, item, fault.text)
        if "iscrowd" not in broken and flag(value, "iscrowd"):
            self.findings.add("crowd", self.subset.path, item, f"iscrowd is {value['iscrowd']!r}")
        masks = [self._rle(value, name, item) if name not in broken else None for name in MASKS]
        if broken.isdisjoint(("id", "image_id", "category_id", "obj_id", "instance_id")):
            numbers = {"instance_id": value["obj_id"], **value}
            for name in COLUMNS[:5]:
                self.columns[name].append(numbers[name])
            model = _whole(value, "model_id")
            self.columns["model_id"].append(NONE if model is None else model)
            for name, mask in zip(MASKS, masks, strict=True):
                self.columns[name].append(
                    NONE if mask is None else pack_size(mask.height, mask.width)
                )
        fields = ("bbox", "bbox_visible", "area", "area_visible", "occlude_rate")
        return Row(item, *(None if name in broken else value[name] for name in fields), *masks)

    def _rle(self, value: Json, name: str, item: str) -> Rle | None:
        """A mask of good form as a compressed code; None where it cannot be told."""
        mask = value.get(name)
        if mask is None:
            return None
        if isinstance(mask, dict):
            height, width = mask["size"]
        else:  # polygons have no size of their own
            image = _whole(value, "image_id")
            if image is None or image not in self.sizes:
                return None
            height, width = self.sizes[image]
        try:
            return Rle(height, width, compress(mask, (height, width)).decode())
        except MaskError as error:
            code = "invisible-wrong" if name == "invisible_mask" else "rle-bad"
            self.findings.add(code, self.subset.path, item, f"{name} {error}")
            return None


def _annotation_faults(value: Json) -> Iterator[Fault]:
    yield from field_faults("annotations", value)
    yield from value_faults(value)
    invisible = value.get("invisible_mask")
    if invisible is not None and (text := form_problem(invisible)):
        yield Fault("invisible-wrong", ("invisible_mask",), f"invisible_mask {text}")


def _name(listed: Item) -> str:
    """What an item is called: by its id, or by its offset where it has none."""
    number = listed.value.get("id")
    place = f"{number}" if is_whole(number) else f"at byte {listed.offset}"
    return f"{SINGULAR[listed.section]} {place}"


def _whole(value: Json, name: str) -> int | None:
    number = value.get(name)
    return number if is_whole(number) else None
