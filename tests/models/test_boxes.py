"""Box coding, overlap and suppression (spec 9.2)."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.ops import nms

from vatrack.models.boxes import HEAD_STD, classwise_nms, clip, decode, encode, pairwise_iou

SOURCE = torch.tensor([[100.0, 50, 300, 250]])


@pytest.mark.parametrize(
    ("deltas", "expected"),
    [
        ([0.5, -0.3, 1, -2], [87.85973, 76.96799, 332.14026, 211.03201]),
        ([0, 0, 40, -40], [0, 148.4, 1280, 151.6]),
    ],
)
def test_decode_clamps_sizes_from_both_sides_and_clips(
    deltas: list[float], expected: list[float]
) -> None:
    decoded = decode(SOURCE, torch.tensor([deltas], dtype=torch.float32), HEAD_STD, (800, 1280))
    torch.testing.assert_close(decoded, torch.tensor([expected]), rtol=0, atol=1e-4)


def test_encode() -> None:
    deltas = encode(SOURCE, torch.tensor([[110.0, 60, 290, 280]]), HEAD_STD)
    torch.testing.assert_close(
        deltas, torch.tensor([[0, 1, -0.5268027, 0.4765510]]), rtol=0, atol=1e-6
    )


corner = st.tuples(st.floats(0, 90), st.floats(0, 90), st.floats(2, 60), st.floats(2, 60))


def _box(values: tuple[float, float, float, float]) -> list[float]:
    x, y, width, height = values
    return [x, y, x + width, y + height]


@given(st.lists(st.tuples(corner, corner), min_size=1, max_size=8))
def test_decode_inverts_encode(pairs: list[tuple]) -> None:
    sources = torch.tensor([_box(a) for a, _ in pairs])
    targets = torch.tensor([_box(b) for _, b in pairs])
    decoded = decode(sources, encode(sources, targets, HEAD_STD), HEAD_STD, (200, 200))
    torch.testing.assert_close(decoded, targets, rtol=0, atol=1e-3)


@given(st.lists(corner, min_size=1, max_size=6), st.lists(corner, min_size=1, max_size=6))
def test_iou_is_symmetric_and_bounded(a: list[tuple], b: list[tuple]) -> None:
    first, second = torch.tensor([_box(x) for x in a]), torch.tensor([_box(x) for x in b])
    iou = pairwise_iou(first, second)
    torch.testing.assert_close(iou, pairwise_iou(second, first).T)
    assert bool(((iou >= 0) & (iou <= 1 + 1e-6)).all())
    torch.testing.assert_close(
        pairwise_iou(first, first).diagonal(), torch.ones(len(a)), rtol=0, atol=1e-5
    )


def test_empty_boxes_have_no_overlap_instead_of_nan() -> None:
    point = torch.tensor([[5.0, 5, 5, 5]])
    assert pairwise_iou(point, point).item() == 0


def test_clip_uses_the_size_as_upper_limit() -> None:
    clipped = clip(torch.tensor([[-3.0, -4, 70, 50]]), (40, 60))
    assert clipped.tolist() == [[0, 0, 60, 40]]


def test_nms_keeps_classes_apart_and_suppresses_above_the_threshold_only() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 5], [0, 0, 10, 10], [0, 0, 10, 5.1]])
    scores = torch.tensor([0.9, 0.8, 0.7, 0.6])
    classes = torch.tensor([0, 0, 1, 0])
    # IoU of the first two is exactly one half and stays; the last is above one half and goes.
    assert classwise_nms(boxes, scores, classes, 0.5).tolist() == [0, 1, 2]
    assert classwise_nms(boxes[:0], scores[:0], classes[:0], 0.5).tolist() == []


@given(st.integers(101, 1203), st.integers(0, 2**32 - 1))
def test_nms_does_not_depend_on_the_number_of_the_class(number: int, seed: int) -> None:
    """Boxes of hundreds of classes are as far apart as planes of them leave float32 pixels."""
    random = torch.Generator().manual_seed(seed)
    corner, size = (torch.rand(40, 2, generator=random) * side for side in (1300, 40))
    corner[20:] = corner[:20] + 2 * torch.rand(20, 2, generator=random)
    size[20:] = size[:20]
    boxes, scores = torch.cat([corner, corner + size], 1), torch.rand(40, generator=random)
    own = torch.full((40,), number - 1)
    kept = classwise_nms(boxes, scores, own, 0.5, number)
    assert kept.tolist() == nms(boxes.double(), scores.double(), 0.5).tolist()


def test_nms_of_many_boxes_gives_the_same_class_by_class() -> None:
    torch.manual_seed(0)
    corners = torch.rand(10_500, 2) * 500
    boxes = torch.cat([corners, corners + 5 + torch.rand(10_500, 2) * 20], dim=1)
    scores, classes = torch.rand(10_500), torch.randint(0, 3, (10_500,))
    for count in (9_000, 10_500):  # one class moved away from the other, or class by class
        kept = classwise_nms(boxes[:count], scores[:count], classes[:count], 0.5)
        assert bool((scores[kept].diff() <= 0).all())
        for label in range(3):
            members = (classes[:count] == label).nonzero()[:, 0]
            own = members[nms(boxes[members], scores[members], 0.5)]
            assert own.tolist() == kept[classes[kept] == label].tolist()
