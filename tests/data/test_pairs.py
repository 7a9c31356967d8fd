"""Training pairs (spec 2.2, 2.4) on a clip that is written here."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.data.made import WIDTH, annotation, clip_pairs
from vatrack.common.errors import InputError
from vatrack.data.batches import collate
from vatrack.data.pairs import match_indices


def test_pairs_are_near_share_an_object_and_depend_on_seed_epoch_and_index_only(
    tmp_path: Path,
) -> None:
    dataset = clip_pairs(tmp_path, [annotation(i, i, 1) for i in range(8)])
    seen = set()
    for epoch in range(12):
        dataset.epoch = epoch
        key, ref = dataset[4]
        again_key, again_ref = dataset[4]
        assert (key.image_id, ref.image_id) == (again_key.image_id, again_ref.image_id)
        np.testing.assert_array_equal(key.image, again_key.image)
        assert key.image_id == 4
        assert 1 <= abs(ref.image_id - 4) <= 3
        assert key.match_indices.tolist() == [0]
        seen.add(ref.image_id)
    assert len(seen) > 3


def test_a_pair_without_a_common_object_is_replaced(tmp_path: Path) -> None:
    # Frame 0 shows an object that no other frame shows: its pairs come from the other frames (quirk
    # L2).
    dataset = clip_pairs(
        tmp_path, [annotation(0, 0, 7)] + [annotation(i, i, 1) for i in range(1, 8)]
    )
    assert len(dataset) == 8
    for epoch in range(20):
        dataset.epoch = epoch
        key, ref = dataset[0]
        assert key.image_id != 0
        assert (key.match_indices >= 0).any()
        assert (ref.match_indices >= 0).any()


def test_set_without_any_common_object_is_an_error(tmp_path: Path) -> None:
    dataset = clip_pairs(tmp_path, [annotation(i, i, i + 1) for i in range(8)])
    with pytest.raises(InputError, match=r"joint\.json.*instance_id"):
        dataset[0]


def test_set_without_objects_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no frame has an object"):
        clip_pairs(tmp_path, [])


def test_flip_is_shared_by_image_boxes_and_masks(tmp_path: Path) -> None:
    annotations = [annotation(i, i, 1) for i in range(8)]
    plain = clip_pairs(tmp_path / "a", annotations, flip=0.0)
    mirrored = clip_pairs(tmp_path / "b", annotations, flip=1.0)
    for original, flipped in zip(plain[3], mirrored[3], strict=True):
        np.testing.assert_array_equal(original.image[:, :, ::-1], flipped.image)
        assert original.boxes["amodal"].tolist() == [[10, 8, 30, 24]]
        assert flipped.boxes["amodal"].tolist() == [[WIDTH - 30, 8, WIDTH - 10, 24]]
    key, flipped_key = plain[3][0], mirrored[3][0]
    for mask_type in ("amodal", "visible"):
        np.testing.assert_array_equal(
            key.masks[mask_type][:, :, ::-1], flipped_key.masks[mask_type]
        )


def test_masks_of_reference_frames_are_not_drawn(tmp_path: Path) -> None:
    key, ref = clip_pairs(tmp_path, [annotation(i, i, 1) for i in range(8)])[3]
    assert key.masks.keys() == {"amodal", "visible"}
    assert ref.masks == {}
    batch = collate([(key, ref)])
    assert batch.key_targets[0].masks.keys() == {"amodal", "visible"}
    assert not batch.ref_targets[0].masks
    assert batch.ref_targets[0].boxes["amodal"].shape == (1, 4)


def test_match_indices() -> None:
    assert match_indices(np.array([5, 7, 9]), np.array([9, 5])).tolist() == [1, -1, 0]


def test_a_training_frame_of_another_size_is_an_error_too(tmp_path: Path) -> None:
    dataset = clip_pairs(tmp_path, [annotation(i, i, 1) for i in range(8)])
    for path in tmp_path.rglob("*.bmp"):
        assert cv2.imwrite(str(path), np.zeros((24, 32, 3), np.uint8))
    with pytest.raises(InputError, match="is 32 x 24 pixels"):
        dataset[0]
