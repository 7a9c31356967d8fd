"""The report: one HTML page about the results of any number of runs, which needs no network."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.files import check_target, require_ending, write_text
from vatrack.common.run_files import CONFIG_FILE
from vatrack.common.text_files import no_such
from vatrack.reporting.html import render
from vatrack.reporting.page.appendix import run_times, versions
from vatrack.reporting.page.charts import bar_charts, curve_charts, precision_charts
from vatrack.reporting.page.media import Media, cut_sheets, for_script, viewer_data
from vatrack.reporting.page.results import RunResults, collect
from vatrack.reporting.page.sections import key_note, key_table, table_sections
from vatrack.reporting.tables.names import dataset_name
from vatrack.reporting.tables.runs import read_runs
from vatrack.runs.folder import RunFolder

TEMPLATE = Path(__file__).with_name("report.html.j2")
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class WrittenReport:
    """What `write_report` wrote.

    Attributes:
        out: the page, `size` bytes long.
        runs: how many it shows.
        clips: clips of all runs that can be played; `beside`: files that the page refers to.
        unfinished: folders of runs that have no metrics yet.
    """

    out: Path
    size: int
    runs: int
    clips: int
    beside: int
    unfinished: tuple[Path, ...]

    def __str__(self) -> str:
        text = (
            f"{self.out}: {counted(self.runs, 'run')}, {counted(self.clips, 'clip')}, "
            f"{self.size / MEGABYTE:.1f} MB"
        )
        if self.beside:
            text += f"; {counted(self.beside, 'file')} next to it (--embed embeds more)"
        skipped = (f"skipped (no metrics yet): {run}" for run in self.unfinished)
        return "\n".join([text, *skipped])


def write_report(
    runs: Sequence[str],
    out: Path,
    *,
    results: Path | None = None,
    title: str | None = None,
    embed_mb: float = 6.0,
    means: bool = True,
) -> WrittenReport:
    """Writes the page.

    What a run does not have is left out, or the page says so: curves need metrics.jsonl, bars of
    classes details.json, clips the folder `views` that `vatrack views` writes.

    Args:
        runs: run folders or folders of results (see `tables.runs.read_runs`).
        out: the page, whose name ends in .html.
        results: folder of results, for the cut sheets and the run times.
        title: heading of the page; None: the names of the datasets, if known.
        embed_mb: size of the videos and images embedded in the page; to further ones it
            has links.
        means: whether runs that differ only in their seed also have rows of their means.

    Raises:
        InputError: a run is missing or damaged, or `out` has another suffix; nothing is written.
    """
    out = check_target(out)
    require_ending(out, "the report is an HTML page", ".html", ".htm")
    if results is not None and not Path(results).is_dir():
        raise InputError(
            f"--results {results}: {no_such(results, 'folder')}; give a results folder"
        )
    if results is not None and RunFolder(results).measured:
        raise InputError(f"--results {results}: a run folder; give the results folder above it")
    found, unfinished = read_runs(runs)
    shown = collect(found)
    media = Media(out, round(embed_mb * MEGABYTE))
    # Images are small and come first; then the videos, one of every run in turn.
    viewer = viewer_data(shown, media)
    sheets = cut_sheets(results, media) if results else None
    datasets = dict.fromkeys(dataset_name(run.dataset) for run in found if run.dataset)
    paper, further = table_sections(found, out.parent, means=means)
    text = render(
        TEMPLATE,
        title=title or ", ".join(datasets) or "Results",
        runs=shown,
        date=_date(shown),
        key_table=key_table(shown),
        key_note=key_note(shown),
        paper=paper,
        further=further,
        viewer=viewer,
        viewer_data=for_script(viewer),
        sheets=sheets,
        times=run_times(results) if results else None,
        versions=versions(shown),
        workflow=_workflow(results) if results else None,
        provenance=_link(results, media) if results else None,
        curves=curve_charts(shown),
        precision=precision_charts(shown),
        bars=bar_charts(shown),
    )
    write_text(out, text)
    return WrittenReport(
        out,
        out.stat().st_size,
        len(shown),
        sum(len(run["clips"]) for run in viewer["runs"]),
        media.beside,
        tuple(unfinished),
    )


def _workflow(results: Path) -> str:
    """The command that makes everything in the folder, whose config is called as a run's."""
    return f"snakemake --configfile {shlex.quote(str(Path(results) / CONFIG_FILE))}"


def _link(results: Path, media: Media) -> str | None:
    """Where Snakemake's own report is, if there is one."""
    path = Path(results) / "provenance.html"
    return media.link(path) if path.is_file() else None


def _date(runs: Sequence[RunResults]) -> str:
    """The day on which the last run was evaluated: the same results make the same page."""
    times = [run.measured for run in runs if run.measured]
    if not times:
        return ""
    day = datetime.fromtimestamp(max(times), UTC)
    return f"{day.day} {day:%B %Y}"
