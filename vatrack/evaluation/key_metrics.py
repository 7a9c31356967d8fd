"""The key metrics: the few of some hundred metrics that a run is judged by.

Progress of a training, closing summary, report and MLflow take them from here; which of them they
show, and in which words, is theirs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vatrack.common.mask_types import MASK_TYPES


@dataclass(frozen=True)
class KeyMetric:
    """A key metric.

    Attributes:
        short: its name as in the paper's tables, "vAP50"; `long`: in words, "video AP50".
        level, column: first and last part of its keys, "video" and "AP50" in "video/amodal/AP50".
        masks: what stands between them, in the order in which the values are shown.
    """

    short: str
    long: str
    level: str
    column: str
    masks: tuple[str, ...] = MASK_TYPES

    def key(self, mask_type: str) -> str:
        """Its name in metrics.json.

        >>> HOTA.key("visible")
        'track/visible/HOTA'
        """
        return f"{self.level}/{mask_type}/{self.column}"


VIDEO_AP50 = KeyMetric("vAP50", "video AP50", "video", "AP50")
VIDEO_AP = KeyMetric("vAP", "video AP", "video", "AP")
IMAGE_AP50 = KeyMetric("AP50", "image AP50", "image", "AP50")
HOTA = KeyMetric("HOTA", "HOTA", "track", "HOTA")
HIDDEN_IOU = KeyMetric("IoU", "IoU of hidden parts", "image", "IoU", ("hidden",))

KEY_METRICS = (VIDEO_AP50, VIDEO_AP, IMAGE_AP50, HOTA, HIDDEN_IOU)  # the first one matters most
ON_TERMINALS = (IMAGE_AP50, VIDEO_AP50, HOTA)  # a line has room for these


def key_lines(rows: Sequence[tuple[str, Mapping[str, float | None], str]]) -> list[str]:
    """The key metrics of runs for a terminal: two lines of headings, then a line for each run; a
    dash where a metric is undefined.

    Args:
        rows: name of a run, its metrics, and what stands behind them.
    """
    if not rows:
        return []
    keys = [(mask, metric.key(mask)) for metric in ON_TERMINALS for mask in metric.masks]
    width = max(len("run"), *(len(name) for name, _, _ in rows))
    above = "".join(f"  {metric.long:{9 * len(metric.masks) - 2}}" for metric in ON_TERMINALS)
    lines = [f"{'':{width}}{above}".rstrip()]
    lines.append(f"{'run':{width}}" + "".join(f"{mask:>9}" for mask, _ in keys))
    for name, metrics, more in rows:
        values = (metrics.get(key) for _, key in keys)
        shown = ("-" if value is None or value != value else f"{value:.1f}" for value in values)
        lines.append(f"{name:{width}}" + "".join(f"{text:>9}" for text in shown) + more)
    return lines
