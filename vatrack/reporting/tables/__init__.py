"""The tables of any number of runs: the paper's four, tracking, by class, by video; as CSV,
Markdown, LaTeX and one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vatrack.common.files import write_text
from vatrack.reporting.tables.breakdown import class_table, video_table
from vatrack.reporting.tables.formats import to_csv, to_markdown
from vatrack.reporting.tables.latex import to_latex
from vatrack.reporting.tables.page import to_page
from vatrack.reporting.tables.paper import TITLES as PAPER
from vatrack.reporting.tables.paper import paper_table
from vatrack.reporting.tables.published import read_published
from vatrack.reporting.tables.runs import read_runs
from vatrack.reporting.tables.tracking import TITLES as TRACKING
from vatrack.reporting.tables.tracking import tracking_table

PAGE = "tables.html"


def write_tables(
    runs: Sequence[str], out: Path, *, details: Sequence[str] = (), dataset: str | None = None
) -> str:
    """Writes the tables of a set of runs.

    `{image,video}_{amodal,visible}` and `track_{amodal,visible}`; where at least one run has
    details, also `classes_*` and `videos_*` of each of these six. All are written as .csv and .md,
    all but `videos_*` as .tex and into one page. A method appears in the tables of the masks that
    it predicts.

    Args:
        runs: for each METHOD/BACKBONE[:LABEL]=metrics.json, a run's folder, or a folder of results,
            which may be LABEL=FOLDER (see `runs.read_runs`).
        out: folder for the files.
        details: METHOD/BACKBONE[:LABEL]=details.json for runs given by their metrics; folders have
            theirs in them.
        dataset: the data set of all runs, where it is not to be taken from their configs.

    Returns:
        The paper's and the tracking tables in Markdown, and what was left out.

    Raises:
        InputError: see `runs.read_runs`; nothing is written then.
    """
    found, unfinished = read_runs(runs, details, dataset)
    published = read_published()
    tables = [paper_table(name, found, published) for name in PAPER] + [
        tracking_table(name, found) for name in TRACKING
    ]
    classes, videos = [], []
    if any(run.details for run in found):
        classes = [class_table(name, found) for name in (*PAPER, *TRACKING)]
        videos = [video_table(name, found) for name in (*PAPER, *TRACKING)]
    texts = {PAGE: to_page(tables + classes)}
    for table in tables + classes + videos:
        texts[f"{table.name}.csv"] = to_csv(table)
        texts[f"{table.name}.md"] = to_markdown(table)
        if table not in videos:
            texts[f"{table.name}.tex"] = to_latex(table)
    for file, text in texts.items():
        write_text(Path(out) / file, text)
    shown = [texts[f"{table.name}.md"] for table in tables]
    shown += [f"left out, without metrics: {folder}\n" for folder in unfinished]
    if classes:
        shown.append(f"by class and by video: {out}/classes_*.md, {out}/videos_*.md\n")
    return "\n".join(shown).rstrip()
