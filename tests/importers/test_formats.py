"""COCOA, YouTube-VIS, AmodalSynthDrive, MOTS, TAO-Amodal and MOVi, each by tiny examples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.common.image_files import GREY, PALETTE, chunk, palette, png
from tests.importers.made import (
    AMODAL,
    VISIBLE,
    Case,
    coco,
    cocoa,
    counts,
    save_ids,
    synth_drive,
    tao,
    ytvis,
)
from vatrack.common.errors import InputError
from vatrack.importers.dataset import read_id_map


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


def test_a_name_or_length_of_null_counts_as_missing(case: Case) -> None:
    document = ytvis(case)
    document["videos"][0] |= {"name": None, "length": None}
    case.take("ytvis", case.write(document))
    assert [video["name"] for video in case.document["videos"]] == ["a"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("annotations"), "import the train file"),
        (lambda d: d.pop("videos"), "list `videos` is missing or is not a list; give the --from"),
        (lambda d: d["videos"][0].update(file_names=[]), "a video needs at least one frame"),
        (lambda d: d["videos"][0].update(length=4), "`file_names` is 3 items; must be a list of 4"),
        (
            lambda d: d["annotations"][0]["segmentations"].pop(),
            "`segmentations` is 2 items; must be a list of 3",
        ),
        (lambda d: d["annotations"][0].update(video_id=2), "video_id 2 is not in the list"),
        (
            lambda d: d["annotations"].append(
                {**d["annotations"][0], "segmentations": [None, VISIBLE, None]}
            ),
            "annotation 31 is listed twice in video 1",
        ),
    ],
)
def test_wrong_ytvis_files_are_named(case: Case, change: Any, message: str) -> None:
    document = ytvis(case)
    change(document)
    assert message in case.refused("ytvis", case.write(document))


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


@pytest.mark.parametrize(
    ("missing", "amodal", "rate"),
    [
        ({"occlusion_mask": None}, AMODAL, 1 / 3),
        ({"occlusion_mask": []}, AMODAL, 1 / 3),
        ({"amodal_mask": []}, AMODAL, 1 / 3),
        ({"amodal_mask": [], "occlusion_mask": []}, None, None),
    ],
)
def test_an_occluded_object_without_one_of_its_masks_has_the_visible_one_of_the_map(
    case: Case, missing: dict[str, Any], amodal: Any, rate: float | None
) -> None:
    root = synth_drive(case)
    (path,) = root.rglob("*.json")
    document = json.loads(path.read_text())
    document["7"] |= missing
    path.write_text(json.dumps(document))
    case.take("amodal-synth-drive", root)
    car, _ = case.document["annotations"]
    assert (car["amodal_mask"], car["visible_mask"]) == (amodal, VISIBLE)
    assert car["occlude_rate"] == pytest.approx(rate)


@pytest.mark.parametrize("key", ["9" * 5000, "009", "+9", "x"])
def test_an_id_of_amodal_synth_drive_that_is_none_is_named(case: Case, key: str) -> None:
    root = synth_drive(case)
    (path,) = root.rglob("*.json")
    path.write_text(path.read_text().replace('"9":', f'"{key}":'))
    assert f"instance {key:.80}: not an integer id" in case.refused("amodal-synth-drive", root)


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
    save_ids(folder / "segmentation_2_00006.png", amodal)
    result = case.take("movi", case.folder / "movi")
    assert result.notes == (
        "skipped 1 frame without segmentation_full_<frame>.png",
        "skipped 1 visible object without a map of its own, segmentation_<object>_<frame>.png",
    )
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
