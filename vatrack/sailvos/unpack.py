"""From the archives of the raw download to the raw tree."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vatrack.common.clutter import is_clutter
from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.files import check_target, opened_folder, require_json, write_json
from vatrack.common.images import is_frame
from vatrack.common.locks import try_locked
from vatrack.common.progress import byte_progress
from vatrack.config.dataset import ArchiveConfig
from vatrack.sailvos.archives.members import check, checking_size, read_members
from vatrack.sailvos.archives.output import RECORD, Entry, OutputTree, UnpackRecord
from vatrack.sailvos.archives.volumes import Archive, open_archives

# How far below the output folder `images/` is looked for, to say what to strip.
_DEEPEST = 6
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Unpacked:
    """What one call of `unpack` did, and what the raw tree holds now."""

    out: Path
    archives: int
    finished: int  # archives that an earlier call had finished
    written: int  # files
    there: int  # files that already existed
    left_out: int  # files above the stripped folders
    clutter: int  # files of macOS and Windows, skipped
    videos: int
    frames: int

    def __str__(self) -> str:
        begin = f"unpacked {counted(self.archives, 'archive')} into {self.out}"
        note = f"recorded in {self.out / RECORD}; remove it to check them again"
        clutter = counted(self.clutter, "file")
        optional = {
            f"{self.there} already existed": self.there,
            f"{counted(self.finished, 'archive')} already complete ({note})": self.finished,
            f"{counted(self.left_out, 'file')} above the stripped folders skipped": self.left_out,
            f"{clutter} of macOS or Windows (._*, Thumbs.db, …) skipped": self.clutter,
        }
        said = [
            f"{counted(self.written, 'file')} written",
            *(text for text, count in optional.items() if count),
        ]
        folders, frames = counted(self.videos, "video folder"), counted(self.frames, "frame")
        return f"{begin}: {', '.join(said)}; {folders} with {frames}"


def unpack(
    archives: Sequence[ArchiveConfig],
    out: Path,
    strip: int = 0,
    workers: int = 1,
    record: Path | None = None,
) -> Unpacked:
    """Unpacks archives into folder `out`; run again, it resumes where an earlier run was stopped.

    Sizes and checksums are compared before anything of an archive is unpacked. Nothing that exists
    is overwritten, nothing is written outside of `out`, and of what the archives hold only files
    and folders are made. Files that macOS and Windows add (`is_clutter`) are skipped. What is
    finished is noted in `out`, and not read again as long as the archive's size and time stay the
    same.

    Args:
        archives: tar (also .gz, .bz2, .xz, .zst), zip, or all volumes of such a file.
        out: folder to fill; it may hold something already.
        strip: leading folders of the names in the archives to leave out.
        workers: archives unpacked at a time.
        record: JSON file to write at the end: what was unpacked.

    Raises:
        InputError: an archive or volume is missing, damaged, or of the wrong size or checksum; a
            member has an unsafe name or is a link or device; a file is in the way; the disk is too
            small.
        OSError: the disk is full, or fails.
    """
    out = Path(out)
    if record:
        require_json(Path(record), "the record is")
    opened = open_archives(archives)
    check_target(out, folder=True).mkdir(exist_ok=True)
    with opened_folder(out) as folder, try_locked(folder) as alone:
        if not alone:
            raise InputError(f"{out}: another run is unpacking there; wait until it ends")
        tree, notes = OutputTree(out), UnpackRecord(out, strip)
        todo = [archive for archive in opened if not notes.find(archive).finished]
        if todo:  # an earlier run was perhaps killed
            tree.remove_leftovers()
        _check_space(todo, out, notes)
        total = sum(archive.size + checking_size(archive) for archive in todo)
        with byte_progress("unpacking", total) as advance:
            counts = _run(todo, tree, notes, advance, workers)
    videos, frames = _count_frames(out)
    if not videos:
        _warn_of_layout(out, strip)
    if record:
        listed = [_listed(archive, notes.find(archive)) for archive in opened]
        totals = {key: sum(item[key] for item in listed) for key in ("files", "bytes")}
        found = {"out": str(out), "archives": listed, **totals, "videos": videos, "frames": frames}
        write_json(record, found, indent=2)
    done = {name: counts[name] for name in ("written", "there", "left_out", "clutter")}
    return Unpacked(out, len(opened), len(opened) - len(todo), **done, videos=videos, frames=frames)


def _listed(archive: Archive, entry: Entry) -> dict[str, Any]:
    return {
        "name": archive.path.name,
        "size": archive.size,
        **entry.model_dump(include={"files", "bytes"}),
        "parts": [volume.model_dump(exclude={"mtime_ns"}) for volume in entry.parts],
    }


def _run(
    todo: Sequence[Archive],
    tree: OutputTree,
    notes: UnpackRecord,
    advance: Callable[[int], None],
    workers: int,
) -> Counter[str]:
    """Threads do: checksums, decompression and writing leave the interpreter to others."""
    stop, counts = threading.Event(), Counter[str]()

    def watch(count: int) -> None:
        if stop.is_set():
            raise CancelledError
        advance(count)

    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(_unpack_archive, archive, tree, notes, watch) for archive in todo]
        try:
            for future in as_completed(futures):
                counts.update(future.result())
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    return counts


def _unpack_archive(
    archive: Archive, tree: OutputTree, notes: UnpackRecord, watch: Callable[[int], None]
) -> Counter[str]:
    """How many files were written, there already, left out or clutter, and their bytes."""
    counts = Counter[str]()
    check(archive, watch)
    for member in read_members(archive, watch):
        if is_clutter(member.info.name):
            counts["clutter"] += 1
            continue
        path = tree.place(member, notes.strip)
        with _explained(archive, path):
            if member.info.isdir():
                tree.add_folder(path, member.label)
            elif path == tree.root:
                counts["left_out"] += 1
            else:
                counts["written" if tree.add_file(path, member) else "there"] += 1
                counts["bytes"] += member.info.size
    files = counts["written"] + counts["there"]
    if files == 0:
        deep = f" below its first {counted(notes.strip, 'folder')} (--strip)" if notes.strip else ""
        raise InputError(
            f"{archive.path}: contains no files{deep}; give another archive, or another --strip"
        )
    os.sync()  # only what is on the disk, and not in the system's memory, is noted as finished
    notes.note(archive, files=files, bytes=counts["bytes"])
    return counts


@contextmanager
def _explained(archive: Archive, target: Path) -> Iterator[None]:
    """Adds to what the system says which file it is about, and that nothing is lost."""
    try:
        yield
    except OSError as error:
        if error.filename in {str(archive.file(volume)) for volume in archive.volumes}:
            raise  # it is the archive that cannot be read
        fix = "fix this and run again: finished files are kept, and unpacking resumes"
        raise OSError(error.errno, f"{error.strerror or error} ({fix})", str(target)) from None


def _check_space(archives: Sequence[Archive], out: Path, notes: UnpackRecord) -> None:
    # A compressed tar does not tell; it is at least its own size.
    needed = sum(archive.size for archive in archives if archive.form != "zip")
    for archive in archives:
        if archive.form == "zip":
            needed += sum(member.info.size for member in read_members(archive, lambda _: None))
    free = shutil.disk_usage(out).free
    if needed > free:  # what an earlier run has already unpacked needs no space any more
        present = sum(path.lstat().st_size for path in out.rglob("*"))
        finished = sum(entry.bytes for entry in notes.entries.values() if entry.finished)
        needed -= max(0, present - finished)
    if needed > free:
        raise InputError(
            f"{out}: the archives need {counted(needed, 'byte')} ({needed / 1e9:.1f} GB) there, "
            f"but only {free} ({free / 1e9:.1f} GB) are free; free disk space, or unpack to "
            "another disk"
        )


def _count_frames(out: Path) -> tuple[int, int]:
    """The number of video folders and of frames in them."""
    folders = [path / "images" for path in out.iterdir() if not is_clutter(path.name)]
    videos = [folder for folder in folders if folder.is_dir()]
    return len(videos), sum(is_frame(path.name) for folder in videos for path in folder.iterdir())


def _warn_of_layout(out: Path, strip: int) -> None:
    advice = "; unpack the archives of the frames there, too"
    for depth in range(_DEEPEST):
        folders = out.glob("*/" * depth + "images/")
        found = next((path for path in folders if not is_clutter(str(path))), None)
        # One folder, the video's, belongs between `out` and its images.
        if found and (wanted := strip + depth - 1) >= 0:
            new = f"unpack into a new folder with --strip {wanted} (dataset.archive_strip)"
            advice = f"; images are in {found}: {new}"
            break
    logger.warning("warning: %s: contains no video folders (folders with images/)%s", out, advice)
