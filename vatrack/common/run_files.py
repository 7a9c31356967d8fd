"""Names of files in a run's folder that rooms below `runs` know, too; `RunFolder` has them all."""

from __future__ import annotations

CONFIG_FILE = "config.yaml"
METRICS_LOG_FILE = "metrics.jsonl"
PREDICTIONS_FILE = "predictions.jsonl.gz"
FRAMES_FILE = "frames.json"  # beside those of `vatrack track`: the frames of their video
SETTINGS_FILE = "inference.yaml"  # beside predictions: how they were made
