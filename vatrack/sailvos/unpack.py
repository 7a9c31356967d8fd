"""From the archives of the raw download to the raw tree."""

from __future__ import annotations

import logging
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from vatrack.common.clutter import is_clutter
from vatrack.common.counted import counted, few
from vatrack.common.errors import InputError
from vatrack.common.files import check_target, require_json, write_json
from vatrack.common.images import is_frame
from vatrack.common.locks import only_run
from vatrack.common.output_folders import scratch_directory
from vatrack.common.progress import byte_progress
from vatrack.common.signals import saying_what_is_kept
from vatrack.config.dataset import ArchiveConfig
from vatrack.sailvos.archives.members import check_headers, read_members
from vatrack.sailvos.archives.output import EXISTED, RESERVED, WRITTEN, Notes, OutputTree
from vatrack.sailvos.archives.volumes import Archive, open_archives

_DEEPEST = 6  # folders below the output that `images/` is looked for in, to say what to strip
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Unpacked:
    """What `unpack` did, and what the raw tree holds now.

    Attributes:
        archives, complete: how many there are, and how many of them were complete before.
        files: what became of how many files (`WRITTEN`, `EXISTED`, `ABOVE`, `CLUTTER`).
        notes: the file where complete archives are noted.
    """

    out: Path
    archives: int
    complete: int
    files: dict[str, int]
    notes: Path
    videos: int
    frames: int

    def __str__(self) -> str:
        done = [f"{counted(number, 'file')} {fate}" for fate, number in self.files.items()]
        if self.complete:
            note = f"noted in {self.notes}; remove it to check them again"
            done.append(f"{counted(self.complete, 'archive')} already complete ({note})")
        return (
            f"unpacked {counted(self.archives, 'archive')} into {self.out}: {', '.join(done)}; "
            f"{counted(self.videos, 'video folder')} with {counted(self.frames, 'frame')}"
        )


def unpack(
    archives: Sequence[ArchiveConfig],
    out: Path,
    strip: int = 0,
    workers: int = 1,
    summary: Path | None = None,
) -> Unpacked:
    """Unpacks archives into folder `out`; run again, it resumes where an earlier run was stopped.

    Given sizes and checksums are compared before anything of an archive is unpacked, and whether it
    goes on to its end: the frames of one without its last volume would look complete. Nothing that
    exists is overwritten, nothing is written outside of `out`, and of what the archives hold only
    files and folders are made. Files that macOS and Windows add (`is_clutter`) are skipped. What is
    finished is noted in `out`, and not read again as long as the archive's size and time stay the
    same.

    Args:
        archives: tar (also .gz, .bz2, .xz, .zst), zip, or all volumes of such a file.
        out: folder to fill; it may hold something already.
        strip: leading folders of the names in the archives to leave out.
        workers: archives unpacked at a time.
        summary: JSON file to write at the end: what was unpacked.

    Raises:
        InputError: an archive or volume is missing, damaged, or of the wrong size or checksum; a
            member has an unsafe name or is a link or device; a file is in the way; the disk is too
            small.
        OSError: the disk is full, or fails.
    """
    out = Path(out)
    if summary:
        require_json(Path(summary), "the summary is")
    opened = open_archives(archives)
    kept = f"unpacked files are kept in {out}"
    saying = saying_what_is_kept(lambda: kept if any(out.glob("*")) else "")
    with only_run(check_target(out, folder=True), out, "unpacking"), saying:
        notes = Notes(out, strip)
        todo = [archive for archive in opened if not notes.find(archive)]
        _check_space(todo, out, notes)
        with (
            scratch_directory(out / f"{RESERVED}-files") as scratch,
            byte_progress("unpacking", sum(each.bytes_to_read for each in todo)) as advance,
        ):
            files = _run(todo, OutputTree(out, scratch, strip), notes, advance, workers)
    videos = [path for path in out.glob("*/images/") if not is_clutter(path.parent.name)]
    frames = sum(is_frame(path.name) for video in videos for path in video.iterdir())
    if not videos:
        logger.warning(
            "warning: %s: contains no video folders (folders with images/), but %s; unpack the "
            "archives of the frames there, too, or all into a new folder with %s",
            *(out, few(sorted(path.name for path in out.glob("[!.]*"))), _strip_advice(out, strip)),
        )
    if summary:
        noted = [notes.find(archive) for archive in opened]
        totals = {key: sum(note[key] for note in noted if note) for key in ("files", "bytes")}
        found = {"out": str(out), **totals, "videos": len(videos), "frames": frames}
        write_json(summary, {**found, "archives": noted}, indent=2)
    finished = len(opened) - len(todo)
    return Unpacked(out, len(opened), finished, files, notes.path, len(videos), frames)


