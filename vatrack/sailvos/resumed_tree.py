"""A tree of clips while it is made: it resumes with frames that are proven to be the same."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from vatrack.common.errors import InputError
from vatrack.common.files import naming_full_disk, write_json
from vatrack.common.locks import only_run
from vatrack.common.output_folders import remove_replaced, replace_folder
from vatrack.common.signals import saying_what_is_kept
from vatrack.common.value_files import read_json

# Says in a tree, also in a half-made one, what it is made from.
NOTE = ".made-from.json"


@contextmanager
def resumed_tree(out: Path, mode: str, sources: Mapping[str, str]) -> Iterator[Path]:
    """A folder beside `out` that becomes `out` when the block succeeds.

    It holds from the start what an earlier call has made in the same way of the same raw files.
    When the block fails it stays for the next call, except where the disk is full.

    Args:
        out: as `check_replaced` returns it.
        mode: how frames are made; for modes that make files of their own (copy and png), those of
            an earlier tree at `out` are linked into the new one.
        sources: raw file of each frame, by its path in the tree.

    Raises:
        InputError: another process makes this tree; or the block's own, with what is kept.
        OSError: the disk is full (nothing is kept then), or fails; or the block's own.
    """
    folder = out.with_name(f".{out.name}.partial")

    def kept() -> str:
        finished = any(folder.glob("*/images/[!.]*"))
        return f"finished frames are kept in {folder}" if finished else ""

    with naming_full_disk(out), only_run(folder, out, "building clips"), saying_what_is_kept(kept):
        try:
            remove_replaced(out)
            # What is noted is how they were before anything is made of them.
            states = {path: _state(source) for path, source in sources.items()}
            _keep_same(folder, mode, states)
            if mode in ("copy", "png"):
                _link_same(out, folder, mode, states)
            yield folder
            replace_folder(folder, out)
            remove_replaced(out)
        except InputError as error:
            if said := kept():
                raise InputError(f"{error}; run again to resume ({said})") from None
            raise
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                shutil.rmtree(folder, ignore_errors=True)
            raise


def _keep_same(folder: Path, mode: str, states: dict[str, str]) -> None:
    """Removes from a half-made tree what the next one cannot use, and notes what that is made of.

    Whoever is killed here leaves no frame under the state of another one.
    """
    same = _same(folder, mode, states)
    for path in folder.glob("*/images/*"):
        if path.relative_to(folder).as_posix() not in same:
            path.unlink()
    write_json(folder / NOTE, {"mode": mode, "states": states})
    for clip in folder.iterdir():
        with suppress(OSError):  # it is not empty
            os.removedirs(clip / "images")


def _link_same(out: Path, folder: Path, mode: str, states: dict[str, str]) -> None:
    for path in _same(out, mode, states):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with suppress(OSError):  # it is there, it was lost in `out`, or there are no links
            os.link(out / path, target)


def _same(tree: Path, mode: str, states: dict[str, str]) -> set[str]:
    """The frames that a tree has made in this mode of raw files with the same states."""
    with suppress(InputError, LookupError, TypeError, AttributeError):  # no note, or a damaged one
        note = read_json(tree / NOTE)
        if note["mode"] == mode:
            return {path for path, state in note["states"].items() if states.get(path) == state}
    return set()


def _state(source: str) -> str:
    """Differs when another raw file is there, or its content may be another one.

    Size and time are not enough: a folder that is moved brings old times along. The time of the
    last change of the inode says too much: every hard link to the file is one.
    """
    found = Path(source).stat()
    return f"{found.st_ino} {found.st_size} {found.st_mtime_ns}"
