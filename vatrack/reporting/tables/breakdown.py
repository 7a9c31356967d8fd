"""Tables by class and by video, with columns for every run."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Literal

from vatrack.reporting.tables.names import dataset_name, short_names, with_reason, with_warning
from vatrack.reporting.tables.paper import TITLES as PAPER_TITLES
from vatrack.reporting.tables.paper import ap_name
from vatrack.reporting.tables.runs import Run
from vatrack.reporting.tables.table import Column, Row, Table, make_table
from vatrack.reporting.tables.tracking import TITLES as TRACKING_TITLES
from vatrack.reporting.tables.tracking import track_column

TITLES = PAPER_TITLES | TRACKING_TITLES
AP_METRICS = ("AP", "AP50")
TRACK_METRICS = ("MOTA", "IDF1", "HOTA", "IDs")
ALL = "all"
FILES = {"class": "classes", "video": "videos"}


def breakdown_table(what: Literal["class", "video"], name: str, runs: Sequence[Run]) -> Table:
    """The table `classes_<name>` or `videos_<name>`.

    It has a row for each class or video (clip) that some run has metrics for, and one of all
    together, from the metrics; runs without any metric are left out.
    """
    known = [run.details for run in runs if run.details]
    if what == "class":
        details = [run.details.per_class if run.details else {} for run in runs]
        classes = dict.fromkeys(chain.from_iterable(own.classes for own in known))
        order = {label: number for number, label in enumerate(classes)}
        note = "A dash: no evaluated object of the class, or not measured."
    else:
        details = [run.details.per_video if run.details else {} for run in runs]
        order = {}
        note = (
            "Every video is evaluated separately. A dash: no evaluated object in the video, or not "
            "measured."
        )
    evaluation, every = name.replace("_", "/"), runs
    pairs = zip(runs, details, strict=True)
    measured = [(run, own[evaluation]) for run, own in pairs if own.get(evaluation)]
    runs = [run for run, _ in measured]
    tracking = name.startswith("track")
    wanted = TRACK_METRICS if tracking else AP_METRICS
    columns, across = [], []
    for metric in wanted:
        for run, short in zip(runs, short_names(runs), strict=True):
            key = f"{metric} {run.key}"
            if len({other.dataset for other in runs}) > 1:
                key += f" on {dataset_name(run.dataset)}"
            shown = ap_name(metric, name.split("_")[0])
            head = (short, shown) if len(runs) > 1 else (shown, "")
            columns.append(track_column(metric, key, *head) if tracking else Column(key, *head))
            across.append(f"{metric} on {run.dataset}")
    labels = list(dict.fromkeys(chain.from_iterable(own for _, own in measured)))
    labels.sort(key=lambda label: order.get(label, len(order)))
    rows = []
    for label in labels:
        values = [own.get(label, {}).get(metric) for metric in wanted for _, own in measured]
        rows.append(Row([label], [label], values))
    if rows:
        overall = [run.metrics.get(f"{evaluation}/{metric}") for metric in wanted for run in runs]
        rows.append(Row([ALL], [ALL], overall, ALL))
    title = f"{TITLES[name]}, by {what}"
    if len(runs) == 1:
        title = f"{title}: {short_names(runs)[0]}"
    if not runs:
        note = f"No run has metrics by {what} for these masks."
        if not name.startswith("image"):
            note = with_reason(note, every)
    note = with_warning(note, runs)
    unit = "MOTA, IDF1, HOTA in %, IDs: identity switches." if tracking else "Mask AP in %."
    texts: dict[str, str] = {what: what.capitalize()}
    return make_table(
        f"{FILES[what]}_{name}", title, f"{unit} {note}", texts, columns, rows, across
    )
