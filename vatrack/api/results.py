"""What is seen in one frame of a video."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from vatrack.common.arguments import check_score, check_type, several
from vatrack.common.counted import counted, few
from vatrack.common.errors import InputError
from vatrack.common.extras import is_missing
from vatrack.common.images import ImageArray
from vatrack.common.mask_types import MASK_TYPES, MaskType
from vatrack.common.similar import unknown
from vatrack.inference.lines import prediction_lines
from vatrack.video.frames import check_array

if TYPE_CHECKING:
    import supervision

    from vatrack.reporting.video import DrawSettings

SHOWN = 5  # objects in a short text


@dataclass(frozen=True, eq=False)
class FrameResult:
    """Tracked objects of one frame: n rows, highest score first.

    Attributes:
        index: number of the frame, from 0 at the first selected one.
        time_s: seconds since the start of the video.
        shot: number of the shot, from 0; tracks end at the end of a shot.
        height: of the frame in pixels.
        width: of the frame in pixels.
        boxes: [n, 4] float32 corners x1, y1, x2, y2 in pixels, of the whole object if the
            method predicts it, otherwise of its visible part.
        scores: [n] float32, 0 to 1.
        class_ids: [n] int64, from 1 on, as in `Predictor.classes`; an annotation file may have
            other ids for the same names.
        names: n names of these classes.
        track_ids: [n] int64, from 0 on, unique in the video.
        rles: mask type ("amodal", "visible") to n run-length codes of COCO; a method has one of
            them or both.
        visible_boxes: [n, 4] float32 corners of the visible parts, if the method has a second
            box head; otherwise None.

    Example:
        ```python
        (result,) = predictor.track([cv2.imread("frames/000000.png")], score=0.0)
        hidden = result.masks("amodal") & ~result.masks("visible")  # bool [n, height, width]
        print(result.boxes[:, 2:] - result.boxes[:, :2], hidden.sum((1, 2)))
        ```
    """

    index: int
    time_s: float
    shot: int
    height: int
    width: int
    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    class_ids: npt.NDArray[np.int64]
    names: tuple[str, ...]
    track_ids: npt.NDArray[np.int64]
    rles: Mapping[MaskType, Sequence[dict[str, Any]]]
    visible_boxes: npt.NDArray[np.float32] | None = field(default=None)

    def __repr__(self) -> str:
        rows = zip(self.names, self.track_ids.tolist(), self.scores.tolist(), strict=True)
        found = [f"{name} {track} ({score:.2f})" for name, track, score in rows]
        objects = f"{counted(len(self), 'object')}{': ' * bool(found)}{few(found, SHOWN)}"
        return f"FrameResult(frame {self.index} at {self.time_s:.3f} s, {objects})"

    def __len__(self) -> int:
        return len(self.scores)

    def masks(self, mask_type: MaskType = "amodal") -> npt.NDArray[np.bool_]:
        """Bitmaps, bool [n, height, width], decoded on demand.

        Args:
            mask_type: "amodal" or "visible".

        Raises:
            InputError: the method does not predict this type.
        """
        codes = self._codes(mask_type)
        if not codes:
            return np.zeros((0, self.height, self.width), bool)
        return np.ascontiguousarray(coco_mask.decode(list(codes)).transpose(2, 0, 1)).astype(bool)

    def areas(self, mask_type: MaskType = "amodal") -> npt.NDArray[np.int64]:
        """Areas in pixels, int64 [n]; see `masks`."""
        codes = self._codes(mask_type)
        return np.asarray(coco_mask.area(list(codes)) if codes else [], np.int64)

    def visibility(self) -> npt.NDArray[np.float64]:
        """Visible area over amodal area, float64 [n], 0 to 1; NaN where the method predicts only
        one mask type, or the amodal mask is empty."""
        if len(self.rles) < len(MASK_TYPES):
            return np.full(len(self), np.nan)
        amodal = self.areas("amodal").astype(float)
        amodal[amodal == 0] = np.nan
        return np.minimum(self.areas("visible") / amodal, 1.0)

    def select(self, score: float = 0.0, class_ids: Collection[int] | None = None) -> FrameResult:
        """The objects with at least this score and of these classes (None: all).

        Raises:
            InputError: the score is not from 0 to 1, or an id is not a whole number.
        """
        check_score(score)
        keep = self.scores >= float(score)  # a float64 of NumPy would not be rounded as they are
        if class_ids is not None:
            keep &= np.isin(self.class_ids, several("class_ids", class_ids, Integral))
        rows = np.flatnonzero(keep)
        return replace(
            self,
            boxes=self.boxes[rows],
            scores=self.scores[rows],
            class_ids=self.class_ids[rows],
            names=tuple(self.names[row] for row in rows),
            track_ids=self.track_ids[rows],
            rles={key: [codes[row] for row in rows.tolist()] for key, codes in self.rles.items()},
            visible_boxes=None if self.visible_boxes is None else self.visible_boxes[rows],
        )

    def plot(self, frame: ImageArray, settings: DrawSettings | None = None) -> ImageArray:
        """The frame with its objects drawn: visible part filled, hidden part hatched, outline of
        the whole object, id and score.

        Args:
            frame: uint8 [height, width, 3] BGR, as OpenCV reads it; it is not changed.
            settings: what to draw (`DrawSettings`); None: the defaults.

        Raises:
            InputError: it is not such a frame, or not of this size.
        """
        from vatrack.reporting.video import DrawSettings, draw_frame

        check_array("the frame", frame)
        if frame.shape[:2] != (self.height, self.width):
            raise InputError(
                f"the frame is {frame.shape[1]} x {frame.shape[0]} pixels, its result is of one "
                f"with {self.width} x {self.height}; give the frame that was tracked"
            )
        if settings is not None:
            check_type("settings", settings, DrawSettings)
        return draw_frame(frame, self, settings)

    def to_coco(self) -> list[dict[str, Any]]:
        """One dict per object, as in COCO results; `image_id` is the frame number, `category_id`
        that of `class_ids`.

        `segmentation` is the amodal mask if there is one (with the visible mask as `visible`),
        otherwise the visible mask.
        """
        first = next(key for key in MASK_TYPES if key in self.rles)
        kept = ("image_id", "category_id", "score", "bbox", "track_id")
        items = []
        for line in self.to_predictions():
            item = {key: line[key] for key in kept} | {"segmentation": line[first]}
            if len(self.rles) > 1:
                item["visible"] = line["visible"]
            items.append(item)
        return items

    def to_predictions(self) -> list[dict[str, Any]]:
        """One dict per object as in contract 2, with `frame` and `time_s`."""
        return prediction_lines(
            self.index,
            self.class_ids,
            self.scores,
            self.track_ids,
            self.boxes,
            self.visible_boxes,
            self.rles,
            frame=self.index,
            time_s=round(self.time_s, 6),
        )

    def to_supervision(self, mask_type: MaskType | None = None) -> supervision.Detections:
        """The objects as `supervision.Detections`, for its annotators and tools.

        Args:
            mask_type: which masks; None: amodal ones if there are any.

        Raises:
            InputError: supervision is not installed, or broken.
        """
        try:
            import supervision
        except ImportError as error:
            if not is_missing("supervision", error):
                raise InputError(
                    "to_supervision needs the package supervision, which cannot be imported "
                    f"({error}); repair it with `pip install --force-reinstall supervision`"
                ) from error
            raise InputError(
                "to_supervision needs the package supervision; run `pip install supervision`"
            ) from None
        first: MaskType = "amodal" if "amodal" in self.rles else "visible"
        chosen = mask_type or first
        return supervision.Detections(
            xyxy=self.boxes.astype(np.float32).reshape(-1, 4),
            mask=self.masks(chosen),
            confidence=self.scores,
            class_id=self.class_ids.astype(int),
            tracker_id=self.track_ids.astype(int),
            data={"class_name": np.array(self.names, dtype=object).astype(str)},
        )

    def _codes(self, mask_type: MaskType) -> Sequence[dict[str, Any]]:
        if mask_type not in MASK_TYPES:
            raise InputError(unknown("mask type", mask_type, MASK_TYPES))
        if mask_type not in self.rles:
            have = " and ".join(self.rles)
            raise InputError(f"this method has no {mask_type} masks; use its {have} ones")
        return self.rles[mask_type]
