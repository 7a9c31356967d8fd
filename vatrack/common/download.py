"""Downloading one file that the config names with a checksum; only when asked for."""

from __future__ import annotations

import logging
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

import pooch
import requests

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.files import atomic_path, sha256_of
from vatrack.common.progress import byte_progress

SCHEMES = ("https://", "http://", "file://")
TIMEOUT = 60.0  # seconds without a byte until a connection counts as broken
# Answers of a server that may be another one a little later.
TRANSIENT = {408, 425, 429, 500, 502, 503, 504}
DIGITS = 64  # of a SHA-256
# Headers by which a lost connection is told from the end of the content.
ANNOUNCED = ("Content-Length", "Transfer-Encoding")
LARGEST = 8 << 30  # bytes, where the size is not known
HEADERS = {"User-Agent": "vatrack", "Accept-Encoding": "identity"}
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fetched:
    """What `fetch` did."""

    out: Path
    size: int  # bytes
    url: str | None  # None: the file existed already

    def __str__(self) -> str:
        if self.url is None:
            return f"{self.out} already exists, checksum verified"
        return f"downloaded {self.out} ({counted(self.size, 'byte')}) from {self.url}"


def fetch(
    url: str,
    size: int | None,
    sha256: str,
    out: Path,
    *,
    fewest_digits: int = DIGITS,
    tries: int = 4,
    wait: float = 2.0,
) -> Fetched:
    """Downloads a file, whole and checked, or nothing. A file at `out` is never replaced.

    Args:
        url: https://, http:// or file:// address.
        size: bytes; reading ends as soon as there are more. None: not known.
        sha256: checksum of the content in hexadecimal digits.
        fewest_digits: how many of its first digits are enough.
        tries: how often a broken connection or an overloaded server is asked.
        wait: seconds before the second try; doubled before every further one.

    Raises:
        InputError: another sort of address, another size or checksum, another file at `out`, or no
            answer in the end.
    """
    out, sha256 = Path(out), sha256.lower()
    if not url.lower().startswith(SCHEMES):
        raise InputError(
            f"{url}: cannot be downloaded; the address must start with {', '.join(SCHEMES)}"
        )
    if not re.fullmatch(f"[0-9a-f]{{{fewest_digits},{DIGITS}}}", sha256):
        raise InputError(
            f"--sha256 {sha256}: not a SHA-256 checksum; give {DIGITS} hexadecimal digits"
        )
    if out.exists():
        return _check_existing(out, size, sha256)
    by_hand = f"download it by hand to {out}"
    for left in reversed(range(tries)):
        try:
            with atomic_path(out) as temporary, byte_progress(out.name, size) as advance:
                _download(url, temporary, size, advance)
                found = sha256_of(temporary)
                if not found.startswith(sha256):
                    raise ValueError(
                        f"SHA256 hash of downloaded file ({found}) does not match {sha256}"
                    )
            return Fetched(out, out.stat().st_size, url)
        except (requests.RequestException, URLError, ValueError) as error:
            failure, transient = _explain(error)
        if not transient:
            raise InputError(f"{url}: {failure}; correct address, size or sha256, or {by_hand}")
        if not left:
            raise InputError(
                f"{url}: {failure}, after {counted(tries, 'attempt')}; try again later, or "
                f"{by_hand}"
            )
        logger.warning("%s: %s; retrying in %g s", url, failure, wait)
        time.sleep(wait)
        wait *= 2
    raise ValueError("tries must be at least 1")


def _check_existing(out: Path, size: int | None, sha256: str) -> Fetched:
    if not out.is_file():
        raise InputError(f"{out}: not a file; choose another name for the download")
    found = sha256_of(out)
    if not found.startswith(sha256):
        wanted = (
            f"sha256 {sha256}" if size is None else f"{counted(size, 'byte')} with sha256 {sha256}"
        )
        raise InputError(
            f"{out}: already exists, but is a different file (sha256 {found}, expected {wanted}); "
            "move it away"
        )
    return Fetched(out, out.stat().st_size, None)


def _download(url: str, target: Path, size: int | None, advance: Callable[[int], None]) -> None:
    with target.open("wb") as file:
        stream = _Limited(file, size or LARGEST, advance)
        complete = True  # whatever is shorter than announced raises an error of its own
        if not url.lower().startswith("file:"):
            answers: list[requests.Response] = []
            hooks = {"response": lambda answer, **_: answers.append(answer)}
            pooch.HTTPDownloader(timeout=TIMEOUT, headers=HEADERS, hooks=hooks)(url, stream, None)
            complete = not answers[-1].headers.keys().isdisjoint(ANNOUNCED)
        elif urlsplit(url).netloc not in ("", "localhost"):
            raise URLError("file:// addresses must be on this machine")
        else:
            with urlopen(url) as source:
                shutil.copyfileobj(source, stream)
    if size and stream.count < size:
        count = f"{stream.count} of {counted(size, 'byte')}"
        if complete:
            raise ValueError(f"has only {count}; it is a different file")
        raise requests.ConnectionError(f"ended after {count}")


class _Limited:
    """A file that takes no more bytes than wanted."""

    def __init__(self, file: IO[bytes], size: int, advance: Callable[[int], None]) -> None:
        self._file, self._size, self._advance = file, size, advance
        self.count = 0  # bytes written

    def write(self, data: bytes) -> int:
        self.count += len(data)
        if self.count > self._size:
            raise ValueError(f"has more than {counted(self._size, 'byte')}; it is a different file")
        self._advance(len(data))
        return self._file.write(data)

    def flush(self) -> None:
        """Nothing: pooch asks for it after every piece."""


def _explain(error: Exception) -> tuple[str, bool]:
    """What went wrong, and whether it may be gone the next time."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        code, reason = error.response.status_code, error.response.reason
        return f"server error {code} {reason}", code in TRANSIENT
    if isinstance(error, requests.RequestException) and not isinstance(error, ValueError):
        cause = getattr(error.args[0] if error.args else None, "reason", error)
        return f"server not reachable, or connection lost ({cause})", True
    if isinstance(error, URLError):
        return f"cannot be read ({error.reason})", False
    return str(error), False  # no address, another size or another checksum
