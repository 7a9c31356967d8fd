"""Overlays: what lies on the pixels, where labels stand, and what the contact sheet shows."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from vatrack.common.errors import InputError
from vatrack.config.categories import CATEGORIES
from vatrack.reporting.drawing import (
    draw_instances,
    put_text,
    scale_image,
    text_mask,
    track_colours,
)
from vatrack.reporting.overlay import CELL_WIDTH, GAP, MARGIN, write_contact_sheet
from vatrack.reporting.sheet import evenly, grid, pad, tile

HEIGHT, WIDTH, FRAMES, GREY = 80, 128, 8, 100
CELL_HEIGHT = CELL_WIDTH * HEIGHT // WIDTH


def flat_picture(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    return np.full((height, width, 3), GREY, np.uint8)


def rectangle(
    x1: int, y1: int, x2: int, y2: int, height: int = HEIGHT, width: int = WIDTH
) -> np.ndarray:
    mask = np.zeros((height, width), bool)
    mask[y1:y2, x1:x2] = True
    return mask


def blended(colour: np.ndarray) -> np.ndarray:
    return np.rint(GREY / 2 + colour / 2)


# drawing


def test_a_colour_depends_on_the_track_alone() -> None:
    state = random.getstate(), np.random.get_state(legacy=False)["state"]["key"].tolist()  # noqa: NPY002
    colours = track_colours(range(36))
    np.testing.assert_array_equal(track_colours([35, 7, 7]), colours[[35, 7, 7]])
    after = random.getstate(), np.random.get_state(legacy=False)["state"]["key"].tolist()  # noqa: NPY002
    assert after == state, "no shared random state is touched"
    assert len(np.unique(colours, axis=0)) == 36
    assert track_colours([]).shape == (0, 3)
    np.testing.assert_array_equal(track_colours([36_000_000_000]), colours[[0]])


def test_a_full_channel_stays_full() -> None:
    """Quirk V3: a channel of 1.0 must not wrap to 0."""
    picture = np.full((30, 30, 3), 255, np.uint8)
    drawn = draw_instances(
        picture,
        rectangle(0, 0, 30, 30, 30, 30)[None],
        None,
        [""],
        np.array([[0, 127, 255]], np.uint8),
    )
    assert drawn[15, 15].tolist() == [128, 191, 255]


def test_masks_are_half_transparent_and_nothing_else_changes() -> None:
    picture, colours = flat_picture(), track_colours([4, 5])
    masks = np.stack([rectangle(10, 20, 60, 70), rectangle(80, 30, 120, 60)])
    drawn = draw_instances(picture, masks, None, ["", ""], colours)
    np.testing.assert_array_equal(drawn[40, 30], blended(colours[0]))
    np.testing.assert_array_equal(drawn[45, 100], blended(colours[1]))
    np.testing.assert_array_equal(drawn[40, 10], colours[0])  # contour
    far = cv2.dilate(np.asarray(masks.any(0), np.uint8), np.ones((7, 7), np.uint8)) == 0
    assert (drawn[far] == GREY).all()
    assert (picture == GREY).all(), "the input is not drawn on"


def test_a_small_mask_is_not_buried_under_a_large_one() -> None:
    colours = track_colours([0, 1])
    small, large = rectangle(50, 30, 70, 50), rectangle(10, 10, 120, 75)
    for masks, order in ((np.stack([small, large]), [0, 1]), (np.stack([large, small]), [1, 0])):
        drawn = draw_instances(flat_picture(), masks, None, ["", ""], colours[order])
        np.testing.assert_allclose(drawn[40, 60], blended(colours[1]) / 2 + colours[0] / 2, atol=1)


def test_boxes_may_leave_the_picture_and_need_no_masks() -> None:
    boxes = [[-20.0, 10.2, 50.4, 500.0], [np.nan, 0, 5, 5], [20, 20, 20, 20]]
    colours = track_colours([0, 1, 2])
    drawn = draw_instances(flat_picture(), None, np.array(boxes), ["", "", ""], colours)
    np.testing.assert_array_equal(drawn[10, 25], colours[0])
    np.testing.assert_array_equal(drawn[60, 50], colours[0])
    np.testing.assert_array_equal(drawn[20, 20], colours[2])
    np.testing.assert_array_equal(
        draw_instances(flat_picture(), np.zeros((0, HEIGHT, WIDTH), bool), [], [], colours[:0]),
        GREY,
    )


def test_an_empty_mask_gets_no_label() -> None:
    masks = np.zeros((1, HEIGHT, WIDTH), bool)
    assert (
        draw_instances(flat_picture(), masks, None, ["person"], track_colours([1])) == GREY
    ).all()
    assert (
        draw_instances(flat_picture(), masks, [[20, 30, 60, 60]], ["person"], track_colours([1]))
        != GREY
    ).any()


def test_labels_stay_in_the_picture_and_do_not_cover_each_other() -> None:
    height, width = 300, 400
    corners = [
        [0, 0, 30, 30],
        [380, 0, 399, 20],
        [370, 280, 399, 299],
        [0, 290, 5, 299],
        *[[150, 140, 220, 200]] * 6,
    ]
    labels = [f"potted plant #{number}  0.97" for number in range(len(corners))]
    colours = track_colours(range(len(corners)))
    drawn = draw_instances(
        flat_picture(height, width), None, np.array(corners, float), labels, colours
    )
    for label, colour in zip(labels, colours, strict=True):
        rows, _ = np.nonzero((drawn == colour).all(axis=2))
        # the widest row of pure colour is the strip's upper edge: above the letters, as wide as the
        # label
        counts = np.bincount(rows)
        expected = text_mask(label, 13).shape[1] + 4
        assert counts.max() >= expected, label


def test_text_is_cut_off_at_the_border() -> None:
    picture = flat_picture(20, 40)
    put_text(picture, "a long line of text", (10, 12), 13, (0, 0, 0))
    assert (picture[:, :10] == GREY).all()
    assert (picture[12:, 10:] < GREY).any()
    put_text(picture, "beyond", (50, 30), 13, (0, 0, 0))
    assert text_mask("gap", 13).shape[0] == text_mask("xx", 13).shape[0], (
        "all lines of a size are equally high"
    )


@pytest.mark.parametrize("width", [64, 480])
def test_scaling_keeps_shape_and_share(width: int) -> None:
    mask = rectangle(32, 20, 96, 60)
    picture, masks = scale_image(flat_picture(), mask[None], width)
    assert picture.shape == (HEIGHT * width // WIDTH, width, 3)
    assert masks.shape == (1, *picture.shape[:2])
    assert masks.mean() == pytest.approx(mask.mean(), rel=0.03)


# contact sheet


def encode(mask: np.ndarray) -> dict[str, Any]:
    rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": rle["size"], "counts": rle["counts"].decode()}


AMODAL, VISIBLE = rectangle(40, 30, 100, 70), rectangle(40, 50, 100, 70)


def write_set(
    folder: Path,
    clips: int = 2,
    score: float = 0.9,
    mask_types: tuple[str, ...] = ("amodal", "visible"),
    suffix: str = ".png",
) -> dict[str, Path]:
    """Clips with one object each, at the same place in every frame, and a prediction that equals
    it; clip 1 has no object."""
    document: dict[str, list[Any]] = {
        "videos": [],
        "images": [],
        "annotations": [],
        "categories": [],
    }
    document["categories"] = [
        {"id": number, "name": name} for number, name in enumerate(CATEGORIES, 1)
    ]
    predictions = []
    masks = {"amodal": encode(AMODAL), "visible": encode(VISIBLE)}
    for video in range(1, clips + 2):
        name = f"clip_{video}"
        document["videos"].append(
            {"id": video, "name": name, "width": WIDTH, "height": HEIGHT, "num_frames": FRAMES}
        )
        (folder / "images" / name / "images").mkdir(parents=True)
        for frame in range(FRAMES):
            image_id, file = video * 100 + frame, f"{name}/images/{frame + 3:06d}{suffix}"
            cv2.imwrite(str(folder / "images" / file), flat_picture())
            size = {"width": WIDTH, "height": HEIGHT}
            document["images"].append(
                {"id": image_id, "video_id": video, "frame_id": frame, "file_name": file, **size}
            )
            if video == 1:
                continue
            document["annotations"].append(
                {
                    "id": image_id,
                    "image_id": image_id,
                    "video_id": video,
                    "category_id": 2,
                    "instance_id": video,
                    "amodal_mask": masks["amodal"],
                    "visible_mask": masks["visible"],
                    "area_amodal": int(AMODAL.sum()),
                    "segmentation": [masks["amodal"], masks["visible"]],
                    "bbox": [40, 30, 60, 40],
                    "iscrowd": 0,
                    "area_visible": int(VISIBLE.sum()),
                    "occlude_rate": 0.5,
                    "bbox_visible": [40, 50, 60, 20],
                }
            )
            shown = {name: mask if name in mask_types else None for name, mask in masks.items()}
            predictions.append(
                {
                    "image_id": image_id,
                    "category_id": 2,
                    "score": score,
                    "bbox": [40, 30, 60, 40],
                    "track_id": 7,
                    **shown,
                }
            )
    (folder / "truth.json").write_text(json.dumps(document))
    with gzip.open(folder / "predictions.jsonl.gz", "wt") as stream:
        stream.writelines(json.dumps(prediction) + "\n" for prediction in predictions)
    return {
        "ground_truth": folder / "truth.json",
        "predictions": folder / "predictions.jsonl.gz",
        "images": folder / "images",
    }


def cells(sheet: np.ndarray) -> np.ndarray:
    """The pictures of the first clip, [rows, 4, CELL_HEIGHT, CELL_WIDTH, 3]; all are equally
    high."""
    edge = MARGIN + 4 * CELL_WIDTH + 3 * GAP - 2  # a column that no text reaches
    paper = (sheet[:, edge] == 255).all(axis=1)
    starts = np.flatnonzero(~paper[1:] & paper[:-1]) + 1
    ends = np.flatnonzero(paper[1:] & ~paper[:-1]) + 1
    assert ((ends - starts) == CELL_HEIGHT).all()
    columns = [MARGIN + index * (CELL_WIDTH + GAP) for index in range(4)]
    return np.array(
        [[sheet[y : y + CELL_HEIGHT, x : x + CELL_WIDTH] for x in columns] for y in starts]
    )


def centre(cell: np.ndarray, mask: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(mask)
    scale = CELL_WIDTH / WIDTH
    return cell[int(rows.mean() * scale), int((columns.mean() + 20) * scale)]


def test_the_sheet_shows_both_sides_and_both_mask_types(tmp_path: Path) -> None:
    files = write_set(tmp_path)
    summary = write_contact_sheet(**files, out=tmp_path / "sheet.png", score=0.5, clips=1)
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    pictures = cells(sheet)
    assert pictures.shape == (4, 4, CELL_HEIGHT, CELL_WIDTH, 3)
    assert (summary.clips, summary.of_clips, summary.rows) == (1, 3, 4)
    assert str(summary) == (
        f"{tmp_path}/sheet.png: 1 of 3 clips, 4 rows each; predictions with a score of 0.5 or more"
    )
    hidden = AMODAL & ~VISIBLE
    for row, (track, mask_type) in enumerate(
        [(3, "amodal"), (7, "amodal"), (3, "visible"), (7, "visible")]
    ):
        for cell in pictures[row]:
            colour = track_colours([track])[0]
            np.testing.assert_array_equal(centre(cell, VISIBLE), blended(colour))
            np.testing.assert_array_equal(
                centre(cell, hidden), blended(colour) if mask_type == "amodal" else [GREY] * 3
            )
            assert (cell[-20:, :60] == GREY).all(), "nothing is drawn away from the object"


def test_a_mask_type_without_predictions_is_left_out(tmp_path: Path) -> None:
    files = write_set(tmp_path, mask_types=("visible",))
    write_contact_sheet(**files, out=tmp_path / "sheet.png", score=0.5, clips=1)
    pictures = cells(cv2.imread(str(tmp_path / "sheet.png")))
    assert len(pictures) == 2
    np.testing.assert_array_equal(centre(pictures[1, 0], VISIBLE), blended(track_colours([7])[0]))
    np.testing.assert_array_equal(centre(pictures[1, 0], AMODAL & ~VISIBLE), [GREY] * 3)


@pytest.mark.parametrize(("threshold", "drawn"), [(0.9, True), (0.91, False)])
def test_predictions_below_the_score_are_not_drawn(
    tmp_path: Path, threshold: float, drawn: bool
) -> None:
    files = write_set(tmp_path, score=0.9)
    write_contact_sheet(**files, out=tmp_path / "sheet.png", score=threshold, clips=1)
    pictures = cells(cv2.imread(str(tmp_path / "sheet.png")))
    assert (centre(pictures[1, 0], VISIBLE) != GREY).any() == drawn
    assert (centre(pictures[0, 0], VISIBLE) != GREY).any(), "ground truth has no score"


def test_no_prediction_at_all(tmp_path: Path) -> None:
    files = write_set(tmp_path)
    files["predictions"] = tmp_path / "none.jsonl"
    files["predictions"].write_text("")
    write_contact_sheet(**files, out=tmp_path / "sheet.png", score=0.5, clips=1)
    pictures = cells(cv2.imread(str(tmp_path / "sheet.png")))
    assert len(pictures) == 4
    assert (pictures[1, 0, 60:] == GREY).all()
    assert (pictures[1, 0, :30, :40] != GREY).any(), "a note says that there is nothing"


def test_frames_may_be_bmp_where_the_annotations_say_png(tmp_path: Path) -> None:
    files = write_set(tmp_path, suffix=".bmp")
    text = files["ground_truth"].read_text()
    files["ground_truth"].write_text(text.replace(".bmp", ".png"))
    write_contact_sheet(**files, out=tmp_path / "sheet.png", score=0.5, clips=2)
    assert len(cells(cv2.imread(str(tmp_path / "sheet.png")))) == 8


def test_the_number_of_clips_and_equal_files(tmp_path: Path) -> None:
    files = write_set(tmp_path, clips=5)
    heights = []
    for clips in (1, 2, 5, 9):
        write_contact_sheet(**files, out=tmp_path / "sheet.png", score=0.5, clips=clips)
        heights.append(cv2.imread(str(tmp_path / "sheet.png")).shape[0])
    step = heights[1] - heights[0]
    assert heights == [
        heights[0],
        heights[0] + step,
        heights[0] + 4 * step,
        heights[0] + 4 * step,
    ], "clip 1 has no object"
    content = (tmp_path / "sheet.png").read_bytes()
    write_contact_sheet(**files, out=tmp_path / "again.png", score=0.5, clips=9)
    assert (tmp_path / "again.png").read_bytes() == content


def test_evenly() -> None:
    assert evenly(12, 4) == [1, 4, 7, 10]
    assert evenly(3, 4) == evenly(3, 4, ends=True) == [0, 1, 2]
    assert evenly(5, 1) == [2]
    assert evenly(12, 4, ends=True) == [0, 4, 7, 11]


def test_a_grid_has_rows_and_columns_of_paper() -> None:
    black = np.zeros((3, 5, 3), np.uint8)
    shown = grid([[tile(1, 2), pad(black, 1, 2)], [black]])[..., 0] == 0
    expected = np.zeros((7, 12), bool)
    expected[:3, 5:10] = expected[4:, :5] = True
    np.testing.assert_array_equal(shown, expected)


def refused(
    tmp_path: Path, files: dict[str, Path], message: str, out: str = "sheet.png", clips: int = 2
) -> None:
    with pytest.raises(InputError, match=message):
        write_contact_sheet(**files, out=tmp_path / "out" / out, score=0.5, clips=clips)
    assert not list(tmp_path.glob("out/*")), "nothing is left half-written"


def test_bad_input_is_named(tmp_path: Path) -> None:
    files = write_set(tmp_path)
    refused(tmp_path, files, r"sheet\.jpg.*\.png", out="sheet.jpg")
    refused(tmp_path, files, "--clips 0", clips=0)
    refused(tmp_path, {**files, "ground_truth": tmp_path / "no.json"}, r"no\.json: no such file")
    refused(tmp_path, {**files, "predictions": tmp_path / "no.jsonl"}, r"no\.jsonl: no such file")
    (tmp_path / "empty.json").write_text(
        json.dumps({"videos": [], "images": [], "annotations": [], "categories": []})
    )
    (tmp_path / "none.jsonl").write_text("")
    empty = {
        **files,
        "ground_truth": tmp_path / "empty.json",
        "predictions": tmp_path / "none.jsonl",
    }
    refused(tmp_path, empty, "lists no image")


def test_bad_pictures_are_named(tmp_path: Path) -> None:
    files = write_set(tmp_path)
    picture = tmp_path / "images" / "clip_2" / "images" / "000004.png"
    cv2.imwrite(str(picture), flat_picture(HEIGHT, WIDTH - 2))
    refused(
        tmp_path,
        files,
        rf"000004\.png: is 126 x {HEIGHT} pixels, its annotation says {WIDTH} x {HEIGHT}",
    )
    picture.write_bytes(picture.read_bytes()[:40])
    refused(tmp_path, files, r"000004\.png")
    picture.unlink()
    refused(tmp_path, files, r"000004\.png")


def test_a_name_that_is_missing_is_named(tmp_path: Path) -> None:
    files = write_set(tmp_path)
    document = json.loads(files["ground_truth"].read_text())
    del document["videos"][1]["name"]
    files["ground_truth"].write_text(json.dumps(document))
    refused(tmp_path, files, "item 2 of 'videos' has no 'name'")
