"""What archives are made of: volumes, forms, and damage of every sort."""

from __future__ import annotations

import hashlib
import io
import os
import random
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sailvos.packing import pack, split, tar_entry, video
from vatrack.common.errors import InputError
from vatrack.config.dataset import ArchiveConfig
from vatrack.sailvos.archives.members import check, read_members
from vatrack.sailvos.archives.volumes import (
    Archive,
    _group,
    archives_with_checksums,
    open_archives,
)

FORMS = ["x.tar", "x.tar.gz", "x.tar.bz2", "x.tar.xz", "x.tar.zst", "x.zip"]


def ignore(_: int) -> None:
    pass


def given_as(*paths: Path | str) -> list[ArchiveConfig]:
    return [ArchiveConfig(path=Path(path)) for path in paths]


def read(*paths: Path) -> dict[str, bytes]:
    """All files of one archive, checked as `unpack` checks them."""
    (archive,) = open_archives(given_as(*paths))
    return read_opened(archive)


def read_opened(archive: Archive) -> dict[str, bytes]:
    check(archive, ignore)
    return {
        member.info.name: b"".join(member.pieces())
        for member in read_members(archive, ignore)
        if member.info.isreg()
    }


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
    ("options", "count"), [([], 700), (["-d"], 1000), (["-a", "3"], 700), (["-d", "-a", "3"], 150)]
)
def test_volumes_are_named_as_split_names_them(
    tmp_path: Path, options: list[str], count: int
) -> None:
    """Also where it needs more places on the way: x.tar.yz, x.tar.zaaa."""
    subprocess.run(
        ["split", *options, "-b", "1", "-", "x.tar."], input=bytes(count), cwd=tmp_path, check=True
    )
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == count
    ((name, volumes),) = grouped(*random.Random(0).sample(names, count))
    assert (name, volumes) == ("x.tar", names)
    for missing in (1, 50, 89, 100, min(649, count - 2)):  # 89 and yz are the last short ones
        with pytest.raises(InputError, match="is missing between volumes"):
            grouped(*names[:missing], *names[missing + 1 :])


def test_a_compressed_tar_is_no_volume() -> None:
    names = [f"x.tar{end}" for end in ("", ".gz", ".xz", ".bz2", ".zst", ".lz", ".lzma", ".br")]
    assert grouped(*names, "z.tgz") == [(name, [name]) for name in [*names, "z.tgz"]]
    assert grouped("x.tar.zst.aa", "x.tar.zst.ab") == [
        ("x.tar.zst", ["x.tar.zst.aa", "x.tar.zst.ab"])
    ]


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        ("x.tar.aa x.tar.ac", "x.tar.ab"),
        ("x.tar.az x.tar.aa", "x.tar.ab"),
        ("x.tar.000 x.tar.002", "x.tar.001"),
        ("x.tar.gz.part1 x.tar.gz.part3", "x.tar.gz.part2"),
        (" ".join(f"x.tar.part-{n:02}" for n in (8, 9, 11, *range(8))), "x.tar.part-10"),
        ("x.tar.1 x.tar.01", "x.tar"),
    ],
)
def test_a_missing_volume_is_named(names: str, missing: str) -> None:
    with pytest.raises(InputError, match=rf"^{missing}.*: is missing between volumes"):
        _group(given_as(*names.split()))


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        ("x.tar.ab x.tar.ac", "x.tar.aa"),
        ("x.tar.002 x.tar.003", "x.tar.001"),
        ("x.tar.gz.part2", "x.tar.gz.part1"),
    ],
)
def test_a_missing_first_volume_is_named(names: str, missing: str) -> None:
    """Though its data might not show it: a volume may begin where a member does."""
    with pytest.raises(InputError, match=rf"^{missing}: the first volume is missing"):
        _group(given_as(*names.split()))


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


@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_read(tmp_path: Path, name: str) -> None:
    """Told by content, not by name; tars also in volumes, given in any order."""
    files = {**video("a", 30), "a/empty": b"", "ä/ö ü.txt": b"x" * 2_000_000}
    files[f"{'d' * 90}/{'e' * 60}/{'f' * 95}"] = b"data"
    path = pack(tmp_path / name, files)
    assert read(path) == files
    assert read(path.rename(tmp_path / "renamed.bin")) == files
    if name == "x.zip":
        return
    volumes = split(tmp_path / "renamed.bin", [f"{name}.{number:03d}" for number in range(7)])
    assert read(*reversed(volumes)) == files


