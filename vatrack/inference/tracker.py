"""Quasi-dense tracking: detections of one frame are matched to remembered embeddings (spec 5.1)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize
from torchvision.ops import box_iou

from vatrack.config import TrackerConfig

NO_TRACK = -1
BELOW_OBJECT_SCORE = -2


@dataclass
class _Track:
    embedding: Tensor
    label: int
    last_frame: int


@dataclass(frozen=True)
class _Backdrops:
    """Detections of one frame that belong to no track; they attract matches that would otherwise be
    wrong."""

    embeddings: Tensor
    labels: Tensor


@dataclass(frozen=True)
class TrackedRows:
    """`rows` (k,) indices of the kept detections, best score first; `ids` (k,) their track ids.

    Id -1: no track; -2: matched, but the score is not above the object score.
    """

    rows: Tensor
    ids: Tensor


class QuasiDenseTracker:
    """Tracks the objects of one clip; make a new one for each clip."""

    def __init__(self, settings: TrackerConfig) -> None:
        self.settings = settings
        self.tracks: dict[int, _Track] = {}
        self.backdrops: deque[_Backdrops] = deque(maxlen=settings.backdrop_frames)
        self.tracks_so_far = 0

    def update(
        self, boxes: Tensor, scores: Tensor, labels: Tensor, embeddings: Tensor, frame: int
    ) -> TrackedRows:
        """Gives track ids to the detections of a frame; one without detections leaves everything as
        it is (quirk I10).

        Args:
            boxes: (n, 4); `scores`: (n,); `labels`: (n,) int64; `embeddings`: (n, channels), all on
                one device.
            frame: number of the frame in its clip, rising from call to call.
        """
        if len(scores) == 0:
            empty = torch.zeros(0, dtype=torch.int64)
            return TrackedRows(empty.to(scores.device), empty)
        order = scores.argsort(descending=True)
        overlap = _overlap_with_better(boxes[order])
        limit = torch.where(
            scores[order] < self.settings.obj_score,
            self.settings.nms_backdrop_iou,
            self.settings.nms_class_iou,
        )
        kept = overlap <= limit
        rows = order[kept]
        labels, embeddings = labels[rows], embeddings[rows].detach()
        # The decisions below are sequential and small: on a GPU, one transfer beats many
        # synchronisations.
        score = scores[rows].cpu()
        ids = self._match(score, labels, embeddings)
        new = (ids == NO_TRACK) & (score > self.settings.init_score)
        count = int(new.sum())
        ids[new] = torch.arange(self.tracks_so_far, self.tracks_so_far + count)
        self.tracks_so_far += count
        self._remember(ids, boxes[rows], labels, embeddings, frame)
        return TrackedRows(rows, ids)

    def _match(self, scores: Tensor, labels: Tensor, embeddings: Tensor) -> Tensor:
        ids = torch.full((len(scores),), NO_TRACK, dtype=torch.int64)
        if not self.tracks or len(scores) == 0:
            return ids
        memory_ids = list(self.tracks) + [NO_TRACK] * sum(len(b.labels) for b in self.backdrops)
        similarity = self._similarity(labels, embeddings).cpu()
        for row in range(len(scores)):
            best, column = similarity[row].max(dim=0)
            identity = memory_ids[int(column)]
            # Written so that a similarity that is no number matches nothing.
            if not float(best) > self.settings.match_score or identity == NO_TRACK:
                continue
            if scores[row] > self.settings.obj_score:
                ids[row] = identity
                similarity[:row, column] = 0
                similarity[row + 1 :, column] = 0
            elif float(best) > self.settings.nms_conf:
                ids[row] = BELOW_OBJECT_SCORE
        return ids

    def _similarity(self, labels: Tensor, embeddings: Tensor) -> Tensor:
        """Similarity (detections, memory rows): live tracks in order of creation, then
        backdrops."""
        tracks = list(self.tracks.values())
        memory = torch.cat(
            [
                torch.stack([track.embedding for track in tracks]),
                *(b.embeddings for b in self.backdrops),
            ]
        )
        memory_labels = torch.cat(
            [
                labels.new_tensor([track.label for track in tracks]),
                *(b.labels for b in self.backdrops),
            ]
        )
        if self.settings.metric == "cosine":
            similarity = normalize(embeddings) @ normalize(memory).T
        else:
            products = embeddings @ memory.T
            similarity = products.softmax(dim=1)
            if self.settings.metric == "bisoftmax":
                similarity = (similarity + products.softmax(dim=0)) / 2
        if self.settings.with_classes:
            similarity = similarity * (labels[:, None] == memory_labels[None, :])
        return similarity

    def _remember(
        self, ids: Tensor, boxes: Tensor, labels: Tensor, embeddings: Tensor, frame: int
    ) -> None:
        weight = self.settings.momentum
        label_list = labels.tolist()
        for row, identity in enumerate(ids.tolist()):
            if identity in self.tracks:
                track = self.tracks[identity]
                track.embedding = (1 - weight) * track.embedding + weight * embeddings[row]
                track.label, track.last_frame = label_list[row], frame
            elif identity >= 0:
                self.tracks[identity] = _Track(embeddings[row], label_list[row], frame)
        alone = (_overlap_with_better(boxes) <= self.settings.nms_backdrop_iou).cpu()
        chosen = ((ids == NO_TRACK) & alone).nonzero()[:, 0].to(labels.device)
        self.backdrops.appendleft(_Backdrops(embeddings[chosen], labels[chosen]))
        for identity in [
            i
            for i, track in self.tracks.items()
            if frame - track.last_frame >= self.settings.memo_frames
        ]:
            del self.tracks[identity]


def _overlap_with_better(boxes: Tensor) -> Tensor:
    """Largest IoU of each box (n, 4) with a box above it; 0 for the first (n,)."""
    return box_iou(boxes, boxes).nan_to_num(0).tril(diagonal=-1).max(dim=1).values
