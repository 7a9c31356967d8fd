"""What all formats share, by COCO files with amodal masks: the traps that their files are known
for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.importers.made import (
    AMODAL,
    CAR,
    EMPTY,
    FULL,
    HIDDEN,
    POLYGON,
    VISIBLE,
    Case,
    coco,
    counts,
    ytvis,
)
from vatrack.cli import app
from vatrack.common.errors import InputError
from vatrack.importers import import_dataset

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
    result = case.take("coco-amodal", case.write(coco(case, {"segmentation": AMODAL, **absent})))
    # Where the field is there, the file has it to say so.
    plain = "no visible masks and no hidden parts, so all objects count as fully visible; if it is"
    assert (plain in str(result)) == (not absent)
    assert case.only()["visible_mask"] == AMODAL
    assert case.only()["occlude_rate"] == 0


def test_an_empty_visible_polygon_means_hidden_where_its_area_says_so(case: Case) -> None:
    empty = {"a_segm": POLYGON, "i_segm": []}
    objects = (
        empty | {"i_segm": [[]]},
        empty | {"i_area": 0},
        empty | {"i_area": 4, "invisible_mask": HIDDEN},
    )
    result = case.take("coco-amodal", case.write(coco(case, *objects)))
    rates = [item["occlude_rate"] for item in case.document["annotations"]]
    assert rates == pytest.approx([0, 1, 1 / 3])
    assert "1 object with an empty list as visible mask and no area of it counted" in str(result)
    assert "1 object completely hidden" in str(result)


def test_objects_without_pixels_are_left_out_and_hidden_ones_kept(case: Case) -> None:
    document = coco(
        case,
        {"segmentation": EMPTY, "visible_mask": EMPTY},
        {"segmentation": AMODAL, "visible_mask": EMPTY},
        {"segmentation": None},
        {"visible_mask": None, "occluded_mask": AMODAL},
    )
    result = case.take("coco-amodal", case.write(document))
    items = case.document["annotations"]
    assert [item["occlude_rate"] for item in items] == [1, 1]
    assert [item["id"] for item in items] == [0, 1]
    assert [counts(item["amodal_mask"]) for item in items] == [counts(AMODAL)] * 2
    assert "skipped 2 objects without a pixel in the image" in str(result)
    assert "2 objects completely hidden" in str(result)


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
    document["videos"] = [{"id": 5, "name": None}]
    document["images"][0] |= {"video_id": 5, "frame_id": 20}
    earlier = {"id": 8, "file_name": case.image("z.png"), "frame_id": None, "frame_index": 10}
    document["images"].append({**document["images"][0], **earlier})
    document["annotations"].append({**document["annotations"][0], "id": 9, "image_id": 8})
    case.take("coco-amodal", case.write(document))
    assert [item["file_name"] for item in case.document["images"]] == ["z.png", "a.png"]
    assert [item["frame_id"] for item in case.document["images"]] == [0, 1]
    assert [item["name"] for item in case.document["videos"]] == ["5"]
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
        ("images", None, "list `images` is missing or is not a list; give the --from"),
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


def test_the_names_begin_in_a_folder_above_the_images(case: Case) -> None:
    """So that the images of both subsets, which may have equal names, have one folder."""
    source = case.write(coco(case, {"segmentation": AMODAL}))
    link = case.folder / "link"
    link.symlink_to(case.images)
    for images, folder, name in (
        (case.images, None, "a.png"),
        (case.images, case.images, "a.png"),
        (case.images, case.folder, "images/a.png"),
        (link, case.folder, "link/a.png"),
    ):
        import_dataset("coco-amodal", [source], images, case.out, folder)
        (image,) = json.loads(case.out.read_text())["images"]
        assert image["file_name"] == name
    case.out.unlink()
    with pytest.raises(InputError, match=r"images: is not in .*other; give a folder that contains"):
        import_dataset("coco-amodal", [source], case.images, case.out, case.folder / "other")
    assert not case.out.exists()
