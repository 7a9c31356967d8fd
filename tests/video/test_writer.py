"""Videos that are written: whole, playable, with the times of their frames."""

from __future__ import annotations

import logging
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.video.test_reader import numbers, read
from tests.video.videos import sample_image
from vatrack.common.errors import InputError
from vatrack.video.writer import _ENCODERS, Encoder, VideoWriter

RATE = Fraction(25)


def write(path: Path, times: list[float], size: tuple[int, int] = (48, 64), **more: Any) -> str:
    with VideoWriter(path, size, RATE, **more) as writer:
        for number, time_s in enumerate(times):
            writer.write(sample_image(number, size), time_s)
    return writer.encoder


@pytest.mark.parametrize("encoder", ["openh264", "x264", "vp9"])
def test_times_sizes_and_form(tmp_path: Path, encoder: Encoder) -> None:
    times = [0.0, 0.04, 0.3, 0.34, 1.2]
    path = tmp_path / "v.mp4"
    assert write(path, times, (49, 65), encoder=encoder) == encoder
    frames, found = read(path)
    assert [round(frame.time_s, 3) for frame in frames] == times
    assert numbers(frames) == list(range(5))
    # Odd sides are padded at the right and at the bottom.
    assert frames[0].image.shape == (50, 66, 3)
    assert np.abs(frames[1].image[:49, :65].astype(int) - sample_image(1, (49, 65))).mean() < 8
    assert found.pixel_format == "yuv420p"
    assert found.codec == ("vp9" if encoder == "vp9" else "h264")
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("encoder", ["openh264", "x264", "vp9"])
def test_times_that_are_nearer_than_the_file_can_tell(tmp_path: Path, encoder: Encoder) -> None:
    path = tmp_path / "v.mp4"
    write(path, [0.0, 4e-6, 8e-6, 1.2e-5], encoder=encoder)
    assert numbers(read(path)[0]) == [0, 1, 2, 3]


@pytest.mark.parametrize("encoder", ["openh264", "x264", "vp9"])
def test_pixels_that_are_not_square(tmp_path: Path, encoder: Encoder) -> None:
    path = tmp_path / "v.mp4"
    write(path, [0.0, 0.04], encoder=encoder, pixel_aspect=Fraction(16, 11))
    assert read(path)[1].pixel_aspect == Fraction(16, 11)


@pytest.mark.parametrize("size", [(1, 1), (16, 300), (2200, 4200)])
def test_extreme_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    """What OpenH264 refuses, VP9 takes."""
    path = tmp_path / "v.mp4"
    with VideoWriter(path, size, RATE) as writer:
        writer.write(np.full((*size, 3), 200, np.uint8), 0.0)
    frames, _ = read(path)
    assert frames[0].image.shape[:2] == tuple(max(16, side + side % 2) for side in size)


def test_an_encoder_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logging.getLogger("vatrack"), "propagate", True)
    monkeypatch.setitem(_ENCODERS, "x264", "none")
    assert write(tmp_path / "v.mp4", [0.0], encoder="x264", shown="street.mp4") == "vp9"
    told = "street.mp4: the encoder x264 is missing or does not support 64 x 48 pixels; using VP9"
    assert {(record.levelname, record.message) for record in caplog.records} == {("WARNING", told)}
    monkeypatch.setitem(_ENCODERS, "vp9", "none")
    with pytest.raises(InputError, match=r"^street\.mp4: no encoder can write it .* --encoder"):
        write(tmp_path / "w.mp4", [0.0], encoder="x264", shown="street.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["v.mp4"]


@pytest.mark.parametrize("rate", [Fraction(90_000), Fraction(1, 10), Fraction(30_000, 1001)])
def test_any_rate(tmp_path: Path, rate: Fraction) -> None:
    with VideoWriter(tmp_path / "v.mp4", (48, 64), rate) as writer:
        for number in range(5):
            writer.write(sample_image(number), number * 0.5)
    frames, _ = read(tmp_path / "v.mp4")
    assert [frame.time_s for frame in frames] == [0, 0.5, 1, 1.5, 2]


def write_until(path: Path, count: int, error: BaseException) -> None:
    """Writes some frames, and then fails."""
    with VideoWriter(path, (48, 64), RATE) as writer:
        for number in range(count):
            writer.write(sample_image(number), number / 25)
        raise error


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    path.write_bytes(b"before")
    with pytest.raises(ValueError, match="mine"):
        write_until(path, 1, ValueError("mine"))
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_was_written_before_a_stop_is_playable(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "v.mp4"
    with pytest.raises(error):
        write_until(path, 7, error())
    frames, _ = read(path)
    assert numbers(frames) == list(range(7))
    with pytest.raises(error):
        write_until(tmp_path / "none.mp4", 0, error())
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    """With a limit on the size of files, which FFmpeg meets as it would a full disk."""
    program = (
        "import resource, signal, sys, numpy as np\n"
        "from fractions import Fraction\n"
        "from pathlib import Path\n"
        "from vatrack.video.writer import VideoWriter\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "chance = np.random.default_rng(0)\n"
        "try:\n"
        "    with VideoWriter(Path(sys.argv[1]), (240, 320), Fraction(25)) as writer:\n"
        "        for number in range(60):\n"
        "            writer.write(chance.integers(0, 256, (240, 320, 3), np.uint8), number / 25)\n"
        "except OSError as error:\n"
        "    print('caught', error)\n"
    )
    path = tmp_path / "v.mp4"
    result = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "caught" in result.stdout
    assert "v.mp4" in result.stdout
    assert list(tmp_path.iterdir()) == []
