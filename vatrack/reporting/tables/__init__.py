"""The tables of any number of runs: the paper's four, tracking, further metrics, by class, by
video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from vatrack.common.files import write_text
from vatrack.evaluation.key_metrics import key_lines
from vatrack.reporting.tables.breakdown import breakdown_table
from vatrack.reporting.tables.extended import TITLES as EXTENDED
from vatrack.reporting.tables.extended import extended_tables
from vatrack.reporting.tables.names import short_names
from vatrack.reporting.tables.page import to_page
from vatrack.reporting.tables.paper import TITLES as PAPER
from vatrack.reporting.tables.paper import paper_table
from vatrack.reporting.tables.published import read_published
from vatrack.reporting.tables.runs import Run, read_runs
from vatrack.reporting.tables.table import Table
from vatrack.reporting.tables.tracking import TITLES as TRACKING
from vatrack.reporting.tables.tracking import tracking_table
from vatrack.reporting.tables.writers import to_csv, to_latex, to_markdown

PAGE = "tables.html"


class Tables(NamedTuple):
    """The paper's tables, those of tracking and further metrics, and, where some run has details,
    those by class and by video."""

    paper: tuple[Table, ...]
    further: tuple[Table, ...]
    classes: tuple[Table, ...]
    videos: tuple[Table, ...]


def make_tables(runs: Sequence[Run], *, means: bool) -> Tables:
    """All tables of runs; `means` as in `write_tables`."""
    published = read_published()
    detailed = (*PAPER, *TRACKING) if any(run.details for run in runs) else ()
    return Tables(
        tuple(paper_table(name, runs, published, means=means) for name in PAPER),
        tuple(tracking_table(name, runs, means=means) for name in TRACKING)
        + extended_tables(runs, means=means),
        tuple(breakdown_table("class", name, runs) for name in detailed),
        tuple(breakdown_table("video", name, runs) for name in detailed),
    )


@dataclass(frozen=True)
class WrittenTables:
    """What `write_tables` wrote.

    Attributes:
        out: folder of the files.
        runs: what the tables are of.
        tables: the paper's and the tracking tables, and those of `extended.extended_tables`.
        classes: tables by class, `videos` by video; empty where no run has details.
        unfinished: folders of runs that have no metrics yet.
    """

    out: Path
    runs: tuple[Run, ...]
    tables: tuple[Table, ...]
    classes: tuple[Table, ...]
    videos: tuple[Table, ...]
    unfinished: tuple[Path, ...]

    def __str__(self) -> str:
        """The key metrics of each run, and where everything is."""
        names = short_names(self.runs)
        rows = [(name, run.metrics, "") for name, run in zip(names, self.runs, strict=True)]
        return "\n".join([*key_lines(rows), "", *self._places()])

    @property
    def whole(self) -> str:
        """All tables but those by class and by video, and where these are."""
        return "\n".join([*map(to_markdown, self.tables), *self._places()])

    def _places(self) -> list[str]:
        lines = [f"skipped (no metrics yet): {folder}" for folder in self.unfinished]
        lines.append(f"all tables: {self.out / PAGE} (and as .csv, .md, .tex)")
        if self.classes:
            lines.append(f"by class and by video: {self.out}/classes_*.md, {self.out}/videos_*.md")
        return lines


def write_tables(
    runs: Sequence[str],
    out: Path,
    *,
    details: Sequence[str] = (),
    dataset: str | None = None,
    means: bool = True,
) -> WrittenTables:
    """Writes the tables of a set of runs.

    `{image,video}_{amodal,visible}` and `track_{amodal,visible}`; where at least one run has such
    metrics, `extended_{amodal,visible,hidden}`; where at least one run has details, also
    `classes_*` and `videos_*` of the first six. All are written as .csv and .md, all but `videos_*`
    as .tex and into one page. Such files of an earlier call in `out` that these runs do not have
    are removed. A method appears in the tables of the masks that it predicts.

    Args:
        runs: for each METHOD/BACKBONE[:LABEL]=metrics.json, a run's folder, or a folder of results,
            which may be LABEL=FOLDER (see `runs.read_runs`).
        out: folder for the files.
        details: METHOD/BACKBONE[:LABEL]=details.json for runs given by their metrics; folders have
            theirs in them.
        dataset: the dataset of all runs, where it is not to be taken from their configs.
        means: whether runs that differ only in the seed at the end of their labels have a row of
            mean and standard deviation, too.

    Raises:
        InputError: see `runs.read_runs`; nothing is written then.
    """
    found, unfinished = read_runs(runs, details, dataset)
    made = make_tables(found, means=means)
    tables, classes, videos = made.paper + made.further, made.classes, made.videos
    texts = {PAGE: to_page(tables + classes)}
    for table in tables + classes + videos:
        texts[f"{table.name}.csv"] = to_csv(table)
        texts[f"{table.name}.md"] = to_markdown(table)
    for table in tables + classes:
        texts[f"{table.name}.tex"] = to_latex(table)
    for file, text in texts.items():
        write_text(Path(out) / file, text)
    # What an earlier call wrote of other runs would be taken for a part of these.
    detailed = (f"{kind}_{name}" for kind in ("classes", "videos") for name in (*PAPER, *TRACKING))
    for name in (*detailed, *EXTENDED):
        for file in (f"{name}.{ending}" for ending in ("csv", "md", "tex")):
            if file not in texts:
                (Path(out) / file).unlink(missing_ok=True)
    return WrittenTables(Path(out), tuple(found), tables, classes, videos, tuple(unfinished))
