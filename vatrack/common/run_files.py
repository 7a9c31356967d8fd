"""Names of files in a run's folder that rooms below `runs` know, too; `RunFolder` has them all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CONFIG_FILE = "config.yaml"
METRICS_LOG_FILE = "metrics.jsonl"
PREDICTIONS_FILE = "predictions.jsonl.gz"
FRAMES_FILE = "frames.json"  # beside those of `vatrack track`: the frames of their video
SETTINGS_FILE = "inference.yaml"  # beside predictions: how they were made


def noted_of(notes: Mapping[str, Any]) -> dict[str, Any]:
    """What tells predictions from others, of the notes beside them: the checksum of their
    (unpacked) file, and their checkpoint. Older versions noted neither."""
    return {key: notes[key] for key in ("sha256", "checkpoint") if key in notes}
