"""The plan behind the rules, without Snakemake."""

from __future__ import annotations

import re
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from vatrack.common.errors import InputError
from vatrack.config import Config, Method
from vatrack.config.keys import known_keys
from vatrack.config.layers import read_layers
from workflow.lib import plan as lib

WORKFLOW = Path(__file__).parents[2] / "workflow"


def Plan(values: dict[str, Any]) -> lib.Plan:
    """A plan of trainings that may start at random."""
    training = {"random_start": True} | values.get("training", {})
    return lib.Plan({**values, "training": training})


def job(method: str, variant: str = "") -> Namespace:
    """The wildcards of a job."""
    return Namespace(method=method, backbone="resnet18", variant=variant)


def raw_tree(folder: Path, *videos: str) -> str:
    for video in videos:
        (folder / video / "images").mkdir(parents=True)
    return str(folder)


def test_every_run_has_its_paths() -> None:
    values = {"methods": ["qdtrack", "vatrack"], "dataset": {"name": "x"}, "results": "out"}
    plan = Plan(values)
    assert plan.root == "out/x"
    folders = ["out/x/runs/qdtrack__resnet18", "out/x/runs/vatrack__resnet18"]
    assert plan.per_run(plan.run) == folders
    assert plan.run_options(None, None) == " ".join(f"--run={folder}" for folder in folders)
    assert len(plan.results) == len(set(plan.results)) == 1 + 12 * 3 + 6 * 2 + 3 + 3 * 2
    assert plan.training_settings(job("qdtrack"))["method"] == "qdtrack"
    assert plan.begun() == []


def test_another_method_changes_no_file_that_a_run_on_own_data_reads() -> None:
    files = {"images": "i", "train_json": "t.json", "valid_json": "v.json"}
    own = {"dataset": {"name": "x", "format": "joint", **files}}
    one, all_ = Plan({**own, "methods": ["qdtrack"]}), Plan({**own, "methods": list(Method)})
    run = job("qdtrack")
    forms = ["joint.json", "visible.json", "video_visible.json"]
    folders = [f"results/x/annotations/{subset}" for subset in ("train", "valid")]
    assert one.annotations(run) == [f"{folder}/{form}" for folder in folders for form in forms]
    assert one.tracks(run) == {"visible": f"{folders[1]}/video_visible.json"}
    assert one.annotations(run) == all_.annotations(run)
    assert one.track_options(run) == all_.track_options(run)
    raw = Plan({"methods": ["qdtrack"]})
    assert len(raw.annotations(run)) == 2 * len(raw.forms) and len(raw.tracks(run)) == 2


def test_labels_and_seeds_are_variants_of_a_run() -> None:
    values = {"run_label": "e6", "seeds": [0, 12], "results": "out", "dataset": {"name": "x"}}
    plan = Plan(values)
    assert plan.variants == ["__e6-seed0", "__e6-seed12"]
    names = ["vatrack__resnet18__e6-seed0", "vatrack__resnet18__e6-seed12"]
    assert plan.per_run(plan.run) == [f"out/x/runs/{name}" for name in names]
    seed12 = job("vatrack", "__e6-seed12")
    assert plan.training_settings(seed12)["seed"] == 12
    assert plan.launch_options(seed12, {}) == "--seed 12"
    bare = Plan({})
    assert bare.variants == [""]
    assert bare.launch_options(job("vatrack"), {}) == ""
    labelled = Plan({"run_label": "e6"})
    settings = bare.training_settings(job("vatrack"))
    assert labelled.training_settings(job("vatrack", "__e6")) == settings


def test_runs_of_other_configs_are_shown_beside_those_of_this_one(tmp_path: Path) -> None:
    runs = tmp_path / "x" / "runs"
    for name in (
        "vatrack__resnet18__seed10",
        "vatrack__resnet18__seed9",
        "qdtrack__resnet18",
        "vatrack__resnet18__unfinished",
        "a copy",
    ):
        (runs / name).mkdir(parents=True)
        (runs / name / "config.yaml").touch()
        if name != "vatrack__resnet18__unfinished":
            (runs / name / "metrics.json").touch()
    plan = Plan({"run_label": "new", "results": str(tmp_path), "dataset": {"name": "x"}})
    assert [Path(folder).name for folder in plan.shown()] == [
        "vatrack__resnet18__new",
        "vatrack__resnet18__seed9",
        "vatrack__resnet18__seed10",
        "qdtrack__resnet18",
    ]
    assert plan.per_run(plan.run) == [str(runs / "vatrack__resnet18__new")]


def test_settings_are_values_by_full_name() -> None:
    plan = Plan({"training": {"optimizer": {"momentum": 0.5}}})
    assert plan.settings("seed", "training.optimizer.momentum") == {
        "seed": 0,
        "training.optimizer.momentum": 0.5,
    }
    with pytest.raises(KeyError):
        plan.settings("training.nothing")


