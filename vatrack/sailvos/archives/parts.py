"""Which files are parts of one archive that was split, told by their names: x.tar.aa, x.tar.000,
x.tar.gz.part1, …"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from vatrack.common.errors import InputError
from vatrack.config.dataset import ArchiveConfig

_PART = re.compile(
    r"(.+\.(?:tar(?:\.(?:gz|bz2|xz))?|tgz|tbz2?|txz|zip))([._-]?part[._-]?|\.)(\d+|[a-z]{2,4})",
    re.IGNORECASE,
)
_CHECKSUM = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")
# What may as well be the suffix of a compressed tar.
_COMPRESSED = {"gz": "gy", "xz": "xy"}


def group_parts(given: Sequence[ArchiveConfig]) -> list[tuple[Path, tuple[ArchiveConfig, ...]]]:
    """Groups files by the archive that they belong to, parts in their order.

    Returns:
        For each archive its path (for parts, what their names have in common) and its files.

    Raises:
        InputError: no file, a file twice, or a part is missing.
    """
    if not given:
        raise InputError(
            "no archive is given; name one by --archive, or in the config's dataset.archives"
        )
    paths: dict[Path, Path] = {}
    for file in given:
        if paths.setdefault(file.path.resolve(), file.path) is not file.path:
            raise InputError(f"{file.path}: is given twice; name each archive once")
    names = {file.path for file in given}
    groups: dict[tuple[Path, str], dict[str, ArchiveConfig]] = {}
    for file in given:
        found = _PART.fullmatch(file.path.name)
        if found and (before := _COMPRESSED.get(found[3].lower())):
            # x.tar.gz is a part only where x.tar.gy is one: the 181st that `split` makes.
            found = found if file.path.with_name(found[1] + found[2] + before) in names else None
        path, mark, number = (
            (file.path.with_name(found[1]), found[2], found[3]) if found else (file.path, "", "")
        )
        groups.setdefault((path, mark), {})[number] = file
    return [(path, _in_order(path, mark, files)) for (path, mark), files in groups.items()]


def _in_order(path: Path, mark: str, files: dict[str, ArchiveConfig]) -> tuple[ArchiveConfig, ...]:
    if not mark:
        return tuple(files.values())
    numbers = sorted(
        files, key=lambda number: (int(number), "") if number.isdigit() else (len(number), number)
    )
    first = numbers[0]
    missing = None
    if first.isdigit() and int(first) > 1:
        missing = str(int(first) - 1).zfill(len(first))
    elif not first.isdigit() and first.strip("aA"):
        missing = "a" * len(first)
    for number, following in pairwise(numbers):
        if missing is None and following not in (expected := _following(number)):
            missing = expected[0] if expected else f"(after {number})"
    if missing is not None:
        name = f"{path.name}{mark}{missing}"
        raise InputError(
            f"{files[first].path}: is taken for a part of {path.name}, but part {name} is missing; "
            f"download it, "
            "name it with the others, or give the file the name of a whole archive"
        )
    return tuple(files[number] for number in numbers)


def _following(number: str) -> list[str]:
    """What may come after a part's number: one more, or more places where `split` takes them (yz,
    zaaa; 89, 9000)."""
    if number.isdigit():
        return [str(int(number) + 1).zfill(len(number)), *_longer(number, "0", "8", "9")]
    plain, upper = number.lower(), number.isupper()
    kept = plain.rstrip("z")
    following = (
        [kept[:-1] + chr(ord(kept[-1]) + 1) + "a" * (len(plain) - len(kept))] if kept else []
    )
    return [
        text.upper() if upper else text for text in (*following, *_longer(plain, "a", "y", "z"))
    ]


def _longer(number: str, first: str, before: str, last: str) -> list[str]:
    places = (len(number) - 2) // 2
    used_up = number == last * places + before + last * (places + 1)
    return [last * (places + 1) + first * (places + 3)] if used_up else []


def archives_with_checksums(
    archives: Sequence[Path], checksums: Path | None
) -> list[ArchiveConfig]:
    """Archives with their checksums from a list as `sha256sum` writes it, found there by their bare
    names.

    Raises:
        InputError: the list cannot be read, a line is not `checksum  name`, or it lacks an archive.
    """
    sums = _read_checksums(checksums) if checksums else {}
    for archive in archives:
        if checksums and archive.name not in sums:
            raise InputError(
                f"{checksums}: has no checksum of {archive.name}; add it, or leave the list out"
            )
    return [
        ArchiveConfig(path=archive, size=None, sha256=sums.get(archive.name))
        for archive in archives
    ]


def _read_checksums(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: cannot be read ({error}); a list as `sha256sum` writes it is needed"
        ) from None
    sums: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        found = _CHECKSUM.fullmatch(line)
        if not found:
            raise InputError(
                f"{path}: line {number} is not `checksum  name`; make the list with `sha256sum`"
            )
        name, value = Path(found[2]).name, found[1].lower()
        if sums.setdefault(name, value) != value:
            raise InputError(
                f"{path}: line {number}: {name} has another checksum further up; keep the right one"
            )
    return sums
