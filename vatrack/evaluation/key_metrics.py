"""The key metrics: the few of some hundred metrics that a run is judged by.

Progress of a training, closing summary, report and MLflow take them from here; which of them they
show, and in which words, is theirs.
"""

from __future__ import annotations

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
