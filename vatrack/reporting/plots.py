"""Loss, learning-rate and validation curves of runs, as SVG files; equal numbers, equal files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator

from vatrack.common.colours import COLOURS
from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.files import atomic_path
from vatrack.common.mask_types import MASK_TYPES
from vatrack.reporting.curves import (
    LOSS_NAMES,
    Curves,
    loss_names,
    read_curves,
    smooth,
    thin,
)
from vatrack.reporting.figure_style import figure_style
from vatrack.reporting.tables.names import short_names
from vatrack.reporting.tables.sources import in_order, sources_of
from vatrack.runs.folder import RunFolder
from vatrack.runs.results import require_run

DASHES = ("-", (0, (4, 1.5)), (0, (1.5, 1.2)), (0, (5, 1.2, 1, 1.2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


@dataclass(frozen=True)
class WrittenPlots:
    """What `write_curves` wrote: file names in the folder `out`, and how much they show."""

    out: Path
    files: tuple[str, ...]
    runs: int
    steps: int
    validations: int

    def __str__(self) -> str:
        return (
            f"{self.out}: {', '.join(self.files)} of {counted(self.runs, 'run')} "
            f"({counted(self.steps, 'logged step')}, {counted(self.validations, 'validation')})"
        )


def write_curves(runs: Sequence[Path], out: Path) -> WrittenPlots:
    """Draws losses.svg, learning_rate.svg and validation.svg into the folder `out`.

    Args:
        runs: run folders, each with config.yaml and metrics.jsonl; a last line that was cut off by
            the end of a killed run is left out.
        out: folder; other files in it stay.

    Raises:
        InputError: no run is given, or one twice, a file is missing, or a line of a metrics.jsonl
            is not what a run writes.
    """
    if not runs:
        raise InputError("no run given; give at least one run folder with --run")
    out = Path(out)
    for run in runs:
        for name in ("metrics_log", "config"):
            require_run(Path(run), name)
    sources = in_order(sources_of(runs))  # as in the report, so that a run has the same colour
    curves = [read_curves(RunFolder(own.metrics.parent).metrics_log) for own in sources]
    named = dict(zip(short_names(sources), curves, strict=True))
    drawings = {
        "losses.svg": draw_losses,
        "learning_rate.svg": draw_learning_rate,
        "validation.svg": draw_validation,
    }
    for name, draw in drawings.items():
        with figure_style():
            save_svg(draw(named), out / name)
    steps = sum(len(curves.steps) for curves in named.values())
    validations = sum(len(curves.epochs) for curves in named.values())
    return WrittenPlots(out, tuple(drawings), len(runs), steps, validations)


def draw_losses(runs: dict[str, Curves]) -> Figure:
    """One panel per loss term, one line per run; what was logged is faint, smoothed strong."""
    names = loss_names(runs.values())
    if not names:
        return draw_note("No losses: no run has logged a training step yet.")
    columns = min((4, 3), key=lambda number: -len(names) % number)  # whichever leaves fewer gaps
    label = "faint: logged values; strong: moving average"
    faint = Line2D([], [], color="#777777", alpha=0.5, linewidth=0.8, label=label)
    figure, panels = small_multiples(len(names), runs, columns, extra=[faint])
    alpha = 0.35 / math.sqrt(len(runs))
    for axes, name in zip(panels, names, strict=True):
        axes.set_title(LOSS_NAMES.get(name, name))
        drawn = []
        for style, curves in zip(run_styles(len(runs)), runs.values(), strict=True):
            if (values := curves.values(name)) is not None:
                raw = {"color": style["color"], "alpha": alpha, "linewidth": 0.8, "zorder": 1.5}
                axes.plot(*thin(curves.steps, values), **raw)
                axes.plot(*thin(curves.steps, smooth(values)), **_line(style, len(values)))
                drawn.append(values)
        axes.set_ylim(0, _upper_limit(drawn))
        _step_axis(axes, runs)
    for axes in panels[::columns]:
        axes.set_ylabel("loss (no unit)")
    return figure


def draw_learning_rate(runs: dict[str, Curves]) -> Figure:
    """The learning rate against the step.

    Equal schedules lie inside each other, each line thinner than the one before.
    """
    if not any("lr" in curves.terms for curves in runs.values()):
        return draw_note("No learning rate: no run has logged a training step yet.")
    styles = [
        {**style, "linestyle": "-", "linewidth": 1.4 + 0.8 * (len(runs) - 1 - index)}
        for index, style in enumerate(run_styles(len(runs)))
    ]
    figure, (axes,) = small_multiples(1, runs, 1, styles=styles)
    for style, curves in zip(styles, runs.values(), strict=True):
        if "lr" in curves.terms:
            axes.plot(*thin(curves.steps, curves.terms["lr"]), **_line(style, len(curves.steps)))
    axes.set_ylabel("learning rate (no unit)")
    axes.set_ylim(bottom=0)
    _step_axis(axes, runs)
    return figure


def draw_validation(runs: dict[str, Curves]) -> Figure:
    """Video and image AP against the epoch, amodal and visible, as far as the runs have them."""
    shown = {
        (level, mask_type): [curves.values(f"{level}/{mask_type}/AP") for curves in runs.values()]
        for level in ("video", "image")
        for mask_type in MASK_TYPES
    }
    shown = {key: lines for key, lines in shown.items() if any(y is not None for y in lines)}
    if not shown:
        return draw_note("No validation metrics: no run has reached a validated epoch yet.")
    styles = [
        {**style, "marker": MARKERS[i % len(MARKERS)], "markersize": 5}
        for i, style in enumerate(run_styles(len(runs)))
    ]
    figure, panels = small_multiples(len(shown), runs, 2, styles=styles)
    tops = {level: 1.0 for level, _ in shown}
    for (level, _), lines in shown.items():
        tops[level] = max(tops[level], *(np.nanmax(y) for y in lines if y is not None))
    for axes, ((level, mask_type), lines) in zip(panels, shown.items(), strict=True):
        axes.set_title(f"{level.capitalize()} AP, {mask_type}")
        for style, curves, values in zip(styles, runs.values(), lines, strict=True):
            if values is not None:
                axes.plot(curves.epochs, values, clip_on=False, **style)
        axes.set_xlabel("epoch")
        axes.set_ylabel("AP (%)")
        # One scale for a level, so that amodal and visible compare at a glance.
        axes.set_ylim(0, 1.08 * tops[level])
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    return figure


def draw_note(text: str) -> Figure:
    """A plot that only says why there is nothing to draw."""
    figure = Figure(figsize=(7, 1.4))
    figure.text(0.5, 0.5, text, ha="center", va="center", fontsize=11, color="#444444")
    return figure


def small_multiples(
    count: int,
    runs: dict[str, Curves],
    columns: int,
    *,
    styles: Sequence[dict[str, Any]] = (),
    extra: Sequence[Line2D] = (),
) -> tuple[Figure, list[Axes]]:
    """A plot with `count` panels in rows of `columns`, and one legend below the panels.

    Args:
        styles: line styles of the runs in the legend; `run_styles` where left out.
        extra: more lines for the legend.
    """
    columns = min(columns, count)
    rows = -(-count // columns)
    panel_width, panel_height = {1: (7.5, 3.2), 2: (4.9, 2.8), 3: (3.7, 2.5)}.get(
        columns, (3.1, 2.4)
    )  # inches
    styles = styles or run_styles(len(runs))
    named = zip(runs, styles, strict=True)
    handles = [*(Line2D([], [], label=label, **style) for label, style in named), *extra]
    longest = max(len(str(handle.get_label())) for handle in handles)
    legend_columns = max(1, min(len(handles), int(columns * panel_width / (0.075 * longest + 0.6))))
    legend_height = 0.2 * -(-len(handles) // legend_columns) + 0.15
    height = rows * panel_height + legend_height
    figure = Figure(figsize=(columns * panel_width, height))
    share = legend_height / height
    figure.set_layout_engine(
        ConstrainedLayoutEngine(rect=(0, share, 1, 1 - share), w_pad=0.08, h_pad=0.08)
    )
    panels = [figure.add_subplot(rows, columns, index + 1) for index in range(count)]
    figure.legend(handles=handles, loc="lower center", ncols=legend_columns, handlelength=2.8)
    return figure, panels


def run_styles(count: int) -> list[dict[str, Any]]:
    """Colour and dashes of each run; no two of the first 32 are alike.

    Equal lines show each other through their dashes.
    """
    styles = []
    for index in range(count):
        turn, number = divmod(index, len(COLOURS))
        dashes = DASHES[(index + turn) % len(DASHES)]
        styles.append({"color": COLOURS[number].light, "linestyle": dashes})
    return styles


def _line(style: dict[str, Any], points: int) -> dict[str, Any]:
    # a line of one point is invisible without a marker
    return {**style, "marker": "o", "markersize": 4} if points == 1 else style


def _upper_limit(series: list[np.ndarray]) -> float | None:
    """Top of a loss axis: single spikes may leave the panel, the course must fill it."""
    tops = []
    for values in series:
        finite = values[np.isfinite(values)]
        if len(finite):
            tops.append(float(np.quantile(finite, 0.98) if len(finite) >= 50 else finite.max()))
    highest = max(tops, default=0.0)
    return highest * 1.08 if highest > 0 else None


def _step_axis(axes: Axes, runs: dict[str, Curves]) -> None:
    last = max((int(curves.steps[-1]) for curves in runs.values() if len(curves.steps)), default=1)
    axes.set_xlabel("training step")
    axes.set_xlim(0, 1.02 * max(last, 1))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def save_svg(figure: Figure, path: Path) -> None:
    """Writes a plot whole or not at all, without date and version: equal plots are equal files."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None, "Creator": None})
