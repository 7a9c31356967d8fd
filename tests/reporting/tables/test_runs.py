"""Which runs are read, under which names."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.reporting.tables.made_up import metrics, read_csv, run_folder
from vatrack.common.errors import InputError
from vatrack.reporting.tables import write_tables
from vatrack.reporting.tables.runs import read_runs


def keys(*given: object) -> list[tuple[str, str | None, int]]:
    runs, _ = read_runs([str(one) for one in given])
    return [(run.key, run.dataset, int(min(filter(None, run.metrics.values())))) for run in runs]


def test_metrics_files_with_and_without_label(tmp_path: Path) -> None:
    one, two = metrics(tmp_path / "one.json", 1), metrics(tmp_path / "two.json", 2)
    found = keys(
        f"vatrack/resnet50:seed 1={one}",
        f"vatrack/resnet50={two}",
        f"vatrack/resnet50:lr: 0.1={one}",
    )
    assert found == [
        ("vatrack/resnet50:seed 1", None, 1),
        ("vatrack/resnet50", None, 2),
        ("vatrack/resnet50:lr: 0.1", None, 1),
    ]


def test_the_label_is_shown(tmp_path: Path) -> None:
    path = metrics(tmp_path / "one.json", 1)
    write_tables([f"vatrack/resnet50:50%_|={path}", f"vatrack/resnet50={path}"], tmp_path)
    assert [row["label"] for row in read_csv(tmp_path / "image_amodal.csv")][:2] == ["50%_|", ""]
    assert r"| this run: 50%\_\| |" in (tmp_path / "image_amodal.md").read_text()
    assert r"this run: 50\%\_\textbar{} &" in (tmp_path / "image_amodal.tex").read_text()
    assert ">this run: 50%_|</td>" in (tmp_path / "tables.html").read_text()


def test_metrics_in_a_runs_folder_know_their_dataset(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", 3)
    assert keys(f"vatrack/resnet18={run}/metrics.json") == [("vatrack/resnet18", "mini", 3)]
    assert keys(f"vatrack/resnet18:x={run}") == [("vatrack/resnet18:x", "mini", 3)]
    # A config that is not a run's, as the workflow's own, says nothing.
    (tmp_path / "config.yaml").write_text("dataset: {name: mini}\n")
    assert keys(f"vatrack/resnet18={metrics(tmp_path / 'metrics.json', 4)}") == [
        ("vatrack/resnet18", None, 4)
    ]


@pytest.mark.parametrize(
    ("noted", "what"),
    [
        ({"max_tracks": 10, "ground_truth": {"joint": "a1"}}, "evaluation settings"),
        ({"max_tracks": 100, "ground_truth": {"joint": "b2"}}, "ground truth"),
        ({"ground_truth": {"joint": "a1", "amodal": "c"}}, "ground truth of tracks"),
        ({"ground_truth": {"joint": "a1"}, "extended": False}, None),
        ({"detection_area": "box"}, None),
        ({"detection_area": "mask"}, "evaluation settings"),
        ({}, None),
    ],
)
def test_runs_that_were_evaluated_otherwise_are_warned_of(
    noted: dict[str, Any], what: str | None, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    truth = {"joint": "a1", "video_max_occlusion": 0.75}
    first = {"max_tracks": 100, "extended": True, "ground_truth": truth}
    _, *folders = [run_folder(tmp_path / f"runs/vatrack__resnet18__{name}", 1) for name in "0abc"]
    for folder, values in zip(folders, (first, first, noted), strict=True):
        (folder / "evaluation.yaml").write_text(yaml.safe_dump(values))
    read_runs([str(tmp_path)])
    files = [f"vatrack/resnet18:{folder.name}={folder}/metrics.json" for folder in folders]
    read_runs(files)
    pairs = (folders[2], folders[0]), (f"{folders[2]}/metrics.json", f"{folders[0]}/metrics.json")
    assert [str(one.message) for one in recwarn] == (what is not None) * [
        f"{other}: evaluated with different {what} than {first}, so their metrics cannot be "
        "compared; evaluate both again"
        for other, first in pairs
    ]


@pytest.mark.filterwarnings("ignore:.* evaluated with different ground truth")
def test_tables_say_which_runs_are_not_comparable(tmp_path: Path) -> None:
    for label, start, truth in (("a", 1.0, "t"), ("b", 2.0, "u"), ("c", 3.0, "u")):
        run = run_folder(tmp_path / f"runs/vatrack__resnet18__{label}", start)
        (run / "evaluation.yaml").write_text(yaml.safe_dump({"ground_truth": {"joint": truth}}))
        per_class = {"image/amodal": {"car": {"AP50": start + 0.01}}}
        details = {"per_class": per_class, "per_video": {}, "classes": ["car"]}
        (run / "details.json").write_text(json.dumps(details))
    write_tables([str(tmp_path)], tmp_path / "out")
    told = "Not comparable with VATrack (b), because of different ground truth: VATrack (a)."
    for name in ("image_amodal", "track_visible", "classes_image_amodal"):
        assert told in (tmp_path / "out" / f"{name}.md").read_text()


@pytest.mark.parametrize("given", ["{run}", "vatrack/resnet18={run}/metrics.json"])
def test_metrics_of_an_earlier_choice_are_warned_of(given: str, tmp_path: Path) -> None:
    run = run_folder(tmp_path / "runs/vatrack__resnet18", 1)
    noted = {"predictions": {"checkpoint": {"epoch": 2, "sha256": "a1"}}}
    (run / "evaluation.yaml").write_text(yaml.safe_dump(noted))
    (run / "best.json").write_text('{"epoch": 3, "sha256": "b2"}')
    told = rf"^{run}: metrics\.json is of epoch 2, but best\.json chooses epoch 3; evaluate the "
    with pytest.warns(UserWarning, match=told):
        read_runs([given.format(run=run)])


def test_runs_folders_and_folders_of_results(tmp_path: Path) -> None:
    results = tmp_path / "results"
    first = run_folder(results / "mini/runs/vatrack__resnet18", 1)
    run_folder(results / "mini/runs/qdtrack__resnet18", 2, method="qdtrack")
    run_folder(results / "sailvos-cut/runs/vatrack__resnet18", 3, dataset="sailvos-cut")
    assert keys(first) == [("vatrack/resnet18", "mini", 1)]
    assert keys(results / "mini") == [
        ("qdtrack/resnet18", "mini", 2),
        ("vatrack/resnet18", "mini", 1),
    ]
    everything = [*keys(results / "mini"), ("vatrack/resnet18", "sailvos-cut", 3)]
    assert keys(results) == everything
    assert keys(results / "sailvos-cut", results / "mini") == [everything[2], *everything[:2]]
    assert keys(f"tuned={results / 'mini'}")[1] == ("vatrack/resnet18:tuned", "mini", 1)


def test_ten_seeds_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for seed in (10, 2, 1):
        run_folder(tmp_path / f"runs/vatrack__resnet18__seed{seed}", seed)
    assert [start for *_, start in keys(tmp_path)] == [1, 2, 10]


def test_like_runs_are_named_by_what_differs_in_their_paths(tmp_path: Path) -> None:
    for seed in (0, 1):
        run_folder(tmp_path / f"seed{seed}/mini/runs/vatrack__resnet18", seed)
    assert keys(tmp_path / "seed0", tmp_path / "seed1") == [
        ("vatrack/resnet18:seed0", "mini", 0),
        ("vatrack/resnet18:seed1", "mini", 1),
    ]
    elsewhere = run_folder(tmp_path / "other", 2)
    assert [key for key, _, _ in keys(tmp_path / "seed0", elsewhere)] == [
        "vatrack/resnet18",
        f"vatrack/resnet18:{elsewhere}",
    ]
    assert [key for key, _, _ in keys(f"a={tmp_path / 'seed0'}", tmp_path / "seed1")] == [
        "vatrack/resnet18:a",
        "vatrack/resnet18",
    ]


def test_metrics_in_a_folder_that_lost_its_config_are_named(tmp_path: Path) -> None:
    run_folder(tmp_path / "runs/vatrack__resnet18", 1)
    bare = run_folder(tmp_path / "runs/qdtrack__resnet18", 1)
    (bare / "config.yaml").unlink()
    with pytest.warns(
        UserWarning, match=f"^{bare}: has metrics, but no config.yaml, so it is left"
    ):
        assert keys(tmp_path) == [("vatrack/resnet18", "mini", 1)]


def test_copies_do_not_take_a_run_its_label(tmp_path: Path) -> None:
    """Its seed at the end puts it into a group of seeds."""
    run_folder(tmp_path / "a/runs/vatrack__resnet18__seed0", 1)
    copy = run_folder(tmp_path / "a/runs/old_copy", 2)
    values = yaml.safe_load((copy / "config.yaml").read_text()) | {"run_label": "seed0"}
    (copy / "config.yaml").write_text(yaml.safe_dump(values))
    names = [key for key, *_ in keys(tmp_path / "a")]
    assert names == ["vatrack/resnet18:old_copy, seed0", "vatrack/resnet18:seed0"]
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    shutil.rmtree(copy)
    shutil.rmtree(tmp_path / "b/runs" / copy.name)
    names = [key for key, *_ in keys(tmp_path / "a", tmp_path / "b")]
    assert names == ["vatrack/resnet18:a, seed0", "vatrack/resnet18:b, seed0"]


def test_unfinished_runs_are_named(tmp_path: Path) -> None:
    run_folder(tmp_path / "mini/runs/vatrack__resnet18", 1)
    waiting = run_folder(tmp_path / "mini/runs/qdtrack__resnet18", 1, method="qdtrack")
    (waiting / "metrics.json").unlink()
    written = write_tables([str(tmp_path)], tmp_path / "tables")
    assert written.unfinished == (waiting,)
    for text in (str(written), written.whole):
        assert f"skipped (no metrics yet): {waiting}" in text


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ("vatrack=m.json", "must be METHOD/BACKBONE[:LABEL]=metrics.json, or"),
        ("vatrack/resnet18", "no such folder; must be METHOD/BACKBONE[:LABEL]=metrics.json"),
        ("vatrack/resnet18=", "must be METHOD/BACKBONE[:LABEL]=metrics.json"),
        ("vatrack/resnet18:=m.json", "not a label before '='; must be a short text"),
        ("=folder", "not a label before '='; must be a short text"),
        (
            "vatrak/resnet18=m.json",
            "unknown method 'vatrak'; did you mean vatrack?",
        ),
        ("vatrack/resnet19=m.json", "unknown backbone 'resnet19'; did you mean resnet18"),
        ("vatrack/resnet18=none.json", "none.json: no such file"),
        ("vatrack/resnet18=list.json", "list.json: contains no metrics"),
        ("vatrack/resnet18=text.json", "'image/amodal/AP' is 'high', not a number"),
        ("vatrack/resnet18=nan.json", "'image/amodal/AP' is nan, not a number"),
        (
            "vatrack/resnet50=m.json",
            "vatrack/resnet50 is given twice; give the runs different labels",
        ),
        (
            "empty",
            "no metrics.json in it or in run folders below (empty/runs/* or empty/*/runs/*)",
        ),
        (
            "waiting",
            "--run waiting: has no metrics.json; predict the validation set: vatrack predict "
            "--checkpoint waiting --frames ",
        ),
        (
            "no_config",
            "no_config/config.yaml is missing; give the metrics as METHOD/BACKBONE=metrics.json",
        ),
        ("bare_config", "config.yaml: not the config of a run"),
        ("folder", "folder/config.yaml: unknown method 'mask-rcnn'"),
        (
            "vatrack/resnet18=folder/metrics.json",
            "folder/config.yaml: unknown method 'mask-rcnn'",
        ),
        (
            "qdtrack/resnet18=other/metrics.json",
            "other/config.yaml says vatrack/resnet18; give the metrics of qdtrack/resnet18",
        ),
    ],
)
def test_bad_runs_are_refused_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    metrics(tmp_path / "m.json", 10)
    metrics(tmp_path / "text.json", 10, image__amodal__AP="high")
    metrics(tmp_path / "nan.json", 10, image__amodal__AP=float("nan"))
    (tmp_path / "list.json").write_text("[1, 2]")
    (tmp_path / "empty").mkdir()
    metrics(tmp_path / "no_config" / "metrics.json", 10)
    metrics(tmp_path / "bare_config" / "metrics.json", 10)
    (tmp_path / "bare_config" / "config.yaml").write_text("method: vatrack\n")
    (tmp_path / "waiting").mkdir()
    for name in ("config.yaml", "best.pt"):
        (tmp_path / "waiting" / name).touch()
    run_folder(tmp_path / "folder", 1, method="mask-rcnn")
    run_folder(tmp_path / "other", 1)
    with pytest.raises(InputError, match=re.escape(message)):
        write_tables(["vatrack/resnet50=m.json", run], tmp_path / "tables")
    assert not (tmp_path / "tables").exists()
