"""The tracking tables: CLEAR-MOT, identity and HOTA measures of amodal and of visible masks."""

from __future__ import annotations

from collections.abc import Sequence

from vatrack.common.metric_names import lowest_is_best
from vatrack.reporting.checks import COUNTS
from vatrack.reporting.tables.means import Measured, Part, run_table
from vatrack.reporting.tables.names import RUN_TEXTS, run_row
from vatrack.reporting.tables.runs import Run
from vatrack.reporting.tables.table import Column, Table

COLUMNS = ("MOTA", "MOTP", "IDF1", "IDs", "MT", "ML", "HOTA", "DetA", "AssA")
TITLES = {"track_amodal": "Tracking, amodal masks", "track_visible": "Tracking, visible masks"}
TEXTS = RUN_TEXTS | {"matched_by": "Matched by"}
# What decides whether a detection meets an object, and the ending of its metrics' keys.
MATCHING = {"masks": "", "boxes": "_box"}
NOTE = (
    "MOTA, MOTP (mean IoU of the matches), IDF1, HOTA, DetA, AssA in %; IDs: identity switches; "
    "MT, ML: mostly tracked and mostly lost objects. Matched within classes, by IoU of masks or "
    "boxes; lower is better for IDs and ML. No such metrics were published for the methods."
)


def tracking_table(name: str, runs: Sequence[Run], *, means: bool = False) -> Table:
    """One of `TITLES`: a row for each run whose method predicts these masks.

    A run has a second row for its boxes, where they were evaluated. `means`: whether seeds are
    summed up (`means.run_table`).
    """
    mask_type = name.split("_")[1]
    parts: list[Part] = []
    for matched_by, ending in MATCHING.items():
        prefix = f"track/{mask_type}{ending}/"
        found: list[Measured] = []
        for run in runs:
            measured = not ending or any(key.startswith(prefix) for key in run.metrics)
            if mask_type in run.method.masks and measured:
                found.append((run, [run.metrics.get(prefix + key) for key in COLUMNS]))
        rows = [run_row(run, matched_by, values, matched_by) for run, values in found]
        parts.append(Part(rows, found, matched_by))
    columns = [track_column(key, key, key) for key in COLUMNS]
    shown = [run for run in runs if mask_type in run.method.masks]
    return run_table(name, TITLES[name], NOTE, TEXTS, columns, parts, shown, means=means)


def track_column(metric: str, key: str, name: str, group: str = "") -> Column:
    """The column of a tracking metric: counts have no decimals, and of some the lowest is best."""
    return Column(key, name, group, 0 if metric in COUNTS else 1, lowest_is_best(metric))
