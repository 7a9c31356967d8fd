"""What the contact sheet shows."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.evaluation.scenes import (
    HEIGHT,
    WIDTH,
    add_object,
    detection,
    document,
    rectangle,
    rle,
    write_scene,
)
from tests.reporting.test_drawing import GREY, blended, flat_image
from vatrack.common.errors import InputError
from vatrack.common.files import write_yaml
from vatrack.reporting.drawing import track_colours
from vatrack.reporting.layers import FrameList, draw_side, read_layers
from vatrack.reporting.overlay import CELL_WIDTH, GAP, MARGIN, write_overlay
from vatrack.reporting.sheet import evenly, grid, pad, tile
from vatrack.reporting.views_video import write_views

FRAMES = 8
CELL_HEIGHT = CELL_WIDTH * HEIGHT // WIDTH
AMODAL, VISIBLE = rectangle(40, 30, 60, 40), rectangle(40, 50, 60, 20)


def write_set(
    folder: Path,
    clips: int = 2,
    score: float = 0.9,
    mask_types: tuple[str, ...] = ("amodal", "visible"),
    suffix: str = ".png",
) -> dict[str, Any]:
    """Clips with one object each, at the same place in every frame, and a prediction that equals
    it; clip 1 has no object."""
    joint, predictions = document([FRAMES] * (clips + 1)), []
    for video in joint["videos"]:
        video["name"] = f"clip_{video['id']}"
    amodal = AMODAL if "amodal" in mask_types else None
    visible = VISIBLE if "visible" in mask_types else None
    for image in joint["images"]:
        name = image["file_name"].replace("clip__", "clip_")
        image["file_name"] = name.replace(".png", suffix)
        if image["video_id"] > 1:
            add_object(joint, image["id"], 2, image["video_id"], AMODAL, VISIBLE)
            predictions.append(detection(image["id"], 2, score, 7, amodal, visible))
    return write_scene(folder, joint, predictions, GREY)


def cells(sheet: np.ndarray) -> np.ndarray:
    """The images of the first clip, [rows, 4, CELL_HEIGHT, CELL_WIDTH, 3]; all are equally
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
    summary = write_overlay(**files, out=tmp_path / "sheet.png", score=0.5, clips=1)
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    images = cells(sheet)
    assert images.shape == (4, 4, CELL_HEIGHT, CELL_WIDTH, 3)
    assert (summary.clips, summary.of_clips, summary.rows) == (1, 3, 4)
    assert str(summary) == (
        f"{tmp_path}/sheet.png: 1 of 3 clips, 4 rows each; predictions with a score of 0.5 or more"
    )
    hidden = AMODAL > VISIBLE
    for row, (track, mask_type) in enumerate(
        [(3, "amodal"), (7, "amodal"), (3, "visible"), (7, "visible")]
    ):
        for cell in images[row]:
            colour = track_colours([track])[0]
            np.testing.assert_array_equal(centre(cell, VISIBLE), blended(colour))
            np.testing.assert_array_equal(
                centre(cell, hidden), blended(colour) if mask_type == "amodal" else [GREY] * 3
            )
            assert (cell[-20:, :60] == GREY).all(), "nothing is drawn away from the object"


def test_a_mask_type_without_predictions_is_left_out(tmp_path: Path) -> None:
    files = write_set(tmp_path, mask_types=("visible",))
    write_overlay(**files, out=tmp_path / "sheet.png", score=0.5, clips=1)
    images = cells(cv2.imread(str(tmp_path / "sheet.png")))
    assert len(images) == 2
    np.testing.assert_array_equal(centre(images[1, 0], VISIBLE), blended(track_colours([7])[0]))
    np.testing.assert_array_equal(centre(images[1, 0], AMODAL > VISIBLE), [GREY] * 3)


@pytest.mark.parametrize(("threshold", "drawn"), [(0.9, True), (0.91, False)])
def test_predictions_below_the_score_are_not_drawn(
    tmp_path: Path, threshold: float, drawn: bool
) -> None:
    files = write_set(tmp_path, score=0.9)
    write_overlay(**files, out=tmp_path / "sheet.png", score=threshold, clips=1)
    images = cells(cv2.imread(str(tmp_path / "sheet.png")))
    assert (centre(images[1, 0], VISIBLE) != GREY).any() == drawn
    assert (centre(images[0, 0], VISIBLE) != GREY).any(), "ground truth has no score"


