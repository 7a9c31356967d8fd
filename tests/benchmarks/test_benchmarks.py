"""Every benchmark runs at a tiny size: its ways agree, and its result has all fields."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks import busy, machine
from benchmarks.__main__ import SUBJECTS, run
from benchmarks.measure import Case, check, load
from benchmarks.parity import margin_of
from benchmarks.switches import AS_CONFIGURED, GPU_ONLY, METRICS, SWITCHES, measured, moves
from benchmarks.table import PAGE, RESULTS, busy_rows, busy_table, read_results, table, updated
from tests.conftest import TinyData
from tests.server import SERVER
from vatrack.config import ComputeConfig, RunConfig

FIELDS = {"case", "way", "stage", "seconds", "ratio", "peak_mb", "gflop"}


@pytest.fixture
def _with_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes need not load PyTorch: there are two dozen, and their peaks do not matter here."""
    monkeypatch.setattr("benchmarks.measure.CONTEXT", SERVER)


@pytest.mark.usefixtures("_with_pytorch")
@pytest.mark.parametrize("name", SUBJECTS)
def test_a_benchmark_runs_and_its_ways_agree(name: str) -> None:
    result = run(name, "tiny", 1, machine.describe(rates=False), plain=False)
    assert json.loads(json.dumps(result)) == result
    ways: dict[str, set[str]] = {}
    for row in result["rows"]:
        assert set(row) == FIELDS
        assert row["seconds"] >= 0 and row["peak_mb"] > 10
        ways.setdefault(row["case"], set()).add(row["way"])
    cases = load(name).cases("tiny")
    assert ways == {case.name: set(case.ways) for case in cases}
    compared = [row for row in result["rows"] if row["stage"] == "all" and row["ratio"]]
    assert len(compared) == sum(len(case.ways) - 1 for case in cases)
    assert len(table(result)) == 2 + len(result["rows"])


def test_the_plain_way_runs_alone() -> None:
    result = run("masks", "tiny", 1, {}, plain=True)
    assert {row["way"] for row in result["rows"]} == {"plain"}


def test_ways_that_do_not_agree_are_noticed() -> None:
    case = Case("a case", 1, ("plain", "fast", "rounded"), unchecked=("rounded",))
    check(case, {"plain": [1.0, 2.0], "fast": [1.0, 2.0], "rounded": [7.0]}, 0.0)
    with pytest.raises(AssertionError, match="a case: fast gives"):
        check(case, {"plain": [1.0, 2.0], "fast": [1.0, 2.1]}, 1e-3)
    with pytest.raises(AssertionError, match="a case: fast gives"):
        check(case, {"plain": [1.0, 2.0], "fast": [1.0]}, 1e-3)


def test_margins_are_numbers_that_people_read() -> None:
    shares = (0.6, 1 / 8.21, 1 / 163, 1 / 12345, 1e-9)
    assert [margin_of(share) for share in shares] == ["1.7", "8.2", "160", "12,000", "> 1,000,000"]
    page = (PAGE.parent / "parity.md").read_text(encoding="utf-8")
    assert not re.search(r"\| \d[\d.]*e\+\d+ \|", page)


def test_every_subject_has_a_result_that_says_where_it_comes_from() -> None:
    results = read_results()
    assert [result["name"] for result in results] == list(SUBJECTS)
    assert {path.stem for path in RESULTS.glob("*.json")} >= set(SUBJECTS)
    for result in results:
        about: dict[str, Any] = result["machine"]
        assert about["date"] and about["processor"] and about["versions"]["packages"]["torch"]
        assert "convolution float32" in about["gflop_per_s"]


def test_the_page_shows_the_results() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert updated(page) == page, "run `python -m benchmarks --page`"


def test_a_step_beside_busy_processes_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.busy.CONTEXT", SERVER)
    monkeypatch.setattr("benchmarks.busy.BUSY", (0, 1))
    rows = busy.measured("tiny", 1, threads=1)
    assert [(row["busy"], row["way"]) for row in rows] == [
        (count, way) for count in (0, 1) for way in busy.WAYS
    ]
    assert rows[0]["ratio"] == 1 and all(row["seconds"] > 0 for row in rows)
    assert rows[3]["ratio"] == pytest.approx(rows[3]["seconds"] / rows[0]["seconds"])
    found = busy.result("tiny", 1, rows)
    assert json.loads(json.dumps(found)) == found
    assert len(busy_rows(rows)) == 4 and busy_rows(rows)[3] in busy_table(found)


@pytest.mark.parametrize("way", busy.WAYS)
def test_each_way_starts_with_its_own_setting(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this process has in its environment, and keeps."""
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    started: list[dict[str, str]] = []

    class Process:
        def __init__(self, **_: Any) -> None: ...

        def start(self) -> None:
            started.append(
                {name: os.environ[name] for name in busy.VARIABLES if name in os.environ}
            )

        def join(self, _: float) -> None: ...

        def kill(self) -> None: ...

    monkeypatch.setattr(busy.CONTEXT, "Process", Process)
    with busy._steps(way, "tiny", 1):
        pass
    assert started == [busy.WAYS[way]]
    assert os.environ["GOMP_SPINCOUNT"] == "7"


def test_moves_are_means_over_the_checkpoints_and_leave_out_what_is_undefined() -> None:
    found = [
        {AS_CONFIGURED: {"AP": 40.0, "AP_H": None}, "off": {"AP": 41.0, "AP_H": 3.0}},
        {AS_CONFIGURED: {"AP": 42.0, "AP_H": 1.0}, "off": {"AP": 40.0, "AP_H": 2.0}},
    ]
    assert moves(found) == [
        {
            "switch": "off",
            "metric": metric,
            "as_configured": before,
            "mean_move": mean,
            "largest_move": most,
        }
        for metric, before, mean, most in [("AP", 41.0, -0.5, -2.0), ("AP_H", 1.0, 1.0, 1.0)]
    ]


def test_every_switch_is_one_of_the_config_and_is_measured(
    tiny_run: tuple[RunConfig, Path], tiny_data: TinyData
) -> None:
    run, folder = tiny_run
    truth = tiny_data.annotations / "valid" / "joint.json"
    checkpoint = max((folder / "checkpoints").glob("*.pt"))
    switches = {name: change for name, change in SWITCHES.items() if name not in GPU_ONLY}
    found = dict(measured(run, switches, checkpoint, truth, tiny_data.images))
    assert list(found) == [AS_CONFIGURED, *switches]
    assert all(list(metrics) == METRICS for metrics in found.values())
    for change in SWITCHES.values():
        ComputeConfig.model_validate(change)
