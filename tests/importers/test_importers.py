"""Each format by tiny examples of its description, and the traps that its files are known for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from tests.common.image_files import GREY, PALETTE, chunk, palette, png
from vatrack.cli import app
from vatrack.common.errors import InputError
from vatrack.evaluation.io.ground_truth import read_images, read_objects
from vatrack.importers import Imported, import_dataset
from vatrack.importers.dataset import read_id_map

# rows 000000/001100/001100/000000; with one hidden column on the left; that column
VISIBLE = {"size": [4, 6], "counts": "92207"}
AMODAL = {"size": [4, 6], "counts": "5220007"}
HIDDEN = {"size": [4, 6], "counts": "52a0"}
EMPTY = {"size": [4, 6], "counts": "h0"}
FULL = {"size": [4, 6], "counts": "0h0"}
POLYGON = [[1, 1, 4, 1, 4, 3, 1, 3]]
CAR = [{"id": 4, "name": "car"}]


class Case:
    """A folder with images, and what an import of a source in it writes."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.images, self.out = folder, folder / "images", folder / "out.json"
        self.document: dict[str, Any] = {}

    def image(self, name: str) -> str:
        path = self.images / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.zeros((4, 6, 3), np.uint8))
        return name

    def write(self, value: Any, name: str = "source.json", mark: bool = False) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value), encoding="utf-8-sig" if mark else "utf-8")
        return path

    def take(self, source_format: Any, *sources: Path) -> Imported:
        result = import_dataset(source_format, sources, self.images, self.out)
        self.document = json.loads(self.out.read_text())
        images = read_images(self.document, "out.json")
        for mask_type in ("amodal", "visible"):
            has_all = all(
                item[f"{mask_type}_mask"] and item["occlude_rate"] is not None
                for item in self.document["annotations"]
            )
            if has_all:
                read_objects(self.document, images, mask_type, "out.json")
        return result

    def refused(self, source_format: Any, *sources: Path) -> str:
        with pytest.raises(InputError) as caught:
            import_dataset(source_format, sources, self.images, self.out)
        assert not self.out.exists()
        assert not list(self.folder.glob(".out*"))
        return str(caught.value)

    def only(self) -> dict[str, Any]:
        (item,) = self.document["annotations"]
        return item


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def coco(case: Case, *annotations: dict[str, Any], name: str = "a.png") -> dict[str, Any]:
    image = {"id": 3, "file_name": case.image(name), "width": 6, "height": 4}
    base = {"id": 7, "image_id": 3, "category_id": 4}
    items = [{**base, **item, "id": 7 + place} for place, item in enumerate(annotations)]
    return {"categories": CAR, "images": [image], "annotations": items}


def counts(mask: Any) -> Any:
    return mask and mask["counts"]


BOTH = [
    pytest.param({"segmentation": POLYGON, "inmodal_seg": VISIBLE, "iscrowd": 0}, id="KINS old"),
    pytest.param({"a_segm": POLYGON, "i_segm": [[2, 1, 4, 1, 4, 3, 2, 3]]}, id="KINS 2020"),
    pytest.param(
        {
            "segmentation": AMODAL,
            "visible_mask": VISIBLE,
            "invisible_mask": HIDDEN,
            "iscrowd": False,
            "bbox": [2, 1, 2, 2],
            "area": 999,
        },
        id="D2SA",
    ),
    pytest.param({"segmentation": AMODAL, "invisible_mask": HIDDEN}, id="hidden part alone"),
    pytest.param(
        {"amodal_seg": AMODAL, "visible_seg": VISIBLE, "segmentation": FULL}, id="AIStron"
    ),
    pytest.param({"segmentation": AMODAL, "i_segmentation": VISIBLE}, id="AISFormer"),
    pytest.param({"visible_mask": VISIBLE, "occluded_mask": HIDDEN}, id="UOAIS"),
    pytest.param(
        {"amodal_mask": AMODAL, "visible_mask": VISIBLE, "segmentation": [AMODAL, VISIBLE]},
        id="VATrack",
    ),
    pytest.param(
        {
            "segmentation": {"size": [4, 6], "counts": [5, 2, 2, 2, 2, 2, 9]},
            "visible_mask": {"size": [4, 6], "counts": [9, 2, 2, 2, 9]},
        },
        id="counts as lists",
    ),
    pytest.param({"segmentation": POLYGON[0], "visible_mask": VISIBLE}, id="flat polygon"),
]


