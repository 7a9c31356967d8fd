"""The tables of what the paper does not have: AP of boxes, average recall, hidden parts."""

from __future__ import annotations

from collections.abc import Sequence

from vatrack.reporting.tables.means import Measured, Part, run_table
from vatrack.reporting.tables.names import run_row
from vatrack.reporting.tables.paper import MEASURED, TEXTS
from vatrack.reporting.tables.runs import Run
from vatrack.reporting.tables.table import Column, Table

RECALLS = ("AR1", "AR10", "AR100")
# Heading above the columns: beginning of the metrics' keys, metrics.
GROUPS = {
    "Boxes": ("image/{}_box/", ("AP", "AP50", "AP75")),
    "Frames": ("image/{}/", RECALLS),
    "Tracks": ("video/{}/", RECALLS),
}
HIDDEN = {"IoU": "IoU", "P": "IoU_P", "OM": "IoU_OM", "H": "IoU_H", "Recall": "Recall"}
TITLES = {
    "extended_amodal": "Boxes and recall, amodal masks",
    "extended_visible": "Boxes and recall, visible masks",
    "extended_hidden": "Hidden parts",
}
NOTE = (
    "In %. Boxes: AP of boxes per frame. Frames, tracks: average recall of masks with the best 1, "
    "10 and 100 detections per class and frame, or tracks per class and video."
)
HIDDEN_NOTE = (
    "In %. IoU: mean IoU of the hidden parts (amodal without visible) of the objects detected by "
    "their visible mask; P, OM, H: partial, medium and heavy occlusion. Recall: share of the "
    "objects with a hidden part that are detected."
)


def extended_tables(runs: Sequence[Run], *, means: bool = False) -> tuple[Table, ...]:
    """Those of `TITLES` for which some run has metrics: a row for each run that has the masks.

    `means`: whether seeds are summed up (`means.run_table`).
    """
    return tuple(table for name in TITLES if (table := _table(name, runs, means)).rows)


def _table(name: str, runs: Sequence[Run], means: bool) -> Table:
    masks = name.split("_")[1]
    if masks == "hidden":
        keys = [f"image/hidden/{key}" for key in HIDDEN.values()]
        columns, note = [Column(column, column) for column in HIDDEN], HIDDEN_NOTE
    else:
        keys, columns, note = [], [], NOTE
        for group, (prefix, metrics) in GROUPS.items():
            keys += [prefix.format(masks) + metric for metric in metrics]
            columns += [Column(f"{group.lower()} {metric}", metric, group) for metric in metrics]
    measured: list[Measured] = [
        (run, [run.metrics.get(key) for key in keys])
        for run in runs
        if any(key in run.metrics for key in keys)
    ]
    rows = [run_row(run, MEASURED, values, "measured") for run, values in measured]
    # No method's masks are hidden parts, which tracks do not matter to.
    of_tracks = [run for run in runs if masks in run.method.masks]
    parts = [Part(rows, measured)]
    return run_table(name, TITLES[name], note, TEXTS, columns, parts, of_tracks, means=means)
