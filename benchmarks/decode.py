"""Reading the frames of a video, and scoring their content changes (`vatrack cuts score`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from benchmarks.made.video import write_video
from benchmarks.measure import Case, Subject, Watch, Work
from vatrack.common.images import read_image
from vatrack.sailvos.content import read_images
from vatrack.sailvos.cuts import score_video_file


def cases(size: str) -> list[Case]:
    """BMP, as SAIL-VOS has it, and PNG."""
    frames, width, height = {
        "tiny": (4, 96, 64),
        "small": (20, 640, 400),
        "full": (100, 1280, 800),
    }[size]
    options = {"frames": frames, "width": width, "height": height}
    return [
        Case(suffix, frames, ("plain", "fast"), options=options | {"suffix": suffix})
        for suffix in ("bmp", "png")
    ]


def make(case: Case, folder: Path) -> None:
    """The video of a case."""
    size = case.options["width"], case.options["height"]
    write_video(folder, case.options["frames"], case.options["suffix"], size)


def prepare(_: Case, folder: Path, way: str) -> Work:
    """A round decodes the video, then scores it from the files on."""
    cv2.setNumThreads(1)
    paths = sorted((folder / "raw" / "video" / "images").iterdir())

    def work(watch: Watch) -> Sequence[float]:
        with watch.stage("decode"):
            for _ in map(read_image, paths) if way == "plain" else read_images(paths):
                pass
        with watch.stage("cut scores"):
            if way == "plain":
                return list(plain_scores(paths))
            scored = score_video_file(
                folder / "raw", folder / "index.json", "video", folder / "scores.json"
            )
            return scored.scores

    return work


def plain_scores(paths: Iterable[Path]) -> Iterator[float]:
    """Content change between frames (spec 1.3), frame by frame with whole arrays."""
    before: np.ndarray | None = None
    for path in paths:
        now = cv2.cvtColor(read_image(path), cv2.COLOR_RGB2HSV).astype(np.int32)
        if before is not None:
            yield float(np.abs(now - before).mean(axis=(0, 1)).mean())
        before = now


SUBJECT = Subject(
    about="Reading the frames of a video, and scoring their content changes.",
    unit="frame",
    plain="OpenCV decodes every frame; whole arrays are compared in NumPy",
    cases=cases,
    prepare=prepare,
    make=make,
    tolerance=1e-9,
)
