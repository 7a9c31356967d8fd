"""Annotations from raw masks of a tiny tree: their numbers, and what is counted because raw trees
may lack it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pycocotools import mask as rle

from tests.sailvos.annotate.raw_tree import (
    CAR,
    HEIGHT,
    PED,
    WIDTH,
    by_object,
    run,
    small_map,
    small_masks,
    write_image,
    write_models,
    write_small,
)
from vatrack.config.categories import CATEGORIES


def test_numbers_of_one_frame(small: Path) -> None:
    data, _ = run(small)
    assert [(image["frame_id"], image["file_name"]) for image in data["images"]] == [
        (k, f"one/images/{k + 3:06d}.bmp") for k in range(3)
    ]
    assert data["videos"] == [
        {"id": 0, "name": "one", "vid_name": "one", "num_frames": 3, "num_objs": 2}
    ]
    ped, car = by_object(data, 1).values()
    assert (ped["area"], ped["area_visible"], ped["occlude_rate"], ped["bbox"]) == (
        6,
        6,
        0.0,
        [2.0, 2.0, 2.0, 3.0],
    )
    assert (car["area"], car["area_visible"], car["occlude_rate"]) == (15, 12, 1 - 12 / 15)
    assert (car["bbox"], car["bbox_visible"]) == ([3.0, 2.0, 5.0, 3.0], [4.0, 2.0, 4.0, 3.0])
    assert np.array_equal(rle.decode(car["visible_mask"]), small_map() == 7)
    assert np.array_equal(rle.decode(car["segmentation"]), small_masks()[CAR] // 255)
    assert np.array_equal(
        rle.decode(car["invisible_mask"]), (small_masks()[CAR] > 0) & (small_map() == 4)
    )


def test_hidden_objects_have_no_annotation(small: Path) -> None:
    ids = small_map()
    ids[ids == 7] = 0
    np.save(small / "visible" / "000004.npy", ids)
    data, shown = run(small)
    assert [sorted(by_object(data, frame)) for frame in range(3)] == [[4, 7], [4], [4, 7]]
    assert len({item["instance_id"] for item in data["annotations"]}) == 2
    assert "warning" not in shown


def test_seen_pixels_outside_the_amodal_mask_widen_it(small: Path) -> None:
    """At an edge, far away, and where the mask is empty."""
    mask = small_masks()[CAR]
    mask[2:5, 7] = 0
    write_image(small / CAR / "000003.png", mask)
    ids = small_map()
    ids[7, 0] = 7
    np.save(small / "visible" / "000004.npy", ids)
    write_image(small / CAR / "000005.png", np.zeros_like(mask))
    data, shown = run(small)
    cars = [by_object(data, frame)[7] for frame in range(3)]
    assert [car["area"] for car in cars] == [15, 16, 12]
    assert [car["area_visible"] for car in cars] == [12, 13, 12]
    assert [car["bbox"] for car in cars] == [
        [3.0, 2.0, 5.0, 3.0],
        [0.0, 2.0, 8.0, 6.0],
        [4.0, 2.0, 4.0, 3.0],
    ]
    assert cars[1]["bbox_visible"] == [0.0, 2.0, 8.0, 6.0]
    assert cars[2]["occlude_rate"] == 0
    for car in cars:
        whole, visible, hidden = (
            rle.decode(car[key]) for key in ("segmentation", "visible_mask", "invisible_mask")
        )
        assert np.array_equal(visible + hidden, whole)
        assert car["bbox"] == rle.toBbox(car["segmentation"]).tolist()
        assert car["area"] == rle.area(car["segmentation"])
    assert data["info"]["notes"] == {"objects_beyond_mask": 3}
    assert data["info"]["pixels_added_to_masks"] == 3 + 1 + 12
    assert "was extended by visible pixels: 3, 16 pixels in all" in shown


def test_what_raw_trees_lack_is_counted(small: Path) -> None:
    (small / "visible" / "000003.npy").unlink()
    ids = small_map()
    ids[0, :3] = (90, 90, 91)
    np.save(small / "visible" / "000004.npy", ids)
    (small / CAR / "000005.png").unlink()
    (small.parent / "masks_only" / "visible").mkdir(parents=True)
    write_small(small.parent, "short", frames=9)
    np.save(small / "visible" / "000012.npy", ids)
    data, shown = run(small)
    assert [sorted(by_object(data, frame)) for frame in range(3)] == [[], [4, 7], [4]]
    assert len(data["images"]) == 3
    assert [video["name"] for video in data["videos"]] == ["one"]
    assert data["info"]["notes"] == {
        "frames_without_map": 1,
        "objects_without_folder": 2,
        "objects_without_mask": 1,
        "folders_without_images": 1,
        "videos_without_frames": 1,
        "videos_with_more_maps": 1,
    }
    for example in (
        "one, frame 3",
        "object 90 in one, frame 4",
        f"one/{CAR}/000005.png",
        "raw/masks_only",
        "raw/short",
    ):
        assert f"(first: {example}" in shown.replace(f"{small.parents[1]}/raw/one", "one").replace(
            f"{small.parents[1]}/", ""
        )
    assert shown.count("\nwarning: ") == 6


def test_names_of_other_widths_and_cases(small: Path) -> None:
    """The files are matched by number; a six-digit name is not needed, nor are suffixes in lower
    case."""
    expected, _ = run(small)
    for path in [*small.glob("images/*"), *small.glob("visible/*"), *small.glob("*_*/*")]:
        path.rename(path.with_name(f"{int(path.stem)}{path.suffix.upper()}"))
    for path in small.glob("images/*"):
        write_image(path.with_suffix(".png"), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
        path.unlink()
    (small / "images" / "notes.txt").touch()
    (small / PED / "thumbnail.png").touch()
    data, shown = run(small)
    assert data["annotations"] == expected["annotations"]
    assert [image["file_name"] for image in data["images"]] == [
        f"one/images/{number}.png" for number in (3, 4, 5)
    ]
    assert "warning" not in shown


def test_masks_of_other_types(small: Path) -> None:
    """Colour and 0/1 masks, wide and unsigned maps: the same annotations."""
    expected, _ = run(small)
    masks = small_masks()
    write_image(small / PED / "000003.png", np.repeat(masks[PED][..., None], 3, axis=2))
    write_image(small / CAR / "000003.png", masks[CAR] // 255)
    for number, dtype in ((3, np.uint16), (4, np.int64), (5, np.uint8)):
        np.save(small / "visible" / f"{number:06d}.npy", small_map().astype(dtype))
    assert run(small)[0]["annotations"] == expected["annotations"]


def test_large_object_ids(small: Path) -> None:
    (small / PED).rename(small / "0070000_Ped_A")
    (small / "0_Background").mkdir()
    for number in (3, 4, 5):
        np.save(
            small / "visible" / f"{number:06d}.npy",
            np.where(small_map() == 4, 70000, small_map().astype(np.int32)),
        )
    data, _ = run(small)
    assert sorted(by_object(data)) == [7, 70000]
    assert data["videos"][0]["num_objs"] == 2


def test_a_name_that_differs_by_case_is_known(small: Path) -> None:
    write_models(
        small.parents[1],
        {"pED_a": "person", "CAR_B": "car,8", "Unseen": "dog"},
    )
    data, _ = run(small)
    numbers = [
        (item["obj_id"], item["category_id"], item["model_id"]) for item in by_object(data).values()
    ]
    assert numbers == [(4, 1, 9), (7, 2, 8)]
    assert [model["name"] for model in data["models"]] == ["Car_B", "Ped_A"]


def test_a_file_of_models_wins_over_the_name(small: Path) -> None:
    write_models(small.parents[1], {"Ped_A": "dog", "Car_B": "car"})
    assert by_object(run(small)[0])[4]["category_id"] == 1 + CATEGORIES.index("dog")
    write_models(small.parents[1], {"Ped_A": "", "Car_B": "car"})
    data, shown = run(small)
    assert sorted(by_object(data)) == [7]
    assert data["info"]["annotations_left_out"] == {"Ped_A": 3}
    assert f"models without a category in {small.parents[1] / 'models.csv'}" in shown
    write_models(small.parents[1], {"Car_B": "car"})
    assert by_object(run(small)[0])[4]["category_id"] == 1
