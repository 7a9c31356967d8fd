"""The index of annotated frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.sailvos.official import official, write_raw
from vatrack.common.errors import InputError
from vatrack.common.files import write_json
from vatrack.common.value_files import read_json
from vatrack.sailvos.index import build_index, read_index


def test_index(tmp_path: Path) -> None:
    paths = write_raw(tmp_path, {"train": {"b": 3, "a": 2}, "valid": {"c": 1}})
    (tmp_path / "b" / "images" / "000003.bmp").rename(tmp_path / "b" / "images" / "000003.png")
    out = tmp_path / "out" / "index.json"
    summary = str(build_index(tmp_path, paths, out))
    train, valid = "2 train videos with 5 annotated frames", "1 valid video with 1 annotated frame"
    assert summary == f"indexed {train}, {valid} in {out}"
    index = read_json(out)
    assert {subset: [video["name"] for video in videos] for subset, videos in index.items()} == {
        "train": ["b", "a"],
        "valid": ["c"],
    }
    assert index["train"][1]["frames"][1] == {
        "file": "000004.bmp",
        "frame_id": 1,
        "image_id": 4,
        "width": 12,
        "height": 8,
    }
    assert list(read_index(out)) == ["b", "a", "c"]
    assert read_index(out)["a"] == {"name": "a", "frames": index["train"][1]["frames"]}


def test_frames_are_ordered_by_number_whatever_the_order_of_the_file(tmp_path: Path) -> None:
    paths = write_raw(tmp_path, {"train": {"b": 3, "a": 2}})
    build_index(tmp_path, paths, tmp_path / "index.json")
    data = official({"b": 3, "a": 2})
    data["images"].reverse()
    write_json(tmp_path / "other.json.gz", data)
    build_index(tmp_path, {"train": tmp_path / "other.json.gz"}, tmp_path / "other_index.json")
    assert read_json(tmp_path / "other_index.json") == read_json(tmp_path / "index.json")


def test_links_in_a_circle_are_passed_over(tmp_path: Path) -> None:
    paths = write_raw(tmp_path, {"train": {"b": 3}})
    for folder in (tmp_path, tmp_path / "b" / "images"):
        (folder / "loop").symlink_to("loop")
    assert "3 annotated frames" in str(build_index(tmp_path, paths, tmp_path / "index.json"))
    for path, lost in (
        (tmp_path / "b" / "images" / "000004.bmp", r"b/images/000004\.bmp: is a broken link, but"),
        (tmp_path / "b" / "images", r"b/images: is a broken link, but .* lists it"),
    ):
        path.rename(tmp_path / "moved")
        path.symlink_to(path.name)
        (tmp_path / "other" / "images").mkdir(parents=True, exist_ok=True)
        with pytest.raises(InputError, match=lost):
            build_index(tmp_path, paths, tmp_path / "index.json")
        path.unlink()
        (tmp_path / "moved").rename(path)


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
        build_index(
            tmp_path, {"train": paths["train"], "valid": paths["train"]}, tmp_path / "index.json"
        )
    data = official({"b": 3})
    for frame_id in (1, 4, -1):
        data["images"][2]["frame_id"] = frame_id
        write_json(paths["train"], data)
        with pytest.raises(
            InputError, match=r"train\.json: video b: frame_id \d is missing or not unique"
        ):
            build_index(tmp_path, paths, tmp_path / "index.json")
    assert not (tmp_path / "index.json").exists()


@pytest.mark.parametrize(
    "content", [[1], {"train": [1]}, {"train": [{"name": "a"}]}, {"train": 3}, 3]
)
def test_not_an_index(tmp_path: Path, content: Any) -> None:
    write_json(tmp_path / "index.json", content)
    with pytest.raises(
        InputError, match=r"index\.json: not an index.*; create it with `vatrack index`"
    ):
        read_index(tmp_path / "index.json")


def test_an_index_whose_frames_lack_something(tmp_path: Path) -> None:
    write_json(
        tmp_path / "index.json",
        {
            "train": [
                {"name": "a", "frames": [{"file": "000003.bmp", "frame_id": 0, "image_id": 0}]}
            ]
        },
    )
    with pytest.raises(InputError, match=r"not an index.*; create it with `vatrack index`"):
        read_index(tmp_path / "index.json")


FRAME = {"file": "000003.bmp", "frame_id": 0, "image_id": 0, "width": 4, "height": 3}


@pytest.mark.parametrize(
    "video",
    [
        {"name": "/etc/passwd", "frames": []},
        {"name": "..", "frames": []},
        {"name": ["a"], "frames": []},
        {"name": "a", "frames": {"file": 1}},
        *({"name": "a", "frames": [{**FRAME, "file": file}]} for file in (7, None, "../x", "/x")),
        *({"name": "a", "frames": [{**FRAME, "width": side}]} for side in (0, -1, "4", 2.5, None)),
        {"name": "a", "frames": [{**FRAME, "image_id": 2**63}]},
        {"name": "a", "frames": [[1]]},
    ],
)
def test_odd_items_of_an_index(tmp_path: Path, video: Any) -> None:
    good = {"name": "b", "frames": [FRAME]}
    write_json(tmp_path / "index.json", {"train": [good], "valid": [video]})
    with pytest.raises(InputError, match=r"index\.json: "):
        read_index(tmp_path / "index.json")
    write_json(tmp_path / "index.json", {"train": [good], "valid": [good]})
    with pytest.raises(InputError, match="video b is listed twice"):
        read_index(tmp_path / "index.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"file": 5}, "5 is not allowed as the name"),
        ({"file": "../x.bmp"}, "is not allowed as the name"),
        ({"file": "/etc/passwd"}, "is not allowed as the name"),
        ({"frame_id": "0"}, "frame_id is '0'; must be an integer"),
        ({"width": -1}, "width is -1; must be an integer from 1"),
    ],
)
def test_an_index_with_wrong_fields(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    frame = {"file": "1.bmp", "frame_id": 0, "image_id": 0, "width": 9, "height": 9} | change
    write_json(tmp_path / "i.json", {"train": [{"name": "a", "frames": [frame]}]})
    with pytest.raises(InputError, match=rf"i\.json: video a.*{message}"):
        read_index(tmp_path / "i.json")


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", ".."])
def test_an_index_with_a_video_outside(tmp_path: Path, name: str) -> None:
    write_json(tmp_path / "i.json", {"train": [{"name": name, "frames": []}]})
    with pytest.raises(InputError, match=r"i\.json: video: .* is not allowed as the name"):
        read_index(tmp_path / "i.json")
