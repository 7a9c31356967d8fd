"""What a JSON file is that was given in place of another one, for messages.

A file is looked at only where its reader has refused something: so a sound file is never refused
for what it looks like, and a damaged one keeps the reader's own message.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from vatrack.common.errors import InputError
from vatrack.common.json_stream import JsonFault, JsonStream
from vatrack.common.text_files import open_source

LONGEST_LINE = 1 << 20  # bytes that are read of a line
LOOKED_AT = 1000  # annotations

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Kind:
    """A sort of file: `what` it is, with its article, and what to `give` where it is wanted.

    `vague`: anything may look like it; only said where predictions are wanted, whose reader looks
    at lines.
    """

    what: str
    give: str = ""
    vague: bool = False


JOINT = Kind(
    "an annotation file in the joint form",
    "give joint.json from `vatrack convert` or `vatrack prepare`, or your own (docs/formats.md)",
)
TRACKS = Kind(
    "a file of tracks for the video metrics",
    "give video_amodal.json or video_visible.json from `vatrack convert` or `vatrack prepare`, or "
    "leave the option out",
)
OFFICIAL = Kind(
    "an official SAIL-VOS annotation file",
    "give train.json or valid.json of the download, or of `vatrack annotate`",
)
INDEX = Kind("a frame index", "give the file from `vatrack index`")
STRUCTURE = Kind("a clip dictionary", "give the file from `vatrack cuts structure`")
PREDICTIONS = Kind(
    "a file of predictions",
    "give JSON Lines (one prediction per line) or a JSON array of predictions (docs/formats.md)",
)
SCORES = Kind("a file of content scores", "give the file from `vatrack cuts score`")
METRICS = Kind("a file of metrics")
DETAILS = Kind(
    "a file of metrics by class and video", "give the file from `vatrack evaluate --details`"
)
LISTING = Kind("a list of frames without annotations")
AMODAL = Kind("an annotation file in the form amodal.json")
COCO = Kind("a COCO results file (convert it with `vatrack import-predictions`)")
OVER_LINES = Kind("JSON with objects over several lines", vague=True)


def wants(**wanted: Kind | tuple[Kind, ...]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Makes a function that refuses its input say so where a file is of another kind.

    Args:
        wanted: by parameter the kind of its file, the first of several being the one that messages
            name. A parameter may also hold several files, or a mapping to some, or None.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return function(*args, **kwargs)
            except InputError:
                given = inspect.signature(function).bind(*args, **kwargs).arguments
                for name, kinds in wanted.items():
                    for path in _paths(given.get(name)):
                        _refuse_other(path, kinds if isinstance(kinds, tuple) else (kinds,))
                raise

        return checked

    return decorate


def _paths(value: Any) -> Iterator[Path]:
    if isinstance(value, str | Path):
        yield Path(value)
    elif isinstance(value, Mapping | Iterable):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _paths(item)


def _refuse_other(path: Path, kinds: tuple[Kind, ...]) -> None:
    found, wanted = kind_of(path), kinds[0]
    if found is not None and found not in kinds and (wanted == PREDICTIONS or not found.vague):
        raise InputError(f"{path}: is {found.what}, not {wanted.what}; {wanted.give}") from None


def kind_of(path: Path) -> Kind | None:
    """What a JSON file (optionally gzip) plainly is; None where it is missing, damaged or unknown.

    It is read up to its first annotations at most.
    """
    if not path.is_file():
        return None
    try:
        with open_source(path) as stream:
            found = _kind(JsonStream(stream))
            stream.seek(0)
            line = stream.readline(LONGEST_LINE)
            over_lines = line.lstrip()[:1] == b"{" and line.count(b"{") > line.count(b"}")
            return OVER_LINES if over_lines and found == PREDICTIONS else found
    except (InputError, JsonFault, OSError):
        return None


def _kind(stream: JsonStream) -> Kind | None:
    if stream.next() == "[":
        stream.take("[")
        return None if stream.next() == "]" else _of_detection(stream.value())
    names: dict[str, Any] = {}  # with the first item of a list, else with the value
    stream.take("{")
    while stream.next() != "}":
        if names:
            stream.take(",")
        key = stream.value()
        if not isinstance(key, str):
            return None
        stream.take(":")
        names[key] = None
        for number, item in enumerate(_items(stream)):
            if number == 0:
                names[key] = item
            if (number == 0 or key == "annotations") and (found := _of_item(key, item)):
                return found
            if key == "annotations" and number == LOOKED_AT:
                return None
    stream.take("}")
    if stream.next() == "{":  # the first of several lines
        return _of_detection(names)
    return _of_names(names)


def _items(stream: JsonStream) -> Iterator[Any]:
    """The items of a list, or else the value alone."""
    if stream.next() != "[":
        yield stream.value()
        return
    stream.take("[")
    if stream.next() == "]":
        stream.take("]")
        return
    while True:
        yield stream.value()
        if stream.take(",]") == "]":
            return


def _of_item(key: str, item: Any) -> Kind | None:
    """What an item of a list of this name tells, or the value of this name."""
    if isinstance(item, str) and item.lower().endswith((".bmp", ".png", ".jpg", ".jpeg")):
        return STRUCTURE
    if not isinstance(item, Mapping):
        return None
    if isinstance(item.get("frames"), list) and "name" in item:
        return INDEX
    if key != "annotations":
        return None
    if "segmentations" in item:
        return TRACKS
    if "image_id" not in item:
        return None
    if "amodal_mask" in item:
        return JOINT
    if "obj_id" in item and "video_id" not in item:
        return OFFICIAL
    visible, other = item.get("visible_mask"), item.get("segmentation")
    if visible is not None and "obj_id" not in item and other in (None, [visible]):
        return JOINT
    # Both are equal while nothing is hidden, and in files that have visible masks alone.
    converted = isinstance(other, Mapping) and {"video_id", "instance_id"} <= item.keys()
    return AMODAL if converted and visible is not None and other != visible else None


def _of_names(names: Mapping[str, Any]) -> Kind | None:
    """What the names in a whole object tell."""
    if {"video", "frames", "scores"} <= names.keys():
        return SCORES
    if "per_video" in names:
        return DETAILS
    if names and all(name.count("/") == 2 for name in names):
        return METRICS
    if {"images"} <= names.keys() <= {"images", "videos", "categories", "info", "licenses"}:
        return LISTING
    if found := _of_detection(names):
        return found
    shown = ", ".join(f"`{name}`" for name in list(names)[:4]) + ", ..." * (len(names) > 4)
    return Kind(f"one JSON object (keys: {shown or 'none'})", vague=True)


def _of_detection(item: Any) -> Kind | None:
    if not isinstance(item, Mapping) or not {"image_id", "category_id", "score"} <= item.keys():
        return None
    return COCO if "segmentation" in item else PREDICTIONS
