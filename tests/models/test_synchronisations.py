"""How often the processor waits for a GPU while one frame is detected."""

from __future__ import annotations

import warnings

import pytest
import torch

from tests.models.small import HEIGHT, WIDTH, small_network
from vatrack.config import InferenceConfig, Method

# Of a frame: boxes of at least one pixel, and what is left of them (2); regions a level, for the
# proposals and for the detections (2); scores above the threshold, and what is left (2). NMS may
# copy its result to the host and back, twice.
OF_DETECTION = 10
# Regions a level, for the boxes of each mask.
OF_MASKS = 2


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("method", list(Method))
def test_few_synchronisations_a_frame(method: Method) -> None:
    network = small_network(method).eval().cuda()
    image = torch.randn(1, 3, HEIGHT, WIDTH, device="cuda")
    scales = torch.ones(1, 4, device="cuda")
    settings = InferenceConfig(score_threshold=0.01)

    def synchronisations(detect_only: bool) -> int:
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                detections, features = network.detect(image, [(HEIGHT, WIDTH)], scales, settings)
                if not detect_only:
                    network.add_masks(features, detections, scales)
            finally:
                torch.cuda.set_sync_debug_mode("default")
        return sum("synchroniz" in str(warning.message) for warning in found)

    synchronisations(False)  # anchors and libraries are made once
    detecting = synchronisations(True)
    assert detecting <= OF_DETECTION
    assert synchronisations(False) - detecting <= OF_MASKS