@pytest.mark.parametrize("name", FORMS[:5])
def test_volumes_that_are_archives_of_their_own(tmp_path: Path, name: str) -> None:
    """Each with its own end mark: the end of the first is not the end of all."""
    first, second = video("a"), video("b")
    volumes = [
        pack(tmp_path / name, first).rename(tmp_path / f"{name}.1"),
        pack(tmp_path / name, second),
    ]
    volumes[1] = volumes[1].rename(tmp_path / f"{name}.2")
    assert read(*volumes) == first | second


@pytest.mark.skipif(not shutil.which("tar"), reason="there is no `tar` here")
@pytest.mark.parametrize("form", ["gnu", "pax", "v7", "oldgnu"])
def test_the_tar_command_is_understood(tmp_path: Path, form: str) -> None:
    """With holes left out of a sparse file, where the format can."""
    (tmp_path / "a").mkdir()
    with (tmp_path / "a" / "holes").open("wb") as stream:
        stream.seek(300_000)
        stream.write(b"data")
        stream.truncate(700_000)
    (tmp_path / "a" / "plain").write_bytes(b"x" * 1000)
    sparse = [] if form == "v7" else ["--sparse"]
    subprocess.run(
        ["tar", "-cf", "x.tar", *sparse, f"--format={form}", "a"], cwd=tmp_path, check=True
    )
    if form != "v7":
        assert (tmp_path / "x.tar").stat().st_size < 100_000
    assert read(tmp_path / "x.tar") == {
        f"a/{path.name}": path.read_bytes() for path in (tmp_path / "a").iterdir()
    }


def test_memory_does_not_grow_with_a_tar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tracemalloc

    monkeypatch.setattr("vatrack.sailvos.archives.volumes.CHUNK", 1 << 16)
    peaks = []
    for count in (200, 2000):
        path = pack(
            tmp_path / f"{count}.tar", {f"a/{number:06d}": b"x" * 600 for number in range(count)}
        )
        (archive,) = open_archives(given_as(path))
        tracemalloc.start()
        assert sum(1 for _ in read_members(archive, ignore)) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 100_000  # 2000 entries of tarfile alone would take a megabyte


# What is not an archive, or not a whole one.


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
        (b"\x28\xb5\x2f\xfd" + REST, "damaged, trunc"),
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
        (tmp_path / "x.z01").write_bytes(REST)
    with pytest.raises(InputError) as caught:
        read(tmp_path / name)
    assert str(caught.value) == (
        f"{tmp_path / name}: is a volume of a zip; join all volumes with `zip -s 0 first.zip --out "
        "whole.zip` (first.zip.001 and the like with `cat first.zip.* > whole.zip`)"
    )


def test_the_unwritten_end_of_a_download(tmp_path: Path) -> None:
    """Some programs make the file as long as it will be, before they fill it."""
    path = pack(tmp_path / "x.tar", video("a"))
    with path.open("ab") as stream:
        stream.truncate(20_000_000)
    told = r"supported after 'a/images/000003\.bmp' \(more than 16777216 bytes of zeros"
    with pytest.raises(InputError, match=told):
        read(path)


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


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_volume_that_grows_while_it_is_read(tmp_path: Path, number: int) -> None:
    """It counts as it was when it was measured: what comes after that is not read."""
    files = {f"a/{name}": random.Random(name).randbytes(2000) for name in range(20)}
    names = [f"x.tar.{each:03d}" for each in range(3)]
    volumes = split(pack(tmp_path / "x.tar", files), names)
    (archive,) = open_archives(given_as(*volumes))
    with volumes[number].open("ab") as stream:
        stream.write(b"more" * 500)
    assert read_opened(archive) == files


