"""Runs with labels, and mean and standard deviation over their seeds."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.reporting.tables.made_up import markdown_rows, read_csv, run_folder
from vatrack.config import Backbone, Config, Method
from vatrack.reporting.tables import write_tables
from vatrack.reporting.tables.runs import read_runs

STARTS = {"seed0": 10.0, "seed1": 13.0, "seed2": 19.0}


def runs(folder: Path, labels: dict[str, float], **changes: Any) -> Path:
    for label, start in labels.items():
        name = "vatrack__resnet18" + f"__{label}" * bool(label)
        run_folder(folder / "runs" / name, start, **changes)
    return folder


def test_rows_are_named_by_the_labels_of_folders(tmp_path: Path) -> None:
    results = runs(tmp_path / "a", {"": 10, "e6": 20, "lr-0.1": 30})
    found, _ = read_runs([str(results)])
    assert [run.label for run in found] == ["", "e6", "lr-0.1"]
    write_tables([str(results)], tmp_path / "out")
    shown = (tmp_path / "out" / "image_amodal.md").read_text()
    assert "this run |" in shown and "this run: e6 |" in shown and "mean" not in shown


def test_labels_are_told_apart_across_folders(tmp_path: Path) -> None:
    for name in "ab":
        runs(tmp_path / name, {"e6": 10, "": 20})
    found, _ = read_runs([str(tmp_path / "a"), str(tmp_path / "b")])
    assert sorted(run.label for run in found) == ["a", "a, e6", "b", "b, e6"]
    found, _ = read_runs([f"first={tmp_path / 'a'}", f"second={tmp_path / 'b'}"])
    assert [run.label for run in found] == ["first", "first, e6", "second", "second, e6"]
    mine = tmp_path / "a/runs/vatrack__resnet18__e6"
    assert [run.label for run in read_runs([f"mine={mine}"])[0]] == ["mine"]


def test_seeds_of_each_of_several_folders_have_a_mean(tmp_path: Path) -> None:
    given = [str(runs(tmp_path / name, STARTS)) for name in "ab"]
    write_tables(given, tmp_path / "out")
    rows = read_csv(tmp_path / "out/image_amodal.csv")
    means = [(row["label"], row["source"]) for row in rows if row["source"].startswith("mean")]
    assert means == [("a", "mean of 3 seeds"), ("b", "mean of 3 seeds")]


def test_a_folder_of_another_name_has_the_label_of_its_config(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "mine", 1)
    config = run / "config.yaml"
    config.write_text(f"{config.read_text()}run_label: e6\n")
    assert read_runs([str(run)])[0][0].label == "e6"
    other = run.rename(tmp_path / "qdtrack__resnet18__e7")  # not what its config says
    assert read_runs([str(other)])[0][0].label == "e6"


def test_mean_and_sample_deviation_stand_beside_the_single_rows(tmp_path: Path) -> None:
    results = runs(tmp_path / "a", STARTS)
    write_tables([str(results)], tmp_path)
    rows = read_csv(tmp_path / "image_amodal.csv")
    assert [(row["label"], row["source"]) for row in rows[:5]] == [
        ("seed0", "this run"),
        ("seed1", "this run"),
        ("seed2", "this run"),
        ("", "mean of 3 seeds"),
        ("", "standard deviation of 3 seeds"),
    ]
    assert float(rows[3]["AP"]) == pytest.approx(14)
    assert float(rows[4]["AP"]) == pytest.approx(math.sqrt((16 + 1 + 25) / 2))  # by n - 1
    cells = markdown_rows(tmp_path / "image_amodal.md")
    mean = next(row for row in cells if "mean of 3 seeds" in row)
    assert mean[4] == "14.0 ± 4.6"
    assert r"14.0 $\pm$ 4.6" in (tmp_path / "image_amodal.tex").read_text()
    assert "14.0 ± 4.6" in (tmp_path / "tables.html").read_text()
    for kind in ("md", "tex", "html"):
        name = "tables" if kind == "html" else "image_amodal"
        assert "sample standard deviation" in (tmp_path / f"{name}.{kind}").read_text()


def test_groups_have_one_label_method_and_dataset(tmp_path: Path) -> None:
    labels = {"e6-seed0": 10.0, "e6-seed1": 12.0, "seed0": 30.0, "e6": 40.0}
    results = runs(tmp_path / "a", labels)
    run_folder(results / "runs/qdtrack__resnet18__seed1", 5, method="qdtrack")
    write_tables([str(results)], tmp_path)
    rows = read_csv(tmp_path / "image_visible.csv")
    means = [row for row in rows if row["source"].startswith("mean")]
    assert [(row["method"], row["label"]) for row in means] == [("vatrack", "e6")]
    assert "mean of 2 seeds: e6" in (tmp_path / "image_visible.md").read_text()


def configured(results: Path, label: str, start: float, seed: int, epochs: int) -> None:
    """A run's folder with a config that this version reads."""
    run = results / f"runs/vatrack__resnet18__{label}"
    run_folder(run, start)
    training = {"epochs": epochs}
    values = {"dataset": {"name": "mini"}, "seed": seed, "training": training}
    config = Config.model_validate(values).for_run(Method.VATRACK, Backbone.RESNET18)
    (run / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))


