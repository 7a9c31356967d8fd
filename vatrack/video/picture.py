"""What decoded frames say of themselves: which side is up, and what of them is not used."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import av.video.frame
    import av.video.stream

HDR = {16: "PQ", 18: "HLG"}  # values of the transfer characteristic
SQUARE = 0.01  # a pixel is called square where its sides differ by no more than this share


def unused(
    frame: av.video.frame.VideoFrame,
    stream: av.video.stream.VideoStream,
    aspect: Fraction,
    address: str,
) -> Iterator[str]:
    """Notes on what of a stream's frames is not used.

    Args:
        frame: the first one; `aspect`: width over height of an upright pixel.
        address: what the notes call the source.
    """
    if abs(aspect - 1) > SQUARE:
        yield (
            f"{address}: its pixels are not square ({aspect.numerator}:{aspect.denominator}); "
            "frames are used as they are stored"
        )
    if frame.color_trc in HDR:
        yield f"{address}: HDR colours ({HDR[frame.color_trc]}) are used without tone mapping"
    elif any(component.bits > 8 for component in frame.format.components):
        yield f"{address}: only the upper 8 bits of its colours are used"
    # VP8 and VP9 keep alpha beside the frames, where FFmpeg's own decoders do not look.
    if _has_alpha(frame) or stream.metadata.get("alpha_mode") == "1":
        yield f"{address}: its alpha channel is ignored"


def orientation(frame: av.video.frame.VideoFrame) -> tuple[int, bool]:
    """Quarter turns counter-clockwise that make a frame upright, and whether left and right are to
    be exchanged before. (FFmpeg's own angle takes a mirror for a half turn.)"""
    known: Any = frame.side_data  # PyAV declares another type
    data = known.get("DISPLAYMATRIX")
    if data is None:
        return 0, False
    (a, b, _), (c, d, _), _ = np.frombuffer(bytes(data), np.int32).reshape(3, 3).tolist()
    mirrored = a * d < b * c
    if mirrored:
        a, b = -a, -b
    return round(-math.degrees(math.atan2(b, a)) / 90) % 4, mirrored


def _has_alpha(frame: av.video.frame.VideoFrame) -> bool:
    return any(component.is_alpha for component in frame.format.components)
