"""From the archives of the raw download to the raw tree."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from vatrack.common.errors import InputError
from vatrack.common.files import write_json
from vatrack.common.images import SUFFIXES
from vatrack.common.locks import try_locked
from vatrack.common.progress import byte_progress
from vatrack.config.dataset import ArchiveConfig
from vatrack.sailvos.archives.members import member_label, read_members, unpacked_size
from vatrack.sailvos.archives.opening import check_contents, checking_size, open_archives
from vatrack.sailvos.archives.output import OutputTree
from vatrack.sailvos.archives.record import NAME as RECORD_NAME
from vatrack.sailvos.archives.record import Entry, UnpackRecord
from vatrack.sailvos.archives.streams import Archive

# How far below the output folder `images/` is looked for, to say how many leading folders are to be
# left out.
_DEEPEST = 6


class _Stopped(Exception):
    """Another archive failed, so this one need not go on."""


@dataclass
class _Job:
    """What all threads share."""

    tree: OutputTree
    record: UnpackRecord
    strip: int
    advance: Callable[[int], None]
    stop: threading.Event
    written: int = 0
    there: int = 0
    left_out: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def watch(self, count: int) -> None:
        if self.stop.is_set():
            raise _Stopped
        self.advance(count)


def unpack(
    archives: Sequence[ArchiveConfig],
    out: Path,
    strip: int = 0,
    workers: int = 1,
    record: Path | None = None,
) -> str:
    """Unpacks archives into folder `out`; run again, it goes on where an earlier run was stopped.

    Sizes and checksums are compared before anything of an archive is unpacked. Nothing that exists
    is overwritten, nothing is written outside of `out`, and of what the archives hold only files
    and folders are made. Which archives are finished is noted in `out`; they are not read again as
    long as their size and time stay the same.

    Args:
        archives: tar (also .gz, .bz2, .xz), zip, or all parts of such a file that was split.
        out: folder to fill; it may hold something already.
        strip: leading folders of the names in the archives to leave out.
        workers: archives unpacked at a time.
        record: JSON file to write at the end: what was unpacked.

    Returns:
        A summary line.

    Raises:
        InputError: an archive or part is missing, damaged, or of the wrong size or checksum; a
            member has an unsafe name or is a link or device; a file is in the way; the disk is too
            small.
        OSError: the disk is full, or fails.
    """
    out = Path(out)
    opened = open_archives(archives)
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file; give the name of a folder to unpack into")
    out.mkdir(parents=True, exist_ok=True)
    with _alone(out):
        known = UnpackRecord.load(out, strip)
        tree = OutputTree(out)
        try:
            if known.interrupted:
                tree.remove_leftovers()
            _check_space(
                [archive for archive in opened if not known.find(archive).finished], tree, known
            )
            todo = [
                archive
                for archive in opened
                if not (known.find(archive).finished and known.checked(archive))
            ]
            total = sum(
                (0 if known.checked(archive) else checking_size(archive)) + archive.size
                for archive in todo
            )
            with byte_progress("unpacking", total) as advance:
                job = _Job(tree, known, strip, advance, threading.Event())
                _run(todo, job, workers)
        finally:
            tree.close()
        entries = [known.find(archive) for archive in opened]
    videos, frames = _count_frames(out)
    if not videos:
        _warn_of_layout(out, strip)
    if record:
        write_json(record, _summary(out, opened, entries, videos, frames), indent=2)
    parts = [f"unpacked {len(opened)} archives into {out}: {job.written} files written"]
    parts += [f"{job.there} were there already"] if job.there else []
    finished = len(opened) - len(todo)
    if finished:
        note = f"noted in {out / RECORD_NAME}; remove it to go through them again"
        parts.append(f"{finished} archives were finished before ({note})")
    parts += [f"{job.left_out} files above the stripped folders left out"] if job.left_out else []
    return f"{', '.join(parts)}; {videos} video folders with {frames} frames"


def _run(todo: Sequence[Archive], job: _Job, workers: int) -> None:
    """Threads do: checksums, decompression and writing leave the interpreter to others. Only many
    tiny files do not gain."""
    with ThreadPoolExecutor(max(1, workers)) as pool:
        futures = [pool.submit(_unpack_archive, archive, job) for archive in todo]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            job.stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def _unpack_archive(archive: Archive, job: _Job) -> None:
    if not job.record.checked(archive):
        check_contents(archive, job.watch)
    entry = job.record.find(archive)
    if entry.finished:  # and only a checksum was still to be compared
        job.advance(archive.size)
        job.record.finish(archive, entry.files, entry.bytes)
        return
    # What an interrupted run wrote of this very archive has the right content where it has the
    # right size. Anything else must be compared: uncompressed pictures all have one size, so an
    # archive that was mended has the sizes of the broken one.
    by_size = entry.begun
    job.record.begin(archive)
    files = size = 0
    for member in read_members(archive, job.watch):
        what = member_label(archive, member.name)
        parts = job.tree.parts(member.name, job.strip, what)
        if member.size is None:
            with _explained(archive, job.tree.root.joinpath(*parts)):
                job.tree.add_folder(parts, what)
        elif parts:
            with _explained(archive, job.tree.root.joinpath(*parts)):
                written = job.tree.add_file(parts, member, what, by_size=by_size)
            files, size = files + 1, size + member.size
            with job.lock:
                job.written, job.there = job.written + written, job.there + (not written)
        elif job.strip:
            with job.lock:
                job.left_out += 1
        else:
            raise InputError(f"{what}: is a file without a name; do not trust this archive")
    if files == 0:
        deep = f" below its first {job.strip} folders (--strip)" if job.strip else ""
        raise InputError(
            f"{archive.path}: holds no files{deep}; give another archive, or another --strip"
        )
    # Only what is on the disk, and not in the system's memory, is noted as finished.
    os.sync()
    job.record.finish(archive, files, size)


@contextmanager
def _explained(archive: Archive, target: Path) -> Iterator[None]:
    """Adds to what the system says which file it is about, and that nothing is lost."""
    try:
        yield
    except OSError as error:
        if error.filename in {
            str(part.path) for part in archive.parts
        }:  # it is the archive that cannot be read
            raise
        mend = "see to that and run again: finished files stay, and it goes on from there"
        raise OSError(error.errno, f"{error.strerror or error} ({mend})", str(target)) from None


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Keeps a second run out of the folder, where the file system can lock at all."""
    descriptor = os.open(out, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with try_locked(descriptor) as mine:
            if not mine:
                raise InputError(f"{out}: another run is unpacking there; wait for its end")
            yield
    finally:
        os.close(descriptor)


def _check_space(archives: Sequence[Archive], tree: OutputTree, record: UnpackRecord) -> None:
    block = os.statvfs(tree.root).f_frsize
    needed = sum(unpacked_size(archive, block) for archive in archives)
    free = shutil.disk_usage(tree.root).free
    if needed > free:
        # What an earlier run has already unpacked needs no space any more.
        needed -= max(0, tree.size() - record.finished_bytes)
    if needed > free:
        raise InputError(
            f"{tree.root}: the archives need {needed} bytes ({needed / 1e9:.1f} GB) there, {free} "
            f"({free / 1e9:.1f} GB) are "
            "free; make room, or unpack onto another disk"
        )


def _count_frames(out: Path) -> tuple[int, int]:
    """The number of video folders and of frames in them."""
    videos = frames = 0
    for entry in os.scandir(out):
        images = Path(entry.path, "images")
        if images.is_dir():
            videos += 1
            frames += sum(path.suffix.lower() in SUFFIXES for path in images.iterdir())
    return videos, frames


def _warn_of_layout(out: Path, strip: int) -> None:
    message = f"warning: {out}: holds no video folder (one with images/ in it)"
    level = [out]
    for depth in range(_DEEPEST):
        level = [
            Path(entry.path)
            for folder in level
            for entry in os.scandir(folder)
            if entry.is_dir(follow_symlinks=False)
        ]
        found = [folder for folder in level if folder.name == "images"]
        # One folder, the video's, belongs between `out` and its images.
        if found and (wanted := strip + depth - 1) >= 0:
            message += (
                f"; images are in {found[0]}: unpack into a new folder with --strip "
                f"{wanted} (dataset.archive_strip)"
            )
            break
    print(message, file=sys.stderr, flush=True)


def _summary(
    out: Path, archives: Sequence[Archive], entries: Sequence[Entry], videos: int, frames: int
) -> dict[str, object]:
    listed = [
        {
            "name": archive.path.name,
            "size": archive.size,
            "files": entry.files,
            "bytes": entry.bytes,
            "parts": [
                {"name": part.name, "size": part.size, "sha256": part.sha256}
                for part in entry.parts
            ],
        }
        for archive, entry in zip(archives, entries, strict=True)
    ]
    totals = {
        "files": sum(entry.files for entry in entries),
        "bytes": sum(entry.bytes for entry in entries),
    }
    return {"out": str(out), "archives": listed, **totals, "videos": videos, "frames": frames}
