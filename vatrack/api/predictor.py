"""A checkpoint that is ready to find objects in videos."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from vatrack.api.results import FrameResult
from vatrack.api.shots import ShotDetector
from vatrack.common.device import allow_tf32, choose_device
from vatrack.common.errors import InputError
from vatrack.common.mask_types import MaskType
from vatrack.common.similar import unknown
from vatrack.config import Backbone, Config, Method, RunConfig
from vatrack.data.dataset import InputFrame, to_input
from vatrack.data.frames import Frame
from vatrack.inference.predictor import Predictor as FramePredictor
from vatrack.inference.predictor import TrackedFrame
from vatrack.models.detector import Detector, build
from vatrack.models.prepared import prepare
from vatrack.video.reader import DEFAULT_RATE, Reader, Selection, VideoFrame
from vatrack.video.sources import find_sources
from vatrack.weights.checkpoint import Checkpoint, is_ours, parse, restore
from vatrack.weights.checkpoint import load as load_checkpoint
from vatrack.weights.formats import read_file
from vatrack.weights.openmmlab import import_checkpoint, recognise_method

Cuts = Literal["detect", "none"]
DEFAULT_SCORE = 0.5


@dataclass(frozen=True, eq=False)
class Followed:
    """A frame and its objects.

    Attributes:
        result: the objects that are wanted.
        seen: ids of all tracks that are in the frame, wanted or not.
    """

    frame: VideoFrame
    result: FrameResult
    seen: npt.NDArray[np.int64]


class Predictor:
    """Detects, segments and tracks the objects in videos. Created by `load`.

    Attributes:
        run: the settings of the network, of tracking and of the computation.
        classes: names by class id.
        device: of the computation.
    """

    def __init__(self, model: Detector, run: RunConfig, device: torch.device) -> None:
        self.model, self.run, self.device = model, run, device
        self.classes: dict[int, str] = dict(enumerate(run.class_list.names, 1))

    @property
    def method(self) -> str:
        """The name of the method, "vatrack" for example."""
        return str(self.run.method)

    @property
    def mask_types(self) -> tuple[MaskType, ...]:
        """Which masks it predicts: amodal, visible, or both."""
        return tuple(self.model.roi_head.layout.masks)

    def class_ids(self, names: Iterable[str]) -> set[int]:
        """The ids of classes by name.

        Raises:
            InputError: there is no such class; the message suggests the closest names.
        """
        names = [names] if isinstance(names, str) else names
        ids = {name.casefold(): number for number, name in self.classes.items()}
        found = set()
        for name in names:
            if name.casefold() not in ids:
                raise InputError(unknown("class", name, self.classes.values()))
            found.add(ids[name.casefold()])
        return found

    def track(
        self,
        video: str | Path | Iterable[npt.NDArray[np.uint8]],
        *,
        score: float = DEFAULT_SCORE,
        classes: Collection[str] | None = None,
        selection: Selection | None = None,
        rate: float | None = None,
        cuts: Cuts = "detect",
    ) -> Iterator[FrameResult]:
        """The objects of each frame, in order; memory does not grow with the length.

        Args:
            video: a file, a folder of frames, a pattern, a list, a camera's number or an address
                (`vatrack.video.sources`), or frames uint8 [H, W, 3] BGR as OpenCV reads them.
            score: objects with a lower score are omitted, but still tracked.
            classes: names of the classes to keep; None: all.
            selection: start, end and step, in seconds and frames.
            rate: frame rate of sources without times: images, arrays.
            cuts: "detect": hard cuts end all tracks; "none": the video is one shot.

        Raises:
            InputError: the source cannot be read, or a setting is wrong; damage inside the source
                is raised when it is reached.
        """
        check_score(score)
        wanted = None if classes is None else self.class_ids(classes)
        frames = _frames(video, selection, exact_rate(rate))
        followed = self.follow(frames, cuts=cuts, score=score, class_ids=wanted)
        return (item.result for item in followed)

    def follow(
        self,
        frames: Iterable[VideoFrame],
        *,
        cuts: Cuts = "detect",
        score: float = 0.0,
        class_ids: Collection[int] | None = None,
    ) -> Iterator[Followed]:
        """The same for frames that are read already.

        Raises:
            InputError: `cuts` is neither "detect" nor "none".
        """
        if cuts not in ("detect", "none"):
            raise InputError(f"cuts is {cuts!r}; it must be 'detect' or 'none'")
        return self._follow(frames, cuts, score, class_ids)

    def _follow(
        self,
        frames: Iterable[VideoFrame],
        cuts: Cuts,
        score: float,
        class_ids: Collection[int] | None,
    ) -> Iterator[Followed]:
        waiting: deque[tuple[VideoFrame, int]] = deque()
        inputs = self._inputs(frames, waiting, cuts)
        tracker = FramePredictor(self.model, self.run.inference, self.device, self.run.compute)
        shot, first, following = 0, 0, 0
        for tracked in tracker.track(inputs):
            frame, number = waiting.popleft()
            if number != shot:
                shot, first = number, following
            seen = tracked.ids + first
            following = max([following, *(seen + 1).tolist()])
            chosen = _select(tracked, score, class_ids)
            yield Followed(frame, self._result(frame, number, chosen, first), seen)

    def _inputs(
        self, frames: Iterable[VideoFrame], waiting: deque[tuple[VideoFrame, int]], cuts: Cuts
    ) -> Iterator[tuple[int, InputFrame]]:
        shots = ShotDetector() if cuts == "detect" else None
        shot, position = 0, -1
        for frame in frames:
            found = shots.shot(frame.image) if shots else 0
            position = 0 if found != shot else position + 1
            shot = found
            waiting.append((frame, shot))
            height, width = frame.image.shape[:2]
            listed = Frame(frame.index, 0, frame.index, "", width, height)
            yield position, to_input(frame.image, listed, self.run.input.image_scale)

    def _result(
        self, frame: VideoFrame, shot: int, tracked: TrackedFrame, first: int
    ) -> FrameResult:
        height, width = frame.image.shape[:2]
        primary, *others = tracked.boxes.values()
        threshold = self.run.inference.mask_threshold
        return FrameResult(
            frame.index,
            frame.time_s,
            shot,
            height,
            width,
            primary,
            tracked.scores,
            tracked.labels + 1,
            tuple(self.classes[label + 1] for label in tracked.labels.tolist()),
            tracked.ids + first,
            {
                key: [
                    {"size": [height, width], "counts": code.decode("ascii")}
                    for code in tracked.codes(key, threshold)
                ]
                for key in tracked.masks
            },
            others[0] if others else None,
        )


def load(
    checkpoint: str | Path,
    *,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    method: str | None = None,
    backbone: str | None = None,
    key: str | None = None,
    largest_side: int | None = None,
    half: bool = False,
) -> Predictor:
    """A predictor with the weights of a file.

    Args:
        checkpoint: best.pt of a run, an exported safetensors file, or a published file with
            OpenMMLab's names, whose method and backbone are recognised.
        device: "auto" is the first GPU, or the CPU if there is none.
        method: required if a published file does not contain it (`qdtrack` or `amodaltrack`);
            otherwise it must be that of the file.
        backbone: it must be that of the file.
        key: key of the weights, if a file from elsewhere contains several sets.
        largest_side: longer side of the network's input in pixels; None: as in training.
        half: compute in bfloat16 (float16 on GPUs without it): faster, with slightly different
            results.

    Raises:
        InputError: the file is not a checkpoint, or has a different method or backbone, or a
            setting is wrong.
    """
    path = Path(checkpoint)
    loaded = _read(path, _one_of(Method, "method", method), _one_of(Backbone, "backbone", backbone),
                   key)  # fmt: skip
    run = loaded.run(loaded.settings(path))
    if largest_side is not None:
        if not 32 <= largest_side <= 8192:
            raise InputError(f"the largest side is {largest_side} pixels; it must be 32 to 8192")
        limits = {"image_scale": (largest_side, largest_side)}
        run = run.model_copy(update={"input": run.input.model_copy(update=limits)})
    compute = {"device": device, "precision": "mixed" if half else run.compute.precision}
    run = run.model_copy(update={"compute": run.compute.model_copy(update=compute)})
    chosen = choose_device(device)
    allow_tf32(run.compute.tf32)
    model = build(run.method, run.model, run.backbone)
    restore(model, loaded, run, path)
    return Predictor(prepare(model.to(chosen), run.compute, chosen), run, chosen)


def _one_of(values: type[Any], what: str, value: str | None) -> Any:
    if value is None:
        return None
    try:
        return values(value)
    except ValueError:
        raise InputError(unknown(what, value, [str(item) for item in values])) from None


def _read(
    path: Path, method: Method | None, backbone: Backbone | None, key: str | None
) -> Checkpoint:
    content = read_file(path, "checkpoint")
    if is_ours(content):
        checkpoint = parse(content, path)
    else:
        methods, trunk = recognise_method(content, path, key)
        del content  # the import reads the file for itself
        for name, asked, own_value in (
            ("method", method, methods),
            ("backbone", backbone, (trunk,)),
        ):
            if asked is not None and asked not in own_value:
                raise InputError(
                    f"{path}: is a checkpoint of {name} {' or '.join(own_value)}, not {asked}"
                )
        if method is None and len(methods) > 1:
            shown = " or ".join(f"--method {name}" for name in methods)
            raise InputError(
                f"{path}: this file does not tell {' from '.join(methods)}; choose one: {shown}"
            )
        run = Config().for_run(method or methods[0], backbone or trunk)
        with tempfile.TemporaryDirectory(prefix="vatrack-") as folder:
            out = Path(folder) / "imported.pt"
            import_checkpoint(path, run, out, key=key)
            checkpoint = load_checkpoint(out)
    for name, asked, own in (
        ("method", method, checkpoint.method),
        ("backbone", backbone, checkpoint.backbone),
    ):
        if asked is not None and asked != own:
            raise InputError(f"{path}: is a checkpoint of {name} {own}, not {asked}")
    return checkpoint


def check_score(score: float) -> None:
    """Raises InputError where a score threshold is not between 0 and 1."""
    if not 0 <= score <= 1:
        raise InputError(f"the score threshold is {score}; it must be from 0 to 1")


def exact_rate(rate: float | None) -> Fraction | None:
    """A frame rate as a fraction; raises InputError where it is none."""
    if rate is None:
        return None
    if not 0.001 <= rate <= 1000:
        raise InputError(f"the frame rate is {rate}; it must be 0.001 to 1000 frames per second")
    return Fraction(rate).limit_denominator(10_000)


def _select(tracked: TrackedFrame, score: float, class_ids: Collection[int] | None) -> TrackedFrame:
    """The objects that are wanted; masks of others are never drawn."""
    keep = tracked.scores >= score
    if class_ids is not None:
        keep &= np.isin(tracked.labels + 1, list(class_ids))
    return replace(
        tracked,
        boxes={name: values[keep] for name, values in tracked.boxes.items()},
        scores=tracked.scores[keep],
        labels=tracked.labels[keep],
        ids=tracked.ids[keep],
        masks={name: values[keep] for name, values in tracked.masks.items()},
    )


@dataclass(frozen=True)
class _Opened:
    """Frames of a reader that is closed when they end."""

    reader: Reader

    def __iter__(self) -> Iterator[VideoFrame]:
        with self.reader as frames:
            yield from frames


def _frames(
    video: str | Path | Iterable[npt.NDArray[np.uint8]],
    selection: Selection | None,
    rate: Fraction | None,
) -> Iterable[VideoFrame]:
    if isinstance(video, str | Path):
        sources = find_sources([str(video)])
        if len(sources) > 1:
            raise InputError(f"{video}: matches {len(sources)} videos; track them one by one")
        return _Opened(Reader(sources[0], selection, rate))
    if isinstance(video, np.ndarray) and video.ndim == 3:
        raise InputError(f"an array {list(video.shape)} is one frame; give a list: [frame]")
    return _arrays(video, selection or Selection(), rate or DEFAULT_RATE)


def _arrays(
    images: Iterable[npt.NDArray[np.uint8]], selection: Selection, rate: Fraction
) -> Iterator[VideoFrame]:
    """Frames that the caller may overwrite when the next one is asked for."""
    size: tuple[int, ...] = ()
    for index, image in enumerate(images):
        if not (isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3
                and image.shape[2] == 3 and image.size):  # fmt: skip
            found = type(image).__name__
            if isinstance(image, np.ndarray):
                found = f"{image.dtype} {list(image.shape)}"
            raise InputError(f"frame {index}: is {found}; it must be uint8 [H, W, 3] in BGR")
        size = size or image.shape
        if image.shape != size:
            raise InputError(
                f"frame {index}: is {image.shape[1]} x {image.shape[0]} pixels, but the first "
                f"frame is {size[1]} x {size[0]}; all frames of a video must have the same size"
            )
        time_s = float(index / rate)
        if selection.stop_s is not None and time_s >= selection.stop_s:
            return
        if time_s >= selection.start_s and index % selection.step == 0:
            yield VideoFrame(index, time_s, image.copy())
