from __future__ import annotations

import json
from pathlib import Path

import pytest

from vatrack.common.errors import InputError
from vatrack.runs.metrics_log import (
    MetricsLog,
    TrainingPoint,
    ValidationPoint,
    append,
    read_metrics_log,
)

FIRST = TrainingPoint(10, 1, 1.7e9, {"lr": 0.1, "loss": 2.5, "gradient_norm": None})
LAST = TrainingPoint(20, 2, 1.7e9 + 5, {"lr": 0.1, "loss": 1.5})
VALIDATED = ValidationPoint(1, 15, 1.7e9 + 2, {"video/amodal/AP": 12.5, "image/amodal/AP": None})


def read(folder: Path, *lines: str) -> MetricsLog:
    path = folder / "metrics.jsonl"
    path.write_text("".join(lines))
    return read_metrics_log(path)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    for point in (FIRST, VALIDATED, LAST):
        append(path, point)
    assert read_metrics_log(path) == MetricsLog([FIRST, LAST], [VALIDATED], [])
    assert list(json.loads(FIRST.line())) == [
        "step",
        "epoch",
        "time",
        "lr",
        "loss",
        "gradient_norm",
    ]
    assert list(json.loads(VALIDATED.line())) == ["step", "epoch", "time", "validation"]


def test_numbers_that_are_not_finite_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        append(tmp_path / "metrics.jsonl", TrainingPoint(1, 1, 0.0, {"loss": float("nan")}))
    assert not (tmp_path / "metrics.jsonl").exists()


def test_a_half_written_last_line_is_no_problem(tmp_path: Path) -> None:
    whole = LAST.line()
    for length in range(len(whole) - 1):
        assert read(tmp_path, FIRST.line(), whole[:length]) == MetricsLog([FIRST], [], [])
    assert read(tmp_path, FIRST.line(), whole[:-1]).training == [FIRST, LAST]
    # The next process wrote behind it: both are lost, and it is told.
    log = read(tmp_path, FIRST.line(), whole[:12], whole)
    assert log.training == [FIRST]
    (problem,) = log.problems
    assert problem.lost == "line"
    assert str(problem).startswith(f"{tmp_path}/metrics.jsonl, line 2: not valid JSON")


@pytest.mark.parametrize(
    "line",
    [
        '{"step": 5, "lo',
        "[1, 2]",
        "7",
        "null",
        '{"epoch": 3}',
        '{"step": 5}',
        '{"step": 5.5, "epoch": 1}',
        '{"step": "5", "epoch": 1}',
        '{"step": true, "epoch": 1}',
        '{"step": -1, "epoch": 1}',
        '{"step": 1' + "0" * 400 + ', "epoch": 1}',
        '{"step": 1' + "0" * 5000 + ', "epoch": 1}',
        '{"step": 5, "epoch": 1e400}',
        '{"step": 5, "epoch": 1, "validation": 3}',
        '{"step": 5, "epoch": 1, "validation": null}',
        '{"step": 5, "validation": {}}',
        '{"step": 0.5, "epoch": 1, "validation": {}}',
        "[" * 100000,
        "\ufffd",
    ],
)
def test_a_line_that_is_none_is_left_out_and_named(line: str, tmp_path: Path) -> None:
    log = read(tmp_path, FIRST.line(), "\n", f"{line}\n", LAST.line())
    assert (log.training, log.validation) == ([FIRST, LAST], [])
    (problem,) = log.problems
    assert problem.lost == "line"
    assert str(problem).startswith(f"{tmp_path}/metrics.jsonl, line 3: ")
    assert "remove" in str(problem)


@pytest.mark.parametrize(
    ("value", "lost"),
    [
        ("NaN", "not finite"),
        ("-Infinity", "not finite"),
        ("1e400", "not finite"),
        ("1" + "0" * 400, "not finite"),
        ('"high"', "value"),
        ("true", "value"),
        ("[1]", "value"),
    ],
)
def test_a_value_that_is_no_finite_number_is_left_out_and_named(
    value: str, lost: str, tmp_path: Path
) -> None:
    log = read(
        tmp_path,
        f'{{"step": 1, "epoch": 1, "loss": {value}, "lr": 0.5, "time": 3}}\n',
        f'{{"step": 1, "epoch": 1, "time": {value}, '
        f'"validation": {{"a/AP": {value}, "b/AP": 1}}}}\n',
    )
    assert log.training == [TrainingPoint(1, 1, 3.0, {"lr": 0.5})]
    assert log.validation == [ValidationPoint(1, 1, None, {"b/AP": 1.0})]
    assert [problem.lost for problem in log.problems] == [lost] * 3
    starts = ("line 1, loss: ", "line 2, time: ", "line 2, a/AP: ")
    for problem, start in zip(log.problems, starts, strict=True):
        assert str(problem).startswith(f"{tmp_path}/metrics.jsonl, {start}")
        assert len(str(problem)) < len(str(tmp_path)) + 120


def test_the_later_line_of_a_step_or_an_epoch_counts(tmp_path: Path) -> None:
    again = TrainingPoint(10, 1, None, {"loss": 9.0})
    twice = ValidationPoint(1, None, None, {"video/amodal/AP": 7.0})
    log = read(tmp_path, *(p.line() for p in (LAST, FIRST, VALIDATED, again, twice)))
    assert log == MetricsLog([again, LAST], [twice], [])


def test_a_file_that_is_missing_or_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"metrics\.jsonl: no such file"):
        read_metrics_log(tmp_path / "metrics.jsonl")
    with pytest.raises(InputError, match="is a folder, not a file; give a run folder written by"):
        read_metrics_log(tmp_path)
