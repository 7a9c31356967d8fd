"""Videos that are tracked to files, and what is in the files."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import av

from vatrack.api.predictor import Predictor
from vatrack.api.settings import Tracked, TrackSettings
from vatrack.api.track import track_videos
from vatrack.video.reader import Reader
from vatrack.video.sources import find_sources

ROOT = Path(__file__).parents[2]
FILES = [
    "frames.json", "inference.yaml", "overlay.mp4", "predictions.jsonl", "run.yaml", "tracks.csv",
]  # fmt: skip


def run(predictor: Predictor, source: Path | str, out: Path, **given: Any) -> Tracked:
    (tracked,) = track_videos(predictor, [source], out, TrackSettings(**given))
    return tracked


def times(path: Path) -> list[float]:
    with Reader(find_sources([str(path)])[0]) as reader:
        return [round(frame.time_s, 3) for frame in reader]


def sound_seconds(path: Path) -> float:
    with av.open(str(path)) as file:
        if not file.streams.audio:
            return 0.0
        packets = list(file.demux(file.streams.audio[0]))
        return max(float(item.pts * item.time_base) for item in packets if item.pts is not None)


def left(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir()) if folder.exists() else []


def no_threads() -> bool:
    return not {item.name for item in threading.enumerate()} & {"read ahead", "write behind"}
