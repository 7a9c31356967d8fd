"""A folder that files with names from elsewhere are written into, and never outside of it."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vatrack.common.errors import InputError
from vatrack.sailvos.archives.members import Member

# Names that this program needs for itself begin so.
RESERVED = ".vatrack-unpack"
_TEMPORARY = ".part"
_LONGEST_NAME, _LONGEST_PATH = 255, 4096  # bytes, Linux
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class OutputTree:
    """Folder `root`, filled by several threads.

    Every folder on the way to a file is opened from the one above it without following links, so
    that neither a name nor a link that is already there leads out of `root` (which itself may be a
    link). What exists is never overwritten.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._room = len(os.fsencode(root.absolute())) + 1  # bytes of a path that are used up
        self._fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._changed = threading.Condition()
        self._busy: set[str] = set()  # files in work, case folded
        self._folders: set[str] = set()  # known to exist
        # How names are spelled, by the case-folded path: of folders, and of files that are not all
        # in lower case (of which there are few: memory must not grow with the number of files).
        self._spelled: dict[str, str] = {}
        self._learn(self._fd, "")

    def close(self) -> None:
        os.close(self._fd)

    def parts(self, name: str, strip: int, what: str) -> tuple[str, ...]:
        """The folders and the file that a member's name means, from `root` down; empty for `root`
        itself.

        Args:
            name: the name as the archive has it.
            strip: leading folders to leave out.
            what: names the member in messages.

        Raises:
            InputError: the name is absolute, has `..`, a backslash, a drive letter or a control
                character in it, is too long, or is one that this program needs.
        """
        parts = [part for part in name.split("/") if part not in ("", ".")]
        fault = None
        if name.startswith("/"):
            fault = "is absolute"
        elif ".." in parts:
            fault = "has `..` in it"
        elif set(name) & set("\\:"):
            fault = "has a backslash or a colon in it"
        elif not name.isprintable():
            fault = "has characters in it that are not printable"
        elif RESERVED in name.casefold():
            fault = f"has {RESERVED} in it, which this program uses itself"
        elif any(len(part.encode()) > _LONGEST_NAME for part in parts):
            fault = f"is too long (a name has at most {_LONGEST_NAME} bytes)"
        elif len(name.encode()) + self._room >= _LONGEST_PATH:
            fault = f"is too long below {self.root} (a path has at most {_LONGEST_PATH} bytes)"
        if fault:
            mend = "do not trust this archive, or pack it again without that"
            raise InputError(f"{what}: the name {fault}; nothing was written for it: {mend}")
        return tuple(parts[strip:])

    def add_folder(self, parts: tuple[str, ...], what: str) -> None:
        """Makes a folder, unless it exists.

        Args:
            parts: names of the folders, from `root` down, from `parts`.
            what: names the member in messages.

        Raises:
            InputError: a file or link is in the way, or a name differs from an existing one only by
                case.
        """
        os.close(self._open(parts, what))

    def add_file(self, parts: tuple[str, ...], member: Member, what: str, *, by_size: bool) -> bool:
        """Writes a file, whole or not at all, with the member's time; permissions are those of the
        umask.

        Args:
            parts: names of its folders and its own, from `root` down, from `parts`.
            member: what is written.
            what: names the member in messages.
            by_size: a file of that name and size is taken for this one; otherwise the contents are
                compared.

        Returns:
            Whether it was written; it is not where it exists.

        Raises:
            InputError: something else of that name exists, or a name that differs only by case.
            OSError: it could not be written.
        """
        *above, name = parts
        folder = self._open(tuple(above), what)
        try:
            path = "/".join(parts)
            with self._claimed(path, name, folder, what):
                if self._exists(folder, name, path, member, what, by_size):
                    return False
                self._write(folder, name, member)
                return True
        finally:
            os.close(folder)

    def remove_leftovers(self) -> None:
        """Removes the unfinished files that a killed run left."""
        for folder, _, names in os.walk(self.root):
            for name in names:
                if name.startswith(RESERVED) and name.endswith(_TEMPORARY):
                    Path(folder, name).unlink()

    def size(self) -> int:
        """Bytes in all files."""
        return sum(
            Path(folder, name).lstat().st_size
            for folder, _, names in os.walk(self.root)
            for name in names
        )

    def _open(self, parts: tuple[str, ...], what: str) -> int:
        """A descriptor of the folder, which is made where it is missing."""
        current = os.dup(self._fd)
        try:
            for depth, name in enumerate(parts, start=1):
                above, path = current, "/".join(parts[:depth])
                try:
                    current = self._enter(above, name, path, what)
                except OSError as error:
                    if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                        raise
                    kind = (
                        "a symbolic link"
                        if stat.S_ISLNK(os.lstat(name, dir_fd=above).st_mode)
                        else "a file"
                    )
                    raise InputError(
                        f"{what}: leads through {self.root / path}, which is {kind}; move it away, "
                        f"or unpack into a new folder"
                    ) from None
                os.close(above)
        except BaseException:
            os.close(current)
            raise
        return current

    def _enter(self, above: int, name: str, path: str, what: str) -> int:
        if path in self._folders:
            return os.open(name, _FOLDER, dir_fd=above)
        with self._changed:
            self._spell(path, name, above, what)
            fresh = False
            with suppress(FileExistsError):
                os.mkdir(name, dir_fd=above)
                fresh = True
            descriptor = os.open(name, _FOLDER, dir_fd=above)
            if not fresh:
                self._learn(descriptor, f"{path}/")
            self._spelled[path.casefold()] = path
            self._folders.add(path)
            return descriptor

    def _learn(self, descriptor: int, above: str) -> None:
        """Takes note of the spelling of what an existing folder holds."""
        with os.scandir(descriptor) as entries:
            for entry in entries:
                if entry.name != entry.name.casefold() or entry.is_dir(follow_symlinks=False):
                    self._spelled.setdefault((above + entry.name).casefold(), above + entry.name)

    def _spell(self, path: str, name: str, folder: int, what: str) -> None:
        """Refuses a name that differs from another one only by case; once no other thread works on
        either."""
        key = path.casefold()
        while key in self._busy:
            self._changed.wait()
        plain = name.casefold()
        if name != plain and key not in self._spelled:
            self._spelled[key] = path[: -len(name)] + plain if _lstat(plain, folder) else path
        other = self._spelled.get(key, path)
        if other != path:
            raise InputError(
                f"{what}: differs only by upper and lower case from {self.root / other}, which "
                f"many file systems cannot hold; "
                "leave one of them out of the archive, or unpack into a new folder"
            )

    @contextmanager
    def _claimed(self, path: str, name: str, folder: int, what: str) -> Iterator[None]:
        """Keeps other threads away from a file, under any spelling of its name."""
        key = path.casefold()
        with self._changed:
            self._spell(path, name, folder, what)
            self._busy.add(key)
        try:
            yield
        finally:
            with self._changed:
                self._busy.discard(key)
                self._changed.notify_all()

    def _exists(
        self, folder: int, name: str, path: str, member: Member, what: str, by_size: bool
    ) -> bool:
        found = _lstat(name, folder)
        if found is None:
            return False
        mend = "move it away (nothing is overwritten) and run again"
        if not stat.S_ISREG(found.st_mode):
            raise InputError(
                f"{what}: {self.root / path} is there already and is not a file; {mend}"
            )
        if found.st_size != member.size:
            sizes = f"{found.st_size} bytes, the archive has {member.size}"
            raise InputError(f"{what}: {self.root / path} is there already with {sizes}; {mend}")
        if not by_size:
            with os.fdopen(
                os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder), "rb"
            ) as stream:
                if not all(stream.read(len(piece)) == piece for piece in member.pieces()):
                    raise InputError(
                        f"{what}: {self.root / path} is there already with other content of the "
                        f"same size; {mend}"
                    )
        return True

    def _write(self, folder: int, name: str, member: Member) -> None:
        # There are a hundred thousand files and more, and waiting until each of them is on the disk
        # would take hours. It is not needed: an archive counts as finished only after a flush of
        # everything (`unpack`), and of an unfinished one a power failure leaves files that are
        # shorter than the archive says, which the next run reports.
        temporary = f"{RESERVED}-{secrets.token_hex(8)}{_TEMPORARY}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with os.fdopen(os.open(temporary, flags, 0o666, dir_fd=folder), "wb") as stream:
                for piece in member.pieces():
                    stream.write(piece)
                stream.flush()
                if member.mtime is not None:
                    # A time that no file can have is no reason to give up.
                    with suppress(ValueError, OverflowError):
                        moment = int(member.mtime * 1_000_000_000)
                        os.utime(stream.fileno(), ns=(moment, moment))
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=folder)
            raise


def _lstat(name: str, folder: int) -> os.stat_result | None:
    try:
        return os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return None