@pytest.mark.parametrize("keys", BOTH)
def test_every_name_of_the_masks_gives_the_same(case: Case, keys: dict[str, Any]) -> None:
    result = case.take("coco-amodal", case.write(coco(case, keys), mark=True))
    item = case.only()
    assert (counts(item["amodal_mask"]), counts(item["visible_mask"])) == ("5220007", "92207")
    assert item["bbox"] == item["bbox_amodal"] == [1, 1, 3, 2]
    assert item["bbox_visible"] == [2, 1, 2, 2]
    assert (item["area_amodal"], item["area_visible"]) == (6, 4)
    assert item["occlude_rate"] == pytest.approx(1 / 3)
    assert item["iscrowd"] == 0
    assert item["category_id"] == 4
    assert case.document["categories"] == CAR
    assert case.document["videos"] == [{"id": 1, "name": "a", "tracks": False}]
    assert "the source has no tracks" in str(result)
    assert "extended" not in str(result)


@pytest.mark.parametrize("absent", [{}, {"visible_mask": None}, {"visible_mask": []}])
def test_absent_visible_mask_means_that_nothing_is_hidden(case: Case, absent: Any) -> None:
    case.take("coco-amodal", case.write(coco(case, {"segmentation": AMODAL, **absent})))
    assert case.only()["visible_mask"] == AMODAL
    assert case.only()["occlude_rate"] == 0


def test_objects_without_pixels_are_left_out_and_hidden_ones_kept(case: Case) -> None:
    document = coco(
        case,
        {"segmentation": EMPTY, "visible_mask": EMPTY},
        {"segmentation": AMODAL, "visible_mask": EMPTY},
        {"segmentation": None},
    )
    result = case.take("coco-amodal", case.write(document))
    assert case.only()["occlude_rate"] == 1
    assert case.only()["id"] == 0
    assert "skipped 2 objects without a pixel in the image" in str(result)
    assert "1 object completely hidden" in str(result)


def test_visible_pixels_outside_the_amodal_mask_are_united_and_counted(case: Case) -> None:
    document = coco(case, {"segmentation": HIDDEN, "visible_mask": VISIBLE})
    result = case.take("coco-amodal", case.write(document))
    assert case.only()["amodal_mask"] == AMODAL
    assert result.counts.united == 1
    assert "1 amodal mask extended" in str(result)


def test_equal_image_ids_of_two_files_stay_apart(case: Case) -> None:
    first = case.write(coco(case, {"segmentation": AMODAL}), "train.json")
    second = case.write(coco(case, {"segmentation": FULL}, name="b.png"), "test.json")
    case.take("coco-amodal", first, second)
    found = [
        (item["image_id"], counts(item["amodal_mask"])) for item in case.document["annotations"]
    ]
    assert found == [(0, "5220007"), (1, "0h0")]
    assert [item["source_id"] for item in case.document["images"]] == [3, 3]
    case.out.unlink()
    third = case.write(coco(case, {"segmentation": FULL}), "other.json")
    error = case.refused("coco-amodal", first, third)
    assert "import files with equal image names separately" in error


def test_files_of_different_classes_are_refused_and_long_lists_are_cut(case: Case) -> None:
    first, second = coco(case), coco(case)
    second["categories"] = [{"id": number, "name": f"c{number}"} for number in range(1, 13)]
    text = case.refused("coco-amodal", case.write(first, "a.json"), case.write(second, "b.json"))
    assert "b.json: its classes (1 c1, 2 c2, " in text
    assert ", 10 c10, ...) differ from those of" in text


def test_trcuk_is_a_truck(case: Case) -> None:
    document = coco(case, {"segmentation": AMODAL})
    document["categories"] = [{"id": 4, "name": "trcuk"}]
    result = case.take("coco-amodal", case.write(document))
    assert case.document["categories"] == [{"id": 4, "name": "truck"}]
    assert "'trcuk' is renamed 'truck'" in str(result)


def test_images_of_videos_are_ordered_by_frame(case: Case) -> None:
    document = coco(case, {"segmentation": AMODAL, "track_id": 90})
    document["videos"] = [{"id": 5, "name": "v"}]
    document["images"][0] |= {"video_id": 5, "frame_id": 20}
    earlier = {"id": 8, "file_name": case.image("z.png"), "video_id": 5, "frame_id": 10}
    document["images"].append({**document["images"][0], **earlier})
    document["annotations"].append({**document["annotations"][0], "id": 9, "image_id": 8})
    case.take("coco-amodal", case.write(document))
    assert [item["file_name"] for item in case.document["images"]] == ["z.png", "a.png"]
    assert [item["frame_id"] for item in case.document["images"]] == [0, 1]
    assert [item["instance_id"] for item in case.document["annotations"]] == [1, 1]


