"""Which files make up an archive: volumes in order, sizes, forms, lists of checksums."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path
from string import ascii_lowercase as LETTERS

import pytest

from tests.sailvos.packing import checked, given_as, pack, read, read_opened, split, video
from vatrack.common.errors import InputError
from vatrack.config.dataset import ArchiveConfig
from vatrack.sailvos.archives.volumes import (
    _group,
    archives_with_checksums,
    following,
    open_archives,
)


def grouped(*names: str) -> list[tuple[str, list[str]]]:
    return [
        (path.name, [file.path.name for file in files]) for path, files in _group(given_as(*names))
    ]


@pytest.mark.parametrize(
    "volumes",
    [
        ["x.tar.aa", "x.tar.ab", "x.tar.ac"],
        ["x.tar.gz.aa", "x.tar.gz.ab"],
        ["x.tar.000", "x.tar.001"],
        ["x.tar.01", "x.tar.02"],
        [f"x.tar.{number}" for number in range(1, 12)],  # 10 comes after 9
        [f"x.tgz.{number:02d}" for number in range(98, -1, -1)][::-1],
        ["x.tar.gz.part1", "x.tar.gz.part2"],
        ["x.tar.part-00", "x.tar.part-01"],
        ["x.tar.part_aa", "x.tar.part_ab"],
        ["x.tar.Part01", "x.tar.Part02"],
        ["x.TAR.AA", "x.TAR.AB"],
        ["sailvos_1.tar.xz.aaa", "sailvos_1.tar.xz.aab"],
    ],
    ids=lambda volumes: volumes[0],
)
def test_volumes_are_put_in_order(volumes: list[str]) -> None:
    mixed = [*volumes, "other.tar"]
    random.Random(0).shuffle(mixed)
    assert dict(grouped(*mixed)) == {grouped(*volumes)[0][0]: volumes, "other.tar": ["other.tar"]}


@pytest.mark.skipif(not shutil.which("split"), reason="there is no `split` here")
@pytest.mark.parametrize(
    ("options", "count", "unknown"),
    [
        ([], 650, "za"),  # zaaa comes after yz
        (["-d"], 90, "90"),  # 9000 comes after 89
        (["-a", "3"], 720, None),
        (["-d", "-a", "3"], 720, None),
    ],
)
def test_volumes_are_named_as_split_names_them(
    tmp_path: Path, options: list[str], count: int, unknown: str | None
) -> None:
    """As far as a missing one shows; what goes on otherwise is refused."""
    subprocess.run(
        ["split", *options, "-b", "1", "-", "x.tar."], input=bytes(720), cwd=tmp_path, check=True
    )
    names = sorted(path.name for path in tmp_path.iterdir())
    volumes = names[:count]
    assert grouped(*random.Random(0).sample(volumes, count)) == [("x.tar", volumes)]
    for missing in (1, 50, count - 2):
        with pytest.raises(InputError, match=rf"^{volumes[missing]}: is missing before volume"):
            grouped(*volumes[:missing], *volumes[missing + 1 :])
    if unknown:
        told = rf"^x\.tar\.{unknown}: .*join them with `cat x\.tar\.\* > x\.tar`"
        with pytest.raises(InputError, match=told):
            grouped(*names)


@pytest.mark.parametrize(
    ("last", "after"),
    [
        *[("x.tar.09", "x.tar.10"), ("x.tar.9", "x.tar.10"), ("x.tgz.part-3", "x.tgz.part-4")],
        *[("x.tar.aa", "x.tar.ab"), ("x.tar.az", "x.tar.ba"), ("x.tar.azz", "x.tar.baa")],
        *[("X.TAR.AB", "X.TAR.AC"), ("x.tar.gz.az", "x.tar.gz.ba")],
    ],
)
def test_the_volume_after_the_last(last: str, after: str) -> None:
    assert following(Path("b", last)) == Path("b", after)


def test_a_compressed_tar_is_no_volume() -> None:
    names = [f"x.tar{end}" for end in ("", ".gz", ".xz", ".bz2", ".zst", ".lz", ".lzma", ".br")]
    assert grouped(*names, "z.tgz") == [(name, [name]) for name in [*names, "z.tgz"]]
    assert grouped("x.tar.zst.aa", "x.tar.zst.ab") == [
        ("x.tar.zst", ["x.tar.zst.aa", "x.tar.zst.ab"])
    ]


@pytest.mark.parametrize("end", ["old", "bak", "gpg", "asc", "orig", "2024", "20240131"])
def test_alone_only_the_first_volume_is_one(tmp_path: Path, end: str) -> None:
    """What another file is, its content tells."""
    name = f"x.tar.{end}"
    assert grouped(name) == [(name, [name])]
    assert read(pack(tmp_path / "x.tar", video("a")).rename(tmp_path / name)) == video("a")
    (tmp_path / name).write_bytes(b"neither" * 100)
    with pytest.raises(InputError, match=rf"{name}: is neither a tar"):
        read(tmp_path / name)
    for first in ("aa", "AAA", "0", "1", "00", "001"):
        assert grouped(f"x.tar.{first}") == [("x.tar", [f"x.tar.{first}"])]


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        ("x.tar.aa x.tar.ac", "x.tar.ab"),
        ("x.tar.az x.tar.aa", "x.tar.ab"),
        ("x.tar.000 x.tar.002", "x.tar.001"),
        ("x.tar.gz.part1 x.tar.gz.part3", "x.tar.gz.part2"),
        (" ".join(f"x.tar.part-{n:02}" for n in (8, 9, 11, *range(8))), "x.tar.part-10"),
        # The first one, though its data might not show it: a volume may begin where a member does.
        ("x.tar.ab x.tar.ac", "x.tar.aa"),
        ("x.tar.002 x.tar.003", "x.tar.001"),
        ("x.tar.gz.part2", "x.tar.gz.part1"),
        # Also alone: each volume may be a tar of its own.
        *[("x.tar.002", "x.tar.001"), ("x.tar.02", "x.tar.01"), ("x.tar.10", "x.tar.01")],
        *[("x.tar.ab", "x.tar.aa"), ("x.tar.gz.AZ", "x.tar.gz.aa"), ("x.tar.aab", "x.tar.aaa")],
        # Names of two sorts are not put in an order.
        ("x.tar.1 x.tar.01", "x.tar.2"),
        ("x.tar.aa x.tar.AA", "x.tar.ab"),
        ("x.tar.aa x.tar.aab", "x.tar.ab"),
        ("x.tar.00 x.tar.aa", "x.tar.01"),
        # `split` goes on with longer names.
        ("x.tar.zaaa " + " ".join(f"x.tar.{a}{b}" for a in "abc" for b in LETTERS), "x.tar.da"),
        ("x.tar.9000 " + " ".join(f"x.tar.{n:02}" for n in range(90)), "x.tar.90"),
    ],
)
def test_a_missing_volume_is_named(names: str, missing: str) -> None:
    with pytest.raises(InputError, match=rf"^{missing}: is missing before volume"):
        _group(given_as(*names.split()))


def test_a_first_volume_that_is_missing_shows_in_the_data(tmp_path: Path) -> None:
    """x.tar.000 may be missing, and x.tar.001 may be the first: names do not tell."""
    path = pack(tmp_path / "x.tar", {"a": random.Random(0).randbytes(50_000)})
    volumes = split(path, [f"x.tar.{number:03d}" for number in range(3)])
    with pytest.raises(
        InputError, match=r"x\.tar\.001: is neither a tar .*, the first volume of one, nor"
    ):
        read(*volumes[1:])


def test_an_empty_volume_is_no_end(tmp_path: Path) -> None:
    path = pack(tmp_path / "x.tar", video("a"))
    volumes = [path.rename(tmp_path / "x.tar.aa"), tmp_path / "x.tar.ab"]
    volumes[1].touch()
    with pytest.raises(InputError, match=r"x\.tar\.ab: is empty; download it again"):
        open_archives(given_as(*volumes))


def test_the_number_of_archives(tmp_path: Path) -> None:
    path = pack(tmp_path / "x.tar", video("a"))
    assert len(open_archives(given_as(path))) == 1
    (tmp_path / "link.tar").symlink_to(path)
    (tmp_path / "y").mkdir()
    for again in ("x.tar", "y/../x.tar", "link.tar"):
        twice = [ArchiveConfig(path=path, sha256="0" * 64), *given_as(tmp_path / again)]
        with pytest.raises(InputError, match=rf"{again}: is listed twice; list it once"):
            open_archives(twice)
    first, second = split(path, ["x.tar.1", "x.tar.2"])
    with pytest.raises(InputError, match=r"x\.tar\.1: is listed twice"):
        open_archives(given_as(first, second, first))
    with pytest.raises(InputError, match="no archive given"):
        open_archives([])


REST = bytes(600)

NEITHER = r"is neither a tar .*; download it again, or repack it \(7z, rar\)"


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"\n<!DOCTYPE html><html>log in</html>", "is a web page, not an archive; download it"),
        (b"", "is empty; download it again"),
        *[(data, NEITHER) for data in (b"short", b"no archive at all" * 100, bytes(102_400))],
        *[(magic + REST, NEITHER) for magic in (b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07\x01\0")],
        (b"LZIP" + REST, NEITHER),
        (b"PK\x07\x08" + REST, "is a volume of a zip; join all volumes with `zip -s 0 first.zip"),
        (b"PK\x03\x04" + REST, r"supported before its first member \(.*not a zip.*; download it"),
        *[(magic + REST, "damaged, trunc") for magic in (b"\x1f\x8b", b"BZh9", b"\xfd7zXZ\0")],
        (b"\x28\xb5\x2f\xfd" + REST, r"damaged, trunc|002: is missing: .*before its first member"),
    ],
    ids=lambda value: value[:12].hex() if isinstance(value, bytes) else "",
)
def test_what_is_no_archive(tmp_path: Path, data: bytes, complaint: str) -> None:
    """Told by content, also in the first of several volumes."""
    for name in ("x.tar", "x.tar.001"):
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(InputError, match=complaint) as caught:
            read(path)
        assert str(caught.value).startswith(str(tmp_path / "x.tar"))


@pytest.mark.parametrize("name", ["x.zip", "x.z01", "x.Z02", "x.zip.001"])
def test_zips_in_volumes(tmp_path: Path, name: str) -> None:
    """Told by their names: only the first volume begins as a zip does."""
    pack(tmp_path / "x.zip", video("a")).rename(tmp_path / name)
    if name == "x.zip":
        (tmp_path / "x.z01").write_bytes(b"x")
    with pytest.raises(InputError) as caught:
        read(tmp_path / name)
    assert str(caught.value) == (
        f"{tmp_path / name}: is a volume of a zip; join all volumes with `zip -s 0 first.zip --out "
        "whole.zip` (first.zip.001 and the like with `cat first.zip.* > whole.zip`)"
    )


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(
        InputError,
        match=r"x\.tar: no such file; check the path",
    ):
        read(tmp_path / "x.tar")
    (tmp_path / "folder.tar").mkdir()
    with pytest.raises(InputError, match=r"folder\.tar: is a folder; give the archives"):
        read(tmp_path / "folder.tar")
    os.mkfifo(tmp_path / "pipe.tar")
    with pytest.raises(InputError, match=r"pipe\.tar: is a pipe or a device; save its content"):
        read(tmp_path / "pipe.tar")


@pytest.mark.parametrize("summed", [False, True])
@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("change", [-1_000_000, -300, 300])
def test_a_volume_that_changes_while_it_is_read(
    tmp_path: Path, change: int, number: int, summed: bool
) -> None:
    """Nothing of what follows is taken for its end, neither by a checksum nor by a tar."""
    volumes = split(
        pack(tmp_path / "x.tar", video("a", 10)), [f"x.tar.{each:03d}" for each in range(3)]
    )
    given = [checked(path) for path in volumes] if summed else given_as(*volumes)
    (archive,) = open_archives(given)
    os.truncate(volumes[number], max(0, volumes[number].stat().st_size + change))
    told = rf"x\.tar\.00{number}: changed its size while it was read; wait for the end of its"
    with pytest.raises(InputError, match=told):
        read_opened(archive)


# Lists of checksums.


def test_checksums_are_found_by_name(tmp_path: Path) -> None:
    sums = tmp_path / "sums"
    sums.write_text(
        f"{'a' * 64}  x.tar\r\n{'A' * 64}  x.tar\n{'B' * 64} *some/folder/y.tar\n\n"
        f"{'c' * 64}  other.tar\n"
    )
    found = archives_with_checksums([tmp_path / "x.tar", Path("y.tar")], sums)
    assert [(file.path, file.sha256) for file in found] == [
        (tmp_path / "x.tar", "a" * 64),
        (Path("y.tar"), "b" * 64),
    ]
    assert archives_with_checksums([Path("z.tar")], None)[0].sha256 is None


GOOD = f"{'a' * 64}  x.tar\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (f"{'a' * 64}  y.tar\n", r"has no line `checksum  x\.tar`; create the list"),
        ("abc  x.tar\n", "line 1: is not `checksum  name`; create the list with `sha256sum`"),
        (f"\n{'a' * 64}\n", "line 2: is not"),
        (f"{GOOD}{'a' * 63}  y.tar\n", "line 2: is not"),
        (f"{GOOD}\n{'b' * 64}  x.tar\n", r"line 3: x\.tar has two checksums; keep the right one"),
        (f"{GOOD}{'b' * 64} *again/x.tar\n", r"line 2: x\.tar has two checksums"),
    ],
)
def test_bad_checksum_lists(tmp_path: Path, text: str, complaint: str) -> None:
    sums = tmp_path / "sums"
    sums.write_text(text)
    with pytest.raises(InputError, match=f"sums: {complaint}"):
        archives_with_checksums([Path("x.tar")], sums)
    with pytest.raises(InputError, match="no such file"):
        archives_with_checksums([Path("x.tar")], tmp_path / "none")
