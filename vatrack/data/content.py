"""How much the picture changes from one frame to the next (spec 1.3), and reading the frames fast enough for it."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from vatrack.data.sailvos import read_image

Picture = npt.NDArray[np.uint8]
# Rows that are worked on at a time: so few that they stay in the processor's cache from one step to the next.
BAND = 100


def content_scores(pictures: Iterable[Picture], threads: int = 1) -> Iterator[float]:
    """Content change between consecutive pictures (spec 1.3), one value for each but the first.

    The mean over H, S and V of the mean absolute difference; hue runs 0..179 and does not wrap around. The published code
    converts RGB pictures as if they were BGR (quirk D1), which is done here too: hues are mirrored.

    Args:
        pictures: uint8 [H, W, 3] BGR, all of one size. At most two are needed at a time.
        threads: threads that share the work on a picture; with more than one, the next picture is read meanwhile. The
            scores are the same for any number.

    Raises:
        ValueError: pictures of different sizes.
    """
    source = iter(pictures)
    picture = next(source, None)
    previous = spare = None
    upside_down = False
    with ThreadPoolExecutor(max(1, threads - 1)) as pool:
        while picture is not None:
            # Scores do not depend on the order of the rows: they are taken as they lie in memory, if all frames lie so.
            if (picture.strides[0] < 0) != upside_down:
                upside_down = not upside_down
                previous = None if previous is None else np.ascontiguousarray(previous[::-1])
            if upside_down:
                picture = picture[::-1]
            if previous is not None and picture.shape != previous.shape:
                raise ValueError(f"pictures of {previous.shape[1::-1]} and {picture.shape[1::-1]} pixels cannot be compared")
            current = np.empty(picture.shape, np.uint8) if spare is None else spare
            work = (picture, current, previous, iter(range(0, len(picture), BAND)))
            if threads > 1:
                first = pool.submit(_next_and_change, source, *work)
                others = [pool.submit(_change, *work) for _ in range(threads - 2)]
                total = _change(*work) + sum(other.result() for other in others)
                upcoming, rest = first.result()
                total += rest
            else:
                total = _change(*work)
                upcoming = next(source, None)
            if previous is not None:
                hue, saturation, value = (total / (picture.shape[0] * picture.shape[1])).tolist()
                yield (hue + saturation + value) / 3
            picture, previous, spare = upcoming, current, previous


def content_score(previous: Picture, current: Picture) -> float:
    """Content change between two pictures; see `content_scores`."""
    return next(content_scores([previous, current]))


def _next_and_change(
    source: Iterator[Picture], picture: Picture, current: Picture, previous: Picture | None, tops: Iterator[int]
) -> tuple[Picture | None, npt.NDArray[np.float64]]:
    return next(source, None), _change(picture, current, previous, tops)


def _change(picture: Picture, current: Picture, previous: Picture | None, tops: Iterator[int]) -> npt.NDArray[np.float64]:
    """Fills bands of `current` with H, S, V of `picture`; returns their summed differences to `previous`, [3].

    `tops` are the first rows of the bands; threads that share them take turns.
    """
    total = np.zeros(3)
    difference = np.empty((BAND, *picture.shape[1:]), np.uint8)
    for top in tops:
        band = current[top : top + BAND]
        # BGR read as RGB is the same mistake as RGB read as BGR.
        cv2.cvtColor(picture[top : top + BAND], cv2.COLOR_RGB2HSV, dst=band)
        if previous is not None:
            changed = cv2.absdiff(band, previous[top : top + BAND], dst=difference[: len(band)])
            total += cv2.sumElems(changed)[:3]  # whole numbers far below 2^53: exact in any order
    return total


def read_pictures(paths: Iterable[Path]) -> Iterator[Picture]:
    """Reads frames one after the other: uint8 [H, W, 3] BGR. Takes the same files as `read_image`.

    A picture may be overwritten as soon as the next but one is asked for.

    Raises:
        InputError: see `read_image`.
    """
    buffers = [np.empty(0, np.uint8), np.empty(0, np.uint8)]
    for number, path in enumerate(paths):
        picture, buffers[number % 2] = _read_bitmap(path, buffers[number % 2])
        yield read_image(path) if picture is None else picture


def _read_bitmap(path: Path, buffer: Picture) -> tuple[Picture | None, Picture]:
    """The pixels of a plain BMP as they lie in the file, which costs a third of decoding it, and the buffer that holds them.

    None: the file is not of that kind, or not whole, or missing; `read_image` takes it or says what is wrong.
    """
    try:
        with Path(path).open("rb", buffering=0) as stream:
            head = stream.read(54)
            if len(head) < 54 or head[:2] != b"BM":
                return None, buffer
            start, header = struct.unpack_from("<II", head, 10)
            width, height, planes, depth, packing = struct.unpack_from("<iihhI", head, 18)
            # 24 bits a pixel, not packed, rows without padding: what SAIL-VOS has.
            plain = header >= 40 and (planes, depth, packing) == (1, 24, 0) and width > 0 and width % 4 == 0 and height != 0
            size = 3 * width * abs(height)
            if not plain or start < 14 + header or stream.seek(0, 2) < start + size:
                return None, buffer
            if len(buffer) != size:
                buffer = np.empty(size, np.uint8)
            stream.seek(start)
            if stream.readinto(buffer.data) != size:
                return None, buffer
    except OSError:
        return None, buffer
    picture = buffer.reshape(abs(height), width, 3)
    return picture[::-1] if height > 0 else picture, buffer
