"""The raw SAIL-VOS download on disk: its layout, its pictures, its official annotations (spec 1.1, 1.2)."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vatrack.errors import InputError
from vatrack.files import read_json, write_json

# In every video the first and last frames have no annotation: annotation frame k is file k + FRAMES_BEFORE.
FRAMES_BEFORE = 3
FRAMES_AFTER = 6
# Parts the name of a clip from its source video; no video has it in its name (spec 1.4).
CLIP_MARK = "__"
# Raw frames are BMP; trees in which they were converted are read just as well.
SUFFIXES = (".bmp", ".png")

_FIELDS: dict[str, frozenset[str]] = {
    "categories": frozenset({"id", "name"}),
    "videos": frozenset(),
    "images": frozenset({"id", "file_name", "frame_id", "width", "height"}),
    "annotations": frozenset(
        {"id", "image_id", "category_id", "bbox", "bbox_visible", "segmentation", "visible_mask", "area", "area_visible"}
        | {"occlude_rate", "obj_id"}
    ),
}


def list_videos(raw: Path) -> list[str]:
    """The names of the video folders (those with `images/`), sorted.

    Raises:
        InputError: `raw` is not a folder or holds no video.
    """
    raw = Path(raw)
    if not raw.is_dir():
        raise InputError(f"{raw}: no such folder; the raw download is needed there (one folder per video)")
    videos = sorted(entry.name for entry in raw.iterdir() if (entry / "images").is_dir())
    if not videos:
        raise InputError(f"{raw}: no video folder (one with images/ in it); unpack the raw download there")
    return videos


def safe_name(name: object, what: str) -> str:
    """`name` itself when it is safe as the name of one file or folder.

    Raises:
        InputError: it is not text, empty, absolute, `.` or `..`, or has a path separator or control character in it.
    """
    if not isinstance(name, str) or name in ("", ".", "..") or not name.isprintable() or set(name) & set("/\\:"):
        raise InputError(f"{what}: {name!r} cannot be the name of a file or folder; correct it")
    return name


def existing_image(path: Path) -> Path:
    """`path`, or the same name with the other suffix (.bmp, .png) where only that exists.

    Raises:
        InputError: neither exists, or the suffix is another one.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: frames are {' or '.join(SUFFIXES)} files; convert it, or correct its name")
    if path.is_file():
        return path
    for suffix in SUFFIXES:
        if path.with_suffix(suffix).is_file():
            return path.with_suffix(suffix)
    raise InputError(f"{path}: no such frame; unpack or copy it again")


def check_image(path: Path) -> None:
    """Checks that a BMP or PNG file is whole, from its header and size, without decoding it.

    OpenCV fills the missing part of a truncated picture with grey and says nothing.

    Raises:
        InputError: the file is missing, empty, cut off, or neither BMP nor PNG.
    """
    try:
        with Path(path).open("rb") as stream:
            head = stream.read(54)
            size = stream.seek(0, 2)
            stream.seek(max(0, size - 16))
            tail = stream.read()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); unpack or copy it again") from None
    again = "unpack or copy it again"
    if size == 0:
        raise InputError(f"{path}: is empty; {again}")
    if head[:2] == b"BM":
        if len(head) < 54:
            raise InputError(f"{path}: cut off inside the BMP header ({size} bytes); {again}")
        whole, start = struct.unpack_from("<I4xI", head, 2)
        width, height, _, depth, packing = struct.unpack_from("<iihHI", head, 18)
        # Uncompressed rows are padded to four bytes; only for packed pictures must the header's own size be believed.
        needed = whole if packing in (1, 2) else start + (abs(width) * depth + 31) // 32 * 4 * abs(height)
        if size < needed:
            raise InputError(f"{path}: cut off, {size} of {needed} bytes are there; {again}")
    elif head[:8] == b"\x89PNG\r\n\x1a\n":
        if b"IEND" not in tail:
            raise InputError(f"{path}: cut off, its PNG data has no end; {again}")
    else:
        raise InputError(f"{path}: is neither a BMP nor a PNG picture; {again}")


def read_image(path: Path) -> npt.NDArray[np.uint8]:
    """Reads a frame: uint8 [H, W, 3], BGR. Takes the same name with .png for .bmp, or the reverse, where only that exists.

    Raises:
        InputError: the frame is missing, empty, cut off, or not a BMP or PNG picture.
    """
    path = existing_image(path)
    check_image(path)
    picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise InputError(f"{path}: cannot be decoded; unpack or copy it again")
    return np.asarray(picture, np.uint8)


def video_name(video: Mapping[str, Any], path: Path) -> str:
    """The name of an official video entry, under `name` or `vid_name` (quirk D11), checked for safety."""
    names = {video[key] for key in ("name", "vid_name") if video.get(key) is not None}
    if len(names) != 1:
        found = f"two names, {sorted(map(str, names))}" if names else "no name"
        raise InputError(f"{path}: video {video.get('id')} has {found}; give it one, as `name` or `vid_name`")
    name = safe_name(names.pop(), f"{path}: video {video.get('id')}")
    if CLIP_MARK in name:
        raise InputError(f"{path}: video {name!r} has {CLIP_MARK!r} in its name, which parts clips from videos; rename it")
    return name


