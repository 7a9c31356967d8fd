"""What an evaluation reached, for people: its metrics as a table, and what was counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vatrack.common.counted import counted
from vatrack.common.mask_types import MASK_TYPES
from vatrack.common.metric_names import (
    AP_COLUMNS,
    AR_COLUMNS,
    HIDDEN_COLUMNS,
    TRACK_COLUMNS,
    TRACK_TYPES,
)
from vatrack.config.classes import shown_name
from vatrack.evaluation.ap.precision import Metrics
from vatrack.evaluation.io.prediction_file import SAME_SUBSET
from vatrack.evaluation.one_video import VideoResult

LEAST_AP50 = 1.0  # percent; networks that have learnt anything reach more
NO_TRACKS = "Video and track metrics are undefined: the ground truth has no tracks."


@dataclass(frozen=True)
class Evaluated:
    """What `evaluate_inputs` evaluated and wrote.

    `metrics`: by name, in percent; `detections`, in `images_seen` of `images`, `videos_seen` of
    `videos`, without those `left_out`, of classes that are not wanted; `tracks`, `mixed` of which
    have detections of more than one class: allowed, but worth a look; `names`: those of the videos;
    `sure`: the predictions are known to be for these videos; `settings`: what is noted beside the
    metrics of a run (`file_set.noted_settings`), where that is wanted.
    """

    out: Path
    metrics: Metrics
    detections: int
    images_seen: int
    images: int
    videos_seen: int
    videos: int
    tracks: int
    mixed: int
    left_out: int = 0
    names: Sequence[Any] = ()
    sure: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls, out: Path, metrics: Metrics, results: Sequence[VideoResult], names: Sequence[Any]
    ) -> Evaluated:
        """Sums up the results of all videos."""
        return cls(
            out,
            metrics,
            detections=sum(result.detections for result in results),
            images_seen=sum(result.seen for result in results),
            images=sum(result.images for result in results),
            videos_seen=sum(bool(result.seen) for result in results),
            videos=len(results),
            tracks=sum(result.tracks for result in results),
            mixed=sum(result.mixed for result in results),
            left_out=sum(result.left_out for result in results),
            names=names,
        )

    def __str__(self) -> str:
        found = "the file has no predictions; all metrics are those of an empty result"
        if self.left_out:
            found = (
                "no prediction is left, because their classes are not in the ground truth or "
                "dropped (--class-map); all metrics are those of an empty result"
            )
        if self.detections:
            found = (
                f"{counted(self.detections, 'detection')} in {self.images_seen} of "
                f"{counted(self.images, 'image')}, {self.videos_seen} of "
                f"{counted(self.videos, 'video')}{self._ends()}; {counted(self.tracks, 'track')}"
            )
            if self.mixed:
                found += f", {self.mixed} of them with detections of more than one class"
            if self.left_out:
                found += (
                    f"; {counted(self.left_out, 'detection')} left out, of classes that are not in "
                    "the ground truth or dropped"
                )
            few = 2 * self.videos_seen < self.videos
            if not self.sure and (few or self._fits_nowhere()):
                found += f" (if the predictions are for another subset, {SAME_SUBSET})"
        if without_tracks(self.metrics):
            found += f"\n{NO_TRACKS}"
        return f"wrote {self.out}: {found}\n\n{format_metrics(self.metrics)}"

    def _ends(self) -> str:
        """Which videos: the ids of images are often the same in both subsets."""
        if not self.names:
            return ""
        first, last = (shown_name(str(self.names[place]))[1:-1] for place in (0, -1))
        return f" ({first})" if first == last else f" ({first} to {last})"

    def _fits_nowhere(self) -> bool:
        """Whether hardly any detection is where an object is, as in frames of other videos."""
        keys = (f"image/{mask_type}/AP50" for mask_type in MASK_TYPES)
        found = [value for key in keys if (value := self.metrics.get(key)) is not None]
        return bool(found) and max(found) < LEAST_AP50


def without_tracks(metrics: Mapping[str, float | None]) -> bool:
    """Whether metrics are of images that stand alone: the counts of tracks are undefined there."""
    counts = [key for key in metrics if key.startswith("track/") and key.endswith("/FN")]
    return bool(counts) and all(metrics[key] is None for key in counts)


def metric_order(key: str) -> tuple[int, ...]:
    """Sorts names of flat metrics: images, videos, tracks; mask types; columns."""
    level, mask_type, column = key.split("/")
    columns = AP_COLUMNS + AR_COLUMNS + HIDDEN_COLUMNS + TRACK_COLUMNS
    return (
        ("image", "video", "track").index(level),
        (*TRACK_TYPES, "hidden").index(mask_type),
        columns.index(column),
    )


def format_metrics(metrics: Metrics) -> str:
    """A plain table of the flat metrics for a terminal; a dash where a metric is undefined."""
    lines = []
    for columns, levels, names in (
        (AP_COLUMNS + AR_COLUMNS, ("image", "video"), TRACK_TYPES),
        (HIDDEN_COLUMNS, ("image",), ("hidden",)),
        (TRACK_COLUMNS, ("track",), TRACK_TYPES),
    ):
        found = [f"{level}/{name}" for level in levels for name in names]
        rows = [row for row in found if f"{row}/{columns[0]}" in metrics]
        shown = [column for column in columns if any(f"{row}/{column}" in metrics for row in rows)]
        if rows:
            lines.append(f"{'':17}" + "".join(f"{column:>9}" for column in shown))
        for row in rows:
            values = [_shown(metrics.get(f"{row}/{column}")) for column in shown]
            lines.append(f"{row:17}" + "".join(f"{value:>9}" for value in values))
    return "\n".join(lines)


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:z.1f}"
