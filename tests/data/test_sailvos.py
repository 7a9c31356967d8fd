"""The raw layout: pictures, official annotations and the index, mostly with input that is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.data.official import official, write_raw
from vatrack.data.sailvos import build_index, check_image, list_videos, read_image, read_index, read_official
from vatrack.errors import InputError
from vatrack.files import read_json, write_json


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (9, 14, 3), np.uint8)


@pytest.mark.parametrize("suffix", [".bmp", ".png"])
@pytest.mark.parametrize("asked", [".bmp", ".png"])
def test_reads_both_kinds_under_either_name(tmp_path: Path, picture: np.ndarray, suffix: str, asked: str) -> None:
    assert cv2.imwrite(str(tmp_path / f"a{suffix}"), picture)
    assert np.array_equal(read_image(tmp_path / f"a{asked}"), picture)


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_and_transparent_pictures_become_bgr(tmp_path: Path, picture: np.ndarray, channels: int) -> None:
    layers = picture[..., :1] if channels == 1 else np.dstack([picture, np.full((9, 14), 7, np.uint8)])
    for suffix in (".bmp", ".png"):
        assert cv2.imwrite(str(tmp_path / f"a{suffix}"), layers)
        expected = np.repeat(layers, 3, axis=2) if channels == 1 else picture
        assert np.array_equal(read_image(tmp_path / f"a{suffix}"), expected)


@pytest.mark.parametrize("suffix", [".bmp", ".png"])
def test_no_cut_off_picture_is_taken(tmp_path: Path, picture: np.ndarray, suffix: str) -> None:
    """At whatever byte the file ends. OpenCV alone accepts many of these."""
    path = tmp_path / f"a{suffix}"
    assert cv2.imwrite(str(path), picture)
    whole = path.read_bytes()
    check_image(path)
    # The last bytes of a PNG are the check sum of its end mark, which holds no picture.
    for size in range(len(whole) - (8 if suffix == ".png" else 0)):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"a\.(bmp|png): .*(cut off|empty|neither)") as caught:
            read_image(path)
        assert "again" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.bmp", None, "no such frame"),
        ("a.bmp", b"", "is empty"),
        ("a.bmp", b"GIF89a and so on", "neither a BMP nor a PNG"),
        ("a.jpg", b"BM", r"frames are \.bmp or \.png"),
        ("a.png", b"\x89PNG\r\n\x1a\n" + bytes(30) + b"IEND\xaeB`\x82", "cannot be decoded"),
    ],
)
def test_bad_pictures(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_image(tmp_path / name)


def test_list_videos(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        list_videos(tmp_path / "raw")
    (tmp_path / "b" / "depth").mkdir(parents=True)
    with pytest.raises(InputError, match="no video folder"):
        list_videos(tmp_path)
    for name in ("c", "a"):
        (tmp_path / name / "images").mkdir(parents=True)
    assert list_videos(tmp_path) == ["a", "c"]


def spoil(path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    data = official({"one": 3, "two": 2})
    change(data)
    write_json(path, data)
    return path


def set_video(name: str) -> Callable[[dict[str, Any]], object]:
    def change(data: dict[str, Any]) -> None:
        data["videos"][0].update(name=name, vid_name=name)
        for image in data["images"][:3]:
            image["file_name"] = f"{name}/images/000003.bmp"

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("images"), "its list `images` is missing"),
        (lambda d: d.update(annotations={}), "its list `annotations` is missing or is not a list"),
        (lambda d: d["annotations"].append(3), "its list `annotations` is missing or is not a list of objects"),
        (lambda d: d["annotations"][2].pop("visible_mask"), "annotations, id 2: lacks visible_mask"),
        (lambda d: d["images"][1].pop("frame_id"), "images, id 1: lacks frame_id"),
        (lambda d: d["annotations"][1].update(id=0), "annotations: id 0 occurs more than once"),
        (lambda d: d["images"][1].update(id=0), "images: id 0 occurs more than once"),
        (lambda d: d["categories"][1].update(id=10), "categories: id 10 occurs more than once"),
        (lambda d: d["annotations"][1].update(image_id=77), "annotation 1: its image 77 is not in the file"),
        (lambda d: d["images"][1].update(file_name="three/images/000003.bmp"), "image 1: its video is not in the list"),
        (lambda d: d["images"][1].update(file_name="one/000003.bmp"), "is not <video>/images/<file>"),
        (lambda d: d["images"][1].update(file_name="one/images/../../x.bmp"), "is not <video>/images/<file>"),
        (lambda d: d["images"][1].update(file_name="../images/x.bmp"), "cannot be the name of a file"),
        (lambda d: d["images"][1].update(file_name="one/images/.."), "cannot be the name of a file"),
        (lambda d: d["videos"][1].update(name="one", vid_name="one"), "the name 'one' occurs more than once"),
        (lambda d: d["videos"][1].update(vid_name="three"), "two names"),
        (lambda d: [d["videos"][1].pop(key) for key in ("name", "vid_name")], "no name"),
        (set_video("a__b"), "'__' in its name"),
        (set_video("../../etc"), "cannot be the name of a file"),
        (set_video("/etc"), "cannot be the name of a file"),
        (set_video(".."), "cannot be the name of a file"),
        (set_video("a\\b"), "cannot be the name of a file"),
        (set_video("C:"), "cannot be the name of a file"),
        (set_video("a\nb"), "cannot be the name of a file"),
        (set_video(""), "cannot be the name of a file"),
    ],
)
def test_bad_annotations(tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str) -> None:
    path = spoil(tmp_path / "train.json", change)
    with pytest.raises(InputError, match=message) as caught:
        read_official(path)
    assert str(path) in str(caught.value)


def test_either_name_of_a_video_will_do(tmp_path: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        data["videos"][0].pop("name")
        data["videos"][1].pop("vid_name")
        data.pop("models")

    assert read_official(spoil(tmp_path / "train.json", change))["models"] == []


def test_annotations_cut_off_in_the_middle(tmp_path: Path) -> None:
    path = spoil(tmp_path / "train.json", lambda data: None)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError, match=r"not valid JSON at line 1.*cut off"):
        read_official(path)
    write_json(path, [1])
    with pytest.raises(InputError, match="not official annotations"):
        read_official(path)


def test_index(tmp_path: Path) -> None:
    paths = write_raw(tmp_path, {"train": {"b": 3, "a": 2}, "valid": {"c": 1}})
    (tmp_path / "b" / "images" / "000003.bmp").rename(tmp_path / "b" / "images" / "000003.png")
    out = tmp_path / "out" / "index.json"
    summary = build_index(tmp_path, paths, out)
    assert summary == f"indexed 2 train videos with 5, 1 valid videos with 1 annotated frames in {out}"
    index = read_json(out)
    assert {subset: [video["name"] for video in videos] for subset, videos in index.items()} == {
        "train": ["b", "a"],
        "valid": ["c"],
    }
    assert index["train"][1]["frames"][1] == {"file": "000004.bmp", "frame_id": 1, "image_id": 4, "width": 12, "height": 8}
    assert list(read_index(out)) == ["b", "a", "c"]


def test_index_of_an_incomplete_tree(tmp_path: Path) -> None:
    paths = write_raw(tmp_path, {"train": {"b": 3, "a": 2}, "valid": {"c": 1}})
    out = tmp_path / "index.json"
    with pytest.raises(InputError, match="missing: no such folder"):
        build_index(tmp_path / "missing", paths, out)
    for k in (3, 5):
        (tmp_path / "b" / "images" / f"{k:06d}.bmp").unlink()
    with pytest.raises(InputError, match=r"b/images/000003.bmp and 1 more: no such frame"):
        build_index(tmp_path, paths, out)
    (tmp_path / "a" / "images").rename(tmp_path / "a" / "pictures")
    (tmp_path / "b" / "images").rename(tmp_path / "b" / "pictures")
    with pytest.raises(InputError, match=r"b/images: no such folder"):
        build_index(tmp_path, paths, out)
    assert not out.exists()


def test_index_of_bad_annotations(tmp_path: Path) -> None:
    paths = write_raw(tmp_path, {"train": {"b": 3}, "valid": {"c": 1}})
    with pytest.raises(InputError, match="video b is also in the train annotations"):
        build_index(tmp_path, {"train": paths["train"], "valid": paths["train"]}, tmp_path / "index.json")
    data = official({"b": 3})
    data["images"][2]["frame_id"] = 1
    write_json(paths["train"], data)
    with pytest.raises(InputError, match="video b: frame_id 2 is missing or occurs twice"):
        build_index(tmp_path, paths, tmp_path / "index.json")


@pytest.mark.parametrize("content", [[1], {"train": [1]}, {"train": [{"name": "a"}]}])
def test_not_an_index(tmp_path: Path, content: Any) -> None:
    write_json(tmp_path / "index.json", content)
    with pytest.raises(InputError, match="not an index; make it with `vatrack index`"):
        read_index(tmp_path / "index.json")
