"""The index: which frames of which video are annotated, and that their files exist."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vatrack.common.errors import InputError
from vatrack.common.files import read_json, write_json
from vatrack.common.images import SUFFIXES
from vatrack.sailvos.layout import list_videos
from vatrack.sailvos.official import image_file, read_official, video_name

FRAME_FIELDS = {"file", "frame_id", "image_id", "width", "height"}


@dataclass(frozen=True)
class Indexed:
    """What `build_index` has written: the file, and videos and annotated frames by subset."""

    out: Path
    videos: dict[str, int]
    frames: dict[str, int]

    def __str__(self) -> str:
        counts = [
            f"{number} {subset} videos with {self.frames[subset]}"
            for subset, number in self.videos.items()
        ]
        return f"indexed {', '.join(counts)} annotated frames in {self.out}"


def build_index(raw: Path, official: Mapping[str, Path], out: Path) -> Indexed:
    """Lists the annotated frames of every video and checks that their files exist.

    Writes `{subset: [{"name", "frames": [{"file", "frame_id", "image_id", "width", "height"}]}]}`,
    videos in the order of the annotations, frames by `frame_id`.

    Raises:
        InputError: a folder or frame is missing, frame ids have gaps, a video is in two subsets, or
            bad annotations.
    """
    raw = Path(raw)
    present = set(list_videos(raw))
    index: dict[str, list[dict[str, Any]]] = {}
    owner: dict[str, str] = {}
    for subset, path in official.items():
        data = read_official(path)
        frames: dict[str, list[dict[str, Any]]] = {
            video_name(video, path): [] for video in data.videos
        }
        for image in data.images:
            name, file = image_file(image, path)
            frame = {"file": file, "frame_id": image["frame_id"], "image_id": image["id"]}
            frames[name].append({**frame, "width": image["width"], "height": image["height"]})
        index[subset] = []
        for name, listed in frames.items():
            if name in owner:
                raise InputError(
                    f"{path}: video {name} is also in the {owner[name]} annotations; it belongs to "
                    f"one subset"
                )
            owner[name] = subset
            if name not in present:
                raise InputError(
                    f"{raw / name / 'images'}: no such folder, but {path} lists it; unpack that "
                    f"video"
                )
            listed.sort(key=lambda frame: frame["frame_id"])
            _check_frames(raw / name / "images", listed, path)
            index[subset].append({"name": name, "frames": listed})
    write_json(out, index)
    return Indexed(
        out,
        {subset: len(videos) for subset, videos in index.items()},
        {subset: sum(len(v["frames"]) for v in videos) for subset, videos in index.items()},
    )


def _check_frames(folder: Path, frames: list[dict[str, Any]], path: Path) -> None:
    """Frame ids run from 0 without a gap (quirk D4), and every file is there."""
    for number, frame in enumerate(frames):
        if frame["frame_id"] != number:
            raise InputError(
                f"{path}: video {folder.parent.name}: frame_id {number} is missing or occurs twice"
            )
    files = {item.name for item in folder.iterdir()}
    stems = {Path(file).stem for file in files if Path(file).suffix in SUFFIXES}
    missing = [
        frame["file"]
        for frame in frames
        if frame["file"] not in files and Path(frame["file"]).stem not in stems
    ]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(
            f"{folder / missing[0]}{more}: no such frame, but {path} lists it; unpack that video "
            f"again"
        )


def read_index(path: Path) -> dict[str, dict[str, Any]]:
    """Reads an index: `{video: {"name", "frames"}}`, all subsets in one, in order.

    Raises:
        InputError: not an index.
    """
    data = read_json(path)
    try:
        videos = {
            video["name"]: {"name": video["name"], "frames": list(video["frames"])}
            for subset in data.values()
            for video in subset
        }
        if not all(
            frame.keys() >= FRAME_FIELDS and isinstance(frame["file"], str)
            for video in videos.values()
            for frame in video["frames"]
        ):
            raise KeyError("frames")
        return videos
    except (AttributeError, KeyError, TypeError):
        raise InputError(f"{path}: not an index; make it with `vatrack index`") from None
