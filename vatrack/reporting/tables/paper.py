"""The paper's four tables (spec 6.5): mask AP of frames and of tracks, and what was published."""

from __future__ import annotations

from collections.abc import Sequence

from vatrack.reporting.tables.means import Measured, Part, run_table
from vatrack.reporting.tables.names import (
    BACKBONE_NAMES,
    METHOD_NAMES,
    RUN_TEXTS,
    dataset_name,
    run_row,
)
from vatrack.reporting.tables.published import Published
from vatrack.reporting.tables.runs import Run
from vatrack.reporting.tables.table import Column, Row, Table

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
TEXTS = RUN_TEXTS | {"source": "Source"}
MEASURED, DIFFERENCE, PUBLISHED = "this run", "difference", "published"


def paper_table(
    name: str, runs: Sequence[Run], published: Published, *, means: bool = False
) -> Table:
    """One of `TITLES`: a row for each run whose method predicts these masks.

    Below a run stands how far it is from the published metrics, only where dataset, backbone and
    method are the same. The best are marked among the runs on one dataset. `means`: whether seeds
    are summed up (`means.run_table`).
    """
    level, mask_type = name.split("_")
    theirs = {
        method: dict(zip(published.columns, values, strict=True))
        for method, values in published.tables[name].items()
    }
    shown = [run for run in runs if mask_type in run.method.masks]
    rows: list[Row] = []
    measured: list[Measured] = []
    for run in shown:
        values = [run.metrics.get(f"{level}/{mask_type}/{key}") for key in COLUMNS.values()]
        rows.append(run_row(run, MEASURED, values, "measured"))
        if run.method in theirs and not _obstacle(run, published):
            pairs = zip(values, (theirs[run.method][column] for column in COLUMNS), strict=True)
            differences = [None if ours is None else ours - other for ours, other in pairs]
            rows.append(run_row(run, DIFFERENCE, differences, "measured", signed=True))
        measured.append((run, values))
    quoted: list[Row] = []
    for method, metrics in theirs.items():
        key = method.value, published.backbone.value, "", published.dataset, PUBLISHED
        backbone, dataset = BACKBONE_NAMES[published.backbone], dataset_name(published.dataset)
        names = METHOD_NAMES[method], backbone, dataset, PUBLISHED
        values = [metrics[column] for column in COLUMNS]
        quoted.append(Row(key, names, values, PUBLISHED, quoted=True))
    columns = [Column(key, ap_name(key, level)) for key in COLUMNS]
    note = _note(columns[0].name, shown, published)
    of_tracks = shown if level == "video" else ()
    parts = [Part(rows, measured), Part(quoted)]
    return run_table(name, TITLES[name], note, TEXTS, columns, parts, of_tracks, means=means)


def ap_name(metric: str, level: str) -> str:
    """What readers see above a column of an AP: that of whole tracks is vAP in the paper."""
    return f"v{metric}" if level == "video" and metric.startswith("AP") else metric


def _obstacle(run: Run, published: Published) -> str:
    """Why a run cannot be compared with what was published; empty if it can."""
    if run.dataset is None:
        return "an unknown dataset (name it by a config.yaml beside the metrics)"
    if run.dataset != published.dataset:
        return f"another dataset ({dataset_name(run.dataset)})"
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
        f"heavy occlusion; L, M, S: large, medium, small area. Published: the authors' results for "
        f"{where}, not measured here; source: {published.source}."
    )
    if "" in obstacles:
        note += " Difference: this run minus published."
    if reasons := " or ".join(filter(None, obstacles)):
        note += f" Not comparable, so no difference is given for runs with {reasons}."
    return note
