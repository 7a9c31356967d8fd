"""`vatrack unpack`, and disks that are too small."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from tests.command import Command
from tests.sailvos.packing import (
    NOTES,
    checked,
    contents,
    do,
    pack,
    stats,
    video,
)
from vatrack.common.errors import InputError
from vatrack.sailvos import unpack as unpacking


@pytest.mark.parametrize("form", ["x.tar", "x.zip"])  # a zip is smaller than what is in it
def test_too_little_space_is_known_beforehand(small_disk: Path, tmp_path: Path, form: str) -> None:
    path = pack(tmp_path / form, {f"a/{number}": bytes(10_000) for number in range(150)})
    told = r"the archives need \d+ bytes \(.* GB\) there, but only \d+ \(0\.0 GB\) are free;"
    with pytest.raises(InputError, match=told):
        do(small_disk / "out", path)
    assert not (small_disk / "out").exists()


def test_what_is_unpacked_already_needs_no_space(small_disk: Path, tmp_path: Path) -> None:
    files = {f"a/{number}": random.Random(number).randbytes(40_000) for number in range(20)}
    path = pack(tmp_path / "x.tar", files)
    out, ballast = small_disk / "out", small_disk / "ballast"
    do(out, path)
    (out / NOTES).unlink()  # as if it had been killed
    (out / "a" / "7").unlink()
    ballast.write_bytes(bytes(90_000))
    assert "1 file written, 19 files already existed" in do(out, path)


def test_a_full_disk(small_disk: Path, tmp_path: Path, vatrack: Command) -> None:
    """Of a compressed tar, nobody knows beforehand how large it gets."""
    files = {f"a/images/{number:06d}.bmp": bytes([number]) * 30_000 for number in range(50)}
    path, out = pack(tmp_path / "x.tar.gz", files), small_disk / "out"
    code, _, errors = vatrack("unpack", "--archive", path, "--out", out)
    assert code == 1
    assert f"No space left on device: '{out}/a/images/0000" in errors
    assert "; free disk space" in errors
    before = stats(out)
    assert 20 < len(before) < 50
    assert all((out / name).read_bytes() == files[name] for name in before)
    assert [path.name for path in out.iterdir()] == ["a"]
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    assert f"{50 - len(before)} files written, {len(before)} files already existed" in do(out, path)
    assert contents(out) == files
    assert before.items() <= stats(out).items()


@pytest.mark.parametrize(
    ("inodes", "named"),
    [
        *[(6, "a/images/000000.bmp"), (7, "a/images/000000.bmp"), (8, "a/images/000001.bmp")],
        *[(10, "a/images/000003.bmp"), (11, NOTES)],
    ],
)
def test_a_disk_without_room_for_another_file(
    small_disk: Path, tmp_path: Path, inodes: int, named: str
) -> None:
    """What is named is not the unfinished file, also where a folder or the notes cannot be
    made."""
    path, out = pack(tmp_path / "x.tar", video("a")), small_disk / "out"
    subprocess.run(["mount", "-o", f"remount,nr_inodes={inodes}", str(small_disk)], check=True)
    with pytest.raises(OSError, match="No space left on device") as caught:
        do(out, path)
    assert caught.value.filename == str(out / named)


def write_config(path: Path, dataset: Mapping[str, object]) -> Path:
    path.write_text(json.dumps({"dataset": dataset}))
    return path


def test_the_command(tmp_path: Path, vatrack: Command) -> None:
    archives = [pack(tmp_path / f"{name}.tar", video(f"top/{name}")) for name in "ab"]
    options = [option for path in archives for option in ("--archive", path)]
    sums = tmp_path / "sums"
    subprocess.run(["sha256sum", "a.tar", "b.tar"], cwd=tmp_path, stdout=sums.open("w"), check=True)
    out = tmp_path / "out"
    command = ("unpack", *options, "--checksums", sums, "--out", out, "--strip", 1)
    code, shown, errors = vatrack(*command, "--workers", 2)
    assert (code, errors) == (0, "")
    told = f"unpacked 2 archives into {out}: 8 files written; 2 video folders with 8 frames\n"
    assert shown == told
    assert contents(out) == video("a") | video("b")
    sums.write_text(f"{'0' * 64}  a.tar\n{'0' * 64}  b.tar\n")
    code, _, errors = vatrack(*command)
    assert code == 2
    assert errors.count("\n") == 1
    assert "SHA-256" in errors


def test_the_command_with_a_config(tmp_path: Path, vatrack: Command) -> None:
    path, raw = pack(tmp_path / "x.tar", video("top/a")), tmp_path / "raw"
    archives = [checked(path).model_dump(mode="json")]
    config = write_config(
        tmp_path / "config.yaml", {"archives": archives, "archive_strip": 1, "raw": str(raw)}
    )
    summary = tmp_path / "record.json"
    code, shown, errors = vatrack("unpack", "--config", config, "--record", summary)
    assert (code, errors) == (0, "")
    assert shown.endswith("1 video folder with 4 frames\n")
    assert contents(raw) == video("a")
    assert json.loads(summary.read_text())["videos"] == 1
    code, _, _ = vatrack("unpack", "--config", config, "--out", tmp_path / "other", "--strip", 0)
    assert (code, contents(tmp_path / "other")) == (0, video("top/a"))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--out", "x"], "Missing: --archive (or --config)"),
        (["--out", "x", "--set", "seed=1"], "no archive given"),
        (["--archive", "none.tar"], "Missing: --out (or --config)"),
        (["--archive", "none.tar", "--set", "seed=1"], "no output folder; give --out"),
        (["--archive", "none.tar", "--out", "x"], "none.tar: no such file"),
        (["--checksums", "sums", "--out", "x", "--set", "seed=1"], "--checksums needs --archive"),
    ],
)
def test_bad_options(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    vatrack: Command,
    options: Any,
    complaint: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, errors = vatrack("unpack", *options)
    assert code == 2
    assert complaint in errors
    assert list(tmp_path.iterdir()) == []


def test_progress_counts_every_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of checksums and unpacking, of all archives together."""
    totals: list[int] = []
    counts: list[int] = []

    def noted(_: str, total: int) -> Any:
        totals.append(total)
        return nullcontext(counts.append)

    monkeypatch.setattr(unpacking, "byte_progress", noted)
    tar = pack(tmp_path / "x.tar", video("a", 30))
    packed = pack(tmp_path / "y.tar.gz", video("b", 30))
    do(tmp_path / "out", checked(tar), packed, workers=2)
    assert totals == [2 * (tar.stat().st_size + packed.stat().st_size)] == [sum(counts)]
