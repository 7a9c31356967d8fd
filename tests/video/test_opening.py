"""Sources that cannot be opened, and what is said about them."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.video.test_reader import read
from tests.video.videos import write_sound, write_video
from vatrack.common.errors import InputError
from vatrack.video.opening import import_av, open_container
from vatrack.video.sources import Source


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("v.mp4", b"", "is empty"),
        ("v.mp4", b"hello\nworld\n" * 20, "v.mp4: is text"),
        ("v.mp4", b"\x89PNG\r\n\x1a\n" + bytes(90), "v.mp4: is a PNG image"),
        ("v.mp4", b"\0\1\2\3" * 500, "v.mp4: is not a readable video"),
        ("v.mp4", b"\0\0\0\x18ftypisom" + bytes(500), "v.mp4: has no index"),
        ("v", b"PK\3\4" + bytes(90), "v: is a zip archive"),
        ("v.avi", b"RIFF\0\1\0\0AVI " + bytes(90), "v.avi: is not a readable video; give a video"),
        ("v.avi", b"RIFF\0\1\0\0WEBP" + bytes(90), "v.avi: is a WebP image"),
    ],
)
def test_what_is_no_video(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read(tmp_path / name)


def test_a_pipe_or_a_device_is_no_empty_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "v.mp4")
    for path in (tmp_path / "v.mp4", Path("/dev/zero")):
        with pytest.raises(InputError, match="is a pipe or a device, not a video file; save its"):
            read(path)
    with pytest.raises(InputError, match=r"not a video file; give the camera's number, 97$"):
        open_container(Source("video97", "file", "/dev/video97"))


def test_a_broken_pyav_is_not_called_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(InputError, match=r"needs PyAV; install it with"):
        import_av()
    (tmp_path / "av.py").write_text("import vatrack_has_no_such_module")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "av")
    with pytest.raises(InputError, match=r"cannot be imported \(No module named '.*'\); repair it"):
        import_av()


def test_sound_alone(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"s\.mp4: contains no video, only sound"):
        read(write_sound(tmp_path / "s.mp4"))


@pytest.mark.parametrize("name", ["v.mp4", "v.m3u8"])
def test_a_playlist_opens_no_other_address(tmp_path: Path, name: str) -> None:
    """A file of a user's may come from anywhere; it must not make this machine call others."""
    path = tmp_path / name
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/secret.ts"
        path.write_text(
            f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{address}\n#EXT-X-ENDLIST\n"
        )
        with pytest.raises(InputError, match=f"{name}: "):
            read(path)
        called, _, _ = select.select([server], [], [], 0)
    assert not called


def test_a_camera_that_is_not_there() -> None:
    with pytest.raises(InputError, match="camera 97: no /dev/video97; give a file"):
        read("97")


def test_a_stream_that_does_not_answer() -> None:
    with pytest.raises(InputError, match=r"rtsp://127\.0\.0\.1:9/x: cannot be opened") as error:
        read("rtsp://user:secret@127.0.0.1:9/x")
    assert "secret" not in str(error.value)


def test_a_stream_without_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vatrack.video.opening.PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/x"
        told = f"^{address}: no data for 0 s; check the address and the network"
        with pytest.raises(InputError, match=told):
            read(address)


def test_without_pyav_the_extra_is_named(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", 1)
    program = (
        "import sys; sys.modules['av'] = None\nfrom vatrack.video.reader import Reader\nfrom "
        "vatrack.video.sources import find_sources\nReader(find_sources(sys.argv[1:])[0])"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False
    )
    assert 'pip install "vatrack[video]"' in result.stderr


def test_a_codec_that_nobody_knows(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", 3)
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    with pytest.raises(InputError, match=r"unknown frame format .*; convert it to H\.264"):
        read(path)
