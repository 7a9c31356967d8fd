"""Where videos are cut into clips: content scores and the dictionary of clips (spec 1.3, 1.4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from vatrack.common.counted import counted
from vatrack.common.errors import ConfigError, InputError
from vatrack.common.files import require_json, write_json
from vatrack.common.progress import progress
from vatrack.common.value_files import read_json
from vatrack.config.dataset import ClipsConfig
from vatrack.data.known_forms import INDEX, SCORES, wants
from vatrack.sailvos.content import Image, read_images, score_frames
from vatrack.sailvos.index import (
    check_video,
    listed_frames,
    output_of_one,
    output_of_several,
    read_index,
)
from vatrack.sailvos.layout import CLIP_MARK, list_videos, safe_name
from vatrack.sailvos.structure import read_structure, source_video, usable_clips

# A cut needs more than this many frames after it (spec 1.3).
FRAMES_AFTER_CUT = 5
DETECT_FIX = "create it with `vatrack cuts score`"


@dataclass(frozen=True)
class Clip:
    """Frames start .. stop - 1 of a video's annotated frames."""

    name: str
    start: int
    stop: int


@dataclass(frozen=True)
class Scored:
    """What `score_video_file` has measured: `frames` of `video`, one score less than frames."""

    video: str
    frames: int
    scores: tuple[float, ...]

    def __str__(self) -> str:
        highest = f"highest score {max(self.scores):.1f}" if self.scores else "nothing to score"
        return f"{self.video}: {counted(self.frames, 'frame')}, {highest}"


@dataclass(frozen=True)
class Structured:
    """What `write_structure` has written: clips with their frames, cut from so many videos."""

    out: Path
    clips: int
    frames: int
    videos: int

    def __str__(self) -> str:
        return (
            f"{counted(self.clips, 'clip')} with {counted(self.frames, 'frame')} from "
            f"{counted(self.videos, 'video')} in {self.out}"
        )


def score_video_file(raw: Path, index: Path, video: str, out: Path, threads: int = 1) -> Scored:
    """Writes the content scores of one video (spec 1.3): `{"video", "frames", "scores"}`.

    `scores[k - 1]` is the change between frames k - 1 and k.

    A video of the raw tree that has no annotations gets an empty list. Frames are read one after
    the other; memory does not grow with their number, only with that of the threads.

    Args:
        threads: threads that work side by side; the scores are the same for any number.

    Raises:
        InputError: no such video, or a frame that is missing, broken or of another size than the
            annotations say. Or `out` is a folder.
    """
    out = output_of_one(Path(out), video, ".json")
    require_json(out, "the scores are")
    return _score_video(raw, index, listed_frames(raw, index), video, out, threads)


def score_videos(
    raw: Path, index: Path, videos: Sequence[str], out: Path, threads: int = 1
) -> Iterator[Scored]:
    """`score_video_file` for several videos: `<video>.json` in the folder `out`.

    Args:
        videos: their names; none: all of the raw tree.

    Raises:
        InputError: see `score_video_file`; the videos before are written. Or `out` is the name of a
            score file.
    """
    out = output_of_several(Path(out), {".json"})
    listed = listed_frames(raw, index)
    for video in videos or list_videos(raw):
        yield _score_video(raw, index, listed, video, out / f"{video}.json", threads)


def _score_video(
    raw: Path,
    index: Path,
    videos: Mapping[str, Mapping[str, Any]],
    video: str,
    out: Path,
    threads: int,
) -> Scored:
    """Writes the scores of a video; `videos`: the content of `index`."""
    check_video(video, raw, index, videos)
    frames: list[dict[str, Any]] = videos[video]["frames"] if video in videos else []
    folder = Path(raw) / safe_name(video, str(index)) / "images"

    paths = [folder / safe_name(frame["file"], str(index)) for frame in frames]

    sizes = [(frame["width"], frame["height"]) for frame in frames]
    for path, size in zip(paths, sizes, strict=True):
        if size != sizes[0]:
            raise InputError(
                f"{path}: is {size[0]} x {size[1]} pixels, but the first frame of its video is "
                f"{sizes[0][0]} x {sizes[0][1]}; correct the annotations"
            )

    def read(numbers: range) -> Iterator[Image]:
        return read_images((paths[k] for k in numbers), (sizes[k] for k in numbers))

    own_threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # the threads are ours, see score_frames
    try:
        scores = list(
            progress(score_frames(len(frames), read, threads), video, max(0, len(frames) - 1))
        )
    finally:
        cv2.setNumThreads(own_threads)
    write_json(out, {"video": video, "frames": len(frames), "scores": scores})
    return Scored(video, len(frames), tuple(scores))