@pytest.mark.parametrize("left", [0, 300])
@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("summed", [False, True])
def test_a_volume_that_is_shortened_while_it_is_read(
    tmp_path: Path, number: int, left: int, summed: bool
) -> None:
    """Nothing of what follows is taken for its end, neither by a checksum nor by a tar."""
    volumes = split(
        pack(tmp_path / "x.tar", video("a", 10)), [f"x.tar.{each:03d}" for each in range(3)]
    )
    sums = [hashlib.sha256(path.read_bytes()).hexdigest() if summed else None for path in volumes]
    (archive,) = open_archives(
        [ArchiveConfig(path=path, sha256=each) for path, each in zip(volumes, sums, strict=True)]
    )
    os.truncate(volumes[number], left)
    told = rf"x\.tar\.00{number}: was shortened while it was read; download it again"
    with pytest.raises(InputError, match=told):
        read_opened(archive)


@pytest.mark.parametrize("name", FORMS)
def test_a_cut_off_archive_is_noticed_wherever_it_is_cut(tmp_path: Path, name: str) -> None:
    files = {f"a/{number}": random.Random(number).randbytes(2000) for number in range(5)}
    data = pack(tmp_path / name, files).read_bytes()
    path = tmp_path / f"cut_{name}"
    # tarfile itself takes a tar that ends after a member, or in the middle of a header, for a whole
    # one.
    # zstandard does not miss the last four bytes, the checksum, where the tar is whole.
    end = {"x.tar": 5 * (512 + 2048), "x.tar.zst": len(data) - 5}.get(name, len(data) - 1)
    places = random.Random(0).sample(range(1, end), 40)
    for size in {*places, 512, 2560, 2560 + 300, 2560 + 512, end}:
        path.write_bytes(data[:size])
        with pytest.raises(InputError, match=r"download it again"):
            read(path)


def test_a_cut_off_tar_names_the_member_and_the_volumes(tmp_path: Path) -> None:
    data = pack(tmp_path / "x.tar", video("a")).read_bytes()
    path = tmp_path / "x.tar.000"
    path.write_bytes(data[: 3 * 3584 + 1000])
    with pytest.raises(
        InputError,
        match=r"supported in 'a/images/000003.bmp' .*and check that no volume after x.tar.000 is",
    ):
        read(path)


def test_a_first_volume_that_is_missing_shows_in_the_data(tmp_path: Path) -> None:
    """x.tar.000 may be missing, and x.tar.001 may be the first: names do not tell."""
    path = pack(tmp_path / "x.tar", {"a": random.Random(0).randbytes(50_000)})
    volumes = split(path, [f"x.tar.{number:03d}" for number in range(3)])
    with pytest.raises(
        InputError, match=r"x\.tar\.001: is neither a tar .*, the first volume of one, nor"
    ):
        read(*volumes[1:])


LISTED = 35  # where the list at the end of a zip begins that holds `a` with 4 bytes


@pytest.mark.parametrize(
    ("patches", "complaint"),
    [
        (
            [(31, b"X")],
            r"damaged, .* in 'a' \(Bad CRC-32 for file 'a'\); download it again",
        ),
        ([(6, b"\1"), (LISTED + 8, b"\1")], r".*in 'a' \(.* is encrypted.*; .* or repack it"),
        ([(8, b"\x09"), (LISTED + 10, b"\x09")], r".*in 'a' \(.*method is not supported.*; down"),
    ],
)
def test_zips_that_cannot_be_read_name_the_member(
    tmp_path: Path, patches: list[tuple[int, bytes]], complaint: str
) -> None:
    path = pack(tmp_path / "x.zip", {"a": b"data"}, method=zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    for place, byte in patches:
        data[place : place + 1] = byte
    path.write_bytes(data)
    with pytest.raises(InputError, match=rf"x\.zip: {complaint}"):
        read(path)


def test_a_zip_that_lacks_bytes(tmp_path: Path) -> None:
    """What its list tells of then begins before the file does."""
    path = pack(tmp_path / "x.zip", {"a": b"data"})
    data = path.read_bytes()
    path.write_bytes(data[:4] + data[5:])
    with pytest.raises(InputError, match=r"x\.zip: damaged, truncated or not supported in 'a'"):
        read(path)


def test_the_checksum_of_an_empty_file_is_compared(tmp_path: Path) -> None:
    path = pack(tmp_path / "x.zip", {"a": b""})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 16] = 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"supported in 'a' \(Bad CRC-32"):
        read(path)


