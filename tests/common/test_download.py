"""Fetching a file: from a server on this machine that answers well, badly, or not at all, and from
the disk."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.command import Command
from tests.http_server import Handler, http_server
from vatrack.common import download as module
from vatrack.common.download import fetch
from vatrack.common.errors import InputError

CONTENT = np.random.default_rng(3).bytes(3_500_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Files(Handler):
    """Answers by path; `asked` lists the paths, `sent` counts the bytes of bodies."""

    asked: list[str]
    sent: int

    def do_GET(self) -> None:
        cls = type(self)
        cls.asked.append(self.path)
        first = cls.asked.count(self.path) == 1
        length = len(CONTENT)
        answers = {
            "/cut": (CONTENT[:2_000_000], length) if first else (CONTENT, length),
            "/cut/unannounced": (CONTENT[:2_000_000], None) if first else (CONTENT, length),
            "/endless": (CONTENT * 20, None),
            "/unannounced": (CONTENT, None),
            "/damaged": (CONTENT[:-1] + b"x", length),
            "/other": (CONTENT + b"x", length + 1),
        }
        if self.path.startswith("/busy") and (first or self.path == "/busy/always"):
            self.send_error(503)
        elif self.path == "/none":
            self.send_error(404)
        elif self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/good")
            self.end_headers()
        elif self.path == "/pieces":
            self.protocol_version = "HTTP/1.1"
            self.close_connection = True
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (length, CONTENT))
        else:
            self.answer(*answers.get(self.path, (CONTENT, length)))

    def answer(self, body: bytes, length: int | None) -> None:
        self.send_response(200)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        for start in range(0, len(body), 1 << 16):
            try:
                self.wfile.write(body[start : start + (1 << 16)])
            except OSError:
                return
            type(self).sent += 1 << 16


@dataclass
class Server:
    address: str
    handler: type[Files]

    def url(self, path: str) -> str:
        return self.address + path


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    handler = type("OwnFiles", (Files,), {"asked": [], "sent": 0})
    with http_server(handler) as address:
        yield Server(f"http://{address}", handler)


def umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value


def get(url: str, out: Path, size: int = len(CONTENT), sha256: str = SHA256) -> str:
    return str(fetch(url, size, sha256, out, wait=0))


@pytest.mark.parametrize("path", ["/good", "/moved", "/busy", "/cut", "/cut/unannounced"])
def test_downloaded_in_the_end(
    server: Server, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    for name in ("HOME", "XDG_CACHE_HOME", "POOCH_DATA_DIR", "TMPDIR"):
        monkeypatch.setenv(name, str(home))
    out = tmp_path / "folder" / "cuts.json"
    assert get(server.url(path), out) == f"downloaded {out} (3500000 bytes) from {server.url(path)}"
    assert out.read_bytes() == CONTENT
    assert [item.name for item in out.parent.iterdir()] == ["cuts.json"]
    assert out.stat().st_mode & 0o777 == 0o666 & ~umask()
    assert not list(home.iterdir())  # pooch has no folder of its own
    assert server.handler.asked.count(path) == (1 if path in ("/good", "/moved") else 2)


LENGTH = len(CONTENT)
WRONG = "SHA256 hash of downloaded file .* does not match .*; correct"


@pytest.mark.parametrize(
    ("path", "size", "sha256", "message", "times"),
    [
        ("/none", LENGTH, SHA256, "server error 404 Not Found; correct address", 1),
        (
            "/busy/always",
            LENGTH,
            SHA256,
            "server error 503 Service Unavailable, after 4 attempts",
            4,
        ),
        ("/damaged", LENGTH, SHA256, WRONG, 1),
        ("/good", LENGTH, "0" * 64, f"hash of downloaded file .*{SHA256}", 1),
        ("/other", LENGTH, SHA256, "has more than 3500000 bytes", 1),
        ("/good", LENGTH + 1, SHA256, "has only 3500000 of 3500001 bytes; it is a different", 1),
        ("/pieces", LENGTH + 1, SHA256, "has only 3500000 of 3500001 bytes; it is a different", 1),
        # It may have been cut.
        ("/unannounced", LENGTH + 1, SHA256, "after 3500000 of 3500001 bytes.*, after 4 att", 4),
        ("/endless", LENGTH, SHA256, "has more than 3500000 bytes", 1),
    ],
)
def test_refused(
    server: Server, path: str, size: int, sha256: str, message: str, times: int, tmp_path: Path
) -> None:
    out = tmp_path / "cuts.json"
    with pytest.raises(InputError, match=message) as caught:
        get(server.url(path), out, size, sha256)
    assert str(caught.value).startswith(server.url(path))
    assert f"download it by hand to {out}" in str(caught.value)
    assert server.handler.asked == [path] * times
    assert not list(tmp_path.iterdir())


def test_reading_ends_when_there_is_too_much(server: Server, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="more than 1000 bytes"):
        get(server.url("/endless"), tmp_path / "cuts.json", 1000)
    assert server.handler.sent < 0.5 * 20 * len(CONTENT)


def test_what_is_there_is_left_alone(server: Server, tmp_path: Path) -> None:
    out = tmp_path / "cuts.json"
    out.write_bytes(CONTENT)
    before = out.stat()
    assert "already exists, checksum verified" in get(server.url("/good"), out)
    out.with_name("other.json").write_bytes(b"my own work")
    told = r"other\.json: already exists, but is a different file \(sha256 .*move it away"
    with pytest.raises(InputError, match=told):
        get(server.url("/good"), out.with_name("other.json"))
    with pytest.raises(InputError, match="not a file"):
        get(server.url("/good"), tmp_path)
    assert server.handler.asked == []
    assert out.stat() == before
    assert out.with_name("other.json").read_bytes() == b"my own work"


def test_from_the_disk(tmp_path: Path) -> None:
    source, out = tmp_path / "mirror" / "a b.json", tmp_path / "out.json"
    source.parent.mkdir()
    source.write_bytes(CONTENT)
    get(source.as_uri(), out)
    assert out.read_bytes() == source.read_bytes() == CONTENT
    out.unlink()
    missing = (tmp_path / "none.json").as_uri()
    for url in (missing, source.parent.as_uri(), "file://elsewhere/x.json"):
        with pytest.raises(InputError, match=r"correct address.* or download it by hand"):
            get(url, out)
    with pytest.raises(InputError, match="has more than 7 bytes"):
        get(source.as_uri(), out, 7)
    with pytest.raises(InputError, match="has only 3500000 of 3500001 bytes"):
        get(source.as_uri(), out, LENGTH + 1)
    assert not out.exists()


def test_nobody_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("http_proxy", raising=False)
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound, but nobody listens
        url = f"http://127.0.0.1:{held.getsockname()[1]}/cuts.json"
        told = r"server not reachable.*refused.*, after 4 attempts; try again later, or download it"
        with pytest.raises(InputError, match=told):
            get(url, tmp_path / "cuts.json")
    assert caplog.text.count("retrying") == 3


def test_a_server_that_falls_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("http_proxy", raising=False)
    monkeypatch.setattr(module, "TIMEOUT", 0.05)
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(InputError, match=r"timed out.* after 4 attempts"),
    ):
        get(f"http://127.0.0.1:{silent.getsockname()[1]}/cuts.json", tmp_path / "cuts.json")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("url", "sha256", "message"),
    [
        ("ftp://example.org/x", SHA256, "must start with https://, http://, file://"),
        ("/etc/passwd", SHA256, "must start with https://"),
        ("https://", SHA256, "No host supplied"),
        ("https://example.org:port/x", SHA256, "correct address.* or download it by hand"),
        ("http://[broken/x", SHA256, "correct address.* or download it by hand"),
        ("https://example.org/x", "abc", "abc: not a SHA-256 checksum"),
        ("https://example.org/x", SHA256[:63], "not a SHA-256 checksum; give 64 hexadecimal"),
    ],
)
def test_bad_questions(url: str, sha256: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        get(url, tmp_path / "out", sha256=sha256)


def test_the_command(server: Server, tmp_path: Path, vatrack: Command) -> None:
    for path, code in (("/good", 0), ("/none", 2)):
        out = tmp_path / f"{code}.json"
        options = {"--url": server.url(path), "--size": LENGTH, "--sha256": SHA256, "--out": out}
        words = (word for option in options.items() for word in option)
        assert vatrack("fetch", *words)[0] == code
        assert out.exists() == (code == 0)
