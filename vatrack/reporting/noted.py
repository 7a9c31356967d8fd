"""What a run has noted of the evaluation of its metrics: by which settings, with which ground
truth. One rule says in what those of two runs differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from vatrack.common.mask_types import MaskType
from vatrack.common.value_files import read_yaml
from vatrack.config import EvaluationConfig
from vatrack.runs.folder import RunFolder

# What is no setting; or changes no other metric, and metrics that one run lacks are left out.
NO_SETTINGS = {"ground_truth", "predictions", "extended"}
LIMIT = "video_max_occlusion"


class Difference(NamedTuple):
    """What differs between two evaluations, in words; and what it is in the one and the other."""

    what: str
    values: tuple[str, str]


@dataclass(frozen=True)
class Noted:
    """The content of evaluation.yaml; what older versions did not note is missing.

    Attributes:
        truth: the checksum of the joint ground truth, as `joint`.
        tracks: those of the video metrics by mask type: the checksum of a file, or the limit by
            which they were derived.
        settings: those that change metrics, by their keys; a missing one has its default.
    """

    truth: Mapping[str, Any] = field(default_factory=dict)
    tracks: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def differences(self, other: Noted) -> list[Difference]:
        """What keeps two evaluations from being compared, of what both say."""
        parts = {
            "ground truth": (self.truth, other.truth),
            "ground truth of tracks": (self.tracks, other.tracks),
            "evaluation settings": (self.settings, other.settings),
        }
        found = []
        for what, (mine, its) in parts.items():
            names = [name for name in mine if name in its and mine[name] != its[name]]
            one, two = (", ".join(f"{name}: {own[name]}" for name in names) for own in (mine, its))
            found += [Difference(what, (one, two))] * bool(names)
        return found


def read_noted(folder: RunFolder, masks: Sequence[MaskType]) -> Noted:
    """What stands beside the metrics of a run whose method predicts these masks.

    Raises:
        InputError: it is no valid YAML.
    """
    values = read_yaml(folder.evaluation) if folder.evaluation.is_file() else None
    if not isinstance(values, dict) or not values:
        return Noted()
    truth = values.get("ground_truth")
    truth = truth if isinstance(truth, dict) else {}
    derived = {mask_type: f"{LIMIT} {truth[LIMIT]}" for mask_type in masks if LIMIT in truth}
    settings = EvaluationConfig().model_dump(mode="json") | values
    return Noted(
        {key: truth[key] for key in ("joint",) if key in truth},
        derived | {key: truth[key] for key in masks if key in truth},
        {key: value for key, value in settings.items() if key not in NO_SETTINGS},
    )