def find_cuts(video: str, scores: Sequence[float], threshold: float, min_frames: int) -> list[Clip]:
    """Cuts a video where the content changes (spec 1.3).

    Interior clips are named by the index of the frame after them, the last one by its own last
    frame (quirk D2); the last score is never looked at (quirk D3). A video of one frame is one clip
    (the published code loses it, quirk D4).

    Args:
        video: name of the video.
        scores: scores[k - 1] between annotated frames k - 1 and k.
        threshold: lowest score that cuts.
        min_frames: frames that a clip has at least before a cut.
    """
    last = len(scores)
    clips: list[Clip] = []
    start = 0
    for k in range(1, last):
        if scores[k - 1] >= threshold and k - start >= min_frames and last - k > FRAMES_AFTER_CUT:
            clips.append(Clip(f"{video}{CLIP_MARK}{k}", start, k))
            start = k
    return [*clips, Clip(f"{video}{CLIP_MARK}{last}", start, last + 1)]


def write_structure(
    clips: ClipsConfig, index: Path, scores_dir: Path | None, out: Path
) -> Structured:
    """Writes the dictionary of clips: name to sorted file names, as published (spec 1.4).

    `detect` reads `<scores_dir>/<video>.json`; `whole` makes one clip of each video; a path names a
    dictionary of the published form, whose empty clips and names without `__` are left-overs and
    are ignored (quirk D7).

    Raises:
        InputError: missing or foreign score files; a dictionary that does not cover exactly the
            annotated frames.
    """
    require_json(Path(out), "the clip dictionary is")
    if scores_dir is not None and clips.structure != "detect":
        raise ConfigError(
            "dataset.clips.structure",
            f"is {clips.structure}, so that --scores has no effect; remove it, or use detect",
        )
    videos = read_index(index)
    files = {name: [frame["file"] for frame in video["frames"]] for name, video in videos.items()}
    if clips.structure == "whole":
        structure = {name: sorted(names) for name, names in files.items() if names}
    elif clips.structure == "detect":
        if scores_dir is None:
            raise InputError(
                "clips.structure is detect; give the folder of score files with --scores"
            )
        structure = {}
        for name, names in files.items():
            if not names:
                continue
            scores = read_scores(Path(scores_dir) / f"{name}.json", name, len(names))
            for clip in find_cuts(name, scores, clips.threshold, clips.min_frames):
                structure[clip.name] = sorted(names[clip.start : clip.stop])
    else:
        structure = usable_clips(read_structure(Path(clips.structure)))
        _check_cover(structure, files, Path(clips.structure))
    if not structure:
        raise InputError(f"{index}: contains no annotated frames; {INDEX.give}")
    write_json(out, structure)
    lengths = [len(names) for names in structure.values()]
    return Structured(out, len(lengths), sum(lengths), len(files))


@wants(path=SCORES)
def read_scores(path: Path, video: str, frames: int) -> list[float]:
    """The content scores of a video of so many annotated frames, from `score_video_file`.

    Raises:
        InputError: not the scores of this video, or of another number of frames.
    """
    data = read_json(path)
    if (
        not isinstance(data, dict)
        or data.get("video") != video
        or not isinstance(data.get("scores"), list)
    ):
        raise InputError(f"{path}: not the content scores of {video}; {DETECT_FIX}")
    if len(data["scores"]) != max(0, frames - 1):
        found = f"{counted(len(data['scores']), 'score')}, but {counted(frames, 'frame')}"
        raise InputError(f"{path}: {found} of {video} are annotated; {DETECT_FIX}")
    for number, score in enumerate(data["scores"], start=1):
        # A content score is a mean of differences of 8 bits.
        if type(score) not in (float, int) or not 0 <= score <= 255:
            raise InputError(
                f"{path}: score {number} is {score!r:.40}, not a number from 0 to 255; {DETECT_FIX}"
            )
    return list(data["scores"])


def _check_cover(structure: dict[str, list[str]], files: dict[str, list[str]], path: Path) -> None:
    """Every file is an annotated frame, and every annotated frame is in exactly one clip."""
    # Compared without suffix: the frames of a converted tree are .png, the dictionary says .bmp.
    left = {video: {Path(name).stem for name in names} for video, names in files.items()}
    for clip, names in structure.items():
        video = source_video(clip)
        if video not in left:
            raise InputError(
                f"{path}: clip {clip}: {video} is not an annotated video; unpack it and use "
                "annotations that list it, or use a dictionary without it"
            )
        stems = {Path(name).stem for name in names}
        if not stems <= left[video]:
            wrong = min(stems - left[video])
            raise InputError(
                f"{path}: clip {clip}: frame {wrong} is not an annotated frame of {video}, or is "
                "in two clips; use a dictionary for this data"
            )
        left[video] -= stems
    for video, stems in left.items():
        if stems:
            raise InputError(
                f"{path}: frame {min(stems)} of {video} ({len(stems)} in total) is in no clip; use "
                "the complete dictionary"
            )
