"""Training transforms of one pair."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.parity.golden import Case, cases, recipe
from tests.parity.measure import EXACT, Measure, demand, largest_difference, worst, wrong
from vatrack.common.mask_types import MaskType
from vatrack.common.structures import Targets
from vatrack.config import Method
from vatrack.data.batches import collate
from vatrack.data.frames import AnnotationFile
from vatrack.data.pairs import match_indices
from vatrack.data.samples import prepare
from vatrack.data.transforms import Resize

IMAGE_SEEDS = {"key": 100, "ref": 101}


@pytest.mark.parametrize("case", cases("pipeline"))
def test_images_boxes_and_masks(case: Case, tmp_path: Path) -> None:
    demand(measure(case, tmp_path))


def measure(case: Case, folder: Path) -> list[Measure]:
    """Compares both frames of the pair for every scale and flip. `folder` takes a copy of the
    annotations and its store."""
    annotations = Path(shutil.copy(case.path("annotations"), folder))
    file = AnnotationFile(annotations, Method(case.info["method"]).masks)
    numbers = dict(zip(("key", "ref"), range(len(file)), strict=True))
    frames = {name: file.frame(number) for name, number in numbers.items()}
    objects = {name: file.objects(number) for name, number in numbers.items()}
    measures: list[Measure] = []
    for expected in case.json("expected")["runs"]:
        samples = {}
        for name, other in (("key", "ref"), ("ref", "key")):
            bgr = recipe().image(frames[name].height, frames[name].width, IMAGE_SEEDS[name])
            matches = match_indices(objects[name].instances, objects[other].instances)
            samples[name] = prepare(
                bgr,
                frames[name],
                objects[name],
                matches,
                expected["img_scale"],
                expected["flip"],
            )
        batch = collate([(samples["key"], samples["ref"])])
        key_images, ref_images = batch.network_images(slice(None), torch.device("cpu"))
        for name, images, targets in (
            ("key", key_images, batch.key_targets[0]),
            ("ref", ref_images, batch.ref_targets[0]),
        ):
            measures += _compare(
                images[0],
                targets,
                samples[name].resize,
                expected[name],
                case.parameters["mask_order"],
            )
    return worst(measures)


def _compare(
    image: Tensor,
    targets: Targets,
    resize: Resize,
    golden: dict[str, Any],
    mask_types: list[MaskType],
) -> Iterator[Measure]:
    yield wrong("image shapes", list(image.shape), golden["image_shape"])
    yield wrong("sizes before padding", list(resize.size), golden["size_before_padding"])
    yield wrong("labels", targets.labels.tolist(), golden["labels"])
    yield wrong("matches", targets.match_indices.tolist(), golden["match_indices"])
    sample = image.flatten()[:: golden["image_stride"]]
    yield Measure(
        "images", "grey level / std", largest_difference(sample, golden["image_samples"]), 1e-5
    )
    mean = abs(float(image.double().mean()) - golden["image_mean"])
    yield Measure("image means", "grey level / std", mean, 1e-6)
    boxes = np.stack([boxes.numpy() for boxes in targets.boxes.values()])
    yield Measure(
        "boxes", "px", largest_difference(np.squeeze(boxes), np.squeeze(golden["boxes"])), 1e-3
    )
    yield Measure(
        "scale factors",
        "px",
        largest_difference(np.array(resize.scale), golden["scale_factor"]),
        1e-3,
    )
    exact = golden["scale_factor"] == [1.0] * 4
    for mask_type, mask in zip(mask_types, golden["masks"], strict=True):
        yield from _compare_masks(targets.masks[mask_type].numpy(), mask, EXACT if exact else 0.01)


def _compare_masks(
    bitmaps: np.ndarray, golden: dict[str, list[int]], bound: float
) -> Iterator[Measure]:
    yield wrong("mask sizes", list(bitmaps.shape[1:]), golden["size"])
    rows, columns = np.arange(bitmaps.shape[1]), np.arange(bitmaps.shape[2])
    ours = {
        "areas": bitmaps.sum(axis=(1, 2), dtype=np.int64),
        "x_sums": (bitmaps * columns).sum(axis=(1, 2)),
        "y_sums": (bitmaps * rows[:, None]).sum(axis=(1, 2)),
    }
    quantity = "masks" if bound else "masks at scale 1"
    for key, values in ours.items():
        theirs = np.array(golden[key], np.float64)
        size = np.maximum(theirs, 1)
        yield Measure(quantity, "relative", largest_difference(values / size, theirs / size), bound)