def test_videos_without_images_are_left_out(case: Case) -> None:
    """`prepare` takes no such video; nor do they make one of two frames look like two images."""
    document = coco(case, {"segmentation": AMODAL, "track_id": 90})
    document["videos"] = [{"id": 5, "name": "v"}, {"id": 6, "name": "w"}]
    document["images"] = [
        {**document["images"][0], "id": n, "file_name": case.image(f"{n}.png")}
        | {"video_id": 5, "frame_id": n}
        for n in (3, 4)
    ]
    path = case.write(document)
    assert f"{path}: skipped 1 video without images" in case.take("coco-amodal", path).notes
    assert case.document["videos"] == [{"id": 1, "name": "v", "source_id": 5}]


def test_videos_of_one_frame_have_no_tracks(case: Case) -> None:
    document = coco(case, {"segmentation": AMODAL, "track_id": 90})
    document["videos"] = [{"id": 5, "name": "v"}]
    document["images"][0] |= {"video_id": 5, "frame_id": 20}
    case.take("coco-amodal", case.write(document))
    assert [video["tracks"] for video in case.document["videos"]] == [False]


def test_invented_names_are_free(case: Case) -> None:
    document = coco(case, {"segmentation": AMODAL, "track_id": 90})
    names = ("a_3", "a", "a")
    document["videos"] = [{"id": n, "name": name} for n, name in enumerate(names)]
    document["images"] = [
        {**document["images"][0], "id": 3 + n, "file_name": case.image(f"{n}.png")}
        | {"video_id": n, "frame_id": 0}
        for n in range(3)
    ]
    case.take("coco-amodal", case.write(document))
    assert [video["name"] for video in case.document["videos"]] == ["a_3", "a", "a_3_3"]


def test_a_track_that_is_no_number_is_named(case: Case) -> None:
    document = coco(case, {"segmentation": AMODAL, "track_id": [1]})
    document["videos"] = [{"id": 5, "name": "v"}]
    document["images"] = [
        {**document["images"][0], "id": n, "file_name": case.image(f"{n}.png")} for n in (3, 4)
    ]
    for position, image in enumerate(document["images"]):
        image |= {"video_id": 5, "frame_id": position}
    assert "track_id is [1]" in case.refused("coco-amodal", case.write(document))


WRONG = [
    ({"segmentation": {"size": [6, 4], "counts": "h0"}}, "annotation 7: its amodal mask has size"),
    ({"segmentation": {"size": [4, 6], "counts": "9"}}, "annotation 7: its amodal mask is damaged"),
    ({"segmentation": [[1, 1, 2, 2]]}, "polygon of 4 numbers"),
    ({"segmentation": AMODAL, "image_id": 5}, "image_id 5 is not in the list of images"),
    ({"segmentation": AMODAL, "category_id": 5}, "category_id 5 is not in the list of categories"),
    ({"segmentation": AMODAL, "category_id": None}, "category_id is None"),
    ({"segmentation": AMODAL, "iscrowd": "no"}, "iscrowd is 'no'"),
]


@pytest.mark.parametrize(("keys", "message"), WRONG)
def test_wrong_annotations_are_named(case: Case, keys: dict[str, Any], message: str) -> None:
    path = case.write(coco(case, keys))
    text = case.refused("coco-amodal", path)
    assert message in text
    assert str(path) in text


@pytest.mark.parametrize(
    ("section", "value", "message"),
    [
        ("categories", [], "`categories` is empty"),
        ("categories", CAR * 2, "is listed twice"),
        ("categories", [{"id": 0, "name": "a"}, {"id": 0, "name": "b"}], "id 0 is listed twice"),
        ("categories", [{"id": 4, "name": " "}], "category 4 has no name"),
        ("images", [], "contains no images"),
        ("images", [{"id": 3, "file_name": "../a.png", "width": 6, "height": 4}], "file_name is"),
        ("images", [{"id": 3, "file_name": "a.png", "width": 6}], "`height` is missing"),
        (
            "images",
            [{"id": 3, "file_name": "c.png", "width": 6, "height": 4}],
            "contains none of the",
        ),
    ],
)
def test_wrong_lists_are_named(case: Case, section: str, value: Any, message: str) -> None:
    document = coco(case)
    document[section] = value
    assert message in case.refused("coco-amodal", case.write(document))


