"""Frames to tracked objects: detect, track, segment (spec 5; contract 2).

Three steps follow each other, each of them one batch of frames behind the one before where a GPU
computes: while it detects the objects of a batch, the tracker follows those of the batch before,
and masks are on their way. On the CPU a batch is a frame, and nothing is computed ahead.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vatrack.common.device import autocast
from vatrack.common.mask_types import MaskType
from vatrack.config import InferenceConfig
from vatrack.config.compute import ComputeConfig
from vatrack.data.frames import Frame
from vatrack.data.input_frames import InputFrame
from vatrack.data.transforms import network_input
from vatrack.inference.lines import prediction_lines
from vatrack.inference.paste import paste_codes
from vatrack.inference.tracker import QuasiDenseTracker
from vatrack.models.detector import Detector
from vatrack.models.roi_heads import Detections

T = TypeVar("T")

GPU_BATCH = 4  # frames at a time where compute.batch_frames is auto


@dataclass(frozen=True)
class TrackedFrame:
    """The tracked objects of one frame: n rows, best score first.

    Attributes:
        boxes: mask type to (n, 4) corners in pixels of the frame, the primary one first.
        scores: (n,); `labels`: (n,), from 0 on; `ids`: (n,) track ids, from 0 on.
        masks: mask type to (n, 28, 28) probabilities inside a box.
        mask_boxes: mask type to the type of the box in which its masks lie.
    """

    frame: Frame
    boxes: Mapping[MaskType, npt.NDArray[np.float32]]
    scores: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    ids: npt.NDArray[np.int64]
    masks: Mapping[MaskType, npt.NDArray[np.float32]]
    mask_boxes: Mapping[MaskType, MaskType]

    def codes(self, mask_type: MaskType, threshold: float) -> list[bytes]:
        """Compressed run-length codes of the masks, drawn in the whole frame."""
        return paste_codes(
            torch.from_numpy(self.masks[mask_type]),
            torch.from_numpy(self.boxes[self.mask_boxes[mask_type]]),
            (self.frame.height, self.frame.width),
            threshold,
        )

    def predictions(self, threshold: float) -> list[dict[str, Any]]:
        """One prediction per row in the form of contract 2.

        Args:
            threshold: lowest probability of a mask's pixel.
        """
        size = [self.frame.height, self.frame.width]
        primary, *others = self.boxes.values()
        return prediction_lines(
            self.frame.image_id,
            self.labels + 1,
            self.scores,
            self.ids,
            primary,
            others[0] if others else None,
            {
                name: [
                    {"size": size, "counts": text.decode("ascii")}
                    for text in self.codes(name, threshold)
                ]
                for name in self.masks
            },
        )


@dataclass(frozen=True)
class _Batch:
    """Some frames on their way.

    Attributes:
        inputs: with their numbers in their videos; `scales`: (n, 4) on the device.
        features: of all frames; `found`: one for each frame, on the device.
        copy: of what the next step needs, to the host.
        rows, ids: of each frame, what the tracker keeps; known from the second step on.
    """

    inputs: list[tuple[int, InputFrame]]
    scales: Tensor
    features: list[Tensor]
    found: list[Detections]
    copy: _Copy
    rows: list[Detections]
    ids: list[Tensor]


class FramePredictor:
    """Runs a network and a tracker over the frames of videos, in order.

    Memory does not grow with the number of frames.

    Args:
        model: in evaluation mode, on `device`.
        compute: its `precision` concerns the network alone: boxes, scores, embeddings and mask
            probabilities leave it as float32, and tracking is computed in float32.
    """

    def __init__(
        self,
        model: Detector,
        settings: InferenceConfig,
        device: torch.device,
        compute: ComputeConfig | None = None,
    ) -> None:
        compute = compute or ComputeConfig()
        self.model, self.settings, self.device = model, settings, device
        self.precision = compute.precision
        self.batch_frames = _batch_frames(compute, device)
        self.ahead = 1 if device.type == "cuda" else 0
        self.tracker = QuasiDenseTracker(settings.tracker)

    def track(self, inputs: Iterable[tuple[int, InputFrame]]) -> Iterator[TrackedFrame]:
        """One result for each frame, in order.

        Args:
            inputs: frames, each with its number in its video: 0 begins a new one.
        """
        detected = _ahead(map(self._detect, _batches(inputs, self.batch_frames)), self.ahead)
        segmented = _ahead(map(self._segment, detected), self.ahead)
        for batch in segmented:
            yield from self._finish(batch)

    @torch.inference_mode()
    def _detect(self, inputs: list[tuple[int, InputFrame]]) -> _Batch:
        frames = [item for _, item in inputs]
        scales = torch.stack([item.scale for item in frames]).to(self.device, non_blocking=True)
        sizes = [item.size for item in frames]
        images = network_input(torch.cat([item.image for item in frames]), sizes, self.device)
        with autocast(self.precision, self.device):
            found, features = self.model.detect(images, sizes, scales, self.settings)
        return _Batch(inputs, scales, features, found, _Copy([_packed(found)]), [], [])

    @torch.inference_mode()
    def _segment(self, batch: _Batch) -> _Batch:
        """Follows the objects; only what the tracker keeps gets masks, which play no part in
        that."""
        kept, rows, ids = [], [], []
        (packed,) = batch.copy.wait()
        for (number, _), seen in zip(batch.inputs, _unpacked(packed, batch.found), strict=True):
            if number == 0:
                self.tracker = QuasiDenseTracker(self.settings.tracker)
            boxes = seen.boxes[self.model.roi_head.layout.primary]
            tracked = self.tracker.update(boxes, seen.scores, seen.labels, seen.embeddings, number)
            kept.append(tracked.rows[tracked.ids >= 0])
            rows.append(seen.select(kept[-1]))
            ids.append(tracked.ids[tracked.ids >= 0])
        chosen = [
            found.select(row.to(self.device, non_blocking=True))
            for found, row in zip(batch.found, kept, strict=True)
        ]
        with autocast(self.precision, self.device):
            masked = self.model.add_masks(batch.features, chosen, batch.scales)
        copy = _Copy([torch.cat([item.masks[name] for item in masked]) for name in self._masks])
        return replace(batch, features=[], found=[], copy=copy, rows=rows, ids=ids)

    def _finish(self, batch: _Batch) -> Iterator[TrackedFrame]:
        bounds = [0, *accumulate(len(ids) for ids in batch.ids)]
        masks = dict(zip(self._masks, batch.copy.wait(), strict=True))
        mask_boxes = {name: self.model.roi_head.mask_box_type(name) for name in self._masks}
        for (_, item), rows, ids, (first, last) in zip(
            batch.inputs, batch.rows, batch.ids, pairwise(bounds), strict=True
        ):
            yield TrackedFrame(
                item.frame,
                {name: boxes.numpy() for name, boxes in rows.boxes.items()},
                rows.scores.numpy(),
                rows.labels.numpy(),
                ids.numpy(),
                {name: values[first:last].numpy() for name, values in masks.items()},
                mask_boxes,
            )

    @property
    def _masks(self) -> list[MaskType]:
        return list(self.model.roi_head.layout.masks)


class _Copy:
    """Tensors on their way from the device to the host; the device does not wait."""

    def __init__(self, tensors: list[Tensor]) -> None:
        self._tensors = [tensor.to("cpu", non_blocking=True) for tensor in tensors]
        self._done = torch.cuda.Event() if tensors[0].is_cuda else None
        if self._done is not None:  # by the stream of their device, which may not be the current
            self._done.record(torch.cuda.current_stream(tensors[0].device))

    def wait(self) -> list[Tensor]:
        """The tensors, once they are there."""
        if self._done is not None:
            self._done.synchronize()
        return self._tensors


def _packed(found: list[Detections]) -> Tensor:
    """All rows of some frames in one tensor (rows, values), so that one copy is enough."""
    return torch.cat(
        [
            torch.cat(
                [*one.boxes.values(), one.scores[:, None], one.labels[:, None], one.embeddings], 1
            )
            for one in found
        ]
    )


def _unpacked(packed: Tensor, found: list[Detections]) -> Iterator[Detections]:
    for rows, one in zip(packed.split([len(one.scores) for one in found]), found, strict=True):
        width = 4 * len(one.boxes)
        boxes = dict(zip(one.boxes, rows[:, :width].split(4, dim=1), strict=True))
        yield Detections(boxes, rows[:, width], rows[:, width + 1].long(), rows[:, width + 2 :])


def _batch_frames(compute: ComputeConfig, device: torch.device) -> int:
    if compute.batch_frames == "auto":
        return GPU_BATCH if device.type == "cuda" else 1
    return compute.batch_frames


def _batches(
    inputs: Iterable[tuple[int, InputFrame]], limit: int
) -> Iterator[list[tuple[int, InputFrame]]]:
    """Neighbours of one padded size and one video, up to `limit` of them.

    (A GPU may round otherwise in another batch, and no video may depend on the one before it.)
    """
    batch: list[tuple[int, InputFrame]] = []
    for number, item in inputs:
        if batch and (number == 0 or item.image.shape != batch[0][1].image.shape):
            yield batch
            batch = []
        batch.append((number, item))
        if len(batch) == limit:
            yield batch
            batch = []
    if batch:
        yield batch


def _ahead(items: Iterable[T], steps: int) -> Iterator[T]:
    """The items, each made when the one so many steps before it is handed out."""
    waiting: deque[T] = deque()
    for item in items:
        waiting.append(item)
        if len(waiting) > steps:
            yield waiting.popleft()
    yield from waiting
