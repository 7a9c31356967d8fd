"""Curves: what is read from metrics.jsonl, what is drawn, and that equal numbers give equal
files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.files import write_yaml
from vatrack.config import Backbone, Method
from vatrack.config.run_name import RunName
from vatrack.reporting.curves import LARGEST_LINE, Curves, read_curves, smooth, thin
from vatrack.reporting.figure_style import figure_style
from vatrack.reporting.plots import (
    draw_learning_rate,
    draw_losses,
    draw_validation,
    run_styles,
    write_curves,
)

FILES = ("learning_rate.svg", "losses.svg", "validation.svg")


def training_line(step: int, **terms: float) -> dict[str, Any]:
    terms = terms or {"loss_cls": 2.0 / step, "loss_mask": 0.5}
    return {
        "step": step,
        "epoch": 1,
        "lr": 0.001 * step,
        "seconds": 0.5 * step,
        "loss": sum(terms.values()),
        **terms,
    }


def validation_line(epoch: int, **metrics: float | None) -> dict[str, Any]:
    values = {key.replace("_", "/"): value for key, value in metrics.items()}
    return {
        "epoch": epoch,
        "validation": values or {"image/amodal/AP": 10.0 * epoch, "video/amodal/AP": 5.0 * epoch},
    }


@pytest.mark.parametrize("home", ["/proc", "/proc/nonexistent"])
def test_nothing_is_said_where_home_cannot_be_written(home: str) -> None:
    environment = {**os.environ, "HOME": home}
    for name in ("MPLCONFIGDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        environment.pop(name, None)
    command = [sys.executable, "-c", "import vatrack.reporting.plots, vatrack.reporting.drawing"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout + ended.stderr == ""


def make_run(folder: Path, lines: list[dict[str, Any]] | None = None, ending: str = "") -> Path:
    if lines is None:
        lines = [training_line(step) for step in range(10, 210, 10)] + [
            validation_line(epoch) for epoch in (1, 2)
        ]
    folder.mkdir(parents=True)
    name = RunName.parse(folder.name) or RunName(Method.VATRACK, Backbone.RESNET18)
    config = {"method": str(name.method), "backbone": str(name.backbone), "dataset": {}}
    write_yaml(folder / "config.yaml", config)
    (folder / "metrics.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in lines) + ending
    )
    return folder


def curves_of(*runs: Path) -> dict[str, Curves]:
    return {run.name: read_curves(run / "metrics.jsonl") for run in runs}


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_writes_three_drawings(tmp_path: Path, count: int) -> None:
    runs = [make_run(tmp_path / f"run{number}") for number in range(count)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        summary = write_curves(runs, tmp_path / "figures")
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == sorted(FILES)
    for name in FILES:
        svg = (tmp_path / "figures" / name).read_text()
        assert ElementTree.fromstring(svg).tag.endswith("svg")
        for run in runs:
            own = f"VATrack ({run.name})" if count > 1 else "VATrack"
            assert f"<!-- {own} -->" in svg, "each run is in the legend"
    assert summary.files == ("losses.svg", "learning_rate.svg", "validation.svg")
    shown = f"{counted(count, 'run')} ({20 * count} logged steps, {2 * count} validations)"
    assert str(summary) == f"{tmp_path}/figures: {', '.join(summary.files)} of {shown}"


def test_drawings_depend_on_the_numbers_alone(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    write_curves([run], tmp_path / "first")
    with matplotlib.rc_context(
        {"lines.linewidth": 9, "axes.facecolor": "black", "svg.hashsalt": "another"}
    ):
        write_curves([run], tmp_path / "second")
    for name in FILES:
        content = (tmp_path / "first" / name).read_bytes()
        assert content == (tmp_path / "second" / name).read_bytes()
        assert b"dc:date" not in content


@pytest.mark.parametrize(
    "bad",
    ['{"step": 5, "lo', '{"step": 5, "loss": "high"}'],
)
def test_a_broken_line_in_the_middle_is_named(tmp_path: Path, bad: str) -> None:
    run = make_run(tmp_path / "run", ending=bad + "\n" + json.dumps(training_line(210)) + "\n")
    with pytest.raises(
        InputError,
        match=r"metrics\.jsonl, line 23.*remove the line|metrics\.jsonl, line 23.*remove it",
    ):
        write_curves([run], tmp_path / "figures")
    assert not (tmp_path / "figures").exists()


def test_a_missing_file_is_named_before_anything_is_written(tmp_path: Path) -> None:
    good, empty = make_run(tmp_path / "good"), tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match=r"empty: not a run folder \(no metrics\.jsonl\)"):
        write_curves([good, empty], tmp_path / "figures")
    assert not (tmp_path / "figures").exists()


def test_no_run_and_a_run_given_twice_are_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    with pytest.raises(InputError, match="--run"):
        write_curves([], tmp_path / "figures")
    with pytest.raises(InputError, match="given twice"):
        write_curves([run, run], tmp_path / "figures")


def test_undefined_and_missing_values_are_gaps(tmp_path: Path) -> None:
    lines = [
        training_line(1, loss_cls=1.0),
        training_line(2, loss_cls=1.0, loss_track=3.0),
        training_line(3, loss_cls=float("nan")),
    ]
    lines += [validation_line(1, video_visible_AP=None), validation_line(2, video_visible_AP=4.0)]
    run = make_run(tmp_path / "run", lines)
    curves = read_curves(run / "metrics.jsonl")
    np.testing.assert_array_equal(curves.terms["loss_track"], [np.nan, 3, np.nan])
    np.testing.assert_array_equal(curves.terms["loss_cls"], [1, 1, np.nan])
    np.testing.assert_array_equal(curves.metrics["video/visible/AP"], [np.nan, 4])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_curves([run], tmp_path / "figures")


def test_each_loss_has_a_panel_with_all_runs_that_have_it(tmp_path: Path) -> None:
    one = make_run(tmp_path / "one")
    two = make_run(
        tmp_path / "two",
        [training_line(step, loss_cls=1.0, loss_new_term=step / 10) for step in range(1, 9)],
    )
    with figure_style():
        figure = draw_losses(curves_of(one, two))
    panels = {axes.get_title(loc="left"): axes for axes in figure.axes}
    assert list(panels) == ["Total", "Class", "Mask", "loss_new_term"]
    assert [len(axes.lines) for axes in panels.values()] == [4, 4, 2, 2]  # as logged and smoothed
    assert all(axes.get_xlabel() == "training step" for axes in panels.values())
    raw, smoothed = panels["loss_new_term"].lines
    np.testing.assert_allclose(np.asarray(raw.get_ydata()), np.arange(1, 9) / 10)
    assert raw.get_color() == smoothed.get_color() != panels["Mask"].lines[0].get_color()
    assert raw.get_alpha() < 0.5
    assert [text.get_text() for text in figure.legends[0].get_texts()][:2] == ["one", "two"]


def test_a_spike_does_not_flatten_the_panel(tmp_path: Path) -> None:
    lines = [training_line(step, loss_cls=1e6 if step == 100 else 2.0) for step in range(1, 301)]
    with figure_style():
        figure = draw_losses(curves_of(make_run(tmp_path / "run", lines)))
    assert figure.axes[0].get_ylim()[1] < 10


def test_learning_rate(tmp_path: Path) -> None:
    with figure_style():
        figure = draw_learning_rate(curves_of(make_run(tmp_path / "run")))
    (line,) = figure.axes[0].lines
    np.testing.assert_allclose(np.asarray(line.get_xdata()), np.arange(10, 210, 10))
    np.testing.assert_allclose(np.asarray(line.get_ydata()), 0.001 * np.arange(10, 210, 10))


def test_validation_shows_what_was_validated(tmp_path: Path) -> None:
    both = {
        "image_visible_AP": 20.0,
        "video_visible_AP": 10.0,
        "image_amodal_AP": 40.0,
        "video_amodal_AP": None,
    }
    run = make_run(tmp_path / "run", [validation_line(epoch, **both) for epoch in (1, 2)])
    with figure_style():
        figure = draw_validation(curves_of(run))
    panels = {axes.get_title(loc="left"): axes for axes in figure.axes}
    assert list(panels) == ["Video AP, visible", "Image AP, amodal", "Image AP, visible"]
    assert panels["Image AP, visible"].get_ylim() == panels["Image AP, amodal"].get_ylim()
    assert panels["Image AP, amodal"].get_ylabel() == "AP (%)"
    assert np.asarray(panels["Image AP, amodal"].lines[0].get_xydata()).tolist() == [
        [1, 40],
        [2, 40],
    ]


def test_a_run_without_any_defined_metric_stands_beside_others(tmp_path: Path) -> None:
    one = make_run(tmp_path / "one")
    two = make_run(tmp_path / "two", [training_line(1), validation_line(1, video_amodal_AP=None)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_curves([one, two], tmp_path / "figures")
        figure = draw_validation(curves_of(one, two))
    assert 10 < figure.axes[0].get_ylim()[1] < 12, "the highest video AP is 10"


def test_nothing_validated_and_nothing_trained_say_so(tmp_path: Path) -> None:
    write_curves([make_run(tmp_path / "run", [training_line(1)])], tmp_path / "figures")
    assert "No validation metrics" in (tmp_path / "figures" / "validation.svg").read_text()
    write_curves([make_run(tmp_path / "new", [])], tmp_path / "none")
    assert "No losses" in (tmp_path / "none" / "losses.svg").read_text()
    assert "No learning rate" in (tmp_path / "none" / "learning_rate.svg").read_text()


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        (["r/vatrack__resnet18", "r/qdtrack__resnet18__e6"], ["QDTrack (e6)", "VATrack"]),
        (
            ["r/vatrack__resnet18", "r/vatrack__resnet50"],
            ["VATrack (ResNet-18)", "VATrack (ResNet-50"],
        ),
        (["a/vatrack__resnet18", "b/vatrack__resnet18"], ["VATrack (a)", "VATrack (b)"]),
    ],
)
def test_runs_are_called_as_in_the_report(
    folders: list[str], names: list[str], tmp_path: Path
) -> None:
    runs = [make_run(tmp_path / folder) for folder in folders]
    write_curves(runs, tmp_path / "figures")
    for name in FILES:
        svg = (tmp_path / "figures" / name).read_text()
        places = [svg.find(f"<!-- {own}") for own in names]
        assert 0 < places[0] < places[1]


def test_every_run_looks_different() -> None:
    styles = [(style["color"], str(style["linestyle"])) for style in run_styles(32)]
    assert len(set(styles)) == 32
    assert len({colour for colour, _ in styles[:8]}) == 8


def test_smoothing_keeps_straight_lines_and_gaps() -> None:
    np.testing.assert_allclose(smooth(np.full(100, 3.0)), 3.0)
    np.testing.assert_allclose(smooth(np.arange(100.0))[10:-10], np.arange(10, 90))
    noisy = np.where(np.arange(100) % 2, 1.0, -1.0)
    assert np.abs(smooth(noisy)[10:-10]).max() < 0.2
    with_gap = np.full(40, 2.0)
    with_gap[[5, 6]] = np.nan, np.inf
    smoothed = smooth(with_gap)
    assert np.isnan(smoothed[[5, 6]]).all()
    np.testing.assert_allclose(np.delete(smoothed, [5, 6]), 2.0)
    np.testing.assert_array_equal(smooth(np.array([1.0, 5.0])), [1.0, 5.0])
    assert len(smooth(np.array([]))) == 0


def test_thinning_keeps_extremes_and_ends() -> None:
    steps, values = np.arange(5000), np.random.default_rng(0).normal(size=5000)
    values[1234], values[4321], values[77] = 50, -50, np.nan
    few_steps, few = thin(steps, values)
    assert len(few) <= LARGEST_LINE + 2
    assert few.max() == 50
    assert few.min() == -50
    assert few_steps[0] == 0
    assert few_steps[-1] == 4999
    assert (np.diff(few_steps) > 0).all()
    np.testing.assert_array_equal(few, values[few_steps])
    np.testing.assert_array_equal(thin(steps[:300], values[:300])[0], steps[:300])
