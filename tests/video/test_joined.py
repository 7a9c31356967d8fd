"""Recordings that were joined with `cat`: times begin again in the middle of a file."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from tests.video.test_reader import numbers, read
from tests.video.test_sound import packets
from tests.video.test_writer import write
from tests.video.videos import write_video
from vatrack.common.errors import InputError
from vatrack.video.frames import Selection


@pytest.mark.parametrize("count", [50, 10])
def test_recordings_that_were_joined(tmp_path: Path, count: int) -> None:
    """As transport streams and the parts of a DVD may be; also where each is short."""
    path = write_video(tmp_path / "v.ts", count, container="mpegts")
    path.write_bytes(path.read_bytes() * 3)
    frames, found = read(path)
    assert numbers(frames) == [*range(count)] * 3
    assert [frame.time_s for frame in frames] == pytest.approx([n / 25 for n in range(3 * count)])
    (note,) = found.notes
    last_s = (count - 1) / 25
    assert f"its times begin again after {last_s:.2f} s, as in joined recordings" in note
    assert not found.truncated


@pytest.mark.parametrize("start_s", [1.5, 3.0, 5.04])
def test_a_start_time_in_joined_recordings_loses_none(tmp_path: Path, start_s: float) -> None:
    """The same times are in each of them: a jump could lead to any."""
    path = write_video(tmp_path / "v.ts", 75, container="mpegts")
    path.write_bytes(path.read_bytes() * 3)
    frames, _ = read(path, Selection(start_s))
    first = round(start_s * 25 + 0.4)
    assert numbers(frames) == ([*range(75)] * 3)[first:]
    assert frames[0].time_s == pytest.approx(first / 25)
    with pytest.raises(InputError, match="no frames between start and end time; choose other"):
        read(path, Selection(60.0))


@pytest.mark.parametrize("sound_s", [0.5, 1.7])
def test_the_sound_of_joined_recordings_begins_with_their_frames(
    tmp_path: Path, sound_s: float
) -> None:
    """Where the sound of each is shorter or longer than its frames are shown."""
    whole = write_video(tmp_path / "whole.ts", 50, container="mpegts", sound=True)
    part = tmp_path / "part.ts"
    with av.open(str(whole)) as before, av.open(str(part), "w") as after:
        streams = [after.add_stream_from_template(stream) for stream in before.streams]
        for packet in before.demux():
            limit = 1.0 if packet.stream.type == "video" else sound_s
            if packet.dts is not None and packet.dts * packet.time_base < limit:
                packet.stream = streams[packet.stream.index]
                after.mux(packet)
    one = [data for _, data in packets(part)]
    source = tmp_path / "joined.ts"
    source.write_bytes(part.read_bytes() * 3)
    frames, found = read(source)
    assert len(found.parts) == 3
    path = tmp_path / "v.mp4"
    write(path, [frame.time_s for frame in frames], sound=source, parts=found.parts)
    copied = [(time, data[-40:]) for time, data in packets(path)]
    begins = [time for time, data in copied if data == one[1][-40:]]
    wanted = [begin for begin, _ in found.parts]
    assert begins == pytest.approx(wanted, abs=0.02)
