"""What is drawn on a frame of a video, pixel by pixel."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.api.test_results import AMODAL, SIZE, VISIBLE, make
from tests.evaluation.scenes import rle
from vatrack.common.errors import InputError
from vatrack.common.mask_types import MaskType
from vatrack.reporting.drawing import track_colours
from vatrack.reporting.video import MOST_TRAILS, TRAIL_FRAMES, DrawSettings, Trails, draw_frame

GREY = np.full((*SIZE, 3), 100, np.uint8)


def changed(*parts: str, rows: int = 1, **given: object) -> np.ndarray:
    drawn = draw_frame(GREY, make(rows, **given), DrawSettings(parts, 1))  # type: ignore[arg-type]
    return (drawn != GREY).any(axis=2)


def area(of: tuple[slice, slice]) -> np.ndarray:
    found = np.zeros(SIZE, bool)
    found[of] = True
    return found


def test_the_visible_part_is_filled_with_the_colour_of_the_track() -> None:
    assert np.array_equal(changed("fill"), area(VISIBLE[0]))
    drawn = draw_frame(GREY, make(1), DrawSettings(("fill",)))
    mixed = (track_colours([5])[0].astype(int) + 100) / 2
    assert np.abs(drawn[VISIBLE[0]] - mixed).max() <= 1


def test_the_hidden_part_is_hatched() -> None:
    hatched, hidden = changed("hidden"), area(AMODAL[0]) & ~area(VISIBLE[0])
    assert not (hatched & ~hidden).any()
    assert 0.1 < hatched[hidden].mean() < 0.6


def test_the_outline_is_that_of_the_whole_object() -> None:
    line = changed("outline")
    rows, columns = np.nonzero(line)
    found = (rows.min(), rows.max(), columns.min(), columns.max())
    assert found == pytest.approx((2, 11, 3, 12), abs=1), "smooth lines reach a pixel further"
    assert not line[4:10, 5:11].any()
    seen = changed("outline", types=("visible",))
    assert np.nonzero(seen)[0].max() == pytest.approx(6, abs=1)


def test_an_object_that_is_hidden_whole_is_hatched_and_nothing_else() -> None:
    both = changed("fill", "hidden", rows=2)
    assert both[AMODAL[1]].any()
    assert not changed("fill", rows=2)[AMODAL[1]].any()


def test_small_objects_lie_above_large_ones() -> None:
    masks = [make().rles["amodal"][0], rle(np.ones(SIZE))]
    colours = np.array([[0, 0, 255], [255, 0, 0]], np.uint8)
    below = (colours[1].astype(int) + 100) / 2
    for order in ([0, 1], [1, 0]):
        result = replace(make(), rles={"amodal": [masks[row] for row in order]})
        drawn = draw_frame(GREY, result, DrawSettings(("fill",)), colours=colours[order])
        assert np.abs(drawn[15, 1] - below).max() <= 1
        assert np.abs(drawn[5, 5] - (below + colours[0]) / 2).max() <= 1


def test_trails_fade_and_do_not_grow() -> None:
    trails = Trails()
    for step in range(100):
        moved = replace(make(1), boxes=np.array([[step / 10, 4, step / 10 + 4, 8]], np.float32))
        trails.update(moved)
    points = trails.points(5)
    assert len(points) == TRAIL_FRAMES and points[-1] == pytest.approx((11.9, 6.0))
    drawn = draw_frame(GREY, moved, DrawSettings(("trail",), 1), trails)
    shown = (drawn != GREY).any(axis=2)
    assert shown[6].any() and not shown[:4].any() and not shown[9:].any()
    for track in range(MOST_TRAILS + 50):
        trails.update(replace(make(1), track_ids=np.array([track])))
    assert trails.points(0) == [] and trails.points(MOST_TRAILS + 49)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 2)])
def test_the_smallest_frames(size: tuple[int, int]) -> None:
    whole = rle(np.ones(size))
    rles: dict[MaskType, list[dict[str, Any]]] = {"amodal": [whole], "visible": [whole]}
    result = replace(make(1), height=size[0], width=size[1], rles=rles)
    drawn = draw_frame(np.zeros((*size, 3), np.uint8), result)
    assert drawn.shape == (*size, 3) and drawn.any()


def test_nothing_is_drawn_where_nothing_is_wanted() -> None:
    assert not changed(rows=2).any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"parts": ("fil",)}, "did you mean fill"),
        ({"line_width": 0}, "line width is 0 pixels"),
        ({"line_width": 101}, "1 to 100"),
    ],
)
def test_bad_settings(settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        DrawSettings(**settings)
