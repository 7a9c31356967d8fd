"""What lies on the pixels, and where labels stand."""

from __future__ import annotations

import random

import numpy as np
import pytest

from vatrack.reporting.drawing import (
    draw_box,
    draw_labels,
    draw_trail,
    fill_mask,
    hatch_mask,
    outline_mask,
    put_text,
    scale_image,
    text_mask,
    track_colours,
)

HEIGHT, WIDTH, GREY = 80, 128, 100
RED = (0, 0, 255)


def flat_image(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    return np.full((height, width, 3), GREY, np.uint8)


def rectangle(
    x1: int, y1: int, x2: int, y2: int, height: int = HEIGHT, width: int = WIDTH
) -> np.ndarray:
    mask = np.zeros((height, width), bool)
    mask[y1:y2, x1:x2] = True
    return mask


def blended(colour: np.ndarray) -> np.ndarray:
    return np.rint(GREY / 2 + colour / 2)


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
    image = np.full((30, 30, 3), 255, np.uint8)
    fill_mask(image, np.ones((30, 30), bool), (0, 127, 255))
    assert image[15, 15].tolist() == [128, 191, 255]


def test_boxes_may_leave_the_image() -> None:
    image, colours = flat_image(), track_colours([0, 1, 2])
    boxes = np.array([[-20.0, 10.2, 50.4, 500.0], [np.nan, 0, 5, 5], [20, 20, 20, 20]])
    for box, colour in zip(boxes, colours, strict=True):
        draw_box(image, box, colour)
    np.testing.assert_array_equal(image[10, 25], colours[0])
    np.testing.assert_array_equal(image[60, 50], colours[0])
    np.testing.assert_array_equal(image[20, 20], colours[2])


def test_labels_stay_in_the_image_and_do_not_cover_each_other() -> None:
    corners = [
        [0, 0, 30, 30],
        [380, 0, 399, 20],
        [370, 280, 399, 299],
        [0, 290, 5, 299],
        *[[150, 140, 220, 200]] * 6,
    ]
    labels = [f"potted plant #{number}  0.97" for number in range(len(corners))]
    drawn, colours = flat_image(300, 400), track_colours(range(len(corners)))
    draw_labels(drawn, corners, labels, colours)
    for label, colour in zip(labels, colours, strict=True):
        rows, _ = np.nonzero((drawn == colour).all(axis=2))
        # the widest row of pure colour is the strip's upper edge: above the letters, as wide as the
        # label
        expected = text_mask(label, 13).shape[1] + 4
        assert np.bincount(rows).max() >= expected, label


def test_text_is_cut_off_at_the_border() -> None:
    image = flat_image(20, 40)
    put_text(image, "a long line of text", (10, 12), 13, (0, 0, 0))
    assert (image[:, :10] == GREY).all()
    assert (image[12:, 10:] < GREY).any()
    put_text(image, "beyond", (50, 30), 13, (0, 0, 0))
    assert text_mask("gap", 13).shape[0] == text_mask("xx", 13).shape[0], (
        "all lines of a size are equally high"
    )


@pytest.mark.parametrize(
    ("largest", "size"),
    [
        ((400, 64), (40, 64)),
        ((300, 900), (300, 480)),
        ((1, 1), (1, 1)),
        ((np.inf, 480), (300, 480)),
    ],
)
def test_scaling_keeps_the_shape(largest: tuple[float, float], size: tuple[int, int]) -> None:
    assert scale_image(flat_image(), largest).shape == (*size, 3)


@pytest.mark.parametrize("opacity", [0.0, 0.5, 1.0])
def test_a_fill_mixes_only_the_pixels_of_its_mask(opacity: float) -> None:
    image, mask = flat_image(), rectangle(10, 20, 60, 70)
    fill_mask(image, mask, RED, opacity)
    mixed = np.rint(GREY * (1 - opacity) + np.array(RED) * opacity)
    np.testing.assert_array_equal(image, np.where(mask[..., None], mixed, GREY))


def test_hatching_is_diagonal_inside_the_mask_and_fixed_to_the_image() -> None:
    image, other = flat_image(), flat_image()
    mask = rectangle(11, 21, 60, 70)
    hatch_mask(image, mask, RED, spacing=6, width=2)
    lines = (image == RED).all(axis=2)
    assert not (lines & ~mask).any() and (image[~lines] == GREY).all()
    assert lines[mask].mean() == pytest.approx(2 / 6, abs=0.02)
    assert (lines[22:69, 12:58] == lines[23:70, 11:57]).all(), "down and to the left"
    hatch_mask(other, rectangle(0, 0, WIDTH, HEIGHT), RED, spacing=6, width=2)
    np.testing.assert_array_equal(other[mask], image[mask])


@pytest.mark.parametrize("width", [1, 3])
def test_an_outline_follows_the_edge_and_its_holes(width: int) -> None:
    image, mask = flat_image(), rectangle(20, 20, 100, 70) & ~rectangle(40, 35, 80, 55)
    outline_mask(image, mask, RED, width)
    for x, y in ((20, 45), (99, 45), (60, 20), (60, 69), (39, 45)):
        # a smoothed line of one pixel does not have its whole colour
        np.testing.assert_allclose(image[y, x], RED, atol=30 if width == 1 else 0)
    for x, y in ((10, 45), (30, 45), (60, 45), (60, 27)):
        assert (image[y, x] == GREY).all()


def test_an_amodal_object_shows_what_is_hidden() -> None:
    image, amodal, visible = (
        flat_image(),
        rectangle(20, 10, 100, 70),
        rectangle(20, 40, 100, 70),
    )
    fill_mask(image, visible, RED)
    hatch_mask(image, amodal & ~visible, RED)
    outline_mask(image, amodal, RED, 2)
    assert tuple(image[40, 20]) == RED == tuple(image[10, 60]), "outline of the whole object"
    np.testing.assert_array_equal(image[55, 60], blended(np.array(RED)))
    hidden = image[15:38, 25:95]
    hatched = (hidden == RED).all(axis=2)
    assert hatched.mean() == pytest.approx(0.25, abs=0.02)
    assert (hidden[~hatched] == GREY).all()


def test_a_trail_fades_with_age_and_may_leave_the_image() -> None:
    image = flat_image()
    draw_trail(image, [[5, 40], [45, 40], [85, 40], [125, 40]], RED, width=3)
    reds = [int(image[40, x, 2]) for x in (25, 65, 105)]
    assert GREY < reds[0] < reds[1] < reds[2] == 255
    assert (image[:36] == GREY).all() and (image[45:] == GREY).all()
    far = flat_image()
    draw_trail(far, np.array([[5, 40], [1e9, 40], [-1e9, -7]]), RED)
    assert (far[40, 10] != GREY).any() and (far[40, 100] != GREY).any()


@pytest.mark.parametrize("points", [[], [[3, 4]], [[-9, -9], [-5, -5]]])
def test_a_trail_without_a_line_in_the_image(points: list[list[float]]) -> None:
    image = flat_image()
    draw_trail(image, points, RED)
    assert (image == GREY).all()


def test_nothing_is_drawn_of_empty_masks() -> None:
    image, empty = flat_image(), np.zeros((HEIGHT, WIDTH), bool)
    fill_mask(image, empty, RED)
    hatch_mask(image, empty, RED)
    outline_mask(image, empty, RED, 2)
    assert (image == GREY).all()
