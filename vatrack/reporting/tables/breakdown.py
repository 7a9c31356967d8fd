"""Tables by class and by video, with columns for every run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

from vatrack.config.categories import CATEGORIES
from vatrack.reporting.tables.details import Figures
from vatrack.reporting.tables.model import Cell, Column, Row, Table, mark_best
from vatrack.reporting.tables.names import dataset_name, short_names
from vatrack.reporting.tables.paper import TITLES as PAPER_TITLES
from vatrack.reporting.tables.runs import Run
from vatrack.reporting.tables.tracking import LOWEST_IS_BEST, figure
from vatrack.reporting.tables.tracking import TITLES as TRACKING_TITLES

TITLES = PAPER_TITLES | TRACKING_TITLES
AP_FIGURES = ("AP", "AP50")
TRACK_FIGURES = ("MOTA", "IDF1", "HOTA", "IDs")
ALL = "all"


def class_table(name: str, runs: Sequence[Run]) -> Table:
    """The table `classes_<name>`: a row for each of the classes that some run has figures for."""
    parts = [
        run.details.per_class.get(_evaluation(name), {}) if run.details else {} for run in runs
    ]
    found = list(dict.fromkeys(chain.from_iterable(parts)))
    found.sort(
        key=lambda label: CATEGORIES.index(label) if label in CATEGORIES else len(CATEGORIES)
    )
    note = "A dash: no object of the class that counts, or not measured."
    return _table(
        f"classes_{name}", f"{TITLES[name]}, by class", note, "class", found, name, runs, parts
    )


def video_table(name: str, runs: Sequence[Run]) -> Table:
    """The table `videos_<name>`: a row for each of the videos (clips) that some run has figures
    for."""
    parts = [
        run.details.per_video.get(_evaluation(name), {}) if run.details else {} for run in runs
    ]
    found = list(dict.fromkeys(chain.from_iterable(parts)))
    note = (
        "Every video is evaluated by itself. A dash: no object in it that counts, or not measured."
    )
    return _table(
        f"videos_{name}", f"{TITLES[name]}, by video", note, "video", found, name, runs, parts
    )


def _evaluation(name: str) -> str:
    return name.replace("_", "/")


def _table(
    file: str,
    title: str,
    note: str,
    what: str,
    found: Sequence[str],
    name: str,
    runs: Sequence[Run],
    parts: Sequence[Mapping[str, Figures]],
) -> Table:
    """Leaves out the runs without any figure; adds the row of all classes or videos together, from
    the metrics."""
    chosen = [number for number, part in enumerate(parts) if part]
    runs, parts = [runs[number] for number in chosen], [parts[number] for number in chosen]
    wanted = TRACK_FIGURES if name.startswith("track") else AP_FIGURES
    overall = [
        {key: run.metrics.get(f"{_evaluation(name)}/{key}") for key in wanted} for run in runs
    ]
    columns, names = [], short_names(runs)
    several_sets = len({run.dataset for run in runs}) > 1
    for key in wanted:
        for run, shown in zip(runs, names, strict=True):
            full = f"{key} {run.key}" + (f" on {dataset_name(run.dataset)}" if several_sets else "")
            columns.append(Column(full, shown, group=key) if len(runs) > 1 else Column(full, key))
    rows = [
        Row(
            (label,),
            (label,),
            _cells([part.get(label, {}) for part in parts], wanted, runs),
            "single",
        )
        for label in found
    ]
    if rows:
        rows.append(Row((ALL,), (ALL,), _cells(overall, wanted, runs), ALL))
    if len(runs) == 1:
        title = f"{title}: {names[0]}"
    if not runs:
        note = f"No run has figures by {what} for these masks."
    kinds = (
        "MOTA, IDF1, HOTA in %, IDs: identity switches."
        if name.startswith("track")
        else "Mask AP in %."
    )
    return Table(
        file, title, f"{kinds} {note}", (what,), (what.capitalize(),), tuple(columns), tuple(rows)
    )


def _cells(
    figures: Sequence[Figures], wanted: Sequence[str], runs: Sequence[Run]
) -> tuple[Cell, ...]:
    """One row: for each figure the runs side by side, the best marked among the runs on one data
    set."""
    cells: list[Cell] = []
    for key in wanted:
        side_by_side = [figure(values.get(key), key) for values in figures]
        for dataset in {run.dataset for run in runs}:
            places = [place for place, run in enumerate(runs) if run.dataset == dataset]
            marked = mark_best(
                [side_by_side[place] for place in places], lowest=key in LOWEST_IS_BEST
            )
            for place, cell in zip(places, marked, strict=True):
                side_by_side[place] = cell
        cells += side_by_side
    return tuple(cells)
