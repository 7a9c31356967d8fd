"""Box head: class and box of each region (spec 3.5, 4.4, 5)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, relu, smooth_l1_loss

from vatrack.common.structures import WHOLE_BATCH, BatchShare
from vatrack.models.boxes import HEAD_STD, classwise_nms, decode, encode
from vatrack.models.roi import VECTOR_REGION_SIZE as REGION_SIZE
from vatrack.models.sample import Sample


class BoxHead(nn.Module):
    """Two fully connected layers, then c + 1 class logits (background last) and c x 4 deltas."""

    def __init__(self, classes: int, inputs: int = 256, channels: int = 1024) -> None:
        super().__init__()
        self.fc_cls = nn.Linear(channels, classes + 1)
        self.fc_reg = nn.Linear(channels, 4 * classes)
        self.shared_fcs = nn.ModuleList(
            [nn.Linear(inputs * REGION_SIZE * REGION_SIZE, channels), nn.Linear(channels, channels)]
        )

    def forward(self, regions: Tensor) -> tuple[Tensor, Tensor]:
        """Region features (k, channels, 7, 7) to logits (k, c + 1) and deltas (k, 4 c)."""
        x = regions.flatten(1)
        for layer in self.shared_fcs:
            x = relu(layer(x))
        return self.fc_cls(x), self.fc_reg(x)


def box_losses(
    logits: Tensor,
    deltas: Tensor,
    samples: Sequence[Sample],
    boxes: Sequence[Tensor],
    labels: Sequence[Tensor],
    class_weights: Tensor,
    share: BatchShare = WHOLE_BATCH,
) -> tuple[Tensor, Tensor, Tensor]:
    """Classification loss, box loss and accuracy in percent over the sampled regions of a batch.

    Both losses are divided by the number of all sampled regions, also the class-weighted one
    (quirks T6, T7); torchvision's fastrcnn_loss knows no class weights and no accuracy, and
    PyTorch's own weighted mean divides by the sum of the weights.

    Args:
        logits: (k, c + 1) for c classes; `deltas`: (k, 4 c); k = sum of the samples' counts, image
            by image.
        boxes: ground truth (g_i, 4) per image; `labels`: (g_i,).
        class_weights: (c + 1,).
    """
    logits, deltas = logits.float(), deltas.float()
    background = logits.shape[1] - 1
    targets = logits.new_full((len(logits),), background, dtype=torch.int64)
    rows, goals, start = [], [], 0
    for sample, truth, label in zip(samples, boxes, labels, strict=True):
        count = len(sample.matched)
        targets[start : start + count] = label[sample.matched]
        rows.append(torch.arange(start, start + count, device=logits.device))
        goals.append(encode(sample.positives, truth[sample.matched], HEAD_STD))
        start += sample.count
    divisor = share.divisor(len(logits))
    classification = (
        cross_entropy(logits, targets, weight=class_weights, reduction="none").sum() / divisor
    )
    positive = torch.cat(rows)
    predicted = deltas.view(len(deltas), background, 4)[positive, targets[positive]]
    # The sum of an empty selection is zero and keeps the graph, so every parameter has a gradient
    # on every rank.
    regression = smooth_l1_loss(predicted, torch.cat(goals), beta=1.0, reduction="sum") / divisor
    accuracy = (logits.argmax(1) == targets).float().sum() * (100 / divisor)
    return classification, regression, accuracy


def detect(
    logits: Tensor,
    deltas: Tensor,
    proposals: Tensor,
    image_size: tuple[int, int],
    scale: Tensor,
    *,
    score_threshold: float,
    nms_iou: float,
    limit: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes (m, 4) in original pixels, scores (m,), labels (m,) after class-wise NMS, best first
    (spec 5, steps 2 and 3).

    torchvision's RoIHeads has the background in front, removes small boxes and scales after the
    NMS, so it cannot serve.

    Args:
        proposals: (k, 4) in network pixels.
        scale: (4,) network pixels per original pixel.
    """
    scores = logits.float().softmax(dim=1)[:, :-1]
    by_class = deltas.float().unflatten(1, (-1, 4))
    boxes = decode(proposals, by_class, HEAD_STD, image_size) / scale
    rows, labels = (scores > score_threshold).nonzero(as_tuple=True)
    candidate_boxes, candidate_scores = boxes[rows, labels], scores[rows, labels]
    kept = classwise_nms(candidate_boxes, candidate_scores, labels, nms_iou, scores.shape[1])[
        :limit
    ]
    return candidate_boxes[kept], candidate_scores[kept], labels[kept]


def best_class_boxes(
    logits: Tensor,
    deltas: Tensor,
    boxes: Tensor,
    image_size: tuple[int, int],
    scale: Tensor,
    score_threshold: float,
) -> Tensor:
    """The second box of each detection (m, 4) in original pixels (spec 5, step 4; quirk I3).

    It is decoded with the best class of the second head; where no class passes the threshold it is
    the first box.

    Args:
        boxes: first boxes (m, 4) in original pixels; `logits`, `deltas`: the second head's outputs
            on them.
    """
    score, label = logits.float().softmax(dim=1)[:, :-1].max(dim=1)
    rows = torch.arange(len(deltas), device=deltas.device)
    chosen = deltas.float().unflatten(1, (-1, 4))[rows, label]
    decoded = decode(boxes * scale, chosen, HEAD_STD, image_size) / scale
    return torch.where((score > score_threshold)[:, None], decoded, boxes)
