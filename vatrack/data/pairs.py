"""Training pairs as a PyTorch dataset (spec 2.2)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset

from vatrack.common.errors import InputError
from vatrack.common.mask_types import MaskType
from vatrack.config.classes import ClassList
from vatrack.data.frames import AnnotationFile, Objects, read_frame
from vatrack.data.samples import FrameSample, prepare

MIN_SIDE = 32
DRAWS = 1000


def match_indices(
    instances: npt.NDArray[np.int64], others: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """For each instance its index among the others, or -1."""
    positions = {instance: index for index, instance in enumerate(others.tolist())}
    return np.array([positions.get(instance, -1) for instance in instances.tolist()], np.int64)


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
        reach: maximum distance of the reference frame, in frames.
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
        self.key_frames = np.flatnonzero(
            (self.file.counts > 0) & (self.file.sizes.min(axis=1, initial=MIN_SIDE) >= MIN_SIDE)
        )
        if not len(self.key_frames):
            raise InputError(
                f"{annotations}: no frame has an object to train on; check the annotations and "
                "dataset.max_occlusion"
            )

    def __len__(self) -> int:
        return len(self.key_frames)

    @property
    def wide(self) -> npt.NDArray[np.bool_]:
        """For every key frame whether it is wider than high; batches hold one orientation only."""
        sizes = self.file.sizes[self.key_frames]
        return np.asarray(sizes[:, 0] > sizes[:, 1])

    def __getitem__(self, index: int) -> tuple[FrameSample, FrameSample]:
        generator = np.random.default_rng([self.seed, self.epoch, index])
        for _ in range(DRAWS):
            pair = self._pair(int(self.key_frames[index]), generator)
            if pair is not None:
                return pair
            # An unusable pair is replaced from the whole set, as published (quirk L2).
            index = int(generator.integers(len(self.key_frames)))
        problem = "contain no usable object; check the annotations"
        if not self.alone:
            problem = "have no object in common; check instance_id"
        raise InputError(f"{self.file.path}: {DRAWS} sampled frame pairs {problem}")

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
        image = read_frame(self.images, frame)
        return prepare(image, frame, objects, matches, self.limits, flip, with_masks=with_masks)
