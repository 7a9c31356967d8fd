"""Frames, times and damage of videos."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from tests.video.videos import number_of, sample_image, served, set_matrix, turn, write_video
from vatrack.common.errors import InputError
from vatrack.video.frames import Properties, Selection, VideoFrame
from vatrack.video.reader import Reader
from vatrack.video.sources import find_sources


def read(
    path: Path | str, selection: Selection | None = None, rate: Fraction | None = None
) -> tuple[list[VideoFrame], Properties]:
    with Reader(find_sources([str(path)])[0], selection, rate) as reader:
        return list(reader), reader.properties


def numbers(frames: list[VideoFrame]) -> list[int]:
    return [number_of(frame.image) for frame in frames]


def test_each_frame_has_its_own_time(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.5, 0.52, 1.7, 1.74]
    frames, found = read(write_video(tmp_path / "v.mp4", times))
    assert [round(frame.time_s, 3) for frame in frames] == times
    assert numbers(frames) == [frame.index for frame in frames] == list(range(6))
    assert (found.width, found.height, found.count_header, found.count_read) == (64, 48, 6, 6)
    assert not found.truncated


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_the_rotation_flag_is_obeyed(tmp_path: Path, degrees: int) -> None:
    path = write_video(tmp_path / "v.mp4", 2)
    turn(path, degrees)
    frames, found = read(path)
    upright = np.rot90(sample_image(0), -degrees // 90)
    assert frames[0].image.shape == upright.shape
    assert (found.height, found.width) == upright.shape[:2]
    assert (found.rotation + degrees) % 360 == 0
    assert np.abs(frames[0].image.astype(int) - upright).mean() < 6


@pytest.mark.parametrize(
    ("name", "settings", "note"),
    [
        ("v.mkv", {"size": (47, 63), "form": "yuv444p"}, None),
        ("v.mp4", {"form": "gray"}, None),
        ("v.mp4", {"form": "yuv420p10le"}, "upper 8 bits"),
        ("v.mp4", {"form": "yuv420p10le", "colours": 18}, r"HDR colours \(HLG\)"),
        ("v.mov", {"codec": "png", "form": "rgba"}, "alpha channel is ignored"),
        ("v.avi", {"codec": "mjpeg", "form": "yuvj420p", "container": "avi"}, None),
        ("v.ts", {"container": "mpegts"}, None),
        # Forms in which streams are found late: PyAV could crash.
        ("v.flv", {"codec": "flv"}, None),
        ("v.mpg", {"codec": "mpeg2video"}, None),
        ("v.webm", {"codec": "libvpx-vp9"}, None),
        ("v.webm", {"codec": "libvpx-vp9", "form": "yuva420p"}, "alpha channel is ignored"),
    ],
)
def test_forms_of_video(tmp_path: Path, name: str, settings: dict, note: str | None) -> None:
    frames, found = read(write_video(tmp_path / name, 9, **settings))
    assert numbers(frames) == list(range(9))
    assert {frame.image.shape for frame in frames} == {(*settings.get("size", (48, 64)), 3)}
    assert found.rate == 25
    assert not found.truncated
    if note is None:
        assert found.notes == []
    else:
        (line,) = found.notes
        assert re.search(note, line)


@pytest.mark.parametrize(
    ("matrix", "turned"),
    [
        ((-1, 0, 0, 1), np.fliplr),
        ((1, 0, 0, -1), np.flipud),
        ((0, 1, 1, 0), lambda image: image.transpose(1, 0, 2)),
        ((0, -1, -1, 0), lambda image: np.rot90(image, 2).transpose(1, 0, 2)),
        ((0.01, 1, -1, 0.01), lambda image: np.rot90(image, 3)),  # to the nearest quarter
    ],
)
def test_a_mirrored_frame_is_no_turned_one(tmp_path: Path, matrix: Any, turned: Any) -> None:
    path = write_video(tmp_path / "v.mp4", 2)
    set_matrix(path, *matrix)
    frames, found = read(path)
    upright = turned(sample_image(0))
    assert frames[0].image.shape == upright.shape == (found.height, found.width, 3)
    assert np.abs(frames[0].image.astype(int) - upright).mean() < 6
    assert found.notes == []


@pytest.mark.parametrize(("degrees", "aspect"), [(0, Fraction(2)), (90, Fraction(1, 2))])
def test_pixels_that_are_not_square(tmp_path: Path, degrees: int, aspect: Fraction) -> None:
    path = write_video(tmp_path / "v.mp4", 2, aspect=Fraction(2))
    turn(path, degrees)
    _, found = read(path)
    assert found.pixel_aspect == aspect
    (note,) = found.notes
    assert f"not square ({aspect.numerator}:{aspect.denominator}); frames are used as" in note


def test_of_several_video_streams_the_first_is_used(tmp_path: Path) -> None:
    path = tmp_path / "v.mkv"
    with av.open(str(path), "w") as out:
        for size in ((48, 64), (96, 128)):
            stream: Any = out.add_stream("mpeg4", rate=25)
            stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        for number in range(3):
            for stream in out.streams.video:
                image = sample_image(number, (stream.height, stream.width))
                out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
    frames, found = read(path)
    assert (len(frames), found.width, found.codec) == (3, 64, "mpeg4")
    assert found.notes == [f"{path}: has 2 video streams; only the first is used"]


def test_one_frame(tmp_path: Path) -> None:
    frames, _ = read(write_video(tmp_path / "v.mp4", 1))
    assert numbers(frames) == [0]


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(), range(40)),
        (Selection(step=7), range(0, 40, 7)),
        (Selection(start_s=0.4, stop_s=0.8), range(10, 20)),
        (Selection(start_s=1.2, step=3), range(30, 40, 3)),  # from a key frame
    ],
)
def test_a_selection(tmp_path: Path, selection: Selection, expected: range) -> None:
    path = write_video(tmp_path / "v.mp4", 40)
    with Reader(find_sources([str(path)])[0], selection) as reader:
        guess = reader.expected()
        frames = list(reader)
    assert numbers(frames) == list(expected)
    assert [frame.time_s for frame in frames] == pytest.approx([n / 25 for n in expected])
    assert [frame.index for frame in frames] == [n - expected[0] for n in expected]
    assert guess is not None
    assert abs(guess - len(expected)) <= 1


@pytest.mark.parametrize(("name", "rate"), [("v.mkv", 25), ("v.mp4", 30), ("frames", 30)])
def test_a_selection_is_exact_whatever_the_time_stamps(
    tmp_path: Path, name: str, rate: int
) -> None:
    """Time stamps begin at any number, so that differences of them are inexact; and thirds of a
    second are no decimal fractions, also where a user has typed six digits of them."""
    if name == "frames":
        (tmp_path / name).mkdir()
        for number in range(60):
            cv2.imwrite(str(tmp_path / name / f"{number}.png"), sample_image(number))
    else:
        write_video(tmp_path / name, [0.08 + number / rate for number in range(60)])
    for first in range(1, 55, 3):
        start, stop = first / rate, (first + 5) / rate
        for digits in (6, 16):
            selection = Selection(round(start, digits), round(stop, digits))
            given = Fraction(rate) if name == "frames" else None
            frames, _ = read(tmp_path / name, selection, given)
            assert numbers(frames) == list(range(first, first + 5))


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("v.ts", {}),  # a jump leads behind the frame
        ("v.h264", {}),  # no times in it
        ("v.mpg", {"codec": "mpeg2video"}),  # other times after a jump
        ("v.mp4", {"codec": "mpeg4", "options": {"g": "20", "bf": "2"}}),  # needs an earlier frame
        ("v.mkv", {"options": {"g": "30", "bf": "3"}}),
    ],
)
def test_a_start_time_leads_to_the_same_frames_in_every_form(
    tmp_path: Path, name: str, settings: dict
) -> None:
    path = write_video(tmp_path / name, 100, **settings)
    whole = [(frame.time_s, number_of(frame.image)) for frame in read(path)[0]]
    assert [number for _, number in whole] == list(range(100))
    for start_s in (1.5, 2.0, 2.02, 3.3):
        frames, found = read(path, Selection(start_s))
        given = [(frame.time_s, number_of(frame.image)) for frame in frames]
        assert given == [item for item in whole if item[0] >= start_s]
        assert (found.truncated, found.notes) == (False, [])


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ({"start_s": 3.0}, r"no frames between .* \(it lasts 0\.48 s\);"),
        ({"start_s": -1.0}, "the start time is -1"),
        ({"start_s": 2.0, "stop_s": 1.0}, r"end time, 1\.0 s, is not after the start time"),
        ({"step": 0}, "the frame step is 0; it must be 1 or more"),
        ({"start_s": float("nan")}, "the start time is nan"),
    ],
)
def test_a_selection_of_nothing(tmp_path: Path, selection: dict, message: str) -> None:
    path = write_video(tmp_path / "v.mp4")
    with pytest.raises(InputError, match=message):
        read(path, Selection(**selection))


@pytest.mark.parametrize("front", [True, False])
def test_a_file_that_ends_early(tmp_path: Path, front: bool) -> None:
    """With its index in front, what is there is read; without an index nothing can be."""
    path = write_video(tmp_path / "v.mp4", 80, front=front)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 3 // 4])
    if not front:
        with pytest.raises(InputError, match=r"v\.mp4: has no index .* copy it again, or repair"):
            read(path)
        return
    frames, found = read(path)
    assert 20 < len(frames) < 75
    assert numbers(frames)[:20] == list(range(20))
    assert found.truncated
    assert f"{len(frames)} of 80 frames that could be read" in found.notes[-1]


def test_a_last_frame_that_is_shown_for_long_is_no_damage(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", 80, last_s=9.0)
    for start_s in (0.0, 0.5, 2.0):  # with a jump to a key frame in the last case
        frames, found = read(path, Selection(start_s))
        assert len(frames) == 80 - math.ceil(25 * start_s)
        assert found.duration_s == pytest.approx(12.2, abs=0.1)
        assert (found.truncated, found.notes) == (False, [])


@pytest.mark.parametrize("start_s", [0.4, 1.2])
def test_a_part_of_a_file_that_ends_early(tmp_path: Path, start_s: float) -> None:
    path = write_video(tmp_path / "v.mp4", 80, front=True)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    frames, found = read(path, Selection(start_s))
    assert found.truncated
    assert f"using the {len(frames)} frames that could be read" in found.notes[-1]


@pytest.mark.parametrize("name", ["v.mp4", "v.avi"])
def test_a_file_that_ends_early_between_two_frames(tmp_path: Path, name: str) -> None:
    """No frame is damaged, and after a jump the count tells nothing."""
    settings: dict[str, Any] = {"codec": "mpeg4"} if name == "v.avi" else {"front": True}
    container = "avi" if name == "v.avi" else None
    path = write_video(tmp_path / name, 80, container=container, **settings)
    with av.open(str(path)) as whole:
        last = [packet.pos for packet in whole.demux(video=0) if packet.pos is not None][-30]
    path.write_bytes(path.read_bytes()[:last])
    frames, found = read(path, Selection(1.2))
    assert frames and found.damaged == 0
    assert found.truncated


@pytest.mark.parametrize("start_s", [0.0, 0.5, 2.0])
def test_a_length_in_the_header_that_is_too_long_is_no_damage(
    tmp_path: Path, start_s: float
) -> None:
    """Also after a jump, as in the last case."""
    path = write_video(tmp_path / "v.mp4", 80)
    with Reader(find_sources([str(path)])[0], Selection(start_s)) as reader:
        reader.properties.duration_s = 9.0
        frames = list(reader)
    assert numbers(frames)[-1] == 79
    assert (reader.properties.truncated, reader.properties.notes) == (False, [])


@pytest.mark.parametrize(("name", "known"), [("v.mp4", " of 80"), ("v.mkv", "")])
def test_a_stream_that_breaks_off(tmp_path: Path, name: str, known: str) -> None:
    data = write_video(tmp_path / name, 80, front=name == "v.mp4").read_bytes()
    with served(data) as address:
        frames, found = read(f"http://{address}")
    assert (len(frames), found.truncated, found.notes) == (80, False, [])
    with served(data, len(data) * 3 // 4) as address:
        frames, found = read(f"http://{address}")
    assert 20 < len(frames) < 78
    assert found.truncated
    (note,) = found.notes
    told = rf"^http://{address}: broke off \(.+\); using the {len(frames)}{known} frames that could"
    assert re.search(told, note)


@pytest.mark.parametrize("name", ["v.mkv", "v.webm"])
def test_a_file_without_a_count_that_ends_early(tmp_path: Path, name: str) -> None:
    """Matroska says no number of frames, but its length in bytes."""
    settings = {"codec": "libvpx-vp9"} if name == "v.webm" else {"sound": True}
    path = write_video(tmp_path / name, 80, **settings)
    assert not read(path)[1].truncated
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 3 // 4])
    frames, found = read(path)
    assert 20 < len(frames) < 78
    assert found.truncated
    assert f"{len(frames)} frames that could be read" in found.notes[-1]


def test_an_animated_gif_is_a_video(tmp_path: Path) -> None:
    path = tmp_path / "v.gif"
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("gif", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "gray"
        for number in range(5):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(sample_image(number), format="bgr24")))
        out.mux(stream.encode())
    frames, found = read(path)
    assert numbers(frames) == list(range(5))
    assert not found.truncated


def test_damage_in_the_middle(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", 60, front=True)
    data = bytearray(path.read_bytes())
    begin = data.index(b"mdat") + 4
    middle = (begin + len(data)) // 2
    data[middle : middle + 300] = bytes(300)
    path.write_bytes(data)
    frames, found = read(path)
    assert found.truncated
    assert found.damaged > 0
    assert numbers(frames)[:10] == list(range(10))
    assert number_of(frames[-1].image) == 59
    times = [frame.time_s for frame in frames]
    assert times == sorted(set(times))
    frames, found = read(path, Selection(stop_s=2.0))  # it is told there, too
    assert found.truncated and 0 < len(frames) < 50
    assert f"using the {len(frames)} frames that could be read" in found.notes[-1]
    frames, found = read(path, Selection(stop_s=0.4))
    assert (len(frames), found.truncated, found.notes) == (10, False, [])


def test_the_claimed_number_of_frames_is_a_hint(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", 12)
    data = bytearray(path.read_bytes())
    at = data.index(b"mvhd") + 20  # the length of the whole
    data[at : at + 4] = (99_000).to_bytes(4, "big")
    path.write_bytes(data)
    frames, found = read(path)
    assert len(frames) == found.count_read == 12
    assert not found.truncated


def test_frames_of_a_folder(tmp_path: Path) -> None:
    for number in range(4):
        assert cv2.imwrite(str(tmp_path / f"{number}.png"), sample_image(number))
    frames, found = read(tmp_path, rate=Fraction(10))
    assert numbers(frames) == [0, 1, 2, 3]
    assert [frame.time_s for frame in frames] == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert np.array_equal(frames[2].image, sample_image(2))
    assert found.count_header == 4
    frames, _ = read(tmp_path, Selection(start_s=0.1, step=2), Fraction(10))
    assert numbers(frames) == [1, 3]


@pytest.mark.parametrize(
    ("numbers", "gap"),
    [
        ((0, 1, 2, 4, 5, 9), "2.png and 4.png"),  # as after a copy that was not complete
        ((10, 20, 30, 50), "30.png and 50.png"),
        ((0, 5, 10, 15), None),  # every fifth
        ((7, 19, 22, 61, 90), None),  # times
        ((3,), None),
    ],
)
def test_frames_that_are_missing_are_told(
    tmp_path: Path, numbers: tuple[int, ...], gap: str | None
) -> None:
    for number in numbers:
        assert cv2.imwrite(str(tmp_path / f"{number}.png"), sample_image(number))
    frames, found = read(tmp_path)
    assert [number_of(frame.image) for frame in frames] == list(numbers)
    assert [(gap or "") in note for note in found.notes] == [True] * (gap is not None)


def test_what_of_images_is_not_used_is_told(tmp_path: Path) -> None:
    image = sample_image(0)
    cv2.imwrite(str(tmp_path / "0.png"), image)
    cv2.imwrite(str(tmp_path / "1.png"), image.astype(np.uint16) * 257)
    for number in (2, 3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.dstack([image, image[..., 0]]))
    flag = Image.Exif()
    flag[0x112] = 6
    Image.fromarray(image).save(tmp_path / "4.jpg", exif=flag)
    frames, found = read(tmp_path)
    assert {frame.image.shape for frame in frames} == {image.shape}
    told = [note.removeprefix(f"{tmp_path}/") for note in found.notes]
    assert [note[:32] for note in told] == [
        "1.png: only the upper 8 bits of ",
        "2.png: its alpha channel is igno",
        "4.jpg: its orientation flag is i",
    ]


def test_frames_of_two_sizes_are_refused(tmp_path: Path) -> None:
    for number in range(3):
        size = (48, 64) if number < 2 else (48, 66)
        assert cv2.imwrite(str(tmp_path / f"{number}.png"), sample_image(number, size))
    with pytest.raises(InputError, match=r"2\.png: is 66 x 48 pixels, the first frame is 64 x 48"):
        read(tmp_path)
