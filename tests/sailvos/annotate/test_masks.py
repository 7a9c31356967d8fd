"""The masks of one object and one frame, against pycocotools on whole images; sizes and names of
raw files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from pycocotools import mask as rle

from vatrack.sailvos.annotate.masks import (
    Window,
    count_ids,
    describe_object,
    encode_window,
)
from vatrack.sailvos.annotate.videos import list_numbered


@st.composite
def windowed_masks(draw: st.DrawFn) -> tuple[np.ndarray, Window]:
    """A image and a window outside of which it is empty."""
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    window = Window(
        left, top, draw(st.integers(1, width - left)), draw(st.integers(1, height - top))
    )
    bits = draw(
        st.lists(
            st.booleans(),
            min_size=window.width * window.height,
            max_size=window.width * window.height,
        )
    )
    mask = np.zeros((height, width), bool)
    mask[window.slices] = np.array(bits).reshape(window.height, window.width)
    return mask, window


@given(windowed_masks())
def test_windows_are_encoded_as_whole_images(case: tuple[np.ndarray, Window]) -> None:
    mask, window = case
    whole = rle.encode(np.asfortranarray(mask.view(np.uint8)))
    code = encode_window(mask[window.slices], window, (mask.shape[0], mask.shape[1]))
    assert code == {"size": whole["size"], "counts": whole["counts"].decode("ascii")}


@given(windowed_masks(), windowed_masks())
def test_masks_of_an_object_agree(
    first: tuple[np.ndarray, Window], second: tuple[np.ndarray, Window]
) -> None:
    """Visible and invisible add up to the amodal mask; boxes and areas are those of the masks."""
    height, width = np.minimum(first[0].shape, second[0].shape)
    seen, amodal = (mask[:height, :width] for mask in (first[0], second[0]))
    ids = np.where(seen, 5, 3).astype(np.int16)
    assume(seen.any())
    fields, outside = describe_object(
        ids, 5, count_ids(ids)[5], np.ascontiguousarray(amodal).view(np.uint8)
    )
    assert outside == np.count_nonzero(seen & ~amodal)
    masks = {
        key: rle.decode(fields[key]).astype(bool)
        for key in ("segmentation", "visible_mask", "invisible_mask")
    }
    assert np.array_equal(masks["segmentation"], seen | amodal)
    assert np.array_equal(masks["visible_mask"], seen)
    assert np.array_equal(masks["invisible_mask"], amodal & ~seen)
    assert fields["bbox"] == rle.toBbox(fields["segmentation"]).tolist()
    assert fields["bbox_visible"] == rle.toBbox(fields["visible_mask"]).tolist()
    assert (fields["area"], fields["area_visible"]) == (masks["segmentation"].sum(), seen.sum())
    assert fields["occlude_rate"] == 1 - seen.sum() / fields["area"]


def test_numbered_files(tmp_path: Path) -> None:
    for name in ("3.png", "000003.png", "000003.bmp", "4.PNG", "a4.png", "²5.png", "5", "6.npy"):
        (tmp_path / name).touch()
    assert list_numbered(tmp_path, (".bmp", ".png")) == {3: "000003.bmp", 4: "4.PNG"}
    assert list_numbered(tmp_path, (".png",)) == {3: "000003.png", 4: "4.PNG"}
    assert list_numbered(tmp_path / "none", (".png",)) == {}
