"""The conversion: clips, categories, the four forms, and that nothing is lost silently."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.data.conftest import Mini
from tests.data.official import mask, official
from vatrack.categories import CATEGORIES
from vatrack.config import DatasetConfig
from vatrack.data import annotations
from vatrack.data.annotations import annotate_clips, convert_files, renumber_categories, to_form
from vatrack.data.video_ground_truth import video_ground_truth
from vatrack.errors import InputError
from vatrack.files import read_json, write_json

FORMS = ("visible", "amodal", "joint", "joint-2bbox")
FILES = sorted([*(f"{form}.json" for form in FORMS), "video_amodal.json", "video_visible.json"])
STRUCTURE = {
    "b__1": ["000003.bmp", "000004.bmp"],
    "a__5": ["000003.bmp", "000004.bmp"],
    "a__3": ["000005.bmp"],
    "other__7": ["000003.bmp"],
}
HERE = Path("train.json")


def converted(structure: dict[str, list[str]] = STRUCTURE, **changes: Any) -> dict[str, Any]:
    data = {**official({"a": 3, "b": 2}), **changes}
    return renumber_categories(annotate_clips(data, structure, HERE), HERE)


def test_clips_are_numbered_in_the_order_of_the_annotations() -> None:
    data = converted()
    assert [(v["id"], v["name"], v["num_frames"]) for v in data["videos"]] == [(1, "a__5", 2), (2, "a__3", 1), (3, "b__1", 2)]
    assert [(i["id"], i["video_id"], i["file_name"], i["frame_id"]) for i in data["images"]] == [
        (0, 1, "a__5/images/000003.bmp", 0),
        (1, 1, "a__5/images/000004.bmp", 1),
        (2, 2, "a__3/images/000005.bmp", 0),
        (3, 3, "b__1/images/000003.bmp", 0),
        (4, 3, "b__1/images/000004.bmp", 1),
    ]
    found = [(a["id"], a["video_id"], a["image_id"], a["obj_id"], a["instance_id"]) for a in data["annotations"]]
    assert found == [
        (0, 1, 0, 4, 1),
        (1, 1, 0, 9, 2),
        (2, 1, 1, 4, 1),
        (3, 1, 1, 9, 2),
        (4, 2, 2, 4, 3),
        (5, 2, 2, 9, 4),
        (6, 3, 3, 4, 5),
        (7, 3, 3, 9, 6),
        (8, 3, 4, 4, 5),
        (9, 3, 4, 9, 6),
    ]


def test_whole_videos_keep_their_frame_numbers() -> None:
    data = converted({"a": ["000004.bmp", "000005.bmp", "000003.png"], "b": ["000003.bmp", "000004.bmp"]})
    assert [(video["name"], video["num_objs"]) for video in data["videos"]] == [("a", 2), ("b", 2)]
    assert [image["frame_id"] for image in data["images"]] == [0, 1, 2, 0, 1]


def test_identity_is_instance_id_in_clips_and_obj_id_in_whole_videos() -> None:
    items = official({"a": 3, "b": 2})["annotations"]
    for item in items:
        item["instance_id"] = 1
    assert {item["instance_id"] for item in converted(annotations=items)["annotations"]} == {1, 2, 3}
    whole = {"a": ["000003.bmp", "000004.bmp", "000005.bmp"], "b": ["000003.bmp", "000004.bmp"]}
    assert {item["instance_id"] for item in converted(whole, annotations=items)["annotations"]} == {1, 2, 3, 4}
    for item in items:
        del item["instance_id"]
    assert {item["instance_id"] for item in converted(annotations=items)["annotations"]} == {1, 2, 3, 4, 5, 6}


def test_forms() -> None:
    clips = converted()
    forms = {form: to_form(clips, form, 0.75, ".png") for form in FORMS}
    for data in forms.values():
        # Rates 0.75 stay, 0.95 go; pictures stay all the same.
        assert [item["id"] for item in data["annotations"]] == [0, 1, 2, 4, 5, 6, 7, 8]
        assert [image["file_name"][-4:] for image in data["images"]] == [".png"] * 5
        assert {item["category_id"] for item in data["annotations"]} == {2}
    first = {form: data["annotations"][0] for form, data in forms.items()}
    amodal, visible = mask(0), mask(1)
    assert [first[form]["segmentation"] for form in FORMS] == [visible, amodal, [amodal, visible], [amodal, visible]]
    box, box_visible = [1.0, 1.0, 5.0, 4.0], [1.0, 1.0, 2.0, 4.0]
    assert [first[form]["bbox"] for form in FORMS] == [box_visible, box, box, [box, box_visible]]
    assert [first[form].get("area") for form in FORMS] == [8, 20, None, None]
    assert [first[form].get("area_amodal") for form in FORMS] == [20, None, 20, 20]
    assert ["invisible_mask" in first[form] for form in FORMS] == [True, True, False, False]
    assert len(to_form(clips, "joint", 1.0, None)["annotations"]) == 10
    assert to_form(clips, "joint", 1.0, None)["images"][0]["file_name"].endswith(".bmp")


def test_categories_are_numbered_in_list_order() -> None:
    data = converted()
    assert [(category["id"], category["name"]) for category in data["categories"]] == list(enumerate(CATEGORIES, start=1))
    assert [model["category_id"] for model in data["models"]] == [2, 3]


@pytest.mark.parametrize(
    ("structure", "message"),
    [
        ({**STRUCTURE, "a__3": []}, "clip a__3: has no frames"),
        ({key: STRUCTURE[key] for key in ("a__5", "a__3")}, r"2 annotated images are in no clip \(annotation 6 of image 3\)"),
        ({**STRUCTURE, "a__3": ["000009.bmp"]}, r"clip a__3: its frame 000009\.bmp is not in train\.json"),
        ({**STRUCTURE, "a__3": ["000004.bmp", "000005.bmp"]}, r"clip a__3: its frame a/images/000004\.bmp is in another clip"),
    ],
)
def test_nothing_is_lost(structure: dict[str, list[str]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        converted(structure)


def write_inputs(folder: Path, change: Callable[[dict[str, Any]], object]) -> tuple[Path, Path]:
    data = official({"a": 3, "b": 2})
    change(data)
    write_json(folder / "train.json", data)
    write_json(folder / "structure.json", STRUCTURE)
    return folder / "train.json", folder / "structure.json"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["annotations"][3].update(category_id=3), "annotation 3: category 3 is not in the list of categories"),
        (lambda d: d["categories"].reverse(), r"not the 24 of the method in their order \(first difference at entry 1\)"),
        (lambda d: d["categories"].pop(), r"its 23 categories .* \(first difference at entry 24\)"),
    ],
)
def test_bad_categories(tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str) -> None:
    train, structure = write_inputs(tmp_path, change)
    with pytest.raises(InputError, match=message) as caught:
        convert_files(train, structure, DatasetConfig(), tmp_path / "out")
    assert str(train) in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["structure.json", "train.json"]


def test_cut_off_annotations(tmp_path: Path) -> None:
    train, structure = write_inputs(tmp_path, lambda data: None)
    train.write_bytes(train.read_bytes()[:3000])
    with pytest.raises(InputError, match="not valid JSON"):
        convert_files(train, structure, DatasetConfig(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_all_files_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train, structure = write_inputs(tmp_path, lambda data: None)
    real = annotations.video_ground_truth

    def fails_at_the_last(joint: dict[str, Any], kind: str, limit: float) -> dict[str, Any]:
        if kind == "visible":
            raise OSError("no space")
        return real(joint, kind, limit)

    with monkeypatch.context() as patch:
        patch.setattr(annotations, "video_ground_truth", fails_at_the_last)
        with pytest.raises(OSError, match="no space"):
            convert_files(train, structure, DatasetConfig(), tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["structure.json", "train.json"]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").touch()
    convert_files(train, structure, DatasetConfig(), tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted([*FILES, "notes.txt"])


@pytest.mark.parametrize("mode", ["hardlink", "png"])
def test_miniature_set(mini: Mini, tmp_path: Path, mode: str) -> None:
    clips = read_json(mini.structure)
    limits = {"max_occlusion": 0.6, "video_max_occlusion": 0.4}
    for subset in ("train", "valid"):
        out = tmp_path / subset
        convert_files(mini.official(subset), mini.structure, DatasetConfig(clips={"mode": mode}, **limits), out)
        assert sorted(path.name for path in out.iterdir()) == FILES
        source = read_json(mini.official(subset))
        expected = {item["id"]: item for item in source["annotations"] if item["occlude_rate"] <= 0.6}
        numbers = {category["id"]: n for n, category in enumerate(source["categories"], start=1)}
        files = {image["id"]: image["file_name"] for image in source["images"]}
        for form in FORMS:
            data = read_json(out / f"{form}.json")
            assert {item["id"] for item in data["annotations"]} == set(expected)
            images = {image["id"]: image for image in data["images"]}
            videos = {video["id"]: video["name"] for video in data["videos"]}
            for image in images.values():
                clip, _, file = image["file_name"].split("/")
                assert clip == videos[image["video_id"]]
                assert Path(file).suffix == (".png" if mode == "png" else ".bmp")
                assert clips[clip][image["frame_id"]] == f"{Path(file).stem}.bmp"
                assert files[image["id"]] == f"{clip.split('__')[0]}/images/{Path(file).stem}.bmp"
            for item in data["annotations"]:
                assert item["category_id"] == numbers[expected[item["id"]]["category_id"]]
                assert item["visible_mask"] == expected[item["id"]]["visible_mask"]
        joint = read_json(out / "joint.json")
        for kind in ("amodal", "visible"):
            tracks = read_json(out / f"video_{kind}.json")
            assert tracks == video_ground_truth(joint, kind, 0.4)
            assert 0 < len(tracks["annotations"]) < len({item["instance_id"] for item in joint["annotations"]}) + 1


def test_subsets_share_the_dictionary(mini: Mini, tmp_path: Path) -> None:
    names = []
    for subset in ("train", "valid"):
        convert_files(mini.official(subset), mini.structure, DatasetConfig(), tmp_path / subset)
        names += [video["name"] for video in read_json(tmp_path / subset / "joint.json")["videos"]]
    assert sorted(names) == sorted(read_json(mini.structure))