def means_of(results: Path, out: Path) -> list[tuple[str, str, float]]:
    write_tables([str(results)], out)
    rows = read_csv(out / "image_amodal.csv")
    means = [row for row in rows if row["source"].startswith("mean")]
    return [(row["label"], row["source"], float(row["AP"])) for row in means]


def test_runs_with_other_settings_are_another_group(tmp_path: Path) -> None:
    results = tmp_path / "a"
    for seed, start, epochs in ((0, 10, 6), (1, 12, 6), (2, 90, 12)):
        configured(results, f"seed{seed}", start, seed, epochs)
    assert means_of(results, tmp_path) == [("seeds 0, 1", "mean of 2 seeds", 11)]
    configured(results, "seed3", 94, 3, 12)
    assert means_of(results, tmp_path) == [
        ("seeds 0, 1", "mean of 2 seeds", 11),
        ("seeds 2, 3", "mean of 2 seeds", 92),
    ]


@pytest.mark.filterwarnings("ignore:.* evaluated with different evaluation settings")
def test_settings_of_predictions_and_metrics_count_as_they_were_last(tmp_path: Path) -> None:
    """They may be newer than the config of the training."""
    results = tmp_path / "a"
    for seed, start in ((0, 10), (1, 12), (2, 90), (3, 94)):
        configured(results, f"seed{seed}", start, seed, 6)
    note = {"evaluation.yaml": {"detection_area": "mask", "ground_truth": {"joint": "a1"}}}
    note["inference.yaml"] = {"inference": {"nms_iou": 0.6}, "compute": {"tf32": True}}
    for name, values in note.items():
        for seed in (2, 3):
            folder = next(results.rglob(f"*__seed{seed}"))
            (folder / name).write_text(yaml.safe_dump(values))
        assert means_of(results, tmp_path) == [
            ("seeds 0, 1", "mean of 2 seeds", 11),
            ("seeds 2, 3", "mean of 2 seeds", 92),
        ]
        for seed in (0, 1):
            folder = next(results.rglob(f"*__seed{seed}"))
            (folder / name).write_text(yaml.safe_dump(values))
        assert means_of(results, tmp_path) == [("", "mean of 4 seeds", 51.5)]


@pytest.mark.filterwarnings("ignore:.* evaluated with different ground truth")
def test_metrics_of_different_ground_truths_have_no_mean(tmp_path: Path) -> None:
    """Those of which none is noted, as by older versions, do not differ."""
    results = tmp_path / "a"
    for seed, start, truth in ((0, 10, "a1"), (1, 12, "a1"), (2, 90, "b2"), (3, 14, None)):
        configured(results, f"seed{seed}", start, seed, 6)
        if truth:
            noted = next(results.rglob(f"*__seed{seed}")) / "evaluation.yaml"
            noted.write_text(yaml.safe_dump({"ground_truth": {"joint": truth}}))
    assert means_of(results, tmp_path) == [("seeds 0, 1, 3", "mean of 3 seeds", 12)]


def test_a_seed_counts_once_in_a_group(tmp_path: Path) -> None:
    results = tmp_path / "a"
    configured(results, "seed0", 10, 0, 6)
    configured(results, "seed1", 50, 0, 6)  # its label is wrong
    assert means_of(results, tmp_path) == []
    configured(results, "seed2", 14, 2, 6)
    assert means_of(results, tmp_path) == [("", "mean of 2 seeds", 12)]


def test_a_metric_that_one_seed_lacks_has_no_mean(tmp_path: Path) -> None:
    results = runs(tmp_path / "a", {"seed0": 10.0, "seed1": 12.0})
    run_folder(
        results / "runs/vatrack__resnet18__seed2",
        14,
        image__amodal__AP50_H=None,
        image__amodal__AP50_S=-1,
    )
    write_tables([str(results)], tmp_path)
    mean = next(r for r in read_csv(tmp_path / "image_amodal.csv") if "mean" in r["source"])
    assert mean["H"] == mean["S"] == "-"
    assert float(mean["AP"]) == pytest.approx(12)


def test_tracking_counts_have_a_decimal_in_their_mean(tmp_path: Path) -> None:
    for seed, count in ((0, 3), (1, 4)):
        run_folder(
            tmp_path / f"a/runs/vatrack__resnet18__seed{seed}",
            10,
            track__amodal__IDs=count,
            track__amodal_box__IDs=count + 1,
        )
    write_tables([str(tmp_path / "a")], tmp_path)
    cells = markdown_rows(tmp_path / "track_amodal.md")
    shown = {row[3]: row[7] for row in cells}
    assert shown["masks: seed1"] == "4"
    assert shown["masks, mean of 2 seeds"] == "3.5 ± 0.7"
    assert shown["boxes, mean of 2 seeds"] == "4.5 ± 0.7"


def test_means_can_be_left_out(tmp_path: Path) -> None:
    write_tables([str(runs(tmp_path / "a", STARTS))], tmp_path, means=False)
    assert "mean of" not in (tmp_path / "tables.html").read_text()
