"""Predictions of `vatrack track`, whose image ids are the frames of their own video."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.run_files import FRAMES_FILE
from vatrack.common.value_files import read_json
from vatrack.data.fields import is_whole
from vatrack.evaluation.io.ground_truth import Images
from vatrack.evaluation.io.prediction_file import open_predictions


def check_video(predictions: Path, images: Images, names: Mapping[int, Any], truth: str) -> None:
    """Whether a ground truth may be that of the video that predictions were tracked in.

    Other predictions have none of the fields `frame` and `time_s`, or other image ids. A ground
    truth of one video is trusted; of several, the one with these image ids must have the name that
    frames.json beside the predictions has.

    Args:
        images: those of the ground truth; `names`: of its videos, by id; `truth`: that file, for
            messages.

    Raises:
        InputError: it is that of other videos.
    """
    if len(names) < 2 or (frame := _first_frame(predictions)) is None:
        return
    name = _tracked_name(predictions.with_name(FRAMES_FILE))
    row = int(images.index(np.array([frame]))[0])
    if row >= 0 and name is not None and names.get(int(images.video[row])) == name:
        return
    video = "its video" if name is None else f"the video {name}"
    raise InputError(
        f"{predictions}: its image ids are frame numbers of {video} (from `vatrack track`), but "
        f"{truth} has {counted(len(names), 'video')} with ids of their own; create predictions "
        f"with `vatrack predict --frames {truth}`, or give a ground truth of this video alone"
    )


def _first_frame(predictions: Path) -> int | None:
    """The frame of the first prediction, where it is from `vatrack track`."""
    first: Any = None
    with suppress(InputError), open_predictions(predictions) as items:  # others say what is wrong
        first = next((item.value for item in items), None)
    if not isinstance(first, Mapping) or "time_s" not in first:
        return None
    frame = first.get("frame")
    return frame if is_whole(frame) and frame == first.get("image_id") else None


def _tracked_name(path: Path) -> str | None:
    """The name of the only video in a list of frames."""
    document: Any = None
    if path.is_file():
        with suppress(InputError):
            document = read_json(path)
    videos = document.get("videos") if isinstance(document, Mapping) else None
    if not isinstance(videos, list) or len(videos) != 1 or not isinstance(videos[0], Mapping):
        return None
    name = videos[0].get("name")
    return name if isinstance(name, str) else None
