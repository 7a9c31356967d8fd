"""What is read of a video: frames, what is known of their source, and which are wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt

from vatrack.common.arguments import check_number, check_type, make_plain
from vatrack.common.errors import InputError

DEFAULT_RATE = Fraction(25)  # frames a second, where files or a device say nothing
RESTART = 1.0  # seconds; where times fall back by more, another recording begins


@dataclass(frozen=True)
class VideoFrame:
    """One frame.

    Attributes:
        index: its number, from 0 at the first frame that is at or after the start.
        time_s: seconds since the beginning of the source.
        image: uint8 [H, W, 3] BGR, upright.
    """

    index: int
    time_s: float
    image: npt.NDArray[np.uint8]


@dataclass
class Properties:
    """What is known of a source; the counts grow while it is read.

    Attributes:
        width, height: of the upright frames, in pixels.
        rate: average frames a second.
        rotation: degrees that frames were turned by, counter-clockwise; `mirrored`: left and
            right were exchanged before.
        pixel_aspect: width over height of a pixel of the upright frames.
        parts: of each recording that was joined to one, when it begins, and the time stamp of its
            first frame in the source, both in seconds.
        count_header: frames that the file claims; None where it says nothing.
        duration_s: length in seconds that the file claims, or None.
        count_read: frames that were decoded.
        damaged: packets that could not be decoded.
        truncated: the source ended before its time, or was damaged.
    """

    source: str
    form: str
    width: int
    height: int
    rate: Fraction
    rotation: int = 0
    mirrored: bool = False
    pixel_aspect: Fraction = Fraction(1)
    parts: list[tuple[float, float]] = field(default_factory=lambda: [(0.0, 0.0)])
    count_header: int | None = None
    duration_s: float | None = None
    codec: str | None = None
    pixel_format: str | None = None
    audio: bool = False
    count_read: int = 0
    damaged: int = 0
    truncated: bool = False
    notes: list[str] = field(default_factory=list)


def comparable(time_s: float) -> float:
    """A time in whole microseconds, because differences of time stamps are inexact: "from 3 s" has
    the frame at 2.9999999999999996 s."""
    return round(time_s, 6)


def begins_again(time_s: float, last_s: float, first_s: float, slack_s: float) -> bool:
    """Whether times fall back so far that another recording begins: by more than a second, or to
    where this one began.

    Args:
        last_s: the last time; `first_s`: the first one of this recording.
        slack_s: by how much times that are out of order may fall back.
    """
    back_s = last_s - time_s
    return back_s > RESTART or (back_s > slack_s and time_s < first_s + slack_s)


@dataclass(frozen=True)
class Selection:
    """Selection of frames.

    Attributes:
        start_s: start time in seconds; its frame is the first.
        stop_s: end time in seconds, whose frame is left out; None: the end.
        step: every n-th frame.

    Raises:
        InputError: a time is negative or infinite, the end is not after the start, or the step is
            below 1.

    Example:
        ```python
        third = vatrack.Selection(start_s=60.0, stop_s=90.0, step=3)
        ```
    """

    start_s: float = 0.0
    stop_s: float | None = None
    step: int = 1

    def __post_init__(self) -> None:
        check_number("the start time", self.start_s)
        if self.stop_s is not None:
            check_number("the end time", self.stop_s)
        check_type("the frame step", self.step, Integral)
        if not 0 <= self.start_s < float("inf"):
            raise InputError(f"the start time is {self.start_s} s; it must be 0 or more")
        if self.stop_s is not None and not self.stop_s > self.start_s:
            raise InputError(
                f"the end time, {self.stop_s} s, is not after the start time, {self.start_s} s; "
                "choose a later one"
            )
        if self.step < 1:
            raise InputError(f"the frame step is {self.step}; it must be 1 or more")
        make_plain(self)

    def place(self, time_s: float) -> int:
        """Where a frame is: -1 before the start, 1 at or after the end, else 0."""
        if comparable(time_s) < comparable(self.start_s):
            return -1
        return int(self.stop_s is not None and comparable(time_s) >= comparable(self.stop_s))


def check_array(frame: str, image: Any) -> None:
    """Raises InputError where an image is not uint8 [H, W, 3].

    Args:
        frame: what it is called in the message.
    """
    if not (isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3
            and image.shape[2] == 3 and image.size):  # fmt: skip
        found = type(image).__name__
        if isinstance(image, np.ndarray):
            found = f"{image.dtype} {list(image.shape)}"
        raise InputError(f"{frame}: is {found}; it must be uint8 [H, W, 3] in BGR")


def check_size(frame: str, shape: Sequence[int], first: Sequence[int]) -> None:
    """Checks that a frame has the size of the first one.

    Args:
        frame: what it is called in the message.
        shape, first: of both, with height and width in front.

    Raises:
        InputError: it has another size.
    """
    if tuple(shape[:2]) != tuple(first[:2]):
        raise InputError(
            f"{frame}: is {shape[1]} x {shape[0]} pixels, the first frame is {first[1]} x "
            f"{first[0]}; give frames of one size"
        )
