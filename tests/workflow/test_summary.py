"""The end of a run of the workflow: the metrics of each run, whatever its files hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from vatrack.common.files import write_json
from vatrack.evaluation.key_metrics import ON_TERMINALS
from vatrack.runs.folder import RunFolder
from workflow.lib.summary import closing_summary

KEYS = [metric.key(mask) for metric in ON_TERMINALS for mask in metric.masks]
METRICS = {key: 12.34 + number for number, key in enumerate(KEYS)}
BEST = {
    "epoch": 7,
    "checkpoint": "checkpoints/epoch_07.pt",
    "metric": "image/amodal/AP50",
    "value": 12.34,
    "candidates": [{"epoch": 7, "value": 12.34}],
}
SHOWN = ["12.3", "13.3", "14.3", "15.3", "16.3", "17.3"]


def run(folder: Path, name: str = "vatrack__resnet18") -> RunFolder:
    found = RunFolder(folder / name)
    found.path.mkdir()
    write_json(found.metrics, METRICS)
    write_json(found.selection, BEST)
    return found


def summary(*folders: Path) -> list[str]:
    return closing_summary(map(str, folders), "r/report.html", "r/tables").splitlines()


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("r/tables").mkdir(parents=True)
    Path("r/report.html").touch()


def test_a_line_for_each_run_with_metrics(tmp_path: Path) -> None:
    whole, undefined = run(tmp_path), run(tmp_path, "qdtrack__resnet18")
    write_json(undefined.metrics, dict.fromkeys(METRICS))
    planned = tmp_path / "planned"
    pairs, heads, first, second, *rest = summary(whole.path, undefined.path, planned)
    assert pairs.split() == ["image", "AP50", "video", "AP50", "HOTA"]
    assert heads.split() == ["run", *["amodal", "visible"] * 3, "epoch"]
    chosen = ["7,", "best", "image/amodal/AP50"]
    assert first.split() == ["vatrack__resnet18", *SHOWN, *chosen]
    assert second.split() == ["qdtrack__resnet18", *"------", *chosen]
    assert heads.index("amodal") + len("amodal") == first.index("12.3") + len("12.3")
    assert rest == ["", "tables: r/tables", "report: r/report.html"]


def test_without_runs_only_the_places() -> None:
    assert summary() == ["tables: r/tables", "report: r/report.html"]


def test_nothing_is_said_of_results_that_are_not_there_yet() -> None:
    Path("r/report.html").unlink()
    assert summary() == ["tables: r/tables"]
    Path("r/tables").rmdir()
    assert closing_summary([], "r/report.html", "r/tables", {"r/clips": "rebuild them"}) == ""


def test_lost_clips_are_named_with_the_command_that_rebuilds_them(tmp_path: Path) -> None:
    rebuild = {f"{tmp_path}/clips": "rebuild the clips: snakemake clips", str(tmp_path): "rebuild"}
    told = closing_summary([], "r/report.html", "r/tables", rebuild)
    lost = f"{tmp_path}/clips: no such folder; rebuild the clips: snakemake clips"
    assert told.splitlines() == [*summary(), "", lost]


@pytest.mark.parametrize("text", [None, "", "{", "{}", "[]", "3", "null", '{"epoch": 7}'])
def test_a_dash_for_a_choice_that_cannot_be_read(tmp_path: Path, text: str | None) -> None:
    folder = run(tmp_path)
    folder.selection.unlink()
    if text is not None:
        folder.selection.write_text(text)
    line = summary(folder.path)[2]
    assert line.split() == ["vatrack__resnet18", *SHOWN, "-"]


@pytest.mark.parametrize("text", ["", "[]", '{"image/amodal/AP50": "high"}'])
def test_dashes_for_metrics_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    folder = run(tmp_path)
    folder.metrics.write_text(text)
    line = summary(folder.path)[2]
    assert line.split()[: 1 + len(KEYS)] == ["vatrack__resnet18", *"------"]
