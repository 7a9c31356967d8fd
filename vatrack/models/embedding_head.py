"""Embedding head of the tracker and its two losses on pairs of frames (spec 3.7, 4.4)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, relu, softplus

from vatrack.models.layers import conv_block
from vatrack.models.roi import VECTOR_REGION_SIZE as REGION_SIZE
from vatrack.models.sample import Sample

MARGIN = 0.3
HARD_NEGATIVES_PER_POSITIVE = 3


class EmbeddingHead(nn.Module):
    """3x3 convolutions with group norm, one hidden layer, a linear embedding without
    normalisation."""

    def __init__(
        self,
        inputs: int = 256,
        channels: int = 256,
        depth: int = 4,
        hidden: int = 1024,
        outputs: int = 256,
        groups: int = 32,
    ) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            conv_block(inputs if i == 0 else channels, channels, 3, groups=groups, relu=True)
            for i in range(depth)
        )
        self.fcs = nn.ModuleList([nn.Linear(channels * REGION_SIZE * REGION_SIZE, hidden)])
        self.fc_embed = nn.Linear(hidden, outputs)

    def forward(self, regions: Tensor) -> Tensor:
        """Region features (k, channels, 7, 7) to embeddings (k, outputs)."""
        x = regions
        for block in self.convs:
            x = block(x)
        x = x.flatten(1)
        for layer in self.fcs:
            x = relu(layer(x))
        return self.fc_embed(x)


def match_targets(key: Sample, ref: Sample, match_indices: Tensor) -> Tensor:
    """(key positives, ref regions) bool: both show the same object.

    Args:
        match_indices: (g,) index of each key object among the reference frame's objects, or -1.
    """
    wanted = match_indices[key.matched]
    targets = torch.zeros(len(wanted), ref.count, dtype=torch.bool, device=wanted.device)
    targets[:, : len(ref.matched)] = wanted[:, None] == ref.matched[None, :]
    return targets


def multi_positive_cross_entropy(similarity: Tensor, targets: Tensor) -> Tensor:
    """log(1 + sum_{T=1} e^-D * sum_{T=0} e^D) per row, mean over rows that have a positive; 0 where
    there is none.

    Written with log-sum-exp, which equals the published form wherever that is finite and no
    negative is above 80 (quirk T1).

    Args:
        similarity: D, dot products (k, m); `targets`: T, bool (k, m).
    """
    lowest = torch.finfo(similarity.dtype).min / 4
    positive = torch.where(targets, -similarity, lowest).logsumexp(dim=1)
    negative = torch.where(targets, lowest, similarity).logsumexp(dim=1)
    rows = targets.any(dim=1)
    return (softplus(positive + negative) * rows).sum() / rows.sum().clamp(min=1)


def cosine_loss(cosine: Tensor, targets: Tensor) -> Tensor:
    """Squared distance of the cosine to its target with a margin, over all positives and the
    hardest negatives (spec 4.4).

    Args:
        cosine: S (k, m); `targets`: T, bool (k, m).
    """
    goal = targets.to(cosine)
    error = ((cosine - MARGIN * (1 - goal)).clamp(0, 1) - goal) ** 2
    # No number of rows leaves the tensors: a GPU need not be waited for.
    positives = targets.sum()
    negatives = torch.minimum(HARD_NEGATIVES_PER_POSITIVE * positives, (~targets).sum())
    hardest = torch.where(targets, -1.0, error).flatten().sort(descending=True).values
    taken = torch.arange(len(hardest), device=hardest.device) < negatives
    kept = torch.where(targets, error, 0.0).sum() + torch.where(taken, hardest, 0.0).sum()
    # Without a positive nothing is kept: the loss is 0, with a graph.
    return kept / (positives + negatives).clamp(min=1)


def tracking_losses(
    key_embeddings: Tensor,
    ref_embeddings: Tensor,
    key_samples: Sequence[Sample],
    ref_samples: Sequence[Sample],
    match_indices: Sequence[Tensor],
) -> tuple[Tensor, Tensor]:
    """Both tracking losses, each the mean over the pairs of a batch.

    Args:
        key_embeddings: of the positives of the key frames; `ref_embeddings`: of all sampled regions
            of the reference frames.
    """
    keys = key_embeddings.float().split([len(sample.matched) for sample in key_samples])
    refs = ref_embeddings.float().split([sample.count for sample in ref_samples])
    matching, auxiliary = [], []
    # Autocast would multiply in bfloat16 whatever the embeddings' type, and exponentials of the
    # products follow.
    with torch.autocast(key_embeddings.device.type, enabled=False):
        for key, ref, key_sample, ref_sample, match in zip(
            keys, refs, key_samples, ref_samples, match_indices, strict=True
        ):
            targets = match_targets(key_sample, ref_sample, match)
            matching.append(multi_positive_cross_entropy(key @ ref.T, targets))
            auxiliary.append(cosine_loss(normalize(key) @ normalize(ref).T, targets))
        return torch.stack(matching).mean(), torch.stack(auxiliary).mean()
