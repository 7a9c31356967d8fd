"""Content scores are the same for any file format, order of rows and number of threads."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from vatrack.common.errors import InputError
from vatrack.common.images import ImageArray, read_image
from vatrack.sailvos import content
from vatrack.sailvos.content import (
    content_scores,
    read_images,
    score_frames,
)

HEIGHT, WIDTH = 230, 16  # three bands of rows, the last one not full


def test_content_scores_of_the_specification() -> None:
    """Spec 9.7: hues are mirrored, as in the published code."""
    first, second = (
        np.array([pixels], np.uint8)[..., ::-1].copy()
        for pixels in ([(10, 200, 30), (250, 40, 60)], [(12, 180, 90), (200, 90, 60)])
    )
    assert list(content_scores([first, second, second])) == pytest.approx([21.6667, 0], abs=1e-4)


def expected_scores(images: list[ImageArray]) -> list[float]:
    """Spec 1.3 step by step, in whole numbers."""
    found = []
    previous = None
    for image in images:
        rgb = image[..., ::-1].copy()
        hsv = cv2.cvtColor(rgb, cv2.COLOR_BGR2HSV).astype(np.int32)
        if previous is not None:
            sums = np.abs(hsv - previous).sum(axis=(0, 1))
            found.append(sum(int(value) / (hsv.shape[0] * hsv.shape[1]) for value in sums) / 3)
        previous = hsv
    return found


@pytest.fixture(scope="module")
def images() -> list[ImageArray]:
    rng = np.random.default_rng(4)
    return [rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8) for _ in range(9)]


def test_scores_of_the_definition(images: list[ImageArray]) -> None:
    assert list(content_scores(images)) == expected_scores(images)
    assert list(content_scores(images[:1])) == list(content_scores([])) == []


def test_scores_do_not_depend_on_the_order_of_rows_in_memory(images: list[ImageArray]) -> None:
    turned = [
        np.ascontiguousarray(image[::-1])[::-1] if k % 3 else image
        for k, image in enumerate(images)
    ]
    assert list(content_scores(turned)) == expected_scores(images)


def test_images_of_two_sizes_are_refused(images: list[ImageArray]) -> None:
    with pytest.raises(ValueError, match="cannot be compared"):
        list(content_scores([images[0], images[1][:-1]]))


def test_an_image_is_needed_only_until_the_next_one(images: list[ImageArray]) -> None:
    """What `read_images` promises is enough."""

    def one_buffer() -> Iterator[ImageArray]:
        buffer = np.empty_like(images[0])
        for image in images:
            np.copyto(buffer, image)
            yield buffer

    assert list(content_scores(one_buffer())) == expected_scores(images)


@pytest.mark.parametrize("piece", [2, 3, 250])
@pytest.mark.parametrize("threads", [1, 2, 3, 20])
def test_scores_do_not_depend_on_threads(
    images: list[ImageArray], threads: int, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "PIECE", piece)
    expected = expected_scores(images)
    for count in range(len(images) + 1):
        read: list[int] = []

        def frames(numbers: range, read: list[int] = read) -> Iterator[ImageArray]:
            for number in numbers:
                read.append(number)
                yield images[number]

        assert list(score_frames(count, frames, threads)) == expected[: max(0, count - 1)]
        # Few frames are read twice.
        assert set(read) == set(range(count))
        assert len(read) <= count + max(0, len(expected) // piece + threads)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_failing_reader_ends_the_scores(images: list[ImageArray], threads: int) -> None:
    def frames(numbers: range) -> Iterator[ImageArray]:
        for number in numbers:
            if number == 2:
                raise InputError("frame 2 is broken")
            yield images[number]

    before = threading.active_count()
    with pytest.raises(InputError, match="frame 2 is broken"):
        list(score_frames(len(images), frames, threads))
    assert threading.active_count() == before


def write_bmp(
    path: Path, image: ImageArray, *, top_down: bool = False, depth: int = 24, header: int = 40
) -> None:
    """An uncompressed BMP, by the format's definition and not by OpenCV."""
    height, width = image.shape[:2]
    rows = image if top_down else image[::-1]
    if depth == 32:
        rows = np.dstack([rows, np.full((height, width, 1), 255, np.uint8)])
    elif depth == 8:
        rows = rows[..., :1]
    row_bytes = -(-width * depth // 32) * 4
    data = b"".join(row.tobytes().ljust(row_bytes, b"\0") for row in rows)
    palette = b"".join(bytes((grey, grey, grey, 0)) for grey in range(256)) if depth == 8 else b""
    start = 14 + header + len(palette)
    info = struct.pack(
        "<IiihhIIiiII",
        header,
        width,
        -height if top_down else height,
        1,
        depth,
        0,
        len(data),
        0,
        0,
        0,
        0,
    )
    path.write_bytes(
        struct.pack("<2sIHHI", b"BM", start + len(data), 0, 0, start)
        + info.ljust(header, b"\0")
        + palette
        + data
    )


@pytest.mark.parametrize(
    ("width", "settings"),
    [
        (16, {}),
        (16, {"top_down": True}),
        (16, {"header": 124}),  # the later version of the header
        (15, {}),  # padded rows
        (1, {}),
        (16, {"depth": 32}),
        (16, {"depth": 8}),
    ],
)
def test_bmp_variants_are_read_as_opencv_reads_them(
    width: int, settings: dict, tmp_path: Path
) -> None:
    rng = np.random.default_rng(7)
    path = tmp_path / "000000.bmp"
    written = rng.integers(0, 256, (9, width, 3), dtype=np.uint8)
    if settings.get("depth") == 8:
        written[...] = written[..., :1]
    write_bmp(path, written, **settings)
    (found,) = read_images([path])
    assert np.array_equal(found, written)
    assert np.array_equal(found, read_image(path))


def test_all_formats_in_one_video(images: list[ImageArray], tmp_path: Path) -> None:
    paths = []
    for k, image in enumerate(images):
        path = tmp_path / f"{k:06d}.{'png' if k % 4 == 2 else 'bmp'}"
        if k % 4 == 1:
            write_bmp(path, image, top_down=True)
        else:
            assert cv2.imwrite(str(path), image)
        paths.append(path.with_suffix(".bmp"))  # also where only the PNG is there
    assert list(content_scores(read_images(paths))) == expected_scores(images)


@pytest.mark.parametrize("length", [0, 1, 20, 53, 54, 60, -1])
def test_a_damaged_frame_is_named(images: list[ImageArray], length: int, tmp_path: Path) -> None:
    path = tmp_path / "000001.bmp"
    write_bmp(path, images[0])
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(InputError, match=r"000001\.bmp"):
        list(read_images([path]))
    path.unlink()
    with pytest.raises(InputError, match=r"000001\.bmp: no such frame"):
        list(read_images([path]))
