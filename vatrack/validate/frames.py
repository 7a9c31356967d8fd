"""Checks of frames: whole, decodable, of the size that the annotations say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from vatrack.common.errors import InputError
from vatrack.common.images import check_image
from vatrack.common.parallel import ordered_map
from vatrack.common.progress import progress
from vatrack.validate.findings import Findings

Size = tuple[int, int]  # height, width
Mode = Literal["decode", "header", "exist"]

CHUNK = 64  # frames that a process checks at a time
MAGIC = (b"BM", b"\x89PNG\r\n\x1a\n")


@dataclass(frozen=True)
class Frame:
    """A image in the raw tree.

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
        fault = _fault(frame, mode)
        if fault:
            code, detail = fault
            found.add(code if frame.listed else "file-broken", frame.path, detail=detail)
    return found


def _fault(frame: Frame, mode: Mode) -> tuple[str, str] | None:
    """The first thing that is wrong with a frame, if any: code and detail."""
    path = Path(frame.path)
    try:
        with path.open("rb") as stream:
            head = stream.read(len(MAGIC[1]))
        if not head:
            return "frame-empty", "empty file"
        if not head.startswith(MAGIC):
            return "frame-format", "neither BMP nor PNG"
        width, height = check_image(path)
        # Before it is decoded: the size in a broken header may be enormous.
        if frame.size and frame.size != (height, width):
            return "frame-size", _compare((height, width), frame.size)
        if mode == "header":
            return None
        image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    except InputError as error:
        return "frame-cut-off", str(error).removeprefix(f"{path}: ")
    except OSError as error:
        return "frame-unreadable", error.strerror or str(error)
    except cv2.error as error:
        return "frame-undecodable", error.err
    if image is None:
        return "frame-undecodable", "damaged inside"
    if image.shape[:2] != (height, width):
        return "frame-size", _compare(image.shape[:2], (height, width))
    return None


def _compare(found: Sequence[int], said: Size) -> str:
    return f"{found[1]} x {found[0]}, not {said[1]} x {said[0]}"
