"""Checks of frames: whole, decodable, of the size that the annotations say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vatrack.common.errors import PERMIT
from vatrack.common.image_headers import (
    RECOPY,
    SHORTEN,
    BadImage,
    has_unnamed_alpha,
    read_header,
    unreadable,
)
from vatrack.common.images import decode_image
from vatrack.common.parallel import ordered_map
from vatrack.common.progress import progress
from vatrack.validate.findings import Findings

Size = tuple[int, int]  # height, width
Mode = Literal["decode", "header", "exist"]

CHUNK = 64  # frames that a process checks at a time
REMARKS = ("frame-depth", "frame-alpha", "frame-turned")  # of sound frames


@dataclass(frozen=True)
class Frame:
    """An image in the raw tree.

    Attributes:
        size: what the annotations say, or None where they do not.
        listed: it is in the annotations, so that it is read later.
    """

    path: str
    size: Size | None
    listed: bool


def check_frames(frames: Sequence[Frame], mode: Mode, processes: int, findings: Findings) -> None:
    """Checks the content of frames and adds what is wrong to `findings`."""
    if mode == "exist":
        return
    chunks = [frames[start : start + CHUNK] for start in range(0, len(frames), CHUNK)]
    results = ordered_map(check_chunk, chunks, min(processes, len(chunks)), mode)
    for found in progress(results, f"frames, blocks of {CHUNK}", len(chunks)):
        findings.merge(found)


def check_chunk(frames: Sequence[Frame], mode: Mode) -> Findings:
    """Checks some frames."""
    found = Findings()
    for frame in frames:
        for code, detail in _findings(frame, mode):
            if frame.listed:
                found.add(code, frame.path, detail=detail)
            elif code not in REMARKS:
                found.add("file-broken", frame.path, detail=detail)
    return found


def detail_of(error: BadImage, path: Path) -> str:
    """What is wrong with a frame, without its path and the fix that its finding has."""
    text = error.without(path)
    for fix in (RECOPY, PERMIT, SHORTEN):
        text = text.removesuffix(f"; {fix}")
    return text


def _findings(frame: Frame, mode: Mode) -> Iterator[tuple[str, str]]:
    """What is wrong with a frame, or what is in it that no step uses: codes and details."""
    path = Path(frame.path)
    try:
        header = read_header(path)
        # Compared before it is decoded: the size in a damaged header may be enormous.
        if frame.size and frame.size != (header.height, header.width):
            said = f"{frame.size[1]} x {frame.size[0]}"
            yield "frame-size", f"{header.width} x {header.height}, not {said}"
            return
        alpha = header.alpha
        if mode == "decode":
            decode_image(path, (header.width, header.height))
            alpha = alpha or (header.spare and has_unnamed_alpha(path))
    except (BadImage, OSError) as error:
        bad = error if isinstance(error, BadImage) else unreadable(path, error)
        yield f"frame-{bad.fault}", detail_of(bad, path)
    else:
        kept = (header.depth == 16, alpha, header.turned)
        yield from ((code, "") for code, found in zip(REMARKS, kept, strict=True) if found)
