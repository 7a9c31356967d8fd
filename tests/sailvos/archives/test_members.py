"""What is read from archives: all of it as it was packed, or none that is damaged unnoticed."""

from __future__ import annotations

import io
import os
import random
import shutil
import subprocess
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sailvos.packing import (
    FORMS,
    given_as,
    ignore,
    pack,
    read,
    split,
    tar_entry,
    video,
)
from vatrack.common.errors import InputError
from vatrack.sailvos.archives.members import check_headers, read_members
from vatrack.sailvos.archives.volumes import open_archives


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


@pytest.mark.parametrize("name", FORMS)
def test_what_follows_the_end(tmp_path: Path, name: str) -> None:
    """Zeros do no harm; other data may be a damaged volume. A zip says itself where it ends, and
    zstandard allows nothing there."""
    path = pack(tmp_path / name, video("a"))
    data = path.read_bytes()
    for rest in (bytes(10_240), b"x", b"other data " * 1000):
        path.write_bytes(data + rest)
        if name == "x.zip" or (not any(rest) and name != "x.tar.zst"):
            assert read(path) == video("a")
        else:
            with pytest.raises(InputError, match="damaged, truncated or not supported"):
                read(path)


@pytest.mark.parametrize("name", FORMS[:5])
def test_a_damaged_volume_is_no_end(tmp_path: Path, name: str) -> None:
    """Also where every volume is an archive of its own, with an end."""
    volumes = [
        pack(tmp_path / name, video(each)).rename(tmp_path / f"{name}.{number}")
        for number, each in enumerate("ab")
    ]
    volumes[1].write_bytes(b"damaged!" + volumes[1].read_bytes()[8:])
    with pytest.raises(InputError, match="damaged, truncated or"):
        read(*volumes)


# What is not whole.


@pytest.mark.parametrize("between", [False, True])
def test_the_unwritten_part_of_a_download(tmp_path: Path, between: bool) -> None:
    """Some programs make the file as long as it will be, before they fill it in several places."""
    path = pack(tmp_path / "x.tar", video("a"))
    with path.open("ab") as stream:
        stream.truncate(20_000_000 // 512 * 512)
        stream.seek(0, os.SEEK_END)
        stream.write(pack(tmp_path / "rest.tar", video("b")).read_bytes() if between else b"")
    told = r"supported after 'a/images/000003\.bmp' \(more than 16777216 bytes of zeros"
    with pytest.raises(InputError, match=told):
        read(path)


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


def test_a_cut_off_tar_names_the_member_and_the_next_volume(tmp_path: Path) -> None:
    data = pack(tmp_path / "x.tar", video("a")).read_bytes()
    path = tmp_path / "x.tar.000"
    path.write_bytes(data[: 3 * 3584 + 1000])
    with pytest.raises(
        InputError,
        match=r"^.*/x\.tar\.001: is missing: .*000, which breaks off in 'a/images/000003\.bmp'",
    ):
        read(path)


def test_headers_alone_tell_of_an_end_that_is_missing(tmp_path: Path) -> None:
    """And of any damage to them; of the data only their number of bytes counts."""
    path = pack(tmp_path / "x.tar", video("a") | {"b": b"x" * 2_000_000})
    volumes = split(path, [f"x.tar.{number:02d}" for number in range(9)])
    (archive,) = open_archives(given_as(*volumes))
    check_headers(archive)
    data = b"".join(volume.read_bytes() for volume in volumes)
    path.write_bytes(data[:5000] + b"?" + data[5001:])
    (archive,) = open_archives(given_as(path))
    check_headers(archive)
    for wrong in (data[:-10_240], data[:1_000_000], data[:3700], data[:3590] + b"?" + data[3591:]):
        path.write_bytes(wrong)
        (archive,) = open_archives(given_as(path))
        with pytest.raises(InputError, match=r"x\.tar: damaged, truncated or not supported"):
            check_headers(archive)


LISTED = 35  # where the list at the end of a zip begins that holds `a` with 4 bytes
EMPTY = LISTED - 4  # the same for no bytes


@pytest.mark.parametrize(
    ("content", "patches", "complaint"),
    [
        (b"data", {31: b"X"}, r"in 'a' \(Bad CRC-32 for file 'a'\); download it again"),
        (b"", {EMPTY + 16: b"\1"}, r"in 'a' \(Bad CRC-32 for file 'a'\); download it again"),
        (b"data", {6: b"\1", LISTED + 8: b"\1"}, r"in 'a' \(.* is encrypted.*; .* or repack it"),
        (b"data", {8: b"\x09", LISTED + 10: b"\x09"}, r"in 'a' \(.*not supported.*; down"),
        (b"data", {4: b""}, "in 'a'"),  # its list then tells of places before the file's beginning
    ],
)
def test_zips_that_cannot_be_read_name_the_member(
    tmp_path: Path, content: bytes, patches: dict[int, bytes], complaint: str
) -> None:
    path = pack(tmp_path / "x.zip", {"a": content}, method=zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    for place, byte in patches.items():
        data[place : place + 1] = byte
    path.write_bytes(data)
    with pytest.raises(InputError, match=rf"x\.zip: damaged, .* {complaint}"):
        read(path)


def test_tar_headers_are_checked(tmp_path: Path) -> None:
    data = bytearray(pack(tmp_path / "x.tar", video("a")).read_bytes())
    data[2 * 3584 + 5] ^= 1
    (tmp_path / "x.tar").write_bytes(data)
    with pytest.raises(
        InputError, match=r"supported after 'a/images/000001.bmp' \(bad checksum\); download it"
    ):
        read(tmp_path / "x.tar")


def test_no_damage_ends_in_a_traceback(tmp_path: Path) -> None:
    """Bytes changed, cut out or put in at random: either all is read as it was packed, or it is bad
    input."""
    files = {"a/1": b"x" * 700, "b" * 120: b"", "ä": b"yz" * 300}
    whole = {name: pack(tmp_path / name, files).read_bytes() for name in FORMS}
    for name, content in whole.items():
        (tmp_path / name).write_bytes(content)
        assert read(tmp_path / name) == files
    outcomes: Counter[str] = Counter()

    @settings(max_examples=300)
    @given(data=st.data())
    def damage(data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(FORMS))
        packed = bytearray(whole[name])
        for _ in range(data.draw(st.integers(1, 4))):
            place = data.draw(st.integers(0, len(packed)))
            length = data.draw(st.sampled_from([0, 1, 1, 1, 4, 512]))
            packed[place : place + length] = data.draw(st.binary(min_size=0, max_size=8))
        (tmp_path / name).write_bytes(packed)
        try:
            found = read(tmp_path / name)
        except InputError:
            outcomes["refused"] += 1
            return
        outcomes["read"] += 1
        if name != "x.tar":  # which has no checksum of the data
            assert found == files, name

    damage()
    assert outcomes["refused"] > 100
    assert outcomes["read"] > 0


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
