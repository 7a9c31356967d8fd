"""Small raw trees and the clips built from them."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vatrack.common.images import read_image, write_image
from vatrack.sailvos import clips as building
from vatrack.sailvos.clips import build_clip_tree
from vatrack.sailvos.resumed_tree import NOTE


def build(tree: Path, mode: str) -> str:
    return str(build_clip_tree(tree / "raw", tree / "structure.json", tree / "clips", mode))


def listing(folder: Path) -> list[str]:
    """The files of a tree, without the note of what they are made from."""
    found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert not (folder / "clips").exists() or NOTE in found
    return [name for name in found if name != NOTE]


def pixels(folder: Path) -> dict[str, int]:
    """The colour of each frame of a tree, all of whose pixels are alike."""
    return {name: int(read_image(folder / name)[0, 0, 0]) for name in listing(folder)}


def paint(raw: Path, colour: int) -> None:
    for number, path in enumerate(sorted(raw.rglob("*.bmp"))):
        write_image(path, np.full((8, 12, 3), colour + number, np.uint8))


def other_file_system(*_: object) -> None:
    raise OSError(errno.EXDEV, "Invalid cross-device link")


put_clip = building._put_clip


def stop_before(monkeypatch: pytest.MonkeyPatch, clip: str) -> None:
    def put(job: Any, shared: Any) -> Any:
        if job.clip == clip:
            raise KeyboardInterrupt
        return put_clip(job, shared)

    monkeypatch.setattr(building, "_put_clip", put)