@pytest.mark.filterwarnings("ignore:.*contains no predictions:UserWarning")
@pytest.mark.parametrize(("lacking", "rows"), [((), 4), (("amodal_mask", "area_amodal"), 2)])
def test_no_prediction_at_all(tmp_path: Path, lacking: tuple[str, ...], rows: int) -> None:
    """The ground truth says which masks there are."""
    files = write_set(tmp_path)
    files["predictions"].write_text("")
    document = json.loads(files["ground_truth"].read_text())
    for annotation in document["annotations"]:
        for key in lacking:
            del annotation[key]
    files["ground_truth"].write_text(json.dumps(document))
    write_overlay(**files, out=tmp_path / "sheet.png", score=0.5, clips=1)
    images = cells(cv2.imread(str(tmp_path / "sheet.png")))
    assert len(images) == rows
    assert (images[1, 0, 60:] == GREY).all()
    assert (images[1, 0, :30, :40] != GREY).any(), "a note says that there is nothing"


def test_an_object_without_a_visible_pixel_is_not_drawn(tmp_path: Path) -> None:
    files = write_set(tmp_path)
    document = json.loads(files["ground_truth"].read_text())
    for annotation in document["annotations"]:
        annotation["visible_mask"] = rle(np.zeros((HEIGHT, WIDTH)))
    files["ground_truth"].write_text(json.dumps(document))
    write_overlay(**files, out=tmp_path / "sheet.png", score=0.5, clips=1)
    amodal, _, hidden, _ = cells(cv2.imread(str(tmp_path / "sheet.png")))
    label = track_colours([3])[0]
    assert (amodal == label).all(axis=-1).any()
    assert not (hidden == label).all(axis=-1).any(), "neither mask nor label"
    assert (hidden[:, :30, :40] != GREY).any(), "a note says that there is nothing"


def test_labels_name_the_classes_of_the_predictions(tmp_path: Path) -> None:
    files = write_set(tmp_path)
    listed = FrameList.read(files["ground_truth"], files["images"])
    _, (found, _) = read_layers(listed, files["predictions"], 0.5)
    truth = {item["id"]: item["name"] for item in listed.document["categories"]}
    assert {label.split(" #")[0] for label in found.label} == {truth[2]}
    swapped = {1: truth[2], 2: truth[1]}
    notes = {
        "predictions": files["predictions"].name,
        "categories": [{"id": number, "name": name} for number, name in swapped.items()],
    }
    write_yaml(files["predictions"].with_name("inference.yaml"), notes)
    _, (found, _) = read_layers(listed, files["predictions"], 0.5)
    assert {label.split(" #")[0] for label in found.label} == {truth[1]}


def test_a_side_leaves_out_an_object_whose_mask_is_empty(tmp_path: Path) -> None:
    files = write_set(tmp_path)
    listed = FrameList.read(files["ground_truth"], files["images"])
    (truth, _), _ = read_layers(listed, files["predictions"], 0.5)
    row = int(truth.image[0])
    empty = rle(np.zeros((HEIGHT, WIDTH)))["counts"].encode()
    both = replace(
        truth,
        image=np.array([row, row]),
        track=np.array([3, 4]),
        label=["a", "b"],
        counts=[truth.counts[0], empty],
    )
    one = replace(
        both, image=both.image[:1], track=both.track[:1], label=["a"], counts=both.counts[:1]
    )
    frame = flat_image(HEIGHT, WIDTH)
    drawn, expected = (
        draw_side(frame, row, listed.images, [layer], None, (HEIGHT, WIDTH))
        for layer in (both, one)
    )
    assert (expected != frame).any() and np.array_equal(drawn, expected)


