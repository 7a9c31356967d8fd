"""Fetching one file that the config names with its size and checksum. Nothing is fetched unless
asked for."""

from __future__ import annotations

import hashlib
import http.client
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import IO, Any

from vatrack.common.errors import InputError
from vatrack.common.files import atomic_path
from vatrack.common.progress import progress

SCHEMES = ("https://", "http://", "file://")
PIECE = 1 << 20  # bytes read at a time
TIMEOUT = 60.0  # seconds without a byte until a connection counts as broken
# Answers of a server that may be another one a little later.
TRANSIENT = {408, 425, 429, 500, 502, 503, 504}


class _TryAgain(Exception):
    """A failure that may be gone the next time."""


def fetch(url: str, size: int, sha256: str, out: Path, *, tries: int = 4, wait: float = 2.0) -> str:
    """Fetches a file, whole and checked, or nothing. A file at `out` that has the checksum already
    is left alone.

    Args:
        url: https://, http:// or file:// address.
        size: bytes; reading ends as soon as there are more.
        sha256: checksum of the content, 64 hexadecimal digits.
        tries: how often a broken connection or an overloaded server is asked.
        wait: seconds before the second try; doubled before every further one.

    Returns:
        A summary line.

    Raises:
        InputError: another kind of address, another size or checksum, another file at `out`, or no
            answer in the end.
    """
    out = Path(out)
    if not url.lower().startswith(SCHEMES):
        raise InputError(
            f"{url}: cannot be fetched; the address must begin with {', '.join(SCHEMES)}"
        )
    if len(sha256) != 64 or not set(sha256.lower()) <= set("0123456789abcdef"):
        raise InputError(f"{sha256}: is no sha256 checksum (64 hexadecimal digits)")
    if out.exists():
        return _check_existing(out, size, sha256)
    for number in range(1, tries + 1):
        try:
            with atomic_path(out) as temporary:
                _download(url, size, sha256, temporary, out)
            return f"fetched {out} ({size} bytes) from {url}"
        except _TryAgain as failure:
            if number == tries:
                raise InputError(
                    f"{url}: {failure}, after {tries} tries; try again later, or {_by_hand(out)}"
                ) from None
            print(f"{url}: {failure}; trying again in {wait:g} s", file=sys.stderr, flush=True)
            time.sleep(wait)
            wait *= 2
    raise ValueError("tries must be at least 1")


def _by_hand(out: Path) -> str:
    return f"get it by hand and put it at {out}"


def _check_existing(out: Path, size: int, sha256: str) -> str:
    if not out.is_file():
        raise InputError(f"{out}: is no file; choose another name for what is fetched")
    with out.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != sha256.lower():
        wanted = f"{size} bytes with sha256 {sha256}"
        raise InputError(
            f"{out}: is there already, but is another file (sha256 {found}; wanted: {wanted}); "
            f"move it away"
        )
    return f"{out} is there already, with the right checksum; nothing fetched"


def _download(url: str, size: int, sha256: str, temporary: Path, out: Path) -> None:
    """Writes the content of `url` to a file and checks it."""
    by_hand = _by_hand(out)
    digest = hashlib.sha256()
    count = 0
    with closing(_open(url, by_hand)) as answer, temporary.open("wb") as stream:
        announced = answer.headers.get("Content-Length")
        if announced is not None and announced.isdigit() and int(announced) != size:
            raise InputError(
                f"{url}: has {announced} bytes, not {size}; it is another file: correct size, or "
                f"{by_hand}"
            )
        for piece in progress(_pieces(answer), f"{out.name}, MB", -(-size // PIECE)):
            count += len(piece)
            if count > size:
                raise InputError(
                    f"{url}: has more than {size} bytes; it is another file: correct size, or "
                    f"{by_hand}"
                )
            digest.update(piece)
            stream.write(piece)
    if count < size:
        raise _TryAgain(f"ended after {count} of {size} bytes")
    if digest.hexdigest() != sha256.lower():
        raise InputError(
            f"{url}: has sha256 {digest.hexdigest()}, not {sha256}; it is another file or damaged: "
            f"correct sha256, or {by_hand}"
        )


def _open(url: str, by_hand: str) -> Any:
    try:
        request = urllib.request.Request(
            url, headers={"User-Agent": "vatrack", "Accept-Encoding": "identity"}
        )
        return urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        with error:
            if error.code in TRANSIENT:
                raise _TryAgain(f"the server answers {error.code} {error.reason}") from None
            raise InputError(
                f"{url}: the server answers {error.code} {error.reason}; correct the address, or "
                f"{by_hand}"
            ) from None
    except urllib.error.URLError as error:
        if url.lower().startswith("file:") or str(error.reason) == "no host given":
            raise InputError(
                f"{url}: cannot be read ({error.reason}); correct the address, or {by_hand}"
            ) from None
        raise _TryAgain(f"cannot be reached ({error.reason})") from None
    except (ValueError, http.client.InvalidURL) as error:
        raise InputError(f"{url}: is no address ({error}); correct it, or {by_hand}") from None
    except (OSError, http.client.HTTPException) as error:
        raise _TryAgain(f"cannot be reached ({error})") from None


def _pieces(answer: IO[bytes]) -> Iterator[bytes]:
    while True:
        try:
            piece = answer.read(PIECE)
        except (OSError, http.client.HTTPException) as error:
            raise _TryAgain(f"broke off ({error})") from None
        if not piece:
            return
        yield piece
