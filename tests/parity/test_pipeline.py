"""Training transforms of one pair."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.golden import Case, cases, recipe
from vatrack.config import Method
from vatrack.data.dataset import collate, match_indices, prepare
from vatrack.data.frames import AnnotationFile

PICTURE_SEEDS = {"key": 100, "ref": 101}


@pytest.mark.parametrize("case", cases("pipeline"))
def test_images_boxes_and_masks(case: Case, tmp_path: Path) -> None:
    # A copy, because the store is written beside the file.
    annotations = Path(shutil.copy(case.path("annotations"), tmp_path))
    file = AnnotationFile(annotations, Method(case.info["method"]).masks)
    numbers = dict(zip(("key", "ref"), range(len(file)), strict=True))
    frames = {name: file.frame(number) for name, number in numbers.items()}
    objects = {name: file.objects(number) for name, number in numbers.items()}
    kinds = case.parameters["mask_order"]
    for expected in case.json("expected")["runs"]:
        samples = {}
        for name, other in (("key", "ref"), ("ref", "key")):
            picture = recipe().image(frames[name].height, frames[name].width, PICTURE_SEEDS[name])
            matches = match_indices(objects[name].instances, objects[other].instances)
            samples[name] = prepare(picture, frames[name], objects[name], matches, expected["img_scale"], expected["flip"])
        batch = collate([(samples["key"], samples["ref"])])
        for name, images, targets in (
            ("key", batch.key_images, batch.key_targets[0]),
            ("ref", batch.ref_images, batch.ref_targets[0]),
        ):
            golden = expected[name]
            assert list(images[0].shape) == golden["image_shape"]
            sample = images[0].flatten()[:: golden["image_stride"]].numpy()
            np.testing.assert_allclose(sample, golden["image_samples"], rtol=0, atol=1e-5)
            assert samples[name].resize.size == tuple(golden["size_before_padding"])
            assert float(images[0].double().mean()) == pytest.approx(golden["image_mean"], abs=1e-6)
            assert targets.labels.tolist() == golden["labels"]
            assert targets.match_indices.tolist() == golden["match_indices"]
            boxes = np.stack([targets.boxes[kind].numpy() for kind in targets.boxes])
            np.testing.assert_allclose(np.squeeze(boxes), np.squeeze(golden["boxes"]), rtol=0, atol=1e-3)
            np.testing.assert_allclose(samples[name].resize.scale, golden["scale_factor"], rtol=0, atol=1e-3)
            for kind, mask in zip(kinds, golden["masks"], strict=True):
                _compare_masks(targets.masks[kind].numpy(), mask, exact=golden["scale_factor"] == [1.0] * 4)


def _compare_masks(bitmaps: np.ndarray, golden: dict[str, list[int]], *, exact: bool) -> None:
    assert list(bitmaps.shape[1:]) == golden["size"]
    rows, columns = np.arange(bitmaps.shape[1]), np.arange(bitmaps.shape[2])
    ours = {
        "areas": bitmaps.sum(axis=(1, 2), dtype=np.int64),
        "x_sums": (bitmaps * columns).sum(axis=(1, 2)),
        "y_sums": (bitmaps * rows[:, None]).sum(axis=(1, 2)),
    }
    for key, values in ours.items():
        np.testing.assert_allclose(values, golden[key], rtol=0 if exact else 0.01, err_msg=key)