def test_a_folder_near_the_given_one_is_named(case: Case) -> None:
    path = case.write(coco(case))
    (case.images / "below").mkdir()
    case.images /= "below"
    told = case.refused("coco-amodal", path)
    assert f"give {case.images.parent} with --images" in told


def cocoa(case: Case) -> dict[str, Any]:
    document = coco(case)
    del document["categories"]
    regions = [
        {"name": "cup", "order": 1, "isStuff": 0, "segmentation": [0, 1, 2, 1, 2, 3, 0, 3]},
        {
            "name": "wall",
            "order": 2,
            "isStuff": 1,
            "segmentation": POLYGON[0],
            "visible_mask": VISIBLE,
            "invisible_mask": HIDDEN,
        },
    ]
    annotation = {"id": 1, "image_id": 3, "depth_constraint": "1-2", "regions": regions}
    return {**document, "annotations": [annotation, {**annotation, "id": 2, "author": "b"}]}


def test_cocoa_regions(case: Case) -> None:
    result = case.take("cocoa", case.write(cocoa(case)))
    cup, wall = case.document["annotations"]
    assert [item["name"] for item in case.document["categories"]] == ["object", "stuff"]
    assert (cup["category_id"], wall["category_id"]) == (1, 2)
    assert cup["visible_mask"] == cup["amodal_mask"]
    assert cup["occlude_rate"] == 0
    assert (wall["amodal_mask"], wall["visible_mask"]) == (AMODAL, VISIBLE)
    assert wall["region_name"] == "wall"
    assert "1 annotation of the same images by other annotators" in str(result)


def test_cocoa_without_regions_names_the_other_format(case: Case) -> None:
    assert "coco-amodal" in case.refused("cocoa", case.write(coco(case, {"segmentation": AMODAL})))


def ytvis(case: Case) -> dict[str, Any]:
    names = [case.image("a/00005.png"), case.image("a/00000.png"), case.image("a/00010.png")]
    video = {"id": 1, "width": 6, "height": 4, "length": 3, "file_names": names}
    masks = [{"size": [4, 6], "counts": [9, 2, 2, 2, 9]}, None, EMPTY]
    annotation = {
        "id": 31,
        "video_id": 1,
        "category_id": 4,
        "iscrowd": 0,
        "segmentations": masks,
        "bboxes": [[2, 1, 2, 2], None, None],
        "occlusion": ["slight_occlusion", None, "no_occlusion"],
    }
    return {"videos": [video], "categories": CAR, "annotations": [annotation]}


def test_ytvis_has_visible_masks_in_the_order_of_its_names(case: Case) -> None:
    result = case.take("ytvis", case.write(ytvis(case), mark=True))
    names = [item["file_name"] for item in case.document["images"]]
    assert names == ["a/00005.png", "a/00000.png", "a/00010.png"]
    item = case.only()
    assert (item["amodal_mask"], item["visible_mask"]) == (None, VISIBLE)
    assert item["occlude_rate"] is None
    assert item["bbox"] == [2, 1, 2, 2]
    assert item["occlusion"] == "slight_occlusion"
    assert item["source_id"] == 31
    assert "has no amodal masks and occlusion rates" in str(result)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("annotations"), "import the train file"),
        (lambda d: d["videos"][0].update(file_names=[]), "a video needs at least one frame"),
        (lambda d: d["videos"][0].update(length=4), "`file_names` is 3 items; must be a list of 4"),
        (
            lambda d: d["annotations"][0]["segmentations"].pop(),
            "`segmentations` is 2 items; must be a list of 3",
        ),
        (lambda d: d["annotations"][0].update(video_id=2), "video_id 2 is not in the list"),
    ],
)
def test_wrong_ytvis_files_are_named(case: Case, change: Any, message: str) -> None:
    document = ytvis(case)
    change(document)
    assert message in case.refused("ytvis", case.write(document))


def save_ids(path: Path, ids: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.asarray(ids))


