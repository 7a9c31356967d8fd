"""A checkpoint that is ready to find objects in videos."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from vatrack.api.choices import Cuts, lowest_score
from vatrack.api.frames import exact_rate, frames_of
from vatrack.api.results import FrameResult
from vatrack.api.shots import ShotDetector
from vatrack.common.arguments import check_score, several
from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.mask_types import MaskType
from vatrack.common.similar import unknown
from vatrack.config import RunConfig
from vatrack.data.frames import Frame
from vatrack.data.input_frames import InputFrame, to_input
from vatrack.inference.predictor import FramePredictor, TrackedFrame
from vatrack.models.detector import Detector
from vatrack.video.frames import Selection, VideoFrame


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
        self.model = model
        self.run = run
        self.device = device
        self.classes: dict[int, str] = dict(enumerate(run.class_list.names, 1))

    def __repr__(self) -> str:
        classes = counted(len(self.classes), "class")
        return f"Predictor({self.method}, {self.run.backbone}, {classes}, on {self.device})"

    @property
    def method(self) -> str:
        """The name of the method, "vatrack" for example."""
        return str(self.run.method)

    @property
    def mask_types(self) -> tuple[MaskType, ...]:
        """Which masks it predicts: amodal, visible, or both."""
        return tuple(self.model.roi_head.layout.masks)

    def class_ids(self, names: Iterable[str]) -> set[int]:
        """The ids of classes by name; a single string is one name. Capitals count only where
        classes differ in nothing else.

        Raises:
            InputError: there is no such class; the message suggests the closest names. Or a name
                without its capitals may be one of several classes.
        """
        found = set()
        for name in several("classes", names, str):
            alike = {
                own: number
                for number, own in self.classes.items()
                if own.casefold() == name.casefold()
            }
            if not alike:
                raise InputError(unknown("class", name, self.classes.values()))
            if name not in alike and len(alike) > 1:
                raise InputError(f"class {name!r} may be {' or '.join(alike)}; choose one of them")
            found.add(alike[name] if name in alike else next(iter(alike.values())))
        return found

    def track(
        self,
        video: str | Path | int | Iterable[npt.NDArray[np.uint8]],
        *,
        score: float | None = None,
        classes: Collection[str] | None = None,
        selection: Selection | None = None,
        rate: float | None = None,
        cuts: Cuts = "detect",
    ) -> Iterator[FrameResult]:
        """The objects of each frame, in order; memory does not grow with the length.

        Args:
            video: a file, a folder of frames, a pattern, a list, a camera's number or an address
                (`vatrack.video.sources`), or frames uint8 [H, W, 3] BGR as OpenCV reads them.
            score: objects with a lower score (0 to 1) are omitted, but still tracked; below the
                thresholds of the checkpoint, it lowers them (`with_score`). None: 0.5, which lowers
                none.
            classes: names of the classes to keep; None: all.
            selection: start, end and step, in seconds and frames.
            rate: frames per second of sources without times (images, arrays); None: 25.
            cuts: "detect": hard cuts end all tracks; "none": the video is one shot.

        Raises:
            InputError: the source cannot be read, or a setting is wrong; damage inside the source
                is raised when it is reached.

        Example:
            ```python
            seconds = vatrack.Selection(start_s=0.0, stop_s=0.2)
            for result in predictor.track("street.mp4", score=0.3, selection=seconds):
                print(result.time_s, result.names, result.track_ids, result.visibility())
            ```
        """
        predictor = self.with_score(score)
        wanted = None if classes is None else self.class_ids(classes)
        frames = frames_of(video, selection, exact_rate(rate))
        followed = predictor.follow(frames, cuts=cuts, score=lowest_score(score), class_ids=wanted)
        return (item.result for item in followed)

    def with_score(self, score: float | None) -> Predictor:
        """The same network, which finds and tracks objects down to this score (0 to 1).

        What the settings of inference demand of a detection (`score_threshold`), to start a track
        (`init_score`) and to continue it (`obj_score`) is lowered to it; what is lower, stays.
        None: all stays.

        Raises:
            InputError: the score is not from 0 to 1.
        """
        if score is None:
            return self
        check_score(score)
        score = float(score)
        found = self.run.inference
        tracker = {
            name: min(getattr(found.tracker, name), score) for name in ("init_score", "obj_score")
        }
        settings = found.model_copy(
            update={
                "score_threshold": min(found.score_threshold, score),
                "tracker": found.tracker.model_copy(update=tracker),
            }
        )
        if settings == found:
            return self
        run = self.run.model_copy(update={"inference": settings})
        return Predictor(self.model, run, self.device)

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


def _select(tracked: TrackedFrame, score: float, class_ids: Collection[int] | None) -> TrackedFrame:
    """The objects that are wanted; masks of others are never drawn."""
    keep = tracked.scores >= float(score)  # a float64 of NumPy would not be rounded as they are
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
