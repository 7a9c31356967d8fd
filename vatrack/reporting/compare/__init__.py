"""Runs beside each other: by metric, by class and by clip, the clips that lost most first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import isnan
from pathlib import Path

from vatrack.common.counted import counted, few
from vatrack.common.errors import InputError
from vatrack.common.files import write_text
from vatrack.common.metric_names import lowest_is_best
from vatrack.common.similar import unknown
from vatrack.reporting.checks import COUNTS, Metrics
from vatrack.reporting.compare.clip_images import Clip, ClipImages, draw_clips
from vatrack.reporting.compare.comparison import PAGE, TEXT, Comparison, Line, Section
from vatrack.reporting.compare.page import to_page
from vatrack.reporting.compare.read import Side, read_sides
from vatrack.runs.results import commands_of

HEADLINES = {"image": "AP", "video": "AP", "track": "HOTA"}  # of classes and clips


def compare_runs(
    folders: Sequence[Path],
    out: Path | None = None,
    *,
    by: str | None = None,
    clips: int = 10,
    clip_images: ClipImages | None = None,
) -> Comparison:
    """Compares runs with the first of them.

    Args:
        folders: of runs on one ground truth, each with its metrics.
        out: folder for compare.txt and compare.html; None: nothing is written.
        by: the metric that says which clips lost most: image/amodal/AP, track/visible/HOTA, ...;
            None: AP of frames, amodal where the runs have that.
        clips: how many clips `str` of the result shows.
        clip_images: which images the page has; None: those of the five worst clips.

    Raises:
        InputError: see `read.read_sides`; or the metric is unknown, or a file is not in its form.
    """
    sides = read_sides(folders)
    keys = [key for key in sides[0].run.metrics if all(key in s.run.metrics for s in sides[1:])]
    if not keys:
        raise InputError(
            f"{folders[0]}, {folders[1]}: no metric in common; compare runs whose methods predict "
            "the same masks"
        )
    metrics = Section(
        "metric", "", tuple(_line(key, [s.run.metrics for s in sides], key) for key in keys)
    )
    notes = [
        f"{side.letter} has no {side.folder.details.name}: no comparison by class and clip; create "
        f"it: {commands_of(side.folder.path)['metrics']}"
        for side in sides
        if side.run.details is None
    ]
    missing = dict.fromkeys(key for side in sides for key in side.run.metrics if key not in keys)
    if missing:
        number = counted(len(missing), "metric")
        notes.append(f"not compared, because not all runs have them: {number} ({few(missing)})")
    classes: tuple[Section, ...] = ()
    by_clip: tuple[Section, ...] = ()
    drawn: list[Clip] = []
    wanted = clip_images or ClipImages()
    if all(side.run.details for side in sides):
        classes = _sections(sides, "class")
        by_clip, by = _worst_first(_sections(sides, "clip"), sides, by)
        worst = [line.name for line in by_clip[0].lines] if by_clip else []
        if out:
            drawn, lacking = draw_clips(sides, worst, wanted)
            notes += lacking
    found = Comparison(
        tuple(sides),
        metrics,
        classes,
        by_clip,
        by or "",
        tuple(drawn),
        tuple(notes),
        out,
        score=wanted.score,
    )
    if out:
        write_text(out / TEXT, f"{found.text}\n")
        write_text(out / PAGE, to_page(found))
    return replace(found, clips_shown=clips)


def _line(name: str, metrics: Sequence[Metrics], key: str) -> Line:
    metric = key.rpartition("/")[2]
    values = [own.get(key) for own in metrics]
    known = tuple(None if value is None or isnan(value) else value for value in values)
    return Line(name, known, 0 if metric in COUNTS else 1, lowest_is_best(metric))


def _sections(sides: Sequence[Side], what: str) -> tuple[Section, ...]:
    """A table for each evaluation by masks that all runs have."""
    found = []
    details = [side.run.details for side in sides if side.run.details]
    all_own = [own.per_class if what == "class" else own.per_video for own in details]
    for evaluation in all_own[0]:
        level, masks = evaluation.split("/", 1)
        if level not in HEADLINES or masks.endswith("_box") or "hidden" in masks:
            continue
        if not all(evaluation in own for own in all_own):
            continue
        key = HEADLINES[level]
        values = [own[evaluation] for own in all_own]
        names = list(dict.fromkeys(name for own in values for name in own))
        if what == "class":
            order = {name: number for number, name in enumerate(details[0].classes)}
            names.sort(key=lambda name: order.get(name, len(order)))
        lines = tuple(_line(name, [own.get(name, {}) for own in values], key) for name in names)
        lines = tuple(line for line in lines if any(v is not None for v in line.values))
        if lines:
            found.append(Section(what, f"{evaluation}/{key}", lines))
    return tuple(found)


def _worst_first(
    sections: Sequence[Section], sides: Sequence[Side], by: str | None
) -> tuple[tuple[Section, ...], str | None]:
    """The tables of clips sorted, that of the metric `by` first, and its name."""
    details = [side.run.details.per_video for side in sides if side.run.details]
    known = dict.fromkeys(
        f"{evaluation}/{metric}"
        for evaluation, own in details[0].items()
        for values in own.values()
        for metric in values
    )
    if by is not None and by not in known:
        raise InputError(f"--by: {unknown('metric', by, known, len(known))}")
    if by is None:
        by = next(iter(section.metric for section in sections), None)
    elif all(section.metric != by for section in sections):
        evaluation, _, metric = by.rpartition("/")
        values = [own.get(evaluation, {}) for own in details]
        lines = tuple(
            _line(name, [own.get(name, {}) for own in values], metric) for name in values[0]
        )
        sections = [Section("clip", by, lines), *sections]
    ranked = [
        section._replace(lines=tuple(sorted(section.lines, key=lambda line: -line.loss)))
        for section in sections
    ]
    return tuple(sorted(ranked, key=lambda section: section.metric != by)), by
