"""Sound that is copied with a video: whole, and in step."""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.video.test_reader import read
from tests.video.test_writer import write
from tests.video.videos import write_video


def packets(path: Path) -> list[tuple[float, bytes]]:
    with av.open(str(path)) as source:
        stream = source.streams.audio[0]
        return [
            (float(packet.pts * stream.time_base), bytes(packet))
            for packet in source.demux(stream)
            if packet.pts is not None
        ]


@pytest.mark.parametrize("codec", ["aac", "mp3"])
def test_the_sound_is_copied(tmp_path: Path, codec: str) -> None:
    source = write_video(tmp_path / "source.mp4", 50, sound=codec, sound_rate=16_000)
    path = tmp_path / "v.mp4"
    write(path, [number / 25 for number in range(50)], sound=source)
    copied, original = packets(path), packets(source)
    assert [data for _, data in copied] == [data for time, data in original if time >= 0]
    assert len(copied) > 10
    assert copied[-1][0] == pytest.approx(original[-1][0], abs=0.13)


def write_near_sound(path: Path, source: Path, number: int, gap: int) -> Path:
    """Writes a copy of a video, in which a packet of sound comes so many ticks after the one
    before it, and further ones come at their times."""
    base = Fraction(1, 90_000 if path.suffix == ".ts" else 1000)
    with av.open(str(source)) as before, av.open(str(path), "w") as after:
        streams = [after.add_stream_from_template(stream) for stream in before.streams]
        found = [packet for packet in before.demux() if packet.dts is not None]
        near, late = [packet for packet in found if packet.stream.type == "audio"][number:][:2]
        late.pts = late.dts = round(near.dts * near.time_base / base) + gap
        late.time_base = base
        for packet in sorted(found, key=lambda packet: packet.dts * packet.time_base):
            packet.stream = streams[packet.stream.index]
            after.mux(packet)
    return path


@pytest.mark.parametrize(("name", "gap"), [("v.mkv", 0), ("v.ts", 1)])
def test_sound_packets_with_equal_times_do_not_move_later_ones(
    tmp_path: Path, name: str, gap: int
) -> None:
    """Ticks of a transport stream are shorter than a sample of the sound: they count as equal."""
    regular = write_video(tmp_path / "regular.mp4", 50, sound=True)
    source = write_near_sound(tmp_path / name, regular, 5, gap)
    ((_, begin),) = parts = read(source)[1].parts
    times = [number / 25 for number in range(50)]
    write(tmp_path / "v.mp4", times, sound=source, parts=parts)
    copied, original = packets(tmp_path / "v.mp4"), packets(source)
    original = [(time - begin, data) for time, data in original if time >= begin]
    assert len(copied) == len(original) > 10
    for (time, data), (was, whole) in zip(copied, original, strict=True):
        assert whole.endswith(data), "a transport stream has a header before each"
        assert time == pytest.approx(was, abs=0.01)


def test_a_source_without_sound_gives_none(tmp_path: Path) -> None:
    source = write_video(tmp_path / "source.mp4", 5)
    path = tmp_path / "v.mp4"
    write(path, [0.0, 0.04], sound=source)
    with av.open(str(path)) as made:
        assert not made.streams.audio


@pytest.mark.parametrize("codec", ["pcm_s16le", "mp3"])
def test_sound_that_cannot_be_stored_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, codec: str
) -> None:
    """MP3 of such a low rate is refused when the header is written, not before."""
    monkeypatch.setattr(logging.getLogger("vatrack"), "propagate", True)
    source = write_video(tmp_path / "source.mkv", 5, sound=codec, sound_rate=8000)
    write(tmp_path / "v.mp4", [0.0, 0.04], sound=source)
    assert read(tmp_path / "v.mp4")[1].audio is False
    (told,) = {item.message for item in caplog.records if item.levelname == "WARNING"}
    assert told == (
        f"{source}: its sound ({codec}) cannot be stored in an MP4 file; the overlay has none"
    )
