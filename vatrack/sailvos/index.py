"""The index: which frames of which video are annotated, and that their files exist."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.files import require_json, write_json
from vatrack.common.frame_folders import require_frames
from vatrack.common.images import SUFFIXES
from vatrack.common.similar import meant
from vatrack.common.text_files import no_such
from vatrack.common.value_files import read_json
from vatrack.data.fields import first_problem
from vatrack.data.known_forms import INDEX, OFFICIAL, wants
from vatrack.sailvos.layout import is_file, list_folder, list_videos, safe_name
from vatrack.sailvos.official import image_file, read_official, video_name

FRAME_FIELDS = {"file", "frame_id", "image_id", "width", "height"}
REMAKE = "create it with `vatrack index`"


@dataclass(frozen=True)
class Indexed:
    """What `build_index` has written: the file, and videos and annotated frames by subset."""

    out: Path
    videos: dict[str, int]
    frames: dict[str, int]

    def __str__(self) -> str:
        counts = [
            f"{counted(number, f'{subset} video')} with "
            f"{counted(self.frames[subset], 'annotated frame')}"
            for subset, number in self.videos.items()
        ]
        return f"indexed {', '.join(counts)} in {self.out}"


def build_index(raw: Path, official: Mapping[str, Path], out: Path) -> Indexed:
    """Lists the annotated frames of every video and checks that their files exist.

    Writes `{subset: [{"name", "frames": [{"file", "frame_id", "image_id", "width", "height"}]}]}`,
    videos in the order of the annotations, frames by `frame_id`.

    Raises:
        InputError: a folder or frame is missing, frame ids have gaps, a video is in two subsets, or
            bad annotations, or none.
    """
    raw, out = Path(raw), Path(out)
    require_json(out, "the index is")
    present = set(list_videos(raw))
    index: dict[str, list[dict[str, Any]]] = {}
    owner: dict[str, str] = {}
    read = {subset: read_official(path) for subset, path in official.items()}
    if not any(data.images for data in read.values()):
        given = ", ".join(map(str, official.values()))
        raise InputError(f"{given}: contains no images; {OFFICIAL.give}")
    names = (video_name(video, data.path) for data in read.values() for video in data.videos)
    require_frames(raw, names, ", ".join(map(str, official.values())))
    for subset, data in read.items():
        path = official[subset]
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
                    f"{path}: video {name} is also in the {owner[name]} annotations; keep it in "
                    "one subset"
                )
            owner[name] = subset
            folder = raw / name / "images"
            if name not in present:
                raise InputError(
                    f"{folder}: {no_such(folder, 'folder')}, but {path} lists it; unpack that video"
                )
            listed.sort(key=lambda frame: frame["frame_id"])
            _check_frames(folder, listed, path)
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
                f"{path}: video {folder.parent.name}: frame_id {number} is missing or not unique; "
                "download the annotations again"
            )
    files = {item.name for item in list_folder(folder) if is_file(item)}
    stems = {Path(file).stem for file in files if Path(file).suffix in SUFFIXES}
    missing = [
        frame["file"]
        for frame in frames
        if frame["file"] not in files and Path(frame["file"]).stem not in stems
    ]
    if missing:
        first, more = folder / missing[0], f" and {len(missing) - 1} more" * (len(missing) > 1)
        raise InputError(
            f"{first}{more}: {no_such(first, 'frame')}, but {path} lists it; unpack that video "
            "again"
        )


@wants(path=INDEX)
def read_index(path: Path) -> dict[str, dict[str, Any]]:
    """Reads an index: `{video: {"name", "frames"}}`, all subsets in one, in order.

    Raises:
        InputError: not an index, or one with a name that is unsafe or there twice, or a number
            that is none.
    """
    data = read_json(path)
    found: dict[str, dict[str, Any]] = {}
    for subset in data.values() if isinstance(data, dict) else [data]:
        if not isinstance(subset, list):
            raise InputError(f"{path}: not an index; {REMAKE}")
        for video in subset:
            if not isinstance(video, dict) or not isinstance(video.get("frames"), list):
                raise InputError(f"{path}: not an index (a video is {video!r:.40}); {REMAKE}")
            name = safe_name(video.get("name"), f"{path}: video")
            if name in found:
                raise InputError(f"{path}: not an index (video {name} is listed twice); {REMAKE}")
            for frame in video["frames"]:
                _check_frame(frame, f"{path}: video {name}")
            found[name] = {"name": name, "frames": video["frames"]}
    return found


def listed_frames(raw: Path, index: Path) -> dict[str, dict[str, Any]]:
    """`read_index`, for this raw tree.

    Raises:
        InputError: likewise, or the tree has none of its frames.
    """
    videos = read_index(index)
    require_frames(raw, videos, index)
    return videos


def output_of_one(out: Path, video: str, ending: str) -> Path:
    """The file of a single video; refused where it is a folder."""
    if out.is_dir():
        raise InputError(
            f"{out}: is a folder, but --out must be a file with one --video; give "
            f"{out / video}{ending}"
        )
    return out


def output_of_several(out: Path, endings: Collection[str]) -> Path:
    """The folder for the files of several videos; refused where it is named as one of them."""
    if out.suffix.lower() in endings:
        raise InputError(
            f"--out {out}: the name of a file, for several videos; give a folder, or one --video"
        )
    return out


def check_video(video: str, raw: Path, index: Path, listed: Collection[str]) -> None:
    """Refuses the name of a video that is neither in an index nor in the raw tree.

    Args:
        listed: the videos of `index`.

    Raises:
        InputError: as described, with the names that may be meant.
    """
    if video in listed or video in (present := list_videos(raw)):
        return
    hint = meant(video, dict.fromkeys([*listed, *present]), "check the name")
    raise InputError(f"{video}: neither a folder in {raw} nor listed in {index}{hint}")


def _check_frame(frame: object, what: str) -> None:
    """Checks a frame of an index."""
    if not isinstance(frame, dict) or not frame.keys() >= FRAME_FIELDS:
        raise InputError(f"{what}: not an index (a frame is {frame!r:.40}); {REMAKE}")
    file = safe_name(frame["file"], f"{what}: frame")
    if text := first_problem(frame, ("frame_id", "image_id", "width", "height")):
        raise InputError(f"{what}: frame {file}: {text}; {REMAKE}")
