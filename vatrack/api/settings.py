"""What is wanted of tracked videos, and what was found in them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from vatrack.api.choices import Cuts, lowest_score
from vatrack.api.frames import exact_rate
from vatrack.common.arguments import check_flag, check_score, check_type, make_plain, several
from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.similar import unknown
from vatrack.config.classes import shown_name
from vatrack.reporting.video import DrawSettings
from vatrack.video.frames import Selection
from vatrack.video.writer import Encoder


@dataclass(frozen=True)
class TrackSettings:
    """Settings for tracking videos.

    Attributes:
        score: objects below it (0 to 1) are not written or drawn; below the thresholds of the
            checkpoint, it lowers them (`Predictor.with_score`). None: 0.5, which lowers none.
        classes: names, or a single one; None: all.
        selection: start, end and step.
        rate: frames per second of sources without times; None: 25.
        cuts: "detect": hard cuts end all tracks; "none": a video is one shot.
        overlay: whether to write a video with the objects.
        draw: what the video shows.
        encoder: its video encoder, "openh264", "x264" or "vp9".
        sound: whether to copy the sound.
        masks: whether to save masks as PNG files.
        crops: whether to save cropped objects as PNG files.
        show: whether to show frames while tracking; q or Escape stops, also further sources.
        overwrite: whether to overwrite results of an earlier run.

    Raises:
        InputError: a value is unknown, out of range or of a wrong type.

    Example:
        ```python
        settings = vatrack.TrackSettings(score=0.3, classes=("person", "car"), masks=True)
        ```
    """

    score: float | None = None
    classes: tuple[str, ...] | None = None
    selection: Selection = field(default_factory=Selection)
    rate: float | None = None
    cuts: Cuts = "detect"
    overlay: bool = True
    draw: DrawSettings = field(default_factory=DrawSettings)
    encoder: Encoder = "openh264"
    sound: bool = True
    masks: bool = False
    crops: bool = False
    show: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        check_score(self.lowest_score)
        exact_rate(self.rate)
        check_type("selection", self.selection, Selection)
        check_type("draw", self.draw, DrawSettings)
        for name in ("overlay", "sound", "masks", "crops", "show", "overwrite"):
            check_flag(name, getattr(self, name))
        if self.classes is not None:
            object.__setattr__(self, "classes", several("classes", self.classes, str))
        for name, value, known in (
            ("cuts", self.cuts, get_args(Cuts)),
            ("encoder", self.encoder, get_args(Encoder)),
        ):
            if value not in known:
                raise InputError(unknown(name, value, known))
        make_plain(self)

    @property
    def lowest_score(self) -> float:
        """Of objects that are written and drawn."""
        return lowest_score(self.score)


@dataclass(frozen=True)
class Tracked:
    """Result of tracking a video.

    Attributes:
        source: the video, as it was given; `folder`: of its results; `frames`: their number.
        tracks: number of tracks by class.
        seconds: by step: "decode", "network", "draw", "encode", "write", and "all". The steps
            overlap, except "draw", "encode" and "write".
        notes: unusual properties of the source; also logged as warnings.
        truncated: the source ended early or was damaged.
        stopped: tracking was interrupted.
    """

    source: str
    folder: Path
    frames: int
    tracks: Counter[str]
    seconds: dict[str, float]
    notes: tuple[str, ...]
    truncated: bool
    stopped: bool

    def __str__(self) -> str:
        whole = self.seconds["all"]
        found = ", ".join(
            f"{count} {shown_name(name) if ',' in name else name}"
            for name, count in self.tracks.most_common()
        )
        rate = self.frames / whole if whole > 0 else 0.0
        state = ", stopped early" if self.stopped else ""
        return "\n".join(
            [
                f"{self.source}: {counted(self.frames, 'frame')} in "
                f"{whole:.1f} s ({rate:.1f} frames a second){state}",
                f"  tracks: {self.tracks.total()}" + (f" ({found})" if found else ""),
                f"  files: {self.folder}",
            ]
        )
