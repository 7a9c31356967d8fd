"""Raw masks that cannot be right: each fault is an error that names the file, and nothing is
written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.sailvos.annotate.raw_tree import (
    CAR,
    HEIGHT,
    PED,
    WIDTH,
    refused,
    run,
    small_map,
    write_image,
    write_small,
)


def map_of(value: Any) -> Any:
    return lambda path: np.save(path, value)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


BAD_MAPS = {
    "cut": (cut, "is truncated or damaged"),
    "empty": (lambda path: path.write_bytes(b""), "is empty"),
    "garbage": (lambda path: path.write_bytes(b"garbage" * 20), "is not a NumPy array"),
    "pickle": (
        lambda path: np.save(path, np.array([{"a": 1}], dtype=object)),
        "contains object, but object ids must be integers",
    ),
    "archive": (
        lambda path: path.write_bytes(archive()),
        "is not a NumPy array, but a zip archive",
    ),
    "float": (
        map_of(small_map().astype(np.float32)),
        "contains float32, but object ids must be integers",
    ),
    "negative": (
        map_of(np.where(small_map() == 4, -4, small_map())),
        "contains the negative object id -4",
    ),
    "size": (map_of(small_map()[:, :-1]), "is 11 x 8 pixels, its image 12 x 8"),
    "turned": (map_of(small_map().T), "is 8 x 12 pixels, its image 12 x 8"),
    "layers": (map_of(small_map()[None]), "is 12 x 8 x 1 pixels, its image 12 x 8"),
    "folder": (lambda path: (path.unlink(), path.mkdir()), "is a folder, not a file"),
}


def archive() -> bytes:
    import io

    stream = io.BytesIO()
    np.savez(stream, a=small_map())
    return stream.getvalue()


@pytest.mark.parametrize("fault", BAD_MAPS)
def test_bad_maps(small: Path, fault: str) -> None:
    path = small / "visible" / "000004.npy"
    spoil, message = BAD_MAPS[fault]
    spoil(path)
    shown = refused(small)
    assert shown.startswith(f"{path}: {message}")
    assert ";" in shown


def turn_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-20] ^= 0xFF
    path.write_bytes(data)


BAD_MASKS = {
    "cut": (cut, "truncated"),
    "empty": (lambda path: path.write_bytes(b""), "is empty"),
    "garbage": (lambda path: path.write_bytes(b"\0IEND" * 9), "is of an unknown format, but masks"),
    "text": (lambda path: path.write_bytes(b"IEND" * 9), "is text, but masks and id maps must be"),
    "changed": (turn_byte, "is truncated or cannot be decoded"),
    "size": (
        lambda path: write_image(path, np.zeros((HEIGHT + 1, WIDTH), np.uint8)),
        "is 12 x 9 pixels, its image 12 x 8",
    ),
}


@pytest.mark.parametrize("fault", BAD_MASKS)
def test_bad_masks(small: Path, fault: str) -> None:
    path = small / CAR / "000004.png"
    spoil, message = BAD_MASKS[fault]
    spoil(path)
    assert refused(small).startswith(f"{path}: {message}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"BM", "truncated inside its header"),
        (b"GIF89a" * 9, "is not a BMP, PNG or JPEG image"),
        (b"BM" + bytes(60), "its header is damaged"),
    ],
)
def test_bad_images(small: Path, content: bytes, message: str) -> None:
    path = small / "images" / "000003.bmp"
    path.write_bytes(content)
    assert refused(small).startswith(f"{path}: {message}")


def test_bad_files_outside_the_annotated_frames_do_no_harm(small: Path) -> None:
    for name in (
        "visible/000002.npy",
        "visible/000006.npy",
        f"{CAR}/000000.png",
        "images/000011.bmp",
    ):
        (small / name).write_bytes(b"")
    assert "warning" not in run(small)[1]


def test_a_bad_mask_of_a_model_without_category_is_not_read(small: Path) -> None:
    (small / CAR / "000004.png").write_bytes(b"")
    data, _ = run(small, models=False)
    assert data["info"]["annotations_left_out"] == {"Car_B": 3}


def test_all_broken_files_are_named_together(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    second = write_small(small.parent, "two")
    bad = [
        small / CAR / "000003.png",
        small / PED / "000003.png",
        second / "visible" / "000005.npy",
    ]
    for path in bad:
        path.write_bytes(b"")
    shown = refused(small)
    assert "3 files cannot be used" in shown
    assert sorted(line.split(": ")[0].strip() for line in shown.split("\n")[1:]) == sorted(
        map(str, bad)
    )
    assert refused(small, video=["two"]).startswith(f"{bad[2]}: ")
    monkeypatch.setattr("vatrack.sailvos.annotate.findings.BROKEN_NAMED", 2)
    assert refused(small).endswith("\n  and 1 more")


def test_a_missing_image(small: Path) -> None:
    (small / "images" / "000004.bmp").unlink()
    assert refused(small).startswith(f"{small / 'images'}: missing image 000004; ")


def test_missing_maps_folder(small: Path) -> None:
    for path in (small / "visible").iterdir():
        path.unlink()
    (small / "visible").rmdir()
    assert refused(small).startswith(f"{small / 'visible'}: no such folder")


def test_two_folders_of_one_object(small: Path) -> None:
    (small / "004_Other").mkdir()
    shown = refused(small)
    assert shown.startswith(f"{small}: 004_Other and {PED} have the same object id")


def test_nothing_to_annotate(small: Path) -> None:
    (small / PED).rename(small / "4_Tree")
    shown = refused(small, models=False)
    assert "nothing to annotate: only persons are annotated; give --models" in shown
    assert "Car_B 3" in shown


def test_no_annotated_frame(tmp_path: Path) -> None:
    assert "no video has an annotated frame" in refused(
        write_small(tmp_path / "raw", frames=9), models=False
    )


def test_the_nearest_video_is_named(small: Path) -> None:
    assert refused(small, video=[f"{small.name}s"]).endswith(
        f"no such video (a folder with images/); did you mean {small.name}? Otherwise unpack it or "
        "correct the name"
    )


def test_selection_of_videos(small: Path, tmp_path: Path) -> None:
    write_small(small.parent, "two")
    names = tmp_path / "names.txt"
    names.write_text("two\n\n one \n")
    assert [video["name"] for video in run(small, videos=names)[0]["videos"]] == ["two", "one"]
    assert "both --video and --videos are given; use one" in refused(
        small, videos=names, video=["one"]
    )
    assert refused(small, video=["one", "three", "../raw/one"]).startswith(
        f"{small.parent / 'three'} and 1 more: no such video"
    )
    assert "video one is listed twice" in refused(small, video=["one", "one"])
    names.write_text("\n")
    assert refused(small, videos=names).startswith(f"{names}: contains no video")
    names.write_bytes(b"\xff\xfe\x00")
    assert refused(small, videos=names) == f"{names}: is UTF-16; save it as UTF-8"
    assert refused(small, videos=tmp_path / "none.txt").startswith(
        f"{tmp_path / 'none.txt'}: no such file"
    )
    small.rename(small.with_name("one__7"))
    assert "has '__' in its name" in refused(small, video=["one__7"])