def test_tar_headers_are_checked(tmp_path: Path) -> None:
    data = bytearray(pack(tmp_path / "x.tar", video("a")).read_bytes())
    data[2 * 3584 + 5] ^= 1
    (tmp_path / "x.tar").write_bytes(data)
    with pytest.raises(
        InputError, match=r"supported after 'a/images/000001.bmp' \(bad checksum\); download it"
    ):
        read(tmp_path / "x.tar")


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_no_damage_ends_in_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Bytes changed, cut out or put in at random: either all is read as it was packed, or it is bad
    input."""
    name = data.draw(st.sampled_from(FORMS))
    files = {"a/1": b"x" * 700, "b" * 120: b"", "ä": b"yz" * 300}
    path = pack(tmp_path_factory.getbasetemp() / name, files)
    packed = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(packed)))
        length = data.draw(st.sampled_from([0, 1, 1, 1, 4, 512]))
        packed[place : place + length] = data.draw(st.binary(min_size=0, max_size=8))
    path.write_bytes(packed)
    try:
        found = read(path)
    except InputError:
        return
    if name != "x.tar":  # which has no checksum of the data
        assert set(found.values()) <= set(files.values())


HOSTILE = {
    "size": dict.fromkeys(["-1", "9" * 20, "x", "", "1,2,3", "nan"]),
    "GNU.sparse.realsize": dict.fromkeys(["-1", "9" * 20, "x", "", "1,2,3", "nan"]),
    # Where the data lies in a file with holes; numbers in excess are left alone.
    "GNU.sparse.map": {
        **dict.fromkeys(["x", "", "nan"]),
        **{"-1": bytes(4), "9" * 20: bytes(4), "1,2,3": b"\0da\0"},
    },
    # A name may be any text; no time that makes no sense is a reason to give up.
    "path": dict.fromkeys(["-1", "9" * 20, "x", "1,2,3", "nan"], b"data"),
    "mtime": dict.fromkeys(["-1", "9" * 20, "x", "", "1,2,3", "nan"], b"data"),
}


@pytest.mark.parametrize(
    ("key", "value", "data"),
    [(key, value, data) for key, values in HOSTILE.items() for value, data in values.items()],
)
def test_hostile_pax_headers(tmp_path: Path, key: str, value: str, data: bytes | None) -> None:
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(
            tar_entry("a", size=4, pax_headers={key: value, "GNU.sparse.major": "0"}),
            io.BytesIO(b"data"),
        )
        tar.addfile(tar_entry("b", size=4), io.BytesIO(b"data"))
    if data is None:
        with pytest.raises(InputError, match=r"x\.tar: damaged, .* (in|after|before) "):
            read(path)
    else:
        assert read(path) == {value if key == "path" else "a": data, "b": b"data"}


@pytest.mark.parametrize("kind", [*b"LKxgX"])
def test_a_huge_header_is_not_read_into_memory(tmp_path: Path, kind: int) -> None:
    path = tmp_path / "x.tar"
    info = tar_entry("a", type=bytes([kind]), size=1 << 33)
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(100_000))
    with pytest.raises(
        InputError, match=r"first member \(a header of 8589934592 bytes\); download"
    ):
        read(path)


def test_nested_headers_do_not_exhaust_the_stack(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    info = tar_entry("a", type=tarfile.GNUTYPE_LONGNAME, size=1)
    path.write_bytes((info.tobuf(tarfile.GNU_FORMAT) + b"b".ljust(512, b"\0")) * 5000)
    with pytest.raises(InputError, match="damaged, truncated or"):
        read(path)


def test_a_failing_disk_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pack(tmp_path / "x.tar.gz", video("a"))
    (archive,) = open_archives(given_as(path))

    class Failing(io.BytesIO):
        def read(self, *_: object) -> bytes:
            raise OSError(5, os.strerror(5))

    monkeypatch.setattr(Path, "open", lambda *_: Failing())
    with pytest.raises(OSError, match="Input/output error") as caught:
        list(read_members(archive, ignore))
    assert caught.value.filename == str(path)


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
