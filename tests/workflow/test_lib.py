"""The plan behind the rules, without Snakemake."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from vatrack.common.errors import InputError
from workflow.lib import plan as lib
from workflow.lib.plan import check_cluster, layered_config


def files(folder: Path, **texts: str) -> list[Path]:
    paths = [folder / f"{name}.yaml" for name in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        path.write_text(text)
    return paths


def Plan(values: dict[str, Any]) -> lib.Plan:
    """A plan of trainings that may start at random."""
    training = {"random_start": True} | values.get("training", {})
    return lib.Plan({**values, "training": training})


def raw_tree(folder: Path, *videos: str) -> str:
    for video in videos:
        (folder / video / "images").mkdir(parents=True)
    return str(folder)


def test_files_and_overrides_are_layers(tmp_path: Path) -> None:
    base, a, b = files(
        tmp_path,
        base="seed: 1\ntraining: {epochs: 2, flip: 0}\n",
        a="extends: base.yaml\ntraining: {epochs: 3}\n",
        b="training: {flip: 0.25}\n",
    )
    assert layered_config([a], {}) == {"seed": 1, "training": {"epochs": 3, "flip": 0}}
    assert layered_config([base, b], {})["training"] == {"epochs": 2, "flip": 0.25}
    overridden = layered_config([a, b], {"training": {"epochs": 9}, "seed": 5})
    assert overridden == {"seed": 5, "training": {"epochs": 9, "flip": 0.25}}


@pytest.mark.parametrize("key", ["methods", "backbones", "seeds"])
def test_a_list_on_the_command_line_needs_brackets(key: str) -> None:
    with pytest.raises(InputError, match=rf"must be a list; write --config '{key}=\[x\]'"):
        layered_config([], {key: "x"})


@pytest.mark.parametrize("key", ["dataset", "training", "launcher"])
def test_a_section_on_the_command_line_needs_a_mapping(key: str) -> None:
    for value in (6, "epochs=6", [6], None):
        with pytest.raises(InputError, match=rf"write --config '{key}={{name: value}}'"):
            layered_config([], {key: value})
    assert layered_config([], {key: {"a": 6}}) == {key: {"a": 6}}


@pytest.mark.parametrize(
    ("given", "form"),
    [
        ({"epochs": 6}, "--config 'training={epochs: 6}'"),
        ({"training": {"optimizer.momentum": 0.5}}, "'training={optimizer: {momentum: 0.5}}'"),
        ({"training": {"momentum": 1, "a.momentum": 2}}, None),  # of two sections: no guess
        ({"nonsense": 1, "training": {"epoch": 6}}, None),  # the check of the whole names them
    ],
)
def test_a_key_without_its_section_gets_the_right_form(
    given: dict[str, Any], form: str | None
) -> None:
    if form is None:
        assert layered_config([], given) == given
        return
    with pytest.raises(InputError, match=re.escape(form)):
        layered_config([], given)


def test_slurm_is_looked_for_only_where_it_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    check_cluster("local", trains_on_slurm=False)
    with pytest.raises(InputError, match=r"^the profile or --executor asks for SLURM, but"):
        check_cluster("slurm", trains_on_slurm=True)
    with pytest.raises(InputError, match=r"or train here: --config 'launcher={cluster: local}'$"):
        check_cluster("local", trains_on_slurm=True)
    for command in ("sbatch", "srun"):
        (tmp_path / command).touch(mode=0o755)
    check_cluster("slurm", trains_on_slurm=True)


def test_a_file_that_is_no_config_is_named(tmp_path: Path) -> None:
    for text in ("[1, 2]", "false", "a: [1", "a: 1\na: 2\n"):
        with pytest.raises(InputError, match=r"a\.yaml"):
            layered_config(files(tmp_path, a=text), {})


def test_every_run_has_its_paths() -> None:
    values = {"methods": ["qdtrack", "vatrack"], "dataset": {"name": "x"}, "results": "out"}
    plan = Plan(values)
    assert plan.root == "out/x"
    folders = ["out/x/runs/qdtrack__resnet18", "out/x/runs/vatrack__resnet18"]
    assert plan.per_run(plan.run) == folders
    assert plan.options("run", "log-run") == " ".join(
        f"--{option}={folder}" for option in ("run", "log-run") for folder in folders
    )
    assert len(plan.results) == len(set(plan.results)) == 1 + 12 * 3 + 6 * 2 + 3 + 3 * 2
    assert plan.training_settings("qdtrack", "resnet18")["method"] == "qdtrack"


def test_labels_and_seeds_are_variants_of_a_run() -> None:
    values = {"run_label": "e6", "seeds": [0, 12], "results": "out", "dataset": {"name": "x"}}
    plan = Plan(values)
    assert plan.variants == ["__e6-seed0", "__e6-seed12"]
    names = ["vatrack__resnet18__e6-seed0", "vatrack__resnet18__e6-seed12"]
    assert plan.per_run(plan.run) == [f"out/x/runs/{name}" for name in names]
    assert plan.training_settings("vatrack", "resnet18", "__e6-seed12")["seed"] == 12
    assert plan.seed_option("vatrack", "resnet18", "__e6-seed12") == "--seed 12"
    bare = Plan({})
    assert bare.variants == [""]
    assert bare.seed_option("vatrack", "resnet18", "") == ""
    labelled = Plan({"run_label": "e6"})
    assert labelled.training_settings("vatrack", "resnet18", "__e6") == bare.training_settings(
        "vatrack", "resnet18"
    )


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
    assert bool(plan.scores_option) == measure


def test_the_miniature_sets_videos_are_known_before_it_is_rendered() -> None:
    plan = Plan({"dataset": {"synthetic": {"train_videos": 1, "valid_videos": 1}}})
    assert plan.videos() == ["mini_train_000", "mini_valid_000"]
    assert plan.official == []
    assert plan.official_json("valid") == "results/mini/raw/valid.json"


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
    assert str(caught.value).startswith(f"dataset.raw: {tmp_path}/{video}: ")


@pytest.mark.parametrize(
    ("cluster", "options"), [("slurm", "--partition gpu --qos 'very long'"), ("local", "")]
)
def test_the_profiles_place_on_the_cluster(cluster: str, options: str) -> None:
    plan = Plan({"launcher": {"cluster": cluster, "cpus": 7, "memory_gb": 3, "gpus": 2}})
    assert plan.slurm_options({"slurm_partition": "gpu", "qos": "very long"}) == options
    here = cluster == "local"
    assert (plan.train_threads, plan.train_memory, plan.train_gpus) == (
        (7, 3000, 2) if here else (1, 1000, 0)
    )
    assert plan.predict_gpus == 1
