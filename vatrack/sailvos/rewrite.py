"""Official annotations, piece by piece, as texts of the forms and of the tracks of clips.

These functions run in the processes of `vatrack.sailvos.convert`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import orjson

from vatrack.common.errors import InputError
from vatrack.common.json_lists import Texts
from vatrack.common.json_types import Json
from vatrack.common.mask_types import MASK_TYPES, MaskType
from vatrack.data.fields import flag, rate, read_masks
from vatrack.data.forms import FORMS, form_maker
from vatrack.data.video_ground_truth import video_ground_truth
from vatrack.sailvos.official import MASKS
from vatrack.sailvos.regroup import regroup


@dataclass(frozen=True)
class Settings:
    """What the rewriting needs to know, apart from the annotations themselves."""

    official: Path  # as the user knows it
    plain: Path  # the same, not packed
    categories: dict[int, int]
    joint_box: str


@dataclass(frozen=True)
class Piece:
    """Annotations to rewrite.

    Attributes:
        texts: offset and length of each in the file, in bytes.
        numbers: new `video_id` and `instance_id` of each.
        sizes: height and width of the image of each, pixels.
        images: only for tracks: the frames of the clip.
    """

    texts: list[tuple[int, int]]
    numbers: list[tuple[int, int]]
    sizes: list[tuple[int, int]]
    images: list[Json]


def _read(piece: Piece, settings: Settings) -> list[Json]:
    """The annotations of a piece under their new numbers."""
    texts = Texts(settings.plain)
    items = []
    for (offset, length), (clip, instance) in zip(piece.texts, piece.numbers, strict=True):
        item = regroup(texts.load(offset, length), clip, instance)
        item["category_id"] = settings.categories[item["category_id"]]
        item["occlude_rate"] = rate(item["occlude_rate"])
        if "iscrowd" in item:
            item["iscrowd"] = int(flag(item, "iscrowd"))
        items.append(item)
    _make_masks_canonical(items, piece, settings)
    return items


def _make_masks_canonical(items: list[Json], piece: Piece, settings: Settings) -> None:
    """Writes masks of any form as canonical codes; refuses those that do not fill their image."""
    for key in MASKS:
        names = [f"{settings.official}: annotation {item['id']}: {key}" for item in items]
        try:
            counts, _ = read_masks([item[key] for item in items], piece.sizes, names)
        except InputError as error:
            raise InputError(f"{error}; see `vatrack validate`") from None
        for item, text, size in zip(items, counts, piece.sizes, strict=True):
            code = {"size": list(size), "counts": text.decode()}
            if item[key] != code:
                item[key] = code


def forms_of(piece: Piece, settings: Settings) -> dict[str, list[bytes]]:
    """The annotations of a piece as texts of each of the four forms."""
    items = _read(piece, settings)
    makers = {form: form_maker(form, settings.joint_box) for form in FORMS}
    return {form: [orjson.dumps(make(item)) for item in items] for form, make in makers.items()}


def tracks_of(piece: Piece, settings: Settings) -> dict[MaskType, list[bytes]]:
    """The tracks of one clip as texts without ids."""
    joint = form_maker("joint", "amodal")
    items = [joint(item) for item in _read(piece, settings)]
    clip = {
        "categories": [],
        "videos": [{"id": piece.images[0]["video_id"]}],
        "images": piece.images,
        "annotations": items,
    }
    found = {}
    for mask_type in MASK_TYPES:
        # Which annotations count is decided already, so nothing is left out here.
        try:
            tracks = video_ground_truth(clip, mask_type, float("inf"))["annotations"]
        except InputError as error:
            raise InputError(f"{settings.official}: {error}; see `vatrack validate`") from None
        found[mask_type] = [
            orjson.dumps({key: value for key, value in track.items() if key != "id"})
            for track in tracks
        ]
    return found
