"""Frames of whatever a caller tracks: a video by its name, or arrays."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from numbers import Integral
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vatrack.common.arguments import check_number, check_type
from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.video.frames import DEFAULT_RATE, Selection, VideoFrame, check_array, check_size
from vatrack.video.reader import Reader
from vatrack.video.sources import Source, find_sources


def exact_rate(rate: float | None) -> Fraction | None:
    """A frame rate as a fraction; raises InputError where it is none."""
    if rate is None:
        return None
    check_number("the frame rate", rate)
    if not 0.001 <= rate <= 1000:
        raise InputError(f"the frame rate is {rate}; it must be 0.001 to 1000 frames per second")
    # Of a NumPy number a fraction would not be one, or have NumPy's integers, which overflow.
    exact = rate if isinstance(rate, Fraction) else float(rate)
    return Fraction(exact).limit_denominator(10_000)


def check_rate(rate: Fraction | float | None, sources: Sequence[Source]) -> None:
    """Raises InputError where a rate is given, but all sources have times of their own."""
    if rate is not None and not any(source.form == "frames" for source in sources):
        raise InputError(
            f"the frame rate, {float(rate):g}, has no effect, because {sources[0].name} has times "
            "of its own; remove --fps (in Python rate)"
        )


def frames_of(
    video: str | Path | int | Iterable[npt.NDArray[np.uint8]],
    selection: Selection | None,
    rate: Fraction | None,
) -> Iterable[VideoFrame]:
    """The wanted frames of a video; the arguments are those of `Predictor.track`.

    Raises:
        InputError: the source cannot be read or names several videos, or an array is no frame.
    """
    if selection is not None:
        check_type("selection", selection, Selection)
    check_type("the video", video, str, os.PathLike, Integral, Iterable)
    if isinstance(video, str) or not isinstance(video, Iterable):
        sources = find_sources([video])
        if len(sources) > 1:
            raise InputError(
                f"{video}: matches {counted(len(sources), 'video')}; track them one by one"
            )
        check_rate(rate, sources)
        return _closed_after(Reader(sources[0], selection, rate))
    if isinstance(video, np.ndarray) and video.ndim == 3:
        raise InputError(f"an array {list(video.shape)} is one frame; give a list: [frame]")
    return _arrays(video, selection or Selection(), rate or DEFAULT_RATE)


def _closed_after(reader: Reader) -> Iterator[VideoFrame]:
    with reader as frames:
        yield from frames


def _arrays(
    images: Iterable[npt.NDArray[np.uint8]], selection: Selection, rate: Fraction
) -> Iterator[VideoFrame]:
    """Frames that the caller may overwrite when the next one is asked for."""
    size: tuple[int, ...] = ()
    index = -1
    for number, image in enumerate(images):
        check_array(f"frame {number}", image)
        size = size or image.shape
        check_size(f"frame {number}", image.shape, size)
        time_s = float(number / rate)
        place = selection.place(time_s)
        if place > 0:
            return
        index += place == 0
        if place == 0 and index % selection.step == 0:
            yield VideoFrame(index, time_s, image.copy())