def synth_drive(case: Case, sequence: str = "S1", camera_level: bool = True) -> Path:
    level = "front/" if camera_level else ""
    root = case.folder / "amodal_instance_seg"
    stem = f"{level}{sequence}/front_full_0003"
    case.image(f"{stem}_rgb.jpg")
    ids = np.zeros((4, 6), np.uint8)
    ids[1:3, 2:4], ids[3, 5] = 7, 9
    save_ids(root / f"{stem}_aminseg.png", ids)
    document = {
        "7": {
            "track_id": 412,
            "category_id": 26,
            "occluded": True,
            "amodal_mask": AMODAL,
            "occlusion_mask": HIDDEN,
        },
        "9": {
            "track_id": 413,
            "category_id": 24,
            "occluded": False,
            "amodal_mask": [],
            "occlusion_mask": [],
        },
        "11": {"track_id": 0, "category_id": 0, "occluded": False},
    }
    case.write(document, f"amodal_instance_seg/{stem}_aminseg.json")
    return root


@pytest.mark.parametrize("camera_level", [True, False])
def test_amodal_synth_drive(case: Case, camera_level: bool) -> None:
    synth_drive(case, "S2", camera_level)
    result = case.take("amodal-synth-drive", synth_drive(case, "S1", camera_level))
    assert [item["name"] for item in case.document["videos"]] == ["S1_front", "S2_front"]
    car, person, other, _ = case.document["annotations"]
    assert (car["amodal_mask"], car["visible_mask"]) == (AMODAL, VISIBLE)
    assert person["amodal_mask"] == person["visible_mask"]
    assert (person["area_visible"], person["bbox"]) == (1, [5, 3, 1, 1])
    # the same track id in two videos is two objects
    assert (car["track_id"], other["track_id"]) == (412, 412)
    assert car["video_id"] != other["video_id"]
    assert result.counts.tracks == 4
    assert "skipped 2 objects of other than the 10 classes: 0" in str(result)


def test_a_known_wrong_label_is_corrected(case: Case) -> None:
    root = synth_drive(case, "20230702032750_SoftRainSunset_Town10HD")
    (path,) = root.rglob("*.json")
    for suffix in (".json", ".png"):
        path.with_suffix(suffix).rename(path.with_name(f"front_full_0022_aminseg{suffix}"))
    case.image("front/20230702032750_SoftRainSunset_Town10HD/front_full_0022_rgb.jpg")
    path = path.with_name("front_full_0022_aminseg.json")
    path.write_text(path.read_text().replace('"category_id": 26', '"category_id": 21'))
    assert "corrected 1 known label error of" in str(case.take("amodal-synth-drive", root))
    assert case.document["annotations"][0]["category_id"] == 27


def test_an_id_map_in_colour_is_refused(case: Case) -> None:
    root = synth_drive(case)
    (path,) = root.rglob("*.png")
    save_ids(path, np.arange(72, dtype=np.uint8).reshape(4, 6, 3))
    assert "colour rendering" in case.refused("amodal-synth-drive", root)


