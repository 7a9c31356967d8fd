"""The paper's four tables (spec 6.5): mask AP frame by frame and of whole tracks, with the
published figures."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from vatrack.reporting.tables.model import Cell, Column, Row, Table, mark_best
from vatrack.reporting.tables.names import BACKBONE_NAMES, METHOD_NAMES, dataset_name, run_row
from vatrack.reporting.tables.published import Published
from vatrack.reporting.tables.runs import Run

# Column of the paper: key of the metrics (contract 4). M is medium area; medium occlusion is in no
# table (quirk E6).
COLUMNS = {
    "AP": "AP",
    "AP50": "AP50",
    "P": "AP50_P",
    "H": "AP50_H",
    "L": "AP50_L",
    "M": "AP50_M",
    "S": "AP50_S",
}
TITLES = {
    "image_amodal": "Frame level, amodal masks",
    "image_visible": "Frame level, visible masks",
    "video_amodal": "Video level, amodal masks",
    "video_visible": "Video level, visible masks",
}
KEYS = ("method", "backbone", "label", "dataset", "source")
HEADINGS = ("Method", "Backbone", "Data set", "Source")
MEASURED, DIFFERENCE, PUBLISHED = "this run", "difference", "published"


def paper_table(name: str, runs: Sequence[Run], published: Published) -> Table:
    """One of `TITLES`, with a row for each run whose method predicts these masks.

    Below a run stands how far it is from the published figure, only where data set, backbone and
    method are the same. Best figures are marked among the runs on one data set.
    """
    level, kind = name.split("_")
    shown = [run for run in runs if kind in run.method.masks]
    rows: list[Row] = []
    for _, members in groupby(shown, key=lambda run: run.dataset):
        group = list(members)
        figures = [
            [run.metrics.get(f"{level}/{kind}/{key}") for key in COLUMNS.values()] for run in group
        ]
        marked = zip(
            *(
                mark_best([Cell(value) for value in column])
                for column in zip(*figures, strict=True)
            ),
            strict=True,
        )
        for run, cells, values in zip(group, marked, figures, strict=True):
            rows.append(run_row(run, MEASURED, cells, "measured"))
            if not _obstacle(run, published) and (theirs := published.tables[name].get(run.method)):
                rows.append(
                    run_row(
                        run,
                        DIFFERENCE,
                        [_difference(a, theirs[b]) for a, b in zip(values, COLUMNS, strict=True)],
                        "measured",
                    )
                )
    for method, theirs in published.tables[name].items():
        names = (
            METHOD_NAMES[method],
            BACKBONE_NAMES[published.backbone],
            dataset_name(published.dataset),
            PUBLISHED,
        )
        cells = tuple(Cell(theirs[column]) for column in COLUMNS)
        key = method.value, published.backbone.value, "", published.dataset, PUBLISHED
        rows.append(Row(key, names, cells, PUBLISHED, quoted=True))
    columns = [
        Column(key, f"v{key}" if level == "video" and key.startswith("AP") else key)
        for key in COLUMNS
    ]
    note = _note(columns[0].name, shown, published)
    return Table(name, TITLES[name], note, KEYS, HEADINGS, tuple(columns), tuple(rows))


def _difference(ours: float | None, theirs: float) -> Cell:
    return Cell(None if ours is None else ours - theirs, signed=True)


def _obstacle(run: Run, published: Published) -> str:
    """Why a run cannot be compared with the published figures; empty if it can."""
    if run.dataset is None:
        return "a data set that nothing names (`--dataset` does)"
    if run.dataset != published.dataset:
        return f"another data set ({dataset_name(run.dataset)})"
    return (
        ""
        if run.backbone == published.backbone
        else f"another backbone ({BACKBONE_NAMES[run.backbone]})"
    )


def _note(average: str, runs: Sequence[Run], published: Published) -> str:
    obstacles = list(dict.fromkeys(_obstacle(run, published) for run in runs))
    where = (
        f"{dataset_name(published.dataset)} ({published.subset}) with "
        f"{BACKBONE_NAMES[published.backbone]}"
    )
    note = (
        f"Mask AP in %: {average} over IoU 0.50 to 0.95, the others at IoU 0.5; P, H: partial and "
        f"heavy occlusion; "
        f"L, M, S: large, medium, small area. Published: the authors' figures for {where}, not "
        f"measured here; "
        f"source: {published.source}."
    )
    if "" in obstacles:
        note += " Difference: this run minus published."
    if reasons := " or ".join(filter(None, obstacles)):
        note += f" Not comparable with them, so without a difference: runs with {reasons}."
    return note
