"""What a run has noted of the evaluation of its metrics: by which settings, with which ground
truth."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from vatrack.common.value_files import read_yaml
from vatrack.runs.folder import RunFolder

# What is noted of the ground truth, as messages call it.
TRUTHS = {
    "joint": "ground truth",
    "amodal": "ground truth of amodal tracks",
    "visible": "ground truth of visible tracks",
    "video_max_occlusion": "occlusion limits of the tracks",
}


@dataclass(frozen=True)
class Noted:
    """The content of evaluation.yaml; what older versions did not note is missing.

    Attributes:
        settings: those that change metrics, by their keys.
        truth: checksums by the keys of `TRUTHS`.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    truth: dict[str, Any] = field(default_factory=dict)

    def differing(self, other: Noted) -> list[str]:
        """What keeps two evaluations from being compared, of what both say."""
        pairs = (self.truth, other.truth), (self.settings, other.settings)
        truths, settings = (
            [key for key in mine.keys() & its.keys() if mine[key] != its[key]]
            for mine, its in pairs
        )
        names = [what for key, what in TRUTHS.items() if key in truths]
        return [*names, "evaluation settings"] if settings else names


def read_noted(folder: RunFolder) -> Noted:
    """What stands beside the metrics of a run.

    Raises:
        InputError: it is no valid YAML.
    """
    values = read_yaml(folder.evaluation) if folder.evaluation.is_file() else None
    settings = dict(values) if isinstance(values, dict) else {}
    truth = settings.pop("ground_truth", None)
    # It changes no other metric, and metrics that one run does not have are left out.
    settings.pop("extended", None)
    return Noted(settings, truth if isinstance(truth, dict) else {})
