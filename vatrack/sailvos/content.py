"""Content change from one frame to the next (spec 1.3), and reading frames fast enough for it."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path

import cv2
import numpy as np

from vatrack.common.images import ImageArray, read_image

# Rows that are worked on at a time: so few that they stay in the processor's cache from one step to
# the next.
BAND = 100
# Frames that a thread scores at a time; it reads one more, the frame before them.
PIECE = 250


def content_scores(images: Iterable[ImageArray]) -> Iterator[float]:
    """Content change between consecutive images (spec 1.3), one value for each but the first.

    The mean over H, S and V of the mean absolute difference; hue runs 0..179 and does not wrap
    around. The published code converts RGB images as if they were BGR (quirk D1), which is done
    here too: hues are mirrored.

    Args:
        images: uint8 [H, W, 3] BGR, all of one size. Only one is needed at a time.

    Raises:
        ValueError: images of different sizes.
    """
    previous: ImageArray | None = None
    current = difference = np.empty(0, np.uint8)
    upside_down = False
    for image in images:
        # Scores do not depend on the order of the rows: they are taken as they lie in memory, if
        # all frames lie so.
        if (image.strides[0] < 0) != upside_down:
            upside_down = not upside_down
            previous = None if previous is None else np.ascontiguousarray(previous[::-1])
        pixels = image[::-1] if upside_down else image
        if previous is not None and pixels.shape != previous.shape:
            raise ValueError(
                f"images of {previous.shape[1::-1]} and {pixels.shape[1::-1]} pixels cannot be "
                f"compared"
            )
        if current.shape != pixels.shape:
            current, difference = (
                np.empty(pixels.shape, np.uint8),
                np.empty((BAND, *pixels.shape[1:]), np.uint8),
            )
        total = np.zeros(3)
        for top in range(0, len(pixels), BAND):
            band = current[top : top + BAND]
            # BGR read as RGB is the same mistake as RGB read as BGR.
            cv2.cvtColor(pixels[top : top + BAND], cv2.COLOR_RGB2HSV, dst=band)
            if previous is not None:
                changed = cv2.absdiff(band, previous[top : top + BAND], dst=difference[: len(band)])
                total += cv2.sumElems(changed)[
                    :3
                ]  # whole numbers far below 2^53: exact in any order
        if previous is not None:
            hue, saturation, value = (total / (pixels.shape[0] * pixels.shape[1])).tolist()
            yield (hue + saturation + value) / 3
        # Two buffers take turns: fresh ones of this size would cost more than the work in them.
        previous, current = (
            current,
            np.empty(pixels.shape, np.uint8) if previous is None else previous,
        )


def score_frames(
    count: int, read: Callable[[range], Iterable[ImageArray]], threads: int = 1
) -> Iterator[float]:
    """The content scores of a video of `count` frames, in order, by several threads.

    Args:
        read: reads the frames of these numbers one after the other; called by several threads.
        threads: threads that work side by side; the scores are the same for any number.
    """
    rounds = -(-count // (threads * PIECE))
    length = max(1, -(-count // (threads * max(1, rounds))))
    starts = range(1, count, length)
    if threads == 1 or len(starts) <= 1:
        yield from content_scores(read(range(count)))
        return
    with ThreadPoolExecutor(threads) as pool:

        def piece(start: int) -> list[float]:
            return list(content_scores(read(range(start - 1, min(start + length, count)))))

        pieces = [pool.submit(piece, start) for start in starts]
        try:
            for scores in pieces:
                yield from scores.result()
        finally:
            pool.shutdown(cancel_futures=True)


def read_images(
    paths: Iterable[Path], sizes: Iterable[tuple[int, int] | None] = repeat(None)
) -> Iterator[ImageArray]:
    """Reads frames one after the other: uint8 [H, W, 3] BGR, the same pixels as `read_image`.

    An image may be overwritten as soon as the next one is asked for.

    Args:
        sizes: width and height of each frame, as its annotation says; None: unknown.

    Raises:
        InputError: see `read_image`.
    """
    buffer = np.empty(0, np.uint8)
    for path, size in zip(paths, sizes, strict=False):
        image, buffer = _read_bitmap(path, buffer)
        usable = image is not None and size in (None, image.shape[1::-1])
        yield image if image is not None and usable else read_image(path, size)


def _read_bitmap(path: Path, buffer: ImageArray) -> tuple[ImageArray | None, ImageArray]:
    """The pixels of a plain BMP as they lie in the file, and the buffer that holds them.

    It costs a third of decoding.

    None: the file is no plain BMP, or not whole, or missing; `read_image` takes it or says what
    is wrong.
    """
    try:
        with Path(path).open("rb", buffering=0) as stream:
            head = stream.read(54)
            if len(head) < 54 or head[:2] != b"BM":
                return None, buffer
            start, header = struct.unpack_from("<II", head, 10)
            width, height, planes, depth, packing = struct.unpack_from("<iihhI", head, 18)
            # 24 bits a pixel, not packed, rows without padding: what SAIL-VOS has.
            plain = (
                header >= 40
                and (planes, depth, packing) == (1, 24, 0)
                and width > 0
                and width % 4 == 0
                and height != 0
            )
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
    image = buffer.reshape(abs(height), width, 3)
    return image[::-1] if height > 0 else image, buffer
