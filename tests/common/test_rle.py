import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco_mask

from vatrack.common import mask_forms, rle
from vatrack.common.bitmaps import draw


def encode(bitmap: np.ndarray) -> bytes:
    return coco_mask.encode(np.asfortranarray(bitmap, dtype=np.uint8))["counts"]


@given(
    st.lists(
        arrays.arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 70))),
        min_size=1,
        max_size=8,
    )
)
def test_measure_agrees_with_the_bitmaps(bitmaps: list[np.ndarray]) -> None:
    areas, totals = rle.measure([encode(bitmap) for bitmap in bitmaps])
    assert areas.tolist() == [int(bitmap.sum()) for bitmap in bitmaps]
    assert totals.tolist() == [bitmap.size for bitmap in bitmaps]


@given(
    st.tuples(*[st.floats(-30, 30)] * 2, *[st.floats(0, 50)] * 2),
    st.tuples(st.integers(1, 15), st.integers(1, 20)),
)
def test_a_rectangle_is_the_box_cut_off_at_the_border(
    box: tuple[float, float, float, float], size: tuple[int, int]
) -> None:
    x, y, width, height = box
    rows, columns = np.arange(size[0])[:, None], np.arange(size[1])
    left, right, top, bottom = (math.floor(edge + 0.5) for edge in (x, x + width, y, y + height))
    inside = (rows >= top) & (rows < bottom)
    bitmap = inside & (columns >= left) & (columns < right)
    assert mask_forms.rectangle(box, size) == (encode(bitmap) if bitmap.any() else None)


EIGHTHS = st.integers(0, 40).map(lambda number: number / 8)


@given(st.tuples(*[EIGHTHS] * 4), st.integers(0, 9), st.integers(0, 9))
def test_a_rectangle_keeps_its_size_when_it_is_moved_by_whole_pixels(
    box: tuple[float, float, float, float], right: int, down: int
) -> None:
    x, y, width, height = box
    moved = mask_forms.rectangle((x + right, y + down, width, height), (20, 20))
    here = mask_forms.rectangle(box, (20, 20))
    if here is None or moved is None:
        assert here == moved
        return
    bitmaps = draw([here, moved], (20, 20))
    assert np.array_equal(np.roll(bitmaps[0], (down, right), (0, 1)), bitmaps[1])


def test_measure_reads_long_runs_and_many_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rle, "CHUNK", 700)
    random = np.random.default_rng(0)
    bitmaps = []
    for _ in range(50):
        bitmap = np.zeros((800, 1280), bool)
        top, left = random.integers(0, 700, 2)
        bitmap[top : top + random.integers(1, 300), left : left + random.integers(1, 900)] = True
        bitmaps.append(bitmap)
    areas, totals = rle.measure([encode(bitmap) for bitmap in bitmaps])
    assert areas.tolist() == [int(bitmap.sum()) for bitmap in bitmaps]
    assert set(totals.tolist()) == {800 * 1280}


def test_measure_of_nothing() -> None:
    areas, totals = rle.measure([])
    assert len(areas) == len(totals) == 0
    assert rle.measure([b"", b""])[1].tolist() == [0, 0]


@pytest.mark.parametrize("text", [b"!!", b"0\x7f", b"oooooooo1", b"P", b"O"])
def test_damaged_strings_are_marked_and_leave_their_neighbours_alone(text: bytes) -> None:
    good = encode(np.eye(9))
    areas, totals = rle.measure([good, text, good])
    assert totals.tolist() == [81, -1, 81]
    assert areas.tolist() == [9, -1, 9]


def test_a_cut_off_mask_does_not_fill_its_image() -> None:
    whole = encode(np.random.default_rng(1).random((40, 60)) < 0.4)
    for end in range(len(whole)):
        assert rle.measure([whole[:end]])[1][0] != 40 * 60


def test_iou() -> None:
    first, second, empty = np.zeros((3, 4, 5), bool)
    first[:2], second[1:3] = True, True
    assert rle.iou(
        [encode(first), encode(empty)], [encode(second), encode(first), encode(empty)], (4, 5)
    ).tolist() == [
        [1 / 3, 1, 0],
        [0, 0, 0],
    ]
    assert rle.iou([], [encode(first)], (4, 5)).shape == (0, 1)


def raw(runs: list[int]) -> bytes:
    """Run lengths as they are, empty ones too."""
    text = bytearray()
    for place, run in enumerate(runs):
        rest = run - runs[place - 2] if place > 2 else run
        while True:
            bits, rest = rest & 31, rest >> 5
            more = rest != (-1 if bits & 16 else 0)
            text.append((bits | 32 if more else bits) + 48)
            if not more:
                break
    return bytes(text)


def numbers(text: bytes) -> list[int]:
    """The run lengths of a compressed string, number by number, as the format is defined."""
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = character - 48
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    return runs


SPLITS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 9)), max_size=4)


