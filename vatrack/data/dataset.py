"""Training pairs and test frames as PyTorch data sets (spec 2.1 to 2.6)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from vatrack.common.errors import InputError
from vatrack.common.images import read_image
from vatrack.common.mask_types import MaskType
from vatrack.common.structures import Targets
from vatrack.config.classes import ClassList
from vatrack.data.frames import AnnotationFile, Frame, Objects
from vatrack.data.loading_process import reading
from vatrack.data.transforms import (
    Resize,
    clip_boxes,
    fit,
    flip_boxes,
    network_input,
    padded_size,
    resize_image,
    resize_masks,
    rgb_planes,
    stack_padded,
)

MIN_SIDE = 32
DRAWS = 1000


@dataclass(frozen=True)
class FrameSample:
    """One frame of a pair after the transforms, without padding.

    Attributes:
        image: (3, h, w) uint8, RGB; `network_input` normalises it.
        boxes: mask type to (n, 4); `masks`: mask type to (n, h, w) uint8, empty where they were
            not asked for.
        labels, match_indices: (n,) int64.
        resize: how the frame was scaled.
    """

    image: npt.NDArray[np.uint8]
    boxes: dict[MaskType, npt.NDArray[np.float32]]
    masks: dict[MaskType, npt.NDArray[np.uint8]]
    labels: npt.NDArray[np.int64]
    match_indices: npt.NDArray[np.int64]
    resize: Resize
    image_id: int


@dataclass(frozen=True)
class PairBatch:
    """A batch of key and reference frames.

    Attributes:
        key_images, ref_images: (n, 3, H, W) uint8 RGB, padded to multiples of 32.
        image_sizes: height and width of each key frame without padding.
        image_ids: (key, reference) of each pair, for messages.
        ref_sizes: height and width of each reference frame; None: those of the key frames.
    """

    key_images: Tensor
    ref_images: Tensor
    key_targets: list[Targets]
    ref_targets: list[Targets]
    image_sizes: list[tuple[int, int]]
    image_ids: list[tuple[int, int]]
    ref_sizes: list[tuple[int, int]] | None = None

    def network_images(self, pairs: slice, device: torch.device) -> tuple[Tensor, Tensor]:
        """Key and reference frames of some pairs as the network reads them, on its device."""
        ref_sizes = self.ref_sizes or self.image_sizes
        return (
            network_input(self.key_images[pairs], self.image_sizes[pairs], device),
            network_input(self.ref_images[pairs], ref_sizes[pairs], device),
        )

    def pin_memory(self) -> PairBatch:
        """The same in page-locked memory, from where a GPU takes it faster."""
        return replace(
            self,
            key_images=self.key_images.pin_memory(),
            ref_images=self.ref_images.pin_memory(),
            key_targets=[target.pin_memory() for target in self.key_targets],
            ref_targets=[target.pin_memory() for target in self.ref_targets],
        )


def match_indices(
    instances: npt.NDArray[np.int64], others: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """For each instance its index among the others, or -1."""
    positions = {instance: index for index, instance in enumerate(others.tolist())}
    return np.array([positions.get(instance, -1) for instance in instances.tolist()], np.int64)


def read_frame(images: Path, frame: Frame) -> npt.NDArray[np.uint8]:
    """The BGR image of a frame.

    Raises:
        InputError: it is missing, damaged, or not of the annotated size (its masks would lie
            elsewhere).
    """
    path = images / frame.file_name
    reading(path)
    return read_image(path, (frame.width, frame.height))


def prepare(
    picture: npt.NDArray[np.uint8],
    frame: Frame,
    objects: Objects,
    matches: npt.NDArray[np.int64],
    limits: tuple[int, int],
    flip: bool,
    *,
    with_masks: bool = True,
) -> FrameSample:
    """Resizes, clips and flips one frame with its objects (spec 2.4)."""
    resize = fit(picture.shape[0], picture.shape[1], limits)
    image = resize_image(picture, resize)
    boxes = {
        mask_type: clip_boxes(value * resize.scale, resize.size)
        for mask_type, value in objects.boxes.items()
    }
    # Flipped while they are drawn, unless they change in size: what is nearest may differ then.
    same_size = picture.shape[:2] == resize.size
    masks = {
        mask_type: resize_masks(
            objects.masks(mask_type, *picture.shape[:2], mirrored=flip and same_size), resize
        )
        for mask_type in (objects.rles if with_masks else ())
    }
    if flip:
        boxes = {mask_type: flip_boxes(value, resize.size[1]) for mask_type, value in boxes.items()}
    if flip and not same_size:
        masks = {
            mask_type: np.ascontiguousarray(value[:, :, ::-1]) for mask_type, value in masks.items()
        }
    return FrameSample(
        rgb_planes(image, mirrored=flip),
        boxes,
        masks,
        objects.labels,
        matches,
        resize,
        frame.image_id,
    )


class PairDataset(Dataset[tuple[FrameSample, FrameSample]]):
    """Pairs of a key frame and a near reference frame that share at least one object (spec 2.2).

    Where no clip has two frames, a pair is a frame with itself, each mirrored or not by a draw of
    its own, and no object matches: the tracking losses are 0.

    A sample depends on the seed, the epoch and its index only, so the number of workers does not
    change the data (the published loader repeats its random numbers in every worker, quirk L1).

    Args:
        mask_types: the mask types in the annotations, amodal first.
        limits: largest long and short side of the network's input; `flip`: probability of mirroring
            a pair.
        reach: largest distance of the reference frame, in frames.
        classes: whose labels the objects get; None: the file's own.
    """

    def __init__(
        self,
        annotations: Path,
        images: Path,
        *,
        mask_types: tuple[MaskType, ...],
        limits: tuple[int, int],
        flip: float,
        reach: int,
        seed: int,
        classes: ClassList | None = None,
    ) -> None:
        self.file = AnnotationFile(annotations, mask_types, classes)
        self.images, self.limits, self.flip, self.reach, self.seed = (
            images,
            limits,
            flip,
            reach,
            seed,
        )
        self.epoch = 0
        self.alone = bool((np.diff(self.file.bounds) <= 1).all())
        # Frame numbers of the key frames.
        self.places = np.flatnonzero(
            (self.file.counts > 0) & (self.file.sizes.min(axis=1, initial=MIN_SIDE) >= MIN_SIDE)
        )
        if not len(self.places):
            raise InputError(
                f"{annotations}: no frame has an object to train on; check the annotations and "
                "dataset.max_occlusion"
            )

    def __len__(self) -> int:
        return len(self.places)

    @property
    def wide(self) -> npt.NDArray[np.bool_]:
        """For every key frame whether it is wider than high; batches hold one orientation only."""
        sizes = self.file.sizes[self.places]
        return np.asarray(sizes[:, 0] > sizes[:, 1])

    def __getitem__(self, index: int) -> tuple[FrameSample, FrameSample]:
        generator = np.random.default_rng([self.seed, self.epoch, index])
        for _ in range(DRAWS):
            pair = self._pair(int(self.places[index]), generator)
            if pair is not None:
                return pair
            # An unusable pair is replaced from the whole set, as published (quirk L2).
            index = int(generator.integers(len(self.places)))
        raise InputError(
            f"{self.file.path}: {DRAWS} sampled frame pairs "
            + (
                "contain no usable object"
                if self.alone
                else "have no object in common; check instance_id"
            )
        )

    def _pair(
        self, key: int, generator: np.random.Generator
    ) -> tuple[FrameSample, FrameSample] | None:
        if self.alone:
            return self._with_itself(key, generator)
        first, stop = self.file.clip_around(key)
        first, last = max(first, key - self.reach), min(key + self.reach, stop - 1)
        candidates = [other for other in range(first, last + 1) if other != key]
        if not candidates:
            return None
        ref = candidates[generator.integers(len(candidates))]
        key_objects, ref_objects = self.file.objects(key), self.file.objects(ref)
        key_matches = match_indices(key_objects.instances, ref_objects.instances)
        if not (key_matches >= 0).any():
            return None
        ref_matches = match_indices(ref_objects.instances, key_objects.instances)
        flip = bool(generator.random() < self.flip)
        # No loss looks at the masks of a reference frame.
        return (
            self._sample(key, key_objects, key_matches, flip, with_masks=True),
            self._sample(ref, ref_objects, ref_matches, flip, with_masks=False),
        )

    def _with_itself(
        self, key: int, generator: np.random.Generator
    ) -> tuple[FrameSample, FrameSample] | None:
        objects = self.file.objects(key)
        if not len(objects.labels):
            return None
        unmatched = np.full(len(objects.labels), -1, np.int64)
        flips = (generator.random(2) < self.flip).tolist()
        key_sample, ref_sample = (
            self._sample(key, objects, unmatched, flip, with_masks=with_masks)
            for flip, with_masks in zip(flips, (True, False), strict=True)
        )
        return key_sample, ref_sample

    def _sample(
        self,
        number: int,
        objects: Objects,
        matches: npt.NDArray[np.int64],
        flip: bool,
        *,
        with_masks: bool,
    ) -> FrameSample:
        frame = self.file.frame(number)
        picture = read_frame(self.images, frame)
        return prepare(picture, frame, objects, matches, self.limits, flip, with_masks=with_masks)


def collate(pairs: Iterable[tuple[FrameSample, FrameSample]]) -> PairBatch:
    """Pads pairs to one batch."""
    pairs = list(pairs)
    sides = np.array([sample.image.shape[1:] for pair in pairs for sample in pair])
    height, width = sides.max(0).tolist()
    size = padded_size(height, width)
    return PairBatch(
        stack_padded([key.image for key, _ in pairs], size),
        stack_padded([ref.image for _, ref in pairs], size),
        [_targets(key, size) for key, _ in pairs],
        [_targets(ref, size) for _, ref in pairs],
        [key.resize.size for key, _ in pairs],
        [(key.image_id, ref.image_id) for key, ref in pairs],
        [ref.resize.size for _, ref in pairs],
    )


def _targets(sample: FrameSample, size: tuple[int, int]) -> Targets:
    return Targets(
        {mask_type: torch.from_numpy(boxes) for mask_type, boxes in sample.boxes.items()},
        {mask_type: stack_padded([masks], size)[0] for mask_type, masks in sample.masks.items()},
        torch.from_numpy(sample.labels),
        torch.from_numpy(sample.match_indices),
    )


class EpochBatches(Sampler[list[int]]):
    """Shuffled batches of frames of one orientation; the last of each orientation is filled up at
    random (spec 2.5).

    Args:
        share: the part of every batch that is wanted; None: all of it.

    Attributes:
        epoch: which order; `start`: the first batch of it that is wanted.
    """

    def __init__(
        self, dataset: PairDataset, batch_size: int, seed: int, share: slice | None = None
    ) -> None:
        wide = dataset.wide
        self.groups = [
            group for group in (np.flatnonzero(wide), np.flatnonzero(~wide)) if len(group)
        ]
        self.batch_size, self.seed, self.share = batch_size, seed, share or slice(None)
        self.epoch = self.start = 0

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return sum(-(-len(group) // self.batch_size) for group in self.groups)

    def __iter__(self) -> Iterator[list[int]]:
        generator = np.random.default_rng([self.seed, self.epoch])
        batches: list[list[int]] = []
        for group in self.groups:
            missing = -len(group) % self.batch_size
            order = np.concatenate([generator.permutation(group), generator.choice(group, missing)])
            batches.extend(order.reshape(-1, self.batch_size).tolist())
        yield from (
            batches[i][self.share] for i in generator.permutation(len(batches))[self.start :]
        )


@dataclass(frozen=True)
class InputFrame:
    """One frame ready for the network.

    Attributes:
        image: (1, 3, H, W) uint8 RGB, padded, for `network_input`; `size`: height and width
            without padding.
        scale: (4,) network pixels per original pixel.
    """

    image: Tensor
    size: tuple[int, int]
    scale: Tensor
    frame: Frame


def to_input(picture: npt.NDArray[np.uint8], frame: Frame, limits: tuple[int, int]) -> InputFrame:
    """The test transforms of one BGR image (spec 2.6)."""
    resize = fit(picture.shape[0], picture.shape[1], limits)
    planes = rgb_planes(resize_image(picture, resize))
    return InputFrame(stack_padded([planes]), resize.size, torch.from_numpy(resize.scale), frame)


def pinned(item: InputFrame) -> InputFrame:
    """The same in page-locked memory, from which a GPU copies while it computes."""
    return replace(item, image=item.image.pin_memory(), scale=item.scale.pin_memory())


class FrameDataset(Dataset[InputFrame]):
    """All frames of an annotation file in clip order."""

    def __init__(self, frames: Sequence[Frame], images: Path, limits: tuple[int, int]) -> None:
        self.frames, self.images, self.limits = frames, images, limits

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> InputFrame:
        frame = self.frames[index]
        return to_input(read_frame(self.images, frame), frame, self.limits)