@pytest.mark.parametrize("first", [0, 1])
def test_mots_text_and_maps_say_the_same(case: Case, first: int) -> None:
    for frame in (first, first + 1):
        case.image(f"0002/{frame:06d}.png")
    text = case.folder / "instances_txt" / "0002.txt"
    text.parent.mkdir()
    text.write_text(
        f"{first} 1004 1 4 6 92207\n{first} 10000 10 4 6 0h0\n{first + 1} 1004 1 4 6 52a0\n"
    )
    result = case.take("mots", text.parent)
    from_text = case.document
    assert "skipped 1 ignore region" in str(result)
    for offset, columns in ((0, slice(2, 4)), (1, slice(1, 2))):
        ids = np.zeros((4, 6), np.uint16)
        ids[3, 5] = 10000
        ids[1:3, columns] = 1004
        save_ids(case.folder / "instances" / "0002" / f"{first + offset:06d}.png", ids)
    case.take("mots", case.folder / "instances")
    assert case.document == from_text
    masks = [counts(item["visible_mask"]) for item in from_text["annotations"]]
    assert masks == ["92207", "52a0"]
    assert [item["instance_id"] for item in from_text["annotations"]] == [1, 1]
    assert from_text["categories"] == [{"id": 1, "name": "car"}, {"id": 2, "name": "pedestrian"}]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 1004 1 4 6", "line 1: not a line of MOTS; write `frame id class"),
        ("0 1004 2 4 6 92207", "class 2 of id 1004"),
        ("5 1004 1 4 6 92207", "no image has the number 5"),
        ("0 1004 1 6 4 92207", "line 1: its visible mask has size"),
        ("0 1004 1 4 6 92207\n0 1004 1 4 6 92207", "track 1004 is in image 0002/000000.png twice"),
    ],
)
def test_wrong_mots_lines_are_named(case: Case, line: str, message: str) -> None:
    case.image("0002/000000.png")
    path = case.folder / "0002.txt"
    path.write_text(line)
    assert message in case.refused("mots", path)


def test_mots_maps_have_16_bits(case: Case) -> None:
    case.image("0002/000000.png")
    save_ids(case.folder / "maps" / "0002" / "000000.png", np.ones((4, 6), np.uint8))
    assert "id maps of MOTS have 16" in case.refused("mots", case.folder / "maps")


def tao(case: Case, *boxes: list[float], **keys: Any) -> dict[str, Any]:
    items = [{"amodal_bbox": box, "track_id": 11 + n, **keys} for n, box in enumerate(boxes)]
    document = coco(case, *items)
    document["videos"] = [{"id": 2, "name": "v"}]
    document["images"][0] |= {"video_id": 2, "frame_index": 30}
    return document


def test_tao_boxes_stay_exact_and_masks_end_at_the_border(case: Case) -> None:
    document = tao(case, [-15, 1, 17.6, 2.4], [1, 1, 3, 2], [-9, 0, 5, 2], visibility=0.25)
    result = case.take("tao-amodal", case.write(document))
    cut, whole = case.document["annotations"]
    assert cut["bbox"] == cut["bbox_amodal"] == [-15, 1, 17.6, 2.4]
    assert (cut["area_amodal"], whole["amodal_mask"], whole["visible_mask"]) == (6, AMODAL, None)
    assert cut["occlude_rate"] == 0.75
    assert "skipped 1 object without a pixel in the image" in str(result)
    assert "evaluate only boxes and box tracking" in str(result)


def test_tao_rectangles_at_all_borders_are_sound(case: Case) -> None:
    document = tao(case, [0, 0, 6, 4], [-1, -1, 99, 99], [5, 3, 1, 1], [0, 0, 1, 4], [3, 2, 9, 9])
    case.take("tao-amodal", case.write(document))
    areas = [item["area_amodal"] for item in case.document["annotations"]]
    assert areas == [24, 24, 1, 4, 6]


def test_movi_pixels_are_the_object_plus_one(case: Case) -> None:
    folder = case.folder / "movi" / "v1"
    case.image("v1/rgba_full_00005.png")
    visible, amodal = np.zeros((4, 6), np.uint8), np.zeros((4, 6), np.uint8)
    visible[1:3, 2:4], visible[0, 0], amodal[1:3, 1:4] = 3, 2, 3
    save_ids(folder / "segmentation_full_00005.png", visible)
    save_ids(folder / "segmentation_2_00005.png", amodal)
    case.write({"instances": [{"category": name} for name in "bca"]}, "movi/v1/metadata.json")
    case.take("movi", case.folder / "movi")
    item = case.only()
    assert (item["amodal_mask"], item["visible_mask"]) == (AMODAL, VISIBLE)
    assert (item["obj_id"], item["category_id"]) == (2, 1)
    assert [entry["name"] for entry in case.document["categories"]] == ["a", "b", "c"]


def test_movi_frames_are_in_the_order_of_their_numbers(case: Case) -> None:
    """With or without zeros before them; what has no number is no id map."""
    folder = case.folder / "movi" / "v1"
    ids = np.zeros((4, 6), np.uint8)
    ids[1:3, 2:4] = 3
    for digits in ("10", "9", "011"):
        case.image(f"v1/rgba_full_{digits}.png")
        save_ids(folder / f"segmentation_full_{digits}.png", ids)
    save_ids(folder / "segmentation_02_9.png", ids)
    save_ids(folder / "segmentation_full_copy.png", ids)
    save_ids(case.folder / "movi" / "v2" / "segmentation_full_copy.png", ids)
    case.take("movi", case.folder / "movi")
    names = [item["file_name"].rpartition("_")[2] for item in case.document["images"]]
    assert names == ["9.png", "10.png", "011.png"]
    assert case.only()["obj_id"] == 2
    save_ids(folder / "segmentation_2_09.png", ids)
    case.out.unlink()
    told = case.refused("movi", case.folder / "movi")
    assert told.endswith("segmentation_02_9.png is of the same object and frame; remove one")


def test_what_macos_adds_is_no_data(case: Case) -> None:
    root = synth_drive(case)
    (path,) = root.rglob("*.json")
    path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7")
    case.take("amodal-synth-drive", root)
    assert len(case.document["videos"]) == 1
    case.image("0002/000000.png")
    labels = case.folder / "instances_txt"
    labels.mkdir()
    (labels / "0002.txt").write_text("0 1004 1 4 6 92207\n")
    (labels / "._0002.txt").write_bytes(b"\0\5\x16\7")
    case.take("mots", labels)
    assert case.only()["track_id"] == 1004
    (case.folder / "maps").mkdir()
    (case.folder / "maps" / "._000000.png").write_bytes(b"\0\5\x16\7")
    case.out.unlink()
    assert "contains no <sequence>.txt" in case.refused("mots", case.folder / "maps")


@pytest.mark.parametrize("colour", [GREY, PALETTE])
@pytest.mark.parametrize("depth", [4, 8])
def test_an_id_map_gives_what_is_stored(tmp_path: Path, colour: int, depth: int) -> None:
    """Indices of a palette, whatever their colours, and grey values of few bits as they are."""
    ids = np.array([[0, 3, 2], [1, 5, 0]])
    colours = palette(*[(n, 9, 9) for n in range(6)]) + chunk(b"tRNS", b"\0\xff")
    (tmp_path / "ids.png").write_bytes(
        png(ids, colour, depth, colours if colour == PALETTE else b"")
    )
    assert np.array_equal(read_id_map(tmp_path / "ids.png"), ids)


def test_an_id_map_that_is_cut_off_or_no_png_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ids.png"
    save_ids(path, np.eye(40, dtype=np.uint16))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="truncated, its data has no end"):
        read_id_map(path)
    save_ids(tmp_path / "ids.jpg", np.zeros((4, 6), np.uint8))
    with pytest.raises(InputError, match="is a JPEG image, but masks and id maps must be PNG"):
        read_id_map(tmp_path / "ids.jpg")
    with pytest.raises(InputError, match=r"none\.png"):
        read_id_map(tmp_path / "none.png")


def test_the_command_says_what_the_source_lacks(case: Case) -> None:
    source = case.write(ytvis(case))
    command = ["import-dataset", "--from", "ytvis", str(source), "--images", str(case.images)]
    result = CliRunner().invoke(app, [*command, "--out", str(case.out)])
    assert result.exit_code == 0
    assert "has no amodal masks" in result.output
    written = case.out.read_bytes()
    refused = CliRunner().invoke(app, [*command, "--out", str(source)])
    assert isinstance(refused.exception, InputError)
    assert case.out.read_bytes() == written
    assert "videos" in json.loads(source.read_text())


def test_a_missing_source_is_named(case: Case) -> None:
    assert "no such file or folder" in case.refused("cocoa", case.folder / "none.json")


def test_videos_whose_objects_have_no_track_become_single_images(case: Case) -> None:
    document = coco(case, {"segmentation": AMODAL})
    document["videos"] = [{"id": 5, "name": "v"}]
    document["images"] = [
        {**document["images"][0], "id": n, "file_name": case.image(f"{name}.png")}
        | {"video_id": 5, "frame_id": n}
        for n, name in ((3, "d/a"), (4, "d_a"))
    ]
    result = case.take("coco-amodal", case.write(document))
    videos = [(item["name"], item["tracks"]) for item in case.document["videos"]]
    assert videos == [("d_a", False), ("d_a_2", False)]
    assert "no annotation has a track, so images are treated independently" in str(result)


def test_images_that_are_missing_are_told_from_those_that_cannot_be_read(case: Case) -> None:
    document = coco(case, {"segmentation": AMODAL})
    names = ("a.png", "dir.png", "real.webp", "gone.png")
    (case.images / "dir.png").mkdir()
    (case.images / "real.webp").write_bytes(b"RIFF1234WEBP")
    document["images"] = [
        {**document["images"][0], "id": 3 + n, "file_name": name} for n, name in enumerate(names)
    ]
    told = str(case.take("coco-amodal", case.write(document)))
    assert f"not in {case.images}: 1 of 4 images, such as gone.png" in told
    assert (
        f"not readable in {case.images}: 2 of 4 images, such as {case.images}/dir.png: is" in told
    )
    case.out.unlink()
    del document["images"][0]
    assert "dir.png: is a folder" in case.refused("coco-amodal", case.write(document))