# These name files and runs, or say how work is done: other values make no other result.
REPEATS_NOTHING = (
    *("results", "run_label", "methods", "backbones", "seeds", "mean_rows", "launcher", "mlflow"),
    *(f"dataset.{key}" for key in ("name", "format", "images", "raw", "train_json", "valid_json")),
    *(f"dataset.{key}" for key in ("archives", "archive_strip", "validation")),
    *(f"dataset.clips.{key}" for key in ("fetch", "download", "curves")),
    *(f"compute.{key}" for key in ("device", "channels_last", "compile", "batch_frames")),
    *(f"compute.{key}" for key in ("mask_workers", "workers", "loader_timeout_seconds")),
)


def test_every_key_repeats_a_stage_or_is_known_to_repeat_none() -> None:
    """A new key has to be in one of both."""
    rules = "".join(file.read_text() for file in (WORKFLOW / "rules").glob("*.smk"))
    lists = re.findall(r"plan\.settings\(([^)]*)\)", rules)
    repeats = {key for found in lists for key in re.findall(r'"([\w.]+)"', found)}
    repeats |= {*Plan({}).cut_settings(), *Plan({}).training_settings(job("vatrack"))}
    keys = known_keys(Config)
    single = [key for key in keys if not any(other.startswith(f"{key}.") for other in keys)]
    for known in (*repeats, *REPEATS_NOTHING):
        single = [key for key in single if key != known and not key.startswith(f"{known}.")]
    assert len(repeats) > 20 and single == []


@pytest.mark.parametrize(
    ("clips", "measure", "sheets", "names"),
    [
        ({"structure": "detect"}, True, True, 3),
        ({"structure": "whole", "curves": True}, False, False, 1),
        ({"structure": __file__}, False, True, 1),
        ({"structure": __file__, "curves": True}, True, True, 1),
    ],
)
def test_what_the_cuts_need(clips: dict[str, Any], measure: bool, sheets: bool, names: int) -> None:
    plan = Plan({"dataset": {"clips": clips}})
    assert (plan.measure, plan.shows_cuts, len(plan.cut_settings())) == (measure, sheets, names)
    assert bool(plan.curve_options) == measure
    assert bool(plan.scores_option) == plan.detect


def test_the_miniature_sets_videos_are_known_before_it_is_rendered() -> None:
    plan = Plan({"dataset": {"synthetic": {"train_videos": 1, "valid_videos": 1}}})
    assert plan.videos() == ["mini_train_000", "mini_valid_000"]
    assert plan.official == []
    assert plan.official_json(Namespace(subset="valid")) == "results/mini/raw/valid.json"


def test_only_a_small_rendered_set_is_worked_on_by_one_process(tmp_path: Path) -> None:
    default = read_layers(Path(__file__).parents[2] / "config" / "config.yaml")
    small, large = default["dataset"]["synthetic"], {"train_videos": 400, "frames": 36}
    assert Plan({"dataset": {"synthetic": small}}).threads(8) == 1
    assert Plan({"dataset": {"synthetic": {**small, **large}}}).threads(8) == 8
    raw = raw_tree(tmp_path, "a")
    on_disk = Plan({"dataset": {"synthetic": small, "raw": raw}})
    assert (on_disk.small, on_disk.threads(2)) == (False, 2)


def test_videos_of_a_raw_tree(tmp_path: Path) -> None:
    raw = raw_tree(tmp_path, "b 100%", "a")
    plan = Plan({"dataset": {"raw": raw}})
    assert plan.videos() == ["a", "b 100%"]
    assert plan.official == [f"{raw}/train.json", f"{raw}/valid.json"]


@pytest.mark.parametrize("video", ["a{b}", "{", "}c", ".hidden"])
def test_names_that_snakemake_cannot_handle_are_refused(video: str, tmp_path: Path) -> None:
    plan = Plan({"dataset": {"raw": raw_tree(tmp_path, "fine", video)}})
    with pytest.raises(
        InputError, match="braces or a leading dot are not supported; rename the folder"
    ) as caught:
        plan.videos()
    assert str(caught.value).startswith(f"config: dataset.raw: {tmp_path}/{video}: ")


@pytest.mark.parametrize(
    ("cluster", "options"), [("slurm", "--partition gpu --qos 'very long'"), ("local", "")]
)
def test_the_profiles_place_on_the_cluster(cluster: str, options: str) -> None:
    plan = Plan({"launcher": {"cluster": cluster, "cpus": 7, "memory_gb": 3, "gpus": 2}})
    resources = {"slurm_partition": "gpu", "qos": "very long"}
    assert plan.launch_options(job("vatrack"), resources) == options
    here = cluster == "local"
    assert (plan.train_threads, plan.train_memory, plan.train_gpus) == (
        (7, 3000, 2) if here else (1, 1000, 0)
    )
    assert plan.predict_gpus == 1