def _strip_advice(out: Path, strip: int) -> str:
    """The option that would have put the video folders into `out`, if images are below it."""
    for depth in range(_DEEPEST):
        folders = (path.relative_to(out).as_posix() for path in out.glob("*/" * depth + "images/"))
        # One folder, the video's, belongs between `out` and its images.
        if strip + depth > 0 and not all(map(is_clutter, folders)):
            return f"--strip {strip + depth - 1} (dataset.archive_strip)"
    return "another --strip"


def _run(
    todo: Sequence[Archive],
    tree: OutputTree,
    notes: Notes,
    advance: Callable[[int], None],
    workers: int,
) -> Counter[str]:
    """Threads do: checksums, decompression and writing leave the interpreter to others."""
    stop, counts = threading.Event(), Counter({WRITTEN: 0})

    def proceed(count: int) -> None:
        if stop.is_set():
            raise CancelledError
        advance(count)

    with ThreadPoolExecutor(workers) as pool:
        jobs = {pool.submit(_unpack_archive, archive, tree, proceed): archive for archive in todo}
        try:
            for job in as_completed(jobs):
                files, size = job.result()
                notes.note(jobs[job], files[WRITTEN] + files[EXISTED], size)
                counts.update(files)
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)
    return counts


def _unpack_archive(
    archive: Archive, tree: OutputTree, advance: Callable[[int], None]
) -> tuple[Counter[str], int]:
    """What became of how many files, and the bytes of those that are there now."""
    counts, size = Counter[str](), 0
    for volume in archive.volumes:
        volume.compare_checksum(advance)
    if archive.shows_damage_late:
        for _ in read_members(archive, advance):
            pass
    elif archive.form == "tar" and not archive.known_whole:
        check_headers(archive)
    for member in read_members(archive, advance):
        if fate := tree.add(member):
            counts[fate] += 1
            size += member.info.size * (fate in (WRITTEN, EXISTED))
    if not counts[WRITTEN] + counts[EXISTED]:
        deep = f" below its first {counted(tree.strip, 'folder')} (--strip)" if tree.strip else ""
        raise InputError(
            f"{archive.path}: contains no files{deep}; give another archive, or another --strip"
        )
    return counts, size


def _check_space(archives: Sequence[Archive], out: Path, notes: Notes) -> None:
    # A zip lists what it holds; what is in a tar needs at least the size of the tar.
    needed, free = 0, shutil.disk_usage(out).free
    for archive in archives:
        if archive.form == "zip":
            needed += sum(member.info.size for member in read_members(archive, lambda _: None))
        else:
            needed += archive.size
    if needed > free:  # what an earlier run has already unpacked needs no space any more
        present = sum(path.lstat().st_size for path in out.rglob("*"))
        needed -= max(0, present - sum(note["bytes"] for note in notes.by_path.values()))
    if needed > free:
        raise InputError(
            f"{out}: the archives need {counted(needed, 'byte')} ({needed / 1e9:.1f} GB) there, "
            f"but only {free} ({free / 1e9:.1f} GB) are free; free disk space, or unpack to "
            "another disk"
        )
