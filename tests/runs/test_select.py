from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from vatrack.common.errors import InputError
from vatrack.config import Backbone, Config, Method, SelectionConfig
from vatrack.runs.select import read_selection, select_best


def make_run(
    folder: Path, epochs: dict[int, dict[str, Any]], method: Method = Method.VATRACK
) -> Path:
    """A run's folder as the training loop leaves it; the checkpoints hold their epoch's number."""
    for name in ("validation", "checkpoints"):
        (folder / name).mkdir(parents=True)
    config = Config().for_run(method, Backbone.RESNET18)
    (folder / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
    (folder / "training.json").write_text(
        json.dumps({"epochs": 9, "iterations": 8, "seconds": 1.5})
    )
    for epoch, metrics in epochs.items():
        (folder / f"validation/epoch_{epoch:02d}.json").write_text(json.dumps(metrics))
        (folder / f"checkpoints/epoch_{epoch:02d}.pt").write_text(f"weights of {epoch}")
    return folder


def chosen(run: Path, metric: str | None = None) -> dict[str, Any]:
    summary = select_best(run, SelectionConfig(metric=metric), run / "best.json")
    best = json.loads((run / "best.json").read_text())
    assert (run / "best.pt").read_text() == f"weights of {best['epoch']}"
    assert str(summary).startswith(f"{run}/best.json: epoch {best['epoch']}, {summary.reason}\n\n")
    assert (summary.epoch, summary.value) == (best["epoch"], best["value"])
    assert summary.checkpoint == run / best["checkpoint"]
    assert read_selection(run) == summary
    return best


def test_the_highest_value_wins(tmp_path: Path) -> None:
    values = {2: 10.0, 3: 30.5, 4: 20.0}
    run = make_run(
        tmp_path / "run",
        {epoch: {"video/amodal/AP": value, "x": 0} for epoch, value in values.items()},
    )
    assert chosen(run) == {
        "epoch": 3,
        "checkpoint": "checkpoints/epoch_03.pt",
        "sha256": hashlib.sha256(b"weights of 3").hexdigest(),
        "metric": "video/amodal/AP",
        "value": 30.5,
        "candidates": [{"epoch": epoch, "value": value} for epoch, value in values.items()],
    }
    assert (run / "best.pt").samefile(run / "checkpoints/epoch_03.pt")
    assert sorted(path.name for path in run.iterdir()) == [
        "best.json",
        "best.pt",
        "checkpoints",
        "config.yaml",
        "training.json",
        "validation",
    ]


@pytest.mark.parametrize(
    ("values", "best"),
    [
        ({1: 5.0, 2: 5.0}, 2),
        ({1: 0.0, 2: None}, 1),
        ({1: None, 2: None}, 2),
        ({1: None, 2: 0.0, 10: 0.0}, 10),
        ({1: 0.0, 2: 0.5, 3: -1.0}, 2),
        ({1: -2.5, 2: None}, 1),
    ],
    ids=[
        "a tie: the later",
        "zero before undefined",
        "all undefined: the last",
        "numbers are ordered as numbers",
        "zero is no more than it is",
        "negative before undefined",
    ],
)
def test_ties_and_undefined_values(
    tmp_path: Path, values: dict[int, float | None], best: int
) -> None:
    run = make_run(tmp_path, {epoch: {"video/amodal/AP": value} for epoch, value in values.items()})
    assert chosen(run)["epoch"] == best


@pytest.mark.parametrize(
    ("values", "reason", "margin"),
    [
        ({3: 1.0}, "the only validated epoch", None),
        ({2: 10.0, 3: 30.5, 4: 20.0}, "the highest video/amodal/AP, 10.50 above epoch 4", 10.5),
        (
            {1: 5.0, 2: 5.0},
            "the highest video/amodal/AP (same as epoch 1, the later one is chosen)",
            0,
        ),
        ({1: 0.0, 2: None}, "the only one whose video/amodal/AP is defined", None),
        ({1: None, 2: None}, "the last one; video/amodal/AP is undefined in all 2 epochs", None),
    ],
    ids=["one", "a winner", "a tie", "one is defined", "none is defined"],
)
def test_the_reason_is_said(
    tmp_path: Path, values: dict[int, float | None], reason: str, margin: float | None
) -> None:
    run = make_run(tmp_path, {key: {"video/amodal/AP": value} for key, value in values.items()})
    selection = select_best(run, SelectionConfig(), run / "best.json")
    assert (selection.reason, selection.margin) == (reason, margin)


@pytest.mark.parametrize("column", ["IDs", "ML", "FP", "FN"])
def test_of_errors_the_fewest_win(tmp_path: Path, column: str) -> None:
    metric, counts = f"track/amodal/{column}", [7, 3, None, 3, 9, 5, 8]
    run = make_run(tmp_path, {epoch: {metric: value} for epoch, value in enumerate(counts, 1)})
    assert chosen(run, metric)["epoch"] == 4
    best = select_best(run, SelectionConfig(metric=metric), run / "best.json")
    assert best.reason == f"the lowest {metric} (same as epoch 2, the later one is chosen)"
    assert best.ranking == [4, 2, 6, 1, 7, 5, 3]
    assert str(best).endswith("2 more with higher values")
    (run / "validation/epoch_02.json").unlink()
    best = select_best(run, SelectionConfig(metric=metric), run / "best.json")
    assert (best.reason, best.margin) == (f"the lowest {metric}, 2.00 below epoch 6", 2)


def test_the_best_candidates_are_listed(tmp_path: Path) -> None:
    values = {epoch: 10.0 + epoch % 4 for epoch in range(1, 8)}
    run = make_run(tmp_path, {key: {"video/amodal/AP": value} for key, value in values.items()})
    text = str(select_best(run, SelectionConfig(), run / "best.json"))
    assert text.splitlines()[2:] == [
        "epoch  video/amodal/AP",
        "    7            13.00  chosen",
        "    3            13.00",
        "    6            12.00",
        "    2            12.00",
        "    5            11.00",
        "  ...  2 more with lower values",
    ]


def test_the_metric_follows_the_method_or_the_config(tmp_path: Path) -> None:
    epochs = {
        1: {"video/visible/AP": 2.0, "image/visible/AP": 9.0},
        2: {"video/visible/AP": 3.0, "image/visible/AP": 8.0},
    }
    run = make_run(tmp_path, epochs, Method.QDTRACK)
    assert chosen(run)["epoch"] == 2
    assert chosen(run, "image/visible/AP")["epoch"] == 1


def test_without_tracks_image_ap_decides(tmp_path: Path) -> None:
    values = [{"video/amodal/AP": None, "image/amodal/AP": value} for value in (5.0, 9.0, 7.0)]
    run = make_run(tmp_path, dict(enumerate(values, 1)))
    assert (chosen(run)["epoch"], chosen(run)["metric"]) == (2, "image/amodal/AP")


def test_bad_input_leaves_nothing_behind(tmp_path: Path) -> None:
    empty = make_run(tmp_path / "empty", {})
    with pytest.raises(InputError, match="no epoch was validated"):
        chosen(empty)
    run = make_run(tmp_path / "run", {1: {"video/amodal/AP": 1.0}})
    with pytest.raises(
        InputError,
        match=r"has no metric video/amodal/AR \(selection\.metric\); did you mean "
        r"video/amodal/AP\? Otherwise set it to one of: video/amodal/AP$",
    ):
        chosen(run, "video/amodal/AR")
    (run / "validation/epoch_01.json").write_text('{"video/amodal/AP": 1')
    with pytest.raises(InputError, match=r"epoch_01\.json: not valid JSON"):
        chosen(run)
    (run / "validation/epoch_01.json").write_text("[]")
    with pytest.raises(InputError, match=r"epoch_01\.json: not a JSON object of metrics"):
        chosen(run)
    (run / "training.json").write_text("[]")
    with pytest.raises(InputError, match=r"training\.json: not the record of a complete training"):
        chosen(run)
    lost = make_run(tmp_path / "lost", {1: {"video/amodal/AP": 1.0}})
    (lost / "checkpoints/epoch_01.pt").unlink()
    with pytest.raises(InputError, match=r"epoch_01\.pt: no such file.*; remove .*lost and train"):
        chosen(lost)
    for folder in (empty, run, lost):
        assert not [path for path in folder.iterdir() if "best" in path.name]


def test_choosing_again_replaces_the_choice(tmp_path: Path) -> None:
    run = make_run(tmp_path, {1: {"video/amodal/AP": 1.0}, 2: {"video/amodal/AP": 0.5}})
    assert chosen(run)["epoch"] == 1
    (run / "validation/epoch_02.json").write_text(json.dumps({"video/amodal/AP": 2.0}))
    assert chosen(run)["epoch"] == 2
    assert (run / "checkpoints/epoch_01.pt").read_text() == "weights of 1"


def test_copies_where_links_are_impossible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError("no hard links here")

    run = make_run(tmp_path, {1: {"video/amodal/AP": 1.0}})
    monkeypatch.setattr("os.link", refuse)
    assert chosen(run)["epoch"] == 1
    assert not (run / "best.pt").samefile(run / "checkpoints/epoch_01.pt")


def test_a_run_without_a_choice_has_none(tmp_path: Path) -> None:
    assert read_selection(tmp_path) is None


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        {"epoch": 3},
        {"metric": 5},
        {"checkpoint": 5},
        {"candidates": 5},
        {"candidates": [{"epoch": 2, "value": "high"}]},
        {"candidates": [{"epoch": "2", "value": 1.0}]},
    ],
)
def test_a_damaged_choice_is_named(tmp_path: Path, content: Any) -> None:
    whole = {
        "epoch": 2,
        "checkpoint": "checkpoints/epoch_02.pt",
        "metric": "video/amodal/AP",
        "value": 1.0,
        "candidates": [{"epoch": 2, "value": 1.0}],
    }
    (tmp_path / "best.json").write_text(json.dumps(whole))
    assert read_selection(tmp_path) is not None
    (tmp_path / "best.json").write_text(json.dumps(whole | content if content else content))
    with pytest.raises(InputError, match=r"best\.json: not written by `vatrack select`"):
        read_selection(tmp_path)
