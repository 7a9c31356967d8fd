"""Rows of mean and standard deviation over runs that differ only in their seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isnan
from statistics import fmean, stdev
from typing import NamedTuple

from vatrack.common.counted import counted
from vatrack.config.run_name import seed_of, without_seed
from vatrack.reporting.tables.names import run_row, with_reason, with_warning
from vatrack.reporting.tables.runs import Run
from vatrack.reporting.tables.table import Column, Row, Table, make_table

NOTE = (
    "±: sample standard deviation (n - 1) over the seeds of a label, if all of them have a value."
)

Measured = tuple[Run, Sequence[float | None]]


class Part(NamedTuple):
    """Rows of a table, and the runs with their values whose means may stand below these rows.

    `source` says what the values are, where a run has several rows; else it is empty.
    """

    rows: Sequence[Row]
    measured: Sequence[Measured] = ()
    source: str = ""


def run_table(
    name: str,
    title: str,
    note: str,
    texts: Mapping[str, str],
    columns: Sequence[Column],
    parts: Sequence[Part],
    of_tracks: Sequence[Run],
    *,
    means: bool,
) -> Table:
    """`make_table` with a note that also explains means, and dashes of these runs for tracks.

    `means`: whether runs that differ only in their seeds have rows of means.
    """
    rows: list[Row] = []
    for part in parts:
        rows += part.rows
        if means:
            rows += _mean_rows(part)
    if any(row.spread for row in rows):
        note = f"{note} {NOTE}"
    note = with_warning(with_reason(note, of_tracks), [run for run, _ in parts[0].measured])
    return make_table(name, title, note, texts, columns, rows)


def _mean_rows(part: Part) -> list[Row]:
    """A row for each group of two runs or more that differ only in the seed at their labels' end.

    Runs with other settings are a group of their own, whose label names the seeds, and so are those
    that were evaluated otherwise, of what is noted. Of a seed that is in a group twice, the first
    run counts. The means of a part compete with each other for the best value.
    """
    block = f"means by {part.source}" if part.source else "means"
    groups: list[tuple[tuple[str, ...], str, dict[int | None, Measured]]] = []
    for run, values in part.measured:
        label = without_seed(run.label)
        if label is not None:
            alike: tuple[str, ...] = (run.method, run.backbone, label, run.dataset or "")
            seed = seed_of(run.label) if run.seed is None else run.seed
            for *shared, members in groups:
                others = (other.noted for other, _ in members.values())
                if shared == [alike, run.settings] and not any(map(run.noted.differences, others)):
                    break
            else:
                members = {}
                groups.append((alike, run.settings, members))
            members.setdefault(seed, (run, values))
    settings = Counter(alike for alike, *_ in groups)
    rows = []
    for same, _, members in groups:
        number = len(members)
        if number < 2:
            continue
        own = [values for _, values in members.values()]
        pairs = [_statistics(column) for column in zip(*own, strict=True)]
        label = same[2]
        if settings[same] > 1:
            seeds = "seeds " + ", ".join(str(seed) for seed in members)
            label = f"{label}, {seeds}" if label else seeds
        run = replace(next(iter(members.values()))[0], label=label)
        what, of = f"{part.source}, " if part.source else "", f"of {counted(number, 'seed')}"
        row = run_row(run, f"{what}mean {of}", [mean for mean, _ in pairs], block)
        spread = run_row(run, f"{what}standard deviation {of}", (), block).key
        rows.append(row._replace(spread=[value for _, value in pairs], spread_key=spread))
    return rows


def _statistics(values: Sequence[float | None]) -> tuple[float | None, float | None]:
    """Mean and sample standard deviation; None where one of the values is undefined."""
    known = [value for value in values if value is not None and not isnan(value)]
    return (fmean(known), stdev(known)) if len(known) == len(values) else (None, None)