def image_place(image: Mapping[str, Any], path: Path) -> tuple[str, str]:
    """Video and bare file name of an official image entry, `<video>/images/<file>`."""
    parts = str(image["file_name"]).split("/")
    if len(parts) != 3 or parts[1] != "images":
        raise InputError(f"{path}: image {image['id']}: file_name {image['file_name']!r} is not <video>/images/<file>")
    what = f"{path}: image {image['id']}"
    return safe_name(parts[0], what), safe_name(parts[2], what)


def read_official(path: Path) -> dict[str, Any]:
    """Reads official annotations (spec 1.2) and checks their form.

    Raises:
        InputError: not JSON to the end, a list or field is missing, an id occurs twice, an image or annotation points at
            nothing, or a name is unsafe.
    """
    path = Path(path)
    data = read_json(path)
    if not isinstance(data, dict):
        raise InputError(f"{path}: not official annotations (a JSON object with {', '.join(_FIELDS)} is needed)")
    data.setdefault("models", [])
    for key in ("models", *_FIELDS):
        if not isinstance(data.get(key), list) or not all(isinstance(item, dict) for item in data[key]):
            raise InputError(f"{path}: its list `{key}` is missing or is not a list of objects; fetch the file again")
    for key, fields in _FIELDS.items():
        for item in data[key]:
            if not fields <= item.keys():
                missing = ", ".join(sorted(fields - item.keys()))
                raise InputError(f"{path}: {key}, id {item.get('id')}: lacks {missing}; fetch the file again")
    for key in ("categories", "images", "annotations"):
        repeated = [value for value, times in Counter(item["id"] for item in data[key]).items() if times > 1]
        if repeated:
            raise InputError(f"{path}: {key}: id {repeated[0]} occurs more than once; ids must be unique")
    names = [video_name(video, path) for video in data["videos"]]
    if len(set(names)) != len(names):
        raise InputError(f"{path}: videos: the name {Counter(names).most_common(1)[0][0]!r} occurs more than once")
    known = set(names)
    for image in data["images"]:
        if image_place(image, path)[0] not in known:
            raise InputError(f"{path}: image {image['id']}: its video is not in the list of videos ({image['file_name']})")
    images = {image["id"] for image in data["images"]}
    for annotation in data["annotations"]:
        if annotation["image_id"] not in images:
            raise InputError(f"{path}: annotation {annotation['id']}: its image {annotation['image_id']} is not in the file")
    return data


def build_index(raw: Path, official: Mapping[str, Path], out: Path) -> str:
    """Lists the annotated frames of every video and checks that their files exist.

    Writes `{subset: [{"name", "frames": [{"file", "frame_id", "image_id", "width", "height"}]}]}`, videos in the order of
    the annotations, frames by `frame_id`.

    Returns:
        A summary line.

    Raises:
        InputError: a folder or frame is missing, frame ids have gaps, a video is in two subsets, or bad annotations.
    """
    raw = Path(raw)
    present = set(list_videos(raw))
    index: dict[str, list[dict[str, Any]]] = {}
    owner: dict[str, str] = {}
    for subset, path in official.items():
        data = read_official(path)
        frames: dict[str, list[dict[str, Any]]] = {video_name(video, path): [] for video in data["videos"]}
        for image in data["images"]:
            name, file = image_place(image, path)
            entry = {"file": file, "frame_id": image["frame_id"], "image_id": image["id"]}
            frames[name].append({**entry, "width": image["width"], "height": image["height"]})
        index[subset] = []
        for name, entries in frames.items():
            if name in owner:
                raise InputError(f"{path}: video {name} is also in the {owner[name]} annotations; it belongs to one subset")
            owner[name] = subset
            if name not in present:
                raise InputError(f"{raw / name / 'images'}: no such folder, but {path} lists it; unpack that video")
            entries.sort(key=lambda entry: entry["frame_id"])
            _check_frames(raw / name / "images", entries, path)
            index[subset].append({"name": name, "frames": entries})
    write_json(out, index)
    counts = [f"{len(videos)} {subset} videos with {sum(len(v['frames']) for v in videos)}" for subset, videos in index.items()]
    return f"indexed {', '.join(counts)} annotated frames in {out}"


def _check_frames(folder: Path, entries: list[dict[str, Any]], path: Path) -> None:
    """Frame ids run from 0 without a gap (quirk D4), and every file is there."""
    for place, entry in enumerate(entries):
        if entry["frame_id"] != place:
            raise InputError(f"{path}: video {folder.parent.name}: frame_id {place} is missing or occurs twice")
    files = {item.name for item in folder.iterdir()}
    stems = {Path(file).stem for file in files if Path(file).suffix in SUFFIXES}
    missing = [entry["file"] for entry in entries if entry["file"] not in files and Path(entry["file"]).stem not in stems]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(f"{folder / missing[0]}{more}: no such frame, but {path} lists it; unpack that video again")


def read_index(path: Path) -> dict[str, dict[str, Any]]:
    """Reads an index: `{video: {"name", "frames"}}`, all subsets in one, in order.

    Raises:
        InputError: not an index.
    """
    data = read_json(path)
    try:
        return {
            video["name"]: {"name": video["name"], "frames": list(video["frames"])}
            for subset in data.values()
            for video in subset
        }
    except (AttributeError, KeyError, TypeError):
        raise InputError(f"{path}: not an index; make it with `vatrack index`") from None
