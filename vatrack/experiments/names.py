"""The names that a run's numbers have in MLflow.

MLflow draws a group of charts for what stands before the last slash of a name, the groups in the
order of the alphabet, and after them what has no slash: losses, one point per validation, final
metrics by evaluation and mask type, then the rest of the training's numbers, the main metrics.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vatrack.evaluation.key_metrics import KEY_METRICS

LOSSES, VALIDATIONS, RESULTS, TRAINING = "loss", "per-epoch validation", "results", "training"
# In every line of metrics.jsonl of their type, and sent last: they tell which lines have arrived.
EPOCH = f"{TRAINING}/epoch"
VALIDATED_EPOCH = f"{VALIDATIONS}/epoch"

# The columns of the table of runs, the same names as in the paper's tables.
MAIN = {
    f"{mask} {metric.short}" if mask == "hidden" else f"{metric.short} {mask}": metric.key(mask)
    for metric in KEY_METRICS
    for mask in metric.masks
}


def training_values(terms: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of a training line: `loss_mask` becomes `loss/mask`, their sum `loss/all`."""
    return {_training_name(name): value for name, value in terms.items()}


def _training_name(name: str) -> str:
    if name.startswith("loss"):
        return f"{LOSSES}/{'all' if name == 'loss' else name.removeprefix('loss_')}"
    return name if "/" in name else f"{TRAINING}/{name}"


def result_name(metric: str) -> str:
    """The name of a final metric: `image/amodal/AP50` becomes `results image amodal/AP50`."""
    *group, short = metric.split("/")
    return f"{' '.join([RESULTS, *group]).replace('_', ' ')}/{short}"


def curves(metrics: Mapping[str, Any], selected: str | None = None) -> dict[str, Any]:
    """What is shown of a validation: the main metrics, and the one that the choice goes by."""
    shown = {name: metrics[metric] for name, metric in MAIN.items() if metric in metrics}
    if selected and selected in metrics and selected not in MAIN.values():
        shown[selected.replace("/", " ")] = metrics[selected]
    return {f"{VALIDATIONS}/{name}": value for name, value in shown.items()}


def results(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """All final metrics in their groups; and the main ones, with the decimals of a table."""
    known = {name: metrics.get(metric) for name, metric in MAIN.items()}
    main = {name: round(value, 2) for name, value in known.items() if value is not None}
    return main | {result_name(metric): value for metric, value in metrics.items()}
