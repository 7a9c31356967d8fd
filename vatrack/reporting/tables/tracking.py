"""The tracking tables: CLEAR-MOT, identity and HOTA measures of amodal and of visible masks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from vatrack.reporting.tables.model import Cell, Column, Row, Table, mark_best
from vatrack.reporting.tables.names import run_row
from vatrack.reporting.tables.runs import Run

COLUMNS = ("MOTA", "MOTP", "IDF1", "IDs", "MT", "ML", "HOTA", "DetA", "AssA")
COUNTS = ("IDs", "MT", "ML")
LOWEST_IS_BEST = ("IDs", "ML")
TITLES = {"track_amodal": "Tracking, amodal masks", "track_visible": "Tracking, visible masks"}
KEYS = ("method", "backbone", "label", "dataset", "matched_by")
HEADINGS = ("Method", "Backbone", "Data set", "Matched by")
# What decides whether a detection meets an object, and the ending of its metrics' keys.
MATCHING = {"masks": "", "boxes": "_box"}
NOTE = (
    "MOTA, MOTP (mean IoU of the matches), IDF1, HOTA, DetA, AssA in %; IDs: identity switches; "
    "MT, ML: objects mostly "
    "tracked, mostly lost. Matched within classes, by IoU of the masks or of the boxes; IDs and ML "
    "are best where low. "
    "No such figures were published for the methods."
)


def tracking_table(name: str, runs: Sequence[Run]) -> Table:
    """One of `TITLES`, with a row for each run whose method predicts these masks, and one for its
    boxes where measured."""
    kind = name.split("_")[1]
    rows: list[Row] = []
    for matched_by, ending in MATCHING.items():
        prefix = f"track/{kind}{ending}/"
        shown = [
            run
            for run in runs
            if kind in run.method.masks
            and (not ending or any(key.startswith(prefix) for key in run.metrics))
        ]
        for _, members in groupby(shown, key=lambda run: run.dataset):
            group = list(members)
            columns = [
                mark_best(
                    [figure(run.metrics.get(prefix + name), name) for run in group],
                    lowest=name in LOWEST_IS_BEST,
                )
                for name in COLUMNS
            ]
            rows += [
                run_row(run, matched_by, cells, matched_by)
                for run, cells in zip(group, zip(*columns, strict=True), strict=True)
            ]
    return Table(
        name,
        TITLES[name],
        NOTE,
        KEYS,
        HEADINGS,
        tuple(Column(key, key) for key in COLUMNS),
        tuple(rows),
    )


def figure(value: float | None, name: str) -> Cell:
    """A tracking figure: a count, or in percent."""
    return Cell(value, decimals=0 if name in COUNTS else 1)
