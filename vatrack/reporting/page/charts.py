"""The plots of the page as plain data, which its script draws."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from vatrack.common.colours import COLOURS
from vatrack.reporting.curves import LOSS_NAMES, Curves, loss_names, smooth, thin
from vatrack.reporting.details import RECALLS
from vatrack.reporting.page.results import LEVELS, RunResults

Chart = dict[str, Any]
BARS = {
    "all": "AP50",
    "partial": "AP50_P",
    "medium": "AP50_OM",
    "heavy": "AP50_H",
    "large": "AP50_L",
    "mid-size": "AP50_M",
    "small": "AP50_S",
}
SPLITS = {1: "occlusion", 4: "size"}  # what begins at which bar
MOST_BARS = 4  # runs; the values of more are drawn as points


def curve_charts(runs: Sequence[RunResults]) -> dict[str, list[Chart]]:
    """Losses, learning rate and validation metrics: a chart each, a line for each run."""
    logged = [(run, run.curves) for run in runs if run.curves is not None]
    names = loss_names(curves for _, curves in logged)
    charts = [_steps(logged, name, LOSS_NAMES.get(name, name)) for name in names]
    rate = [_steps(logged, "lr", "Learning rate", smoothed=False)]
    rate *= any("lr" in curves.terms for _, curves in logged)
    validation = []
    for level, title in LEVELS.items():
        series = [
            {**_line(run, curves.epochs, values), "marked": run.epoch, "markers": True}
            for run, curves in logged
            if (values := curves.values(f"{level}/AP")) is not None
        ]
        if series:
            validation.append(_chart("line", title, series, x="epoch", y="AP in %", whole=True))
    return {"validation": validation, "losses": charts, "rate": rate}


def precision_charts(runs: Sequence[RunResults]) -> list[Chart]:
    """Precision over recall: a chart for each level, lines at IoU 0.5 and 0.75 for each run."""
    charts = []
    recalls = np.linspace(0, 1, RECALLS)
    for level, title in LEVELS.items():
        series = []
        for run in runs:
            curves = run.run.details.curves.get(level, {}) if run.run.details else {}
            for name, threshold in (("IoU50", "0.5"), ("IoU75", "0.75")):
                if name not in curves or None in curves[name]:
                    continue
                line = _line(run, recalls, np.array(curves[name], float), digits=3)
                line["name"] = f"{run.name}, IoU {threshold}"
                line["dashed"] |= threshold == "0.75"
                series.append(line)
        if series:
            charts.append(
                _chart("line", title, series, x="recall", y="precision", range=[0, 1], end=1)
            )
    return charts


def bar_charts(runs: Sequence[RunResults]) -> dict[str, list[Chart]]:
    """AP50 by occlusion and size, and by class: a chart for each level."""
    groups, classes = [], []
    for level, title in LEVELS.items():
        series = _known(
            _bars(run, [run.run.metrics.get(f"{level}/{key}") for key in BARS.values()])
            for run in runs
        )
        if series:
            groups.append(
                _chart("bars", title, series, groups=list(BARS), splits=SPLITS, y="AP50 in %")
            )
        detailed = [
            (run, details.classes, own)
            for run in runs
            if (details := run.run.details) and (own := details.per_class.get(level))
        ]
        names = dict.fromkeys(
            name for _, classes, own in detailed for name in classes if name in own
        )
        by_class = _known(
            _bars(run, [own.get(name, {}).get("AP50") for name in names])
            for run, _, own in detailed
        )
        if by_class:
            form = "rows" if len(by_class) <= MOST_BARS else "points"
            classes.append(_chart(form, title, by_class, groups=list(names), x="AP50 in %"))
    return {"groups": groups, "classes": classes}


def _steps(
    logged: Sequence[tuple[RunResults, Curves]], name: str, title: str, *, smoothed: bool = True
) -> Chart:
    """A chart over the training steps; losses are smoothed, and faint as they were logged."""
    series = []
    for run, curves in logged:
        if (values := curves.values(name)) is None:
            continue
        if smoothed:
            series.append({**_line(run, *thin(curves.steps, values)), "faint": True})
            values = smooth(values)
        series.append(_line(run, *thin(curves.steps, values)))
    return _chart("line", title, series, x="training step", y="", floor=0)


def _line(run: RunResults, x: np.ndarray, y: np.ndarray, *, digits: int = 5) -> dict[str, Any]:
    points = [
        [_rounded(first, 6), _rounded(second, digits)]
        for first, second in zip(x.tolist(), y.tolist(), strict=True)
        if np.isfinite(second)
    ]
    return {**_series(run), "points": points, "dashed": run.number >= len(COLOURS)}


def _bars(run: RunResults, values: Sequence[float | None]) -> dict[str, Any]:
    shown = [None if v is None or v != v else round(v, 2) for v in values]
    return {**_series(run), "values": shown}


def _series(run: RunResults) -> dict[str, Any]:
    return {"run": run.number, "name": run.name, "colour": run.colour}


def _known(series: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those in which a value is defined: of images that stand alone none of the videos' is."""
    return [own for own in series if any(value is not None for value in own["values"])]


def _rounded(value: float, digits: int) -> float:
    """So many significant digits: the page need not hold more than a plot can show."""
    return float(f"{value:.{digits}g}")


def _chart(form: str, title: str, series: list[dict[str, Any]], **more: Any) -> Chart:
    return {"form": form, "title": title, "series": series, **more}
