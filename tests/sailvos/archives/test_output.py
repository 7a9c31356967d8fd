"""What is written: nothing outside of the folder, nothing but files and folders, nothing over what
is there."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import threading
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.sailvos.packing import (
    NOTES,
    contents,
    do,
    pack,
    pack_zip,
    stats,
    tar_entry,
    video,
    zip_entry,
)
from vatrack.common.errors import InputError
from vatrack.sailvos.archives.members import Member
from vatrack.sailvos.archives.output import EXISTED, WRITTEN, OutputTree
from vatrack.sailvos.archives.volumes import Archive


def test_permissions_are_those_of_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as tar:
        tar.addfile(tar_entry("a", type=tarfile.DIRTYPE, mode=0o000))
        tar.addfile(tar_entry("a/b", size=1, mode=0o6777, uid=12345, gid=12345), io.BytesIO(b"x"))
    zipped = tmp_path / "y.zip"
    with zipfile.ZipFile(zipped, "w") as file:
        file.writestr(zip_entry("a/c", mode=0o104777), b"x")
    before = os.umask(0o027)
    try:
        do(tmp_path / "out", path, zipped)
    finally:
        os.umask(before)
    found = {name: (tmp_path / "out" / name).stat() for name in ("a", "a/b", "a/c")}
    modes = {name: stat.S_IMODE(status.st_mode) for name, status in found.items()}
    assert modes == {"a": 0o750, "a/b": 0o640, "a/c": 0o640}
    assert {status.st_uid for status in found.values()} == {os.getuid()}


@pytest.mark.parametrize("mtime", [-5e18, 1e30, float("nan"), -10.5])
def test_a_time_that_no_file_can_have(tmp_path: Path, mtime: float) -> None:
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(
            tar_entry("a", size=1, mtime=0, pax_headers={"mtime": str(mtime)}), io.BytesIO(b"x")
        )
    do(tmp_path / "out", path)
    assert contents(tmp_path / "out") == {"a": b"x"}


UNSAFE = [
    *("/etc/passwd", "//host/share", "../x", "a/../../x", "a/..", "..\\x", "a\\b", "C:x"),
    *("a\nb", "a\x1b[2Jb", "a\u202eb", "a/" * 101 + "b", NOTES, "a/.VATRACK-unpack-0.part"),
]


@pytest.mark.parametrize("name", UNSAFE, ids=lambda name: name[:12])
@pytest.mark.parametrize("form", ["x.tar", "x.zip"])
def test_unsafe_names_are_refused(tmp_path: Path, form: str, name: str) -> None:
    path = pack(tmp_path / form, {"first": b"1", name: b"x", "last": b"2"})
    with pytest.raises(InputError) as caught:
        do(tmp_path / "out", path)
    told = f"{path}: member {name!r}: the name is absolute, too deeply nested or contains `..`"
    assert str(caught.value).startswith(told)
    assert contents(tmp_path / "out") == {"first": b"1"}
    assert {entry.name for entry in tmp_path.iterdir()} == {form, "out"}


@pytest.mark.parametrize("name", ["a" * 256, "ä" * 128, ("a" * 99 + "/") * 41 + "b"])
def test_names_that_are_too_long(tmp_path: Path, name: str) -> None:
    path = pack(tmp_path / "x.tar", {"first": b"1", name: b"x"})
    with pytest.raises(InputError) as caught:
        do(tmp_path / "out", path)
    told = f"{path}: member {name!r}: the name is too long for {tmp_path / 'out'}; unpack into a"
    assert str(caught.value).startswith(told)
    assert set(contents(tmp_path / "out")) == {"first"}


def test_a_nul_in_a_name_is_refused(tmp_path: Path) -> None:
    """zipfile would end the name there: a.bmp of `a.bmp NUL .exe`."""
    zipped, path = pack(tmp_path / "x.zip", {"aZb": b"x"}), tmp_path / "x.tar"
    zipped.write_bytes(zipped.read_bytes().replace(b"aZb", b"a\0b"))
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(tar_entry("x", size=1, pax_headers={"path": "a\0b"}), io.BytesIO(b"x"))
    for archive in (zipped, path):
        with pytest.raises(InputError, match="or an unprintable character"):
            do(tmp_path / "out", archive)


@pytest.mark.parametrize("name", ["../a/b", "/a/b", "c\\d/a/b"])
@pytest.mark.parametrize("strip", [0, 1])
def test_stripping_makes_no_name_safe(tmp_path: Path, strip: int, name: str) -> None:
    with pytest.raises(InputError, match="the name is absolute"):
        do(tmp_path / "out", pack(tmp_path / "x.tar", {name: b"x"}), strip=strip)


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        *[(tarfile.SYMTYPE, target) for target in ("/etc", "../outside", "b")],
        (tarfile.LNKTYPE, "b"),
        *[(kind, "") for kind in (b"3", b"4", b"6", b"M", b"Q")],
    ],
)
def test_only_files_and_folders_are_made(tmp_path: Path, kind: bytes, target: str) -> None:
    """No links, devices, FIFOs, nor what begins in another volume or is unknown."""
    (tmp_path / "outside").mkdir()
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as tar:
        tar.addfile(tar_entry("a", type=kind, linkname=target))
        tar.addfile(tar_entry("a/file", size=1), io.BytesIO(b"x"))
    zipped = tmp_path / "x.zip"
    with zipfile.ZipFile(zipped, "w") as file:
        file.writestr(zip_entry("a", mode=0o120777 if target else 0o020644), target)
    for archive in (path, zipped) if kind != tarfile.LNKTYPE else (path,):
        with pytest.raises(InputError, match="member 'a': is a link, a special file or"):
            do(tmp_path / "out", archive)
    assert contents(tmp_path / "out") == contents(tmp_path / "outside") == {}


@pytest.mark.parametrize("place", ["a", "a/images"])
@pytest.mark.parametrize("inside", [False, True])
def test_links_that_are_there_are_not_followed(tmp_path: Path, place: str, inside: bool) -> None:
    out = tmp_path / "out"
    other = out / "other" if inside else tmp_path / "outside"
    (other / "images").mkdir(parents=True)
    link = out / place
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(other)
    with pytest.raises(InputError, match=r"member 'a/.* is a link or a file; move it away, or"):
        do(out, pack(tmp_path / "x.tar", video("a")))
    assert contents(other) == {}


def test_the_output_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to("disk")
    do(tmp_path / "out", pack(tmp_path / "x.tar", video("a")))
    assert contents(tmp_path / "disk") == video("a")


PIECES = [
    *("", " ", "\\", "\0", "\n", "\udc80", "a" * 200),
    *("..", ".", "a", "A", "b.bmp", "images", "~", "-x", "ß", "C:", "con"),
]


NAMES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.lists(st.sampled_from(PIECES), max_size=6).map("/".join),
    st.lists(st.sampled_from(PIECES), max_size=6).map("\\".join),
)


@settings(max_examples=150)
@given(
    names=st.lists(NAMES, min_size=1, max_size=4),
    form=st.sampled_from(["tar", "zip"]),
    strip=st.integers(0, 2),
)
@example(names=["link/x", "../link/x"], form="tar", strip=0)
def test_no_name_leads_outside(
    tmp_path_factory: pytest.TempPathFactory, names: Sequence[str], form: str, strip: int
) -> None:
    root = tmp_path_factory.mktemp("names")
    outside, out = root / "deep" / "outside", root / "deep" / "out"
    outside.mkdir(parents=True)
    out.mkdir()
    (out / "link").symlink_to(outside)
    path = root / f"x.{form}"
    if form == "tar":
        with tarfile.open(path, "w", encoding="utf-8", errors="surrogateescape") as tar:
            for name in names:
                tar.addfile(tar_entry(name, size=1), io.BytesIO(b"x"))
        with tarfile.open(path, encoding="utf-8", errors="surrogateescape") as tar:
            packed = tar.getnames()  # a name ends at a NUL
    else:
        packed = [name.replace("\udc80", "?") for name in names]
        pack_zip(path, dict.fromkeys(packed, b"x"))
    try:
        do(out, path, strip=strip)
    except InputError as error:
        assert str(error).startswith(str(root))  # noqa: PT017
    others = {found for found in root.rglob("*") if not found.is_relative_to(out)}
    assert others == {outside.parent, outside, path}
    assert {*contents(out).values()} <= {b"x"}
    plain = {"/".join(part for part in name.split("/") if part not in ("", ".")) for name in packed}
    assert {"/".join(name.split("/")[strip:]) for name in plain} >= set(contents(out)) - {"link"}


def test_threads_wait_for_each_others_files(tmp_path: Path) -> None:
    """While a file is being written under a temporary name, its own name is taken, in any case:
    some disks do not tell it apart."""
    (tmp_path / "out").mkdir()
    tree = OutputTree(tmp_path / "out", tmp_path, strip=0)
    begun, resume = threading.Event(), threading.Event()

    class Slow(io.BytesIO):
        def read(self, *size: Any) -> bytes:
            begun.set()
            resume.wait(60)
            return super().read(*size)

    def add(name: str, data: Callable[[], Any]) -> str | None:
        return tree.add(Member(Archive(Path("x.tar"), (), "tar"), tar_entry(name, size=1), data))

    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(add, "a.bmp", lambda: Slow(b"x"))
        assert begun.wait(60)
        same = pool.submit(add, "a.bmp", lambda: io.BytesIO(b"x"))
        other = pool.submit(add, "A.bmp", lambda: io.BytesIO(b"y"))
        try:
            assert wait([same, other], timeout=0.2).done == set()
        finally:
            resume.set()
        assert (first.result(), same.result(), other.result()) == (WRITTEN, EXISTED, WRITTEN)
    assert contents(tmp_path / "out") == {"a.bmp": b"x", "A.bmp": b"y"}


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    out, path = tmp_path / "out", pack(tmp_path / "x.tar", video("a"))
    target = out / "a/images/000002.bmp"
    target.parent.mkdir(parents=True)
    told = rf"member 'a/images/000002.bmp': {target} already exists with other content; move it"
    for content in (b"mine", b"", b"\0" * 3000):
        target.write_bytes(content)
        (out / NOTES).unlink(missing_ok=True)
        with pytest.raises(InputError, match=told):
            do(out, path)
        assert target.read_bytes() == content
    target.unlink()
    before = stats(out)
    assert "2 files written, 2 files already existed" in do(out, path)
    assert contents(out) == video("a")
    assert before.items() <= stats(out).items()


def test_folders_and_files_in_the_way(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "a/images/000001.bmp").mkdir(parents=True)
    with pytest.raises(InputError, match=r"000001\.bmp already exists with other content"):
        do(out, pack(tmp_path / "x.tar", video("a")))
    (out / "b").write_text("mine")
    with pytest.raises(InputError, match=rf"leads through {out / 'b'}, which is a link or a file"):
        do(out, pack(tmp_path / "y.tar", video("b")))
    (out / "c").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"member 'c': .* already exists with other content"):
        do(out, pack(tmp_path / "z.tar", {"c": b"x"}))
    assert not (tmp_path / "nowhere").exists()
    with pytest.raises(InputError, match="is a file, not a folder; choose"):
        do(out / "b", pack(tmp_path / "y.tar", video("b")))


@pytest.mark.parametrize("second", [b"x", b"y"])
def test_a_name_twice(tmp_path: Path, second: bytes) -> None:
    """In one archive or in several: a licence text may be in each of them, but must be the same."""
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as tar:
        for data in (b"x", second):
            tar.addfile(tar_entry("a", size=1), io.BytesIO(data))
    others = [pack(tmp_path / f"{name}.tar", video(name) | {"a": b"x"}) for name in "bcd"]
    if second == b"x":
        line = do(tmp_path / "out", path, *others, workers=4)
        assert "13 files written, 4 files already existed" in line
    else:
        with pytest.raises(InputError, match="a already exists with other content"):
            do(tmp_path / "out", path)
    assert contents(tmp_path / "out")["a"] == b"x"


def test_damaged_notes(tmp_path: Path) -> None:
    out, path = tmp_path / "out", pack(tmp_path / "x.tar", video("a"))
    do(out, path)
    for text in [
        *('{"archives": {"x"', "[]", "1", "{}", "[" * 100_000),
        *[f'{{"archives": {entries}}}' for entries in ("[]", '{"x": 1}', '{"x": {"bytes": 1}}')],
        *[f'{{"archives": {{"x": {{"files": 1, "bytes": {size}}}}}}}' for size in ('"1"', "null")],
    ]:
        (out / NOTES).write_text(text)
        with pytest.raises(InputError, match=rf"{NOTES}: is damaged; remove it and run again"):
            do(out, path)
    (out / NOTES).unlink()
    assert "0 files written, 4 files already existed" in do(out, path)