def test_frames_may_be_bmp_where_the_annotations_say_png(tmp_path: Path) -> None:
    files = write_set(tmp_path, suffix=".bmp")
    text = files["ground_truth"].read_text()
    files["ground_truth"].write_text(text.replace(".bmp", ".png"))
    write_overlay(**files, out=tmp_path / "sheet.png", score=0.5, clips=2)
    assert len(cells(cv2.imread(str(tmp_path / "sheet.png")))) == 8


def test_the_number_of_clips_and_equal_files(tmp_path: Path) -> None:
    files = write_set(tmp_path, clips=5)
    heights = []
    for clips in (1, 2, 5, 9):
        write_overlay(**files, out=tmp_path / "sheet.png", score=0.5, clips=clips)
        heights.append(cv2.imread(str(tmp_path / "sheet.png")).shape[0])
    step = heights[1] - heights[0]
    assert heights == [
        heights[0],
        heights[0] + step,
        heights[0] + 4 * step,
        heights[0] + 4 * step,
    ], "clip 1 has no object"
    content = (tmp_path / "sheet.png").read_bytes()
    write_overlay(**files, out=tmp_path / "again.png", score=0.5, clips=9)
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
    tmp_path: Path,
    files: dict[str, Any],
    message: str,
    out: str = "sheet.png",
    clips: int = 2,
    score: float = 0.5,
) -> None:
    with pytest.raises(InputError, match=message):
        write_overlay(**files, out=tmp_path / "out" / out, score=score, clips=clips)
    assert not list(tmp_path.glob("out/*")), "nothing is left half-written"


def test_bad_input_is_named(tmp_path: Path) -> None:
    files = write_set(tmp_path)
    refused(tmp_path, files, r"sheet\.jpg.*\.png", out="sheet.jpg")
    refused(tmp_path, files, "--clips 0", clips=0)
    refused(tmp_path, files, "the score threshold is 50; it must be from 0 to 1", score=50)
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
    refused(tmp_path, empty, "contains no images")


def test_bad_images_are_named(tmp_path: Path) -> None:
    files = write_set(tmp_path)
    image = tmp_path / "images" / "clip_2" / "images" / "000004.png"
    cv2.imwrite(str(image), flat_image(HEIGHT, WIDTH - 2))
    told = f"is {WIDTH - 2} x {HEIGHT} pixels, but its annotation says {WIDTH} x {HEIGHT}"
    refused(tmp_path, files, rf"000004\.png: {told}")
    image.write_bytes(image.read_bytes()[:40])
    refused(tmp_path, files, r"000004\.png")
    image.unlink()
    refused(tmp_path, files, r"000004\.png")


def test_a_name_that_is_missing_is_named(tmp_path: Path) -> None:
    files = write_set(tmp_path)
    document = json.loads(files["ground_truth"].read_text())
    del document["videos"][1]["name"]
    files["ground_truth"].write_text(json.dumps(document))
    refused(tmp_path, files, "item 2 of 'videos' has no 'name'")


def test_predictions_that_are_not_there_are_warned_of(tmp_path: Path) -> None:
    paths = write_set(tmp_path)
    file = paths["predictions"]
    lines = file.read_bytes().splitlines()
    spoilt = json.loads(lines[2]) | {"visible": None}
    cases = {
        b"": f"{file}: contains no predictions, so only the ground truth is drawn; check the file "
        "if that is not meant",
        b"\n".join([*lines[:2], json.dumps(spoilt).encode(), *lines[3:]]): (
            f"{file}: line 3: has no visible mask (1 of {len(lines)} predictions without); they "
            "are not drawn where masks of this type are; create the predictions again if that is "
            "not meant"
        ),
    }
    for content, told in cases.items():
        file.write_bytes(content)
        out, video = tmp_path / "o.png", tmp_path / "o.mp4"
        with pytest.warns(UserWarning, match=re.escape(told)) as said:
            write_overlay(**paths, out=out, score=0.5, clips=1, video=video)
        assert [str(one.message) for one in said if one.category is UserWarning] == [told]
        with pytest.warns(UserWarning, match=re.escape(told)) as said:
            write_views(**paths, out=tmp_path / "views", each=1)
        assert [str(one.message) for one in said if one.category is UserWarning] == [told]
