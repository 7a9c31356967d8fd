"""Training pairs, batches and test frames (spec 2.1 to 2.6) on a set that is written here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as rle_tools

from vatrack.common.errors import InputError
from vatrack.common.files import write_json
from vatrack.data.dataset import EpochBatches, FrameDataset, PairDataset, collate, match_indices
from vatrack.data.frames import AnnotationFile

HEIGHT, WIDTH = 48, 64


def _rle(box: list[int]) -> dict[str, Any]:
    bitmap = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
    x, y, width, height = box
    bitmap[y : y + height, x : x + width] = 1
    encoded = rle_tools.encode(bitmap)
    return {"size": encoded["size"], "counts": encoded["counts"].decode()}


def _annotation(number: int, image: int, instance: int, **changes: Any) -> dict[str, Any]:
    amodal, visible = [10, 8, 20, 16], [10, 8, 12, 16]
    base: dict[str, Any] = {
        "id": number,
        "image_id": image,
        "video_id": 1,
        "category_id": 1 + instance % 24,
        "instance_id": instance,
    }
    base |= {
        "bbox": amodal,
        "bbox_visible": visible,
        "segmentation": [_rle(amodal), _rle(visible)],
        "iscrowd": 0,
    }
    return base | {"area_amodal": 320, "area_visible": 192} | changes


def _write(folder: Path, annotations: list[dict[str, Any]], frames: int = 8) -> Path:
    images: list[dict[str, Any]] = [
        {
            "id": i,
            "video_id": 1,
            "frame_id": i,
            "file_name": f"clip/images/{i:06d}.bmp",
            "width": WIDTH,
            "height": HEIGHT,
        }
        for i in range(frames)
    ]
    content = {"videos": [{"id": 1, "name": "clip"}], "images": images, "annotations": annotations}
    write_json(folder / "joint.json", content)
    (folder / "clip" / "images").mkdir(parents=True)
    for image in images:
        frame = np.random.default_rng(image["id"]).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
        assert cv2.imwrite(str(folder / image["file_name"]), frame)
    return folder / "joint.json"


def _pairs(
    folder: Path, annotations: list[dict[str, Any]], *, flip: float = 0.5, seed: int = 0
) -> PairDataset:
    path = _write(folder, annotations)
    return PairDataset(
        path,
        folder,
        mask_types=("amodal", "visible"),
        limits=(64, 48),
        flip=flip,
        reach=3,
        seed=seed,
    )


def test_pairs_are_near_share_an_object_and_depend_on_seed_epoch_and_index_only(
    tmp_path: Path,
) -> None:
    dataset = _pairs(tmp_path, [_annotation(i, i, 1) for i in range(8)])
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
    dataset = _pairs(tmp_path, [_annotation(0, 0, 7)] + [_annotation(i, i, 1) for i in range(1, 8)])
    assert len(dataset) == 8
    for epoch in range(20):
        dataset.epoch = epoch
        key, ref = dataset[0]
        assert key.image_id != 0
        assert (key.match_indices >= 0).any()
        assert (ref.match_indices >= 0).any()


def test_set_without_any_common_object_is_an_error(tmp_path: Path) -> None:
    dataset = _pairs(tmp_path, [_annotation(i, i, i + 1) for i in range(8)])
    with pytest.raises(InputError, match=r"joint\.json.*instance_id"):
        dataset[0]


def test_set_without_objects_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no frame has an object"):
        _pairs(tmp_path, [])


def test_flip_is_shared_by_image_boxes_and_masks(tmp_path: Path) -> None:
    annotations = [_annotation(i, i, 1) for i in range(8)]
    plain = _pairs(tmp_path / "a", annotations, flip=0.0)
    mirrored = _pairs(tmp_path / "b", annotations, flip=1.0)
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
    key, ref = _pairs(tmp_path, [_annotation(i, i, 1) for i in range(8)])[3]
    assert key.masks.keys() == {"amodal", "visible"}
    assert ref.masks == {}
    batch = collate([(key, ref)])
    assert batch.key_targets[0].masks.keys() == {"amodal", "visible"}
    assert not batch.ref_targets[0].masks
    assert batch.ref_targets[0].boxes["amodal"].shape == (1, 4)


@pytest.mark.parametrize(
    "change",
    [
        {"ignore": 1},
        {"iscrowd": 1},
        {"area_visible": 0},
        {"bbox": [10, 8, 0.5, 16]},
        {"bbox": [WIDTH + 5, 8, 10, 10]},
        {"bbox": [-20, 8, 20, 10]},
    ],
    ids=str,
)
def test_unusable_annotations_are_skipped(tmp_path: Path, change: dict[str, Any]) -> None:
    path = _write(tmp_path, [_annotation(0, 0, 1, **change), _annotation(1, 0, 2)])
    file = AnnotationFile(path)
    assert file.objects(0).instances.tolist() == [2]


def test_two_boxes_are_read_and_both_are_checked(tmp_path: Path) -> None:
    both = [[10, 8, 20, 16], [10, 8, 12, 16]]
    empty = [[10, 8, 20, 16], [10, 8, 0, 16]]
    path = _write(tmp_path, [_annotation(0, 0, 1, bbox=both), _annotation(1, 0, 2, bbox=empty)])
    file = AnnotationFile(path)
    objects = file.objects(0)
    assert objects.instances.tolist() == [1]
    assert objects.boxes["amodal"].tolist() == [[10, 8, 30, 24]]
    assert objects.boxes["visible"].tolist() == [[10, 8, 22, 24]]


def test_unknown_category_names_the_annotation(tmp_path: Path) -> None:
    path = _write(tmp_path, [_annotation(5, 0, 1, category_id=25)])
    file = AnnotationFile(path)
    with pytest.raises(InputError, match="annotation 5 has category 25"):
        file.objects(0)


def test_file_without_the_needed_lists_is_an_error(tmp_path: Path) -> None:
    write_json(tmp_path / "other.json", {"images": []})
    with pytest.raises(InputError, match=r"other\.json: list `annotations` is missing"):
        AnnotationFile(tmp_path / "other.json")


def test_match_indices() -> None:
    assert match_indices(np.array([5, 7, 9]), np.array([9, 5])).tolist() == [1, -1, 0]


def test_batches_cover_the_epoch_fill_up_and_change_with_it(tmp_path: Path) -> None:
    dataset = _pairs(tmp_path, [_annotation(i, i, 1) for i in range(8)])
    batches = EpochBatches(dataset, 3, seed=0)
    first = list(batches)
    assert len(first) == len(batches) == 3
    assert all(len(batch) == 3 for batch in first)
    assert {index for batch in first for index in batch} == set(range(8))
    assert list(batches) == first
    batches.epoch = 1
    assert list(batches) != first


def test_collate_pads_and_keeps_pairs_together(tmp_path: Path) -> None:
    dataset = _pairs(tmp_path, [_annotation(i, i, 1) for i in range(8)])
    batch = collate([dataset[1], dataset[5]])
    assert batch.key_images.shape == batch.ref_images.shape == (2, 3, 64, 64)
    assert batch.image_sizes == [(48, 64)] * 2
    assert [key for key, _ in batch.image_ids] == [1, 5]
    assert batch.key_targets[1].masks["amodal"].shape == (1, 64, 64)


def test_frame_of_another_size_than_annotated_is_an_error(tmp_path: Path) -> None:
    path = _write(tmp_path, [_annotation(0, 0, 1)])
    frames = AnnotationFile(path).clips[0]
    assert FrameDataset(frames, tmp_path, (64, 48))[0].image.shape == (1, 3, 64, 64)
    assert cv2.imwrite(str(tmp_path / frames[0].file_name), np.zeros((20, 20, 3), np.uint8))
    with pytest.raises(InputError, match=r"000000\.bmp: is 20 x 20 pixels.*64 x 48"):
        FrameDataset(frames, tmp_path, (64, 48))[0]


def test_a_training_frame_of_another_size_is_an_error_too(tmp_path: Path) -> None:
    dataset = _pairs(tmp_path, [_annotation(i, i, 1) for i in range(8)])
    for path in tmp_path.rglob("*.bmp"):
        assert cv2.imwrite(str(path), np.zeros((24, 32, 3), np.uint8))
    with pytest.raises(InputError, match="is 32 x 24 pixels"):
        dataset[0]