@given(
    arrays.arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 30))),
    st.lists(SPLITS, min_size=1, max_size=4),
)
def test_empty_runs_inside_are_taken_out(bitmap: np.ndarray, several: list[list[Any]]) -> None:
    plain = encode(bitmap)
    texts = [plain]
    for splits in several:
        runs = numbers(plain)
        for place, first in splits:
            place %= len(runs)
            first = min(first, runs[place])
            runs[place : place + 1] = [first, 0, runs[place] - first]
        texts.append(raw(runs))
    found = rle.canonical(texts)
    assert found.counts == [plain] * len(texts)
    assert set(found.areas.tolist()) == {int(bitmap.sum())}
    assert set(found.totals.tolist()) == {bitmap.size}
    size = bitmap.shape
    listed = {"size": list(size), "counts": numbers(texts[-1])}
    assert mask_forms.compress(listed, (size[0], size[1])) == plain


def test_strings_without_empty_runs_are_handed_on() -> None:
    texts = [encode(np.eye(5)), encode(np.zeros((3, 3))), b"garbage!"]
    assert all(a is b for a, b in zip(rle.canonical(texts).counts, texts, strict=True))


def test_polygons_are_those_of_pycocotools() -> None:
    polygons = [[1, 1, 6, 1, 6, 5.5, 1, 5], [8, 2, 11, 2, 9.5, 7]]
    codes = coco_mask.frPyObjects(polygons, 8, 12)
    assert mask_forms.compress(polygons, (8, 12)) == coco_mask.merge(codes)["counts"]


def test_polygons_in_parts_of_the_image_are_no_pixels() -> None:
    relative = [[0, 0.1, 1, 0.1, 1, 0.9], [0.2, 0.2, 0.3, 0.2, 0.3, 0.3]]
    with pytest.raises(mask_forms.MaskError, match=r"multiply x by its width \(12\) and y by"):
        mask_forms.compress(relative, (8, 12))
    for polygons in ([[0.0, 0, 1, 0, 1, 1, 0, 1]], [*relative, [0.0, 0, 0, 2, 2, 0]]):
        codes = coco_mask.frPyObjects(polygons, 8, 12)
        assert mask_forms.compress(polygons, (8, 12)) == coco_mask.merge(codes)["counts"]


@given(
    st.lists(
        st.lists(st.integers(1, 40) | st.integers(1, 2**31 - 1), max_size=9).map(
            lambda runs: [0, *runs] if len(runs) % 2 else runs
        ),
        max_size=5,
    )
)
def test_runs_are_encoded_in_bulk_as_one_by_one(masks: list[list[int]]) -> None:
    found = rle.encode_runs([np.array(runs, np.int64) for runs in masks])
    assert found == list(map(raw, masks)) == list(map(rle.encode, masks))
    assert list(map(rle.decode, found)) == masks


def _plain(text: bytes) -> tuple[int, int, bool] | None:
    """Area, pixels, and whether a run behind the first is empty; None for garbage."""
    characters = [character - 48 for character in text]
    if any(not 0 <= bits < 64 for bits in characters) or (characters and characters[-1] & 32):
        return None
    if b"".join(bytes([bits >> 5]) for bits in characters).find(b"\1" * rle.LONGEST) >= 0:
        return None
    runs = numbers(text)
    if any(not 0 <= run < rle.RUN_LIMIT for run in runs):
        return None
    return sum(runs[1::2]), sum(runs), 0 in runs[1:]


@pytest.mark.parametrize("seed", range(150))
def test_measure_is_that_of_the_numbers_one_by_one(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sound masks and damaged ones side by side, with short numbers alone and with long ones."""
    random = np.random.default_rng(seed)
    monkeypatch.setattr(rle, "CHUNK", [1, 50, 1 << 17][seed % 3])
    masks = []
    largest = [3, 40, 2**20, 2**29 - 1, 2**31 - 1, 2**34][seed % 6]
    for _ in range(random.integers(1, 40)):
        runs = random.integers(0, largest, random.integers(0, 12), endpoint=True)
        text = bytearray(rle.encode_runs([runs.astype(np.int64)])[0] if len(runs) else b"")
        if text and random.random() < 0.3:
            text[random.integers(len(text))] = random.integers(44, 116)
        if random.random() < 0.1:
            text = bytearray(random.integers(48, 112, random.integers(1, 20)).astype(np.uint8))
        masks.append(bytes(text))
    areas, totals, spare = rle._measure_all(masks)
    expected = [_plain(text) for text in masks]
    assert totals.tolist() == [-1 if one is None else one[1] for one in expected]
    assert areas.tolist() == [-1 if one is None else one[0] for one in expected]
    assert [bool(one and mark) for one, mark in zip(expected, spare, strict=True)] == [
        bool(one and one[2]) for one in expected
    ]
    sound = [text for text, one in zip(masks, expected, strict=True) if one is not None]
    assert [runs.tolist() for runs in rle.runs_of(sound)] == list(map(numbers, sound))
