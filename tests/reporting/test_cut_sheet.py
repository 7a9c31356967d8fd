"""The sheet of a video's cuts: which frames it shows where, and its score curve."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from vatrack.common.errors import InputError
from vatrack.common.files import write_json
from vatrack.reporting import cut_sheet
from vatrack.reporting.cut_sheet import (
    CAPTION,
    COLUMNS,
    CURVE,
    GAP,
    TILE,
    TITLE,
    Cuts,
    CutSheet,
    draw_curve,
    write_cut_sheet,
    write_cut_sheets,
)
from vatrack.reporting.sheet import fit
from vatrack.sailvos.cuts import find_cuts

HEIGHT, WIDTH = 200, 320
ROW = TILE * HEIGHT // WIDTH + CAPTION + GAP


def colour(k: int) -> np.ndarray:
    """A colour of its own for each annotated frame (BGR)."""
    return np.array([40 + k % 6 * 35, 40 + k // 6 % 6 * 35, 40 + k // 36 % 6 * 35], np.uint8)


@pytest.fixture
def scene(tmp_path: Path) -> dict[str, Any]:
    """A video of 216 annotated frames with a cut before every second one, and one without
    annotations."""
    frames, scores = 216, [90.0, 5.0] * 107 + [90.0]
    images = tmp_path / "raw" / "v" / "images"
    images.mkdir(parents=True)
    (tmp_path / "raw" / "bare" / "images").mkdir(parents=True)
    listed = []
    for k in range(frames):
        assert cv2.imwrite(
            str(images / f"{k + 3:06d}.bmp"), np.full((HEIGHT, WIDTH, 3), colour(k), np.uint8)
        )
        listed.append(
            {
                "file": f"{k + 3:06d}.bmp",
                "frame_id": k,
                "image_id": k,
                "width": WIDTH,
                "height": HEIGHT,
            }
        )
    write_json(tmp_path / "index.json", {"train": [{"name": "v", "frames": listed}], "valid": []})
    clips = {
        clip.name: [f"{k + 3:06d}.bmp" for k in range(clip.start, clip.stop)]
        for clip in find_cuts("v", scores, 27.0, 1)
    }
    write_json(
        tmp_path / "structure.json",
        {**clips, "v": ["000000.bmp"], "v__9999": [], "other__3": ["000003.bmp"]},
    )
    write_json(tmp_path / "scores" / "v.json", {"video": "v", "frames": frames, "scores": scores})
    write_json(tmp_path / "scores" / "bare.json", {"video": "bare", "frames": 0, "scores": []})
    return {"folder": tmp_path, "clips": clips, "scores": scores}


def draw(
    scene: dict[str, Any], name: str = "sheet.png", video: str = "v", **options: Any
) -> tuple[CutSheet, np.ndarray]:
    folder = scene["folder"]
    out = folder / name
    places = folder / "raw", folder / "index.json", folder / "structure.json"
    summary = write_cut_sheet(Cuts(*places, **options), video, out)
    image = cv2.imread(str(out))
    assert image is not None
    return summary, image


def tile(image: np.ndarray, number: int, columns: int = COLUMNS) -> np.ndarray:
    """The middle of a small image."""
    x, y = (
        GAP + number % columns * (TILE + GAP) + TILE // 2,
        TITLE + number // columns * ROW + TILE * HEIGHT // WIDTH // 2,
    )
    return image[y, x]


def test_the_first_frame_of_every_clip_is_shown(scene: dict[str, Any]) -> None:
    """More clips than the longest video of SAIL-VOS-cut has (111, spec 1.4 says at most)."""
    summary, image = draw(scene, scores=scene["folder"] / "scores")
    count = len(scene["clips"])
    assert count > 100
    assert str(summary).endswith(f"sheet.png: v, {count} clips with 216 annotated frames")
    rows = -(-count // COLUMNS)
    assert image.shape == (TITLE + rows * ROW + CURVE, COLUMNS * (TILE + GAP) + GAP, 3)
    for number, names in enumerate(sorted(scene["clips"].values())):
        assert np.array_equal(tile(image, number), colour(int(names[0][:6]) - 3)), names[0]
    # Captions: dark letters below each tile, none where there is no tile.
    captions = image[TITLE + (rows - 1) * ROW + TILE * HEIGHT // WIDTH : TITLE + rows * ROW]
    for column in range(COLUMNS):
        inked = (captions[:, GAP + column * (TILE + GAP) :][:, :TILE] < 100).any()
        assert inked == ((rows - 1) * COLUMNS + column < count)


def test_the_same_input_gives_the_same_file(scene: dict[str, Any]) -> None:
    for name in ("a.jpg", "b.jpg"):
        draw(scene, name, scores=scene["folder"] / "scores" / "v.json")
    assert (scene["folder"] / "a.jpg").read_bytes() == (scene["folder"] / "b.jpg").read_bytes()


def test_one_clip_and_no_scores(scene: dict[str, Any]) -> None:
    write_json(
        scene["folder"] / "structure.json", {"v__215": [f"{k + 3:06d}.bmp" for k in range(216)]}
    )
    summary, image = draw(scene)
    assert str(summary).endswith("v, 1 clip with 216 annotated frames")
    assert image.shape == (TITLE + ROW, 3 * (TILE + GAP) + GAP, 3)
    assert np.array_equal(tile(image, 0, 3), colour(0))


def test_a_video_without_annotations(scene: dict[str, Any]) -> None:
    summary, image = draw(scene, video="bare", scores=scene["folder"] / "scores")
    assert str(summary).endswith("bare, 0 clips with 0 annotated frames")
    assert image.shape == (TITLE + CAPTION + GAP, COLUMNS * (TILE + GAP) + GAP, 3)
    assert (image[:TITLE] < 100).any() and (image[TITLE:] < 150).any(), "title and note"


def test_several_videos_in_one_process_get_what_each_gets_alone(scene: dict[str, Any]) -> None:
    folder = scene["folder"]
    places = folder / "raw", folder / "index.json", folder / "structure.json"
    drawn = list(write_cut_sheets(Cuts(*places, folder / "scores"), (), folder / "sheets"))
    assert [sheet.video for sheet in drawn] == ["bare", "v"]
    for video in ("v", "bare"):
        draw(scene, "alone.jpg", video=video, scores=folder / "scores")
        sheet = folder / "sheets" / f"{video}.jpg"
        assert sheet.read_bytes() == (folder / "alone.jpg").read_bytes()
    assert [sheet.video for sheet in write_cut_sheets(Cuts(*places), ("v",), folder / "one")] == [
        "v"
    ]
    with pytest.raises(InputError, match="none: neither a folder in"):
        list(write_cut_sheets(Cuts(*places), ("none",), folder / "sheets"))
    with pytest.raises(InputError, match="the name of a file, for several videos; give a folder"):
        list(write_cut_sheets(Cuts(*places), (), folder / "all.jpg"))
    assert not (folder / "all.jpg").exists()


def test_very_many_clips_are_thinned_out(
    scene: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cut_sheet, "MOST", 5)
    summary, image = draw(scene)
    assert str(summary).endswith("; 5 clips shown")
    assert (summary.clips, summary.shown) == (len(scene["clips"]), 5)
    starts = sorted(int(names[0][:6]) - 3 for names in scene["clips"].values())
    assert np.array_equal(tile(image, 0, 5), colour(starts[0]))
    assert np.array_equal(tile(image, 4, 5), colour(starts[-1]))


def pixels(image: np.ndarray, rgb: tuple[int, int, int]) -> np.ndarray:
    """Columns in which a colour occurs."""
    near = np.abs(image.astype(int) - np.array(rgb[::-1])).max(axis=2) < 12
    return np.flatnonzero(near.any(axis=0))


ORANGE = (0xD5, 0x5E, 0x00)


def marks(scores: np.ndarray, starts: list[int]) -> tuple[float, float]:
    """Columns of two cut marks in the curve of 1000 frames."""
    image = draw_curve(scores.tolist(), [0, *starts], [f"{k:06d}" for k in range(1000)], 27.0, 1352)
    assert image.shape == (CURVE, 1352, 3)
    found = pixels(image[45:], ORANGE)  # below the legend
    left, right = found[found < found.mean()], found[found >= found.mean()]
    assert np.ptp(left) <= 10 and np.ptp(right) <= 10
    return left.mean(), right.mean()


def test_the_curve_marks_cuts_where_they_are() -> None:
    scores = np.full(999, 4.0)
    scores[[0, 249, 749, 998]] = 60.0  # before frames 1, 250, 750 and 999
    first, last = marks(scores, [1, 999])
    assert first < 80 and last > 1270
    found = marks(scores, [250, 750])
    assert found == pytest.approx(
        [first + (last - first) * (k - 1) / 998 for k in (250, 750)], abs=1.5
    )
    without = draw_curve(scores.tolist(), [0], [f"{k:06d}" for k in range(1000)], 27.0, 1352)
    assert not len(pixels(without[45:], ORANGE))


def test_long_names_keep_their_end() -> None:
    assert fit("short__5", 11, TILE) == "short__5"
    shown = fit("a_very_long_name_of_a_video_indeed__1234", 11, TILE)
    assert shown.startswith("…") and shown.endswith("__1234")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"name": "sheet.gif"},
            r"sheet\.gif: the sheet is an image; its name must end in \.jpg",
        ),
        (
            {"name": "raw"},
            r"raw: is a folder, but --out must be a file with one --video; give .*raw/v\.jpg",
        ),
        ({"video": "none"}, "none: neither a folder in"),
        ({"video": ".."}, "neither a folder in"),
        ({"scores": "index.json"}, r"index\.json: is a frame index, not a file of content scores"),
        ({"scores": "raw"}, r"raw/v\.json: no such file"),
        (
            {"clips": {"v__5": ["000999.bmp"]}},
            "clip v__5: 000999.bmp is not an annotated frame of v",
        ),
    ],
)
def test_bad_input(scene: dict[str, Any], change: dict[str, Any], message: str) -> None:
    if clips := change.pop("clips", None):
        write_json(scene["folder"] / "structure.json", clips)
    if "scores" in change:
        change["scores"] = scene["folder"] / change["scores"]
    before = sorted(scene["folder"].iterdir())
    with pytest.raises(InputError, match=message):
        draw(scene, **change)
    assert sorted(scene["folder"].iterdir()) == before


def test_a_broken_frame_is_named(scene: dict[str, Any]) -> None:
    frame = scene["folder"] / "raw" / "v" / "images" / "000003.bmp"
    frame.write_bytes(frame.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"000003\.bmp: truncated, 192053 of 192054 bytes"):
        draw(scene)
    assert not (scene["folder"] / "sheet.png").exists()
