"""What the workflow would do: dry runs, no stage is executed."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake.exceptions import MissingInputException

from tests.workflow.command import snakemake
from tests.workflow.planned import RANDOM, VIDEOS, paper, raw_tree
from tests.workflow.snake import REPOSITORY, SNAKEFILE, Workflow
from vatrack.common.value_files import read_json
from vatrack.config import json_schema, load_config
from vatrack.config.layers import read_layers
from vatrack.config.reference import config_reference

STAGES = ("prediction", "evaluation")  # that can be split
OWN = {"format": "joint", "images": "no", "train_json": "no/t.json", "valid_json": "no/v.json"}


@pytest.mark.parametrize("name", ["sailvos.yaml", "sailvos_cut.yaml"])
def test_the_papers_runs_are_planned_from_empty_files(name: str, tmp_path: Path) -> None:
    config = paper(name, raw_tree(tmp_path / "raw"))
    if name == "sailvos_cut.yaml":
        cuts = tmp_path / "cuts.json"
        cuts.touch()
        config["dataset"]["clips"]["structure"] = str(cuts)
    plan = Workflow(tmp_path / "work", config).plan()
    assert plan == {
        "validate": 1,
        "index": 1,
        "cut_structure": 1,
        "clips": 1,
        **({"cut_sheet": len(VIDEOS)} if name == "sailvos_cut.yaml" else {}),
        "convert": 2,
        "train": 8,
        "select": 8,
        "predict": 8,
        "evaluate": 8,
        "overlay": 8,
        "tables": 1,
        "figures": 1,
        "views": 8,
        "provenance": 1,
        "report": 1,
    }
    assert not (tmp_path / "work" / "results").exists()  # a dry run leaves nothing behind


def test_archives_are_unpacked_before_the_videos_are_known(tmp_path: Path) -> None:
    config = paper("sailvos_cut.yaml", tmp_path / "raw")
    archives = [tmp_path / "a.tar.00", tmp_path / "a.tar.01"]
    config["dataset"]["archives"] = [{"path": str(archive)} for archive in archives]
    config["dataset"]["clips"] = {"structure": "detect"}
    with pytest.raises(MissingInputException, match=r"a\.tar\.00"):
        Workflow(tmp_path / "work", config).plan()
    for archive in archives:
        archive.touch()
    plan = Workflow(tmp_path / "work", config).plan()
    assert plan["unpack"] == plan["validate"] == 1
    assert plan["convert"] == 2
    assert "cut_scores" not in plan


def test_detected_cuts_score_every_video(tmp_path: Path) -> None:
    config = paper("sailvos_cut.yaml", raw_tree(tmp_path / "raw"))
    config["dataset"]["clips"]["structure"] = "detect"
    plan = Workflow(tmp_path / "work", config).plan()
    assert plan["cut_scores"] == len(VIDEOS)


def test_the_default_renders_its_own_raw_set(tmp_path: Path) -> None:
    config = yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text())
    plan = Workflow(tmp_path, config).plan()
    assert plan["synth"] == 1
    # All videos in one process: starting one for each would take longer than the work.
    assert plan["cut_scores"] == plan["cut_sheet"] == 1
    assert plan["train"] == 1


@pytest.mark.parametrize(("predictions", "evaluations"), [(3, 1), (1, 4), (2, 5)])
def test_predictions_and_evaluations_in_shards(
    tmp_path: Path, predictions: int, evaluations: int
) -> None:
    numbers = {"prediction_shards": predictions, "evaluation_shards": evaluations}
    config = {"launcher": numbers, "methods": ["vatrack", "qdtrack"]}
    plan = Workflow(tmp_path, config | RANDOM).plan()
    assert plan["predict"] == plan["evaluate"] == 2
    for rule, number in (("predict_shard", predictions), ("evaluate_shard", evaluations)):
        assert plan[rule] == (2 * number if number > 1 else 0), rule
    assert plan["tables"] == plan["report"] == 1


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({"training": {"epoch": 3}}, "training.epoch: unknown key"),
        ({"trainings": {}}, "trainings: unknown key"),
        ({"methods": ["vatrak"]}, "methods.0: 'vatrak' is not allowed; give 'qdtrack'"),
        ({"training": {"epochs": "many"}}, "training.epochs: 'many' is not a whole number; "),
        (
            {"backbones": ["resnet50"], "training": {"batch_size": {"resnet18": 2}}},
            "batch_size: has no value for resnet50",
        ),
        ({"dataset": {"raw": "nowhere"}}, "dataset.raw: nowhere: no such folder"),
        ({"dataset": {"raw": __file__}}, f"dataset.raw: {__file__}: is a file, not a folder; "),
        (
            {"dataset": {"raw": ".", "clips": {"structure": "."}}},
            "dataset.clips.structure: .: is a folder, not a file; ",
        ),
        (
            {"dataset": OWN | {"images": __file__}, **RANDOM},
            f"dataset.images: {__file__}: is a file, not a folder; correct the path",
        ),
        ({"dataset": {"raw": "."}, **RANDOM}, "dataset.raw: .: contains no video folders"),
        *(
            ({"dataset": {key: "a{b}"}}, f"dataset.{key}: a{{b}}: paths with braces are not")
            for key in ("raw", "train_json", "valid_json")
        ),
        ({"results": "a{b}"}, "results: a{b}: paths with braces are not supported; choose another"),
        ({"dataset": {"raw": ".", "clips": {"structure": "{b}.json"}}}, "structure: {b}.json: p"),
        ({"dataset": {"raw": ".", "archives": [{"path": "{.tar"}]}}, "dataset.archives: {.tar: p"),
        ({}, "frozen_stages 1 and norm batch need pretrained weights"),
    ],
)
def test_a_bad_config_is_one_message(
    config: dict[str, Any], complaint: str, tmp_path: Path
) -> None:
    workflow = Workflow(tmp_path, config)
    with pytest.raises(SystemExit) as caught:
        workflow.plan()
    shown = str(caught.value)
    assert shown.startswith(f"error: {workflow.config_file}: ")
    assert complaint in shown
    assert len(shown.splitlines()) <= 3
    assert [path for path in tmp_path.iterdir() if not path.name.startswith(".")] == [
        workflow.config_file
    ]


def test_the_data_alone_need_no_weights(tmp_path: Path) -> None:
    workflow = Workflow(tmp_path, {})
    plan = workflow.plan("annotations")
    assert plan["convert"] == 2 and "train" not in plan


def test_missing_cuts_are_told_before_archives_are_unpacked(tmp_path: Path) -> None:
    config = paper("sailvos_cut.yaml", tmp_path / "raw")
    (tmp_path / "a.tar").touch()
    config["dataset"]["archives"] = [{"path": str(tmp_path / "a.tar")}]
    config["dataset"]["clips"]["structure"] = str(tmp_path / "none.json")
    for target in ("annotations", "results", "all"):
        with pytest.raises(SystemExit, match=r"none\.json: no such file"):
            Workflow(tmp_path / "work", config).plan(target)


def test_initial_weights_need_no_data(tmp_path: Path) -> None:
    """They are fetched first: neither frames nor annotations nor cuts are asked for."""
    config = paper("sailvos_cut.yaml", raw_tree(tmp_path / "raw"))
    missing = {"raw": str(tmp_path / "none"), "clips": {"structure": str(tmp_path / "none.json")}}
    for changed, complaint in (
        ({"dataset": {"raw": missing["raw"]}}, r"dataset\.clips\.structure: .*: no such file"),
        ({"dataset": missing}, r"dataset\.clips\.structure: .*/none\.json: no such file"),
        (
            {"dataset": {"raw": missing["raw"], "clips": {"structure": "detect"}}},
            r"dataset\.raw: .*/none: no such folder",
        ),
        (
            {"dataset": OWN | {"raw": None, "clips": {"structure": "whole"}}},
            r"dataset\.images: no: no such folder \(relative to /.*\); correct the path",
        ),
    ):
        workflow = Workflow(tmp_path / "work", config).changed(**changed)
        assert workflow.plan("fetch_weights") == {"fetch_weights": 1}
        with pytest.raises(SystemExit, match=rf"^error: .*\.yaml: {complaint}"):
            workflow.plan("annotations")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    config = paper("sailvos_cut.yaml", raw_tree(tmp_path / "raw"))
    cuts = tmp_path / "cuts.json"
    config["dataset"]["clips"]["structure"] = str(cuts)
    with pytest.raises(
        SystemExit,
        match=r"cuts\.json: no such file; set dataset\.clips\.fetch: true",
    ):
        Workflow(tmp_path / "work", config).plan()
    cuts.touch()
    (tmp_path / "raw" / "train.json").unlink()
    with pytest.raises(MissingInputException, match=r"train\.json"):
        Workflow(tmp_path / "work", config).plan()
    for key in ("train_json", "valid_json"):
        other = Workflow(tmp_path / "work", config).changed(dataset={key: "no.json"})
        with pytest.raises(SystemExit, match=rf"{key}: no\.json: no such file .*; correct"):
            other.plan()


def test_a_device_that_no_training_can_have_is_told_before_the_first_job(tmp_path: Path) -> None:
    """The frames, cuts and annotations that trainings need may take hours."""
    workflow = Workflow(tmp_path, {"compute": {"device": "cuda:1"}, **RANDOM})
    with pytest.raises(
        SystemExit, match=r"^error: .* compute\.device: is cuda:1, but the launcher"
    ):
        workflow.run("results/mini/runs/vatrack__resnet18/training.json")
    assert not (tmp_path / "results").exists()


def test_a_config_file_replaces_the_default_one(tmp_path: Path) -> None:
    """Mixed with it, the miniature set's narrow network would slip into the paper's runs."""
    default = tmp_path / "config" / "config.yaml"
    default.parent.mkdir()
    default.write_text("no_such_key: 1\n")
    assert (
        Workflow(
            tmp_path,
            {"methods": ["vatrack", "qdtrack"], "backbones": ["resnet18"], **RANDOM},
        ).plan()["train"]
        == 2
    )


def test_a_config_may_extend_another_one(tmp_path: Path) -> None:
    """As config/sailvos_cut.yaml does; the base lies beside the file, not in the working folder."""
    bases = tmp_path / "bases"
    bases.mkdir()
    (bases / "base.yaml").write_text(
        "methods: [vatrack]\nbackbones: [resnet18]\n"
        "launcher: {prediction_shards: 2, cpus: 1}\ntraining: {random_start: true}\n"
    )
    for section, shards in (({"cpus": 2}, 2), ({"prediction_shards": 3}, 3)):
        changed = {"extends": "bases/base.yaml", "launcher": section}
        assert Workflow(tmp_path, changed).plan()["predict_shard"] == shards
    with pytest.raises(SystemExit, match=r"^error: .*extends: .*nothing\.yaml: no such file"):
        Workflow(tmp_path, {"extends": "nothing.yaml"}).plan()


def test_a_file_in_an_absolute_results_folder_is_a_target(tmp_path: Path) -> None:
    """Before it exists, too."""
    words = ["-n", "-s", str(SNAKEFILE), "--config", f"results={tmp_path / 'here'}", "--"]
    ended = snakemake([*words, str(tmp_path / "here/mini/index.json")], tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert re.search(r"^index +1$", ended.stdout, re.MULTILINE)


def test_a_run_that_the_config_does_not_have_is_named(tmp_path: Path) -> None:
    target = "results/mini/runs/qdtrack__resnet18/metrics.json"
    told = r"qdtrack__resnet18: no run of this config \(vatrack__resnet18\); give one of these, or"
    with pytest.raises(SystemExit, match=told):
        Workflow(tmp_path, RANDOM).plan(target)


def test_another_working_folder(tmp_path: Path) -> None:
    """The default config and the default profile are found beside the Snakefile."""
    words = ["-n", "-s", str(SNAKEFILE), "-d", "work"]
    ended = snakemake(words, tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "workflow/profiles/default" in ended.stderr
    assert re.search(r"train +1\n", ended.stdout + ended.stderr)
    ended = snakemake([*words, "--config", "methods=qdtrack"], tmp_path)
    assert ended.returncode == 1
    assert (
        "error: --config methods=qdtrack: must be a list; write --config 'methods=[qdtrack]'"
        in (ended.stderr)
    )
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "part", ["include: {!r}", "module own:\n    snakefile: {!r}\nuse rule * from own"]
)
def test_another_workflow_cannot_take_it_in(part: str, tmp_path: Path) -> None:
    """Its hooks, which write the config that the jobs read, would not be called."""
    (tmp_path / "Snakefile").write_text(part.format(str(SNAKEFILE)))
    ended = snakemake(["-n"], tmp_path)
    told = "Snakefile: this workflow cannot be part of another one; run it by itself: snakemake "
    assert ended.returncode == 1 and told in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_user_without_a_name(tmp_path: Path) -> None:
    """`docker run --user 12345`, with a HOME that cannot be written."""
    (tmp_path / "sitecustomize.py").write_text(
        "import pwd\n\ndef unknown(uid):\n    raise KeyError(uid)\n\npwd.getpwuid = unknown\n"
    )
    names = ("LOGNAME", "USER", "LNAME", "USERNAME")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    environment |= {
        "HOME": "/proc",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "PYTHONPATH": f"{tmp_path}:{REPOSITORY}",
    }
    command = [sys.executable, "-m", "snakemake", "-n", "-s", str(SNAKEFILE), "-d", "work"]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert re.search(r"train +1\n", ended.stdout + ended.stderr)


def test_schema_and_reference_are_up_to_date() -> None:
    fix = "run `make schema`"
    assert read_json(REPOSITORY / "workflow/schemas/config.schema.json") == json_schema(), fix
    assert (REPOSITORY / "docs/config.md").read_text() == config_reference(), fix


OWN_DATA = ("dataset.format", "dataset.images")  # of a dataset that is not SAIL-VOS


def test_the_papers_configs_name_every_key() -> None:
    """Nobody should have to look up a default to know what the paper's runs do."""

    def keys(values: dict[str, Any], path: str = "") -> set[str]:
        found = set()
        for key, value in values.items():
            found |= keys(value, f"{path}{key}.") if isinstance(value, dict) else {f"{path}{key}"}
        return found

    by_run = (
        "training.batch_size",
        "training.optimizer.learning_rate",
        "training.schedule.warmup_iterations",
    )
    for name in ("sailvos.yaml", "sailvos_cut.yaml"):
        given = read_layers(REPOSITORY / "config" / name)
        wanted = load_config(REPOSITORY / "config" / name).model_dump(mode="json")
        missing = {
            key
            for key in keys(wanted) - keys(given)
            if not key.startswith(("dataset.synthetic", *by_run)) and key not in OWN_DATA
        }
        only_for_cuts = {
            f"dataset.clips.{key}"
            for key in ("threshold", "min_frames", "curves", "fetch", "download")
        }
        assert missing <= (only_for_cuts if name == "sailvos.yaml" else set()), name


def test_the_snakefile_is_a_table_of_contents() -> None:
    assert len((REPOSITORY / "workflow/Snakefile").read_text().splitlines()) < 70


def test_a_file_of_rules_has_each_command_once() -> None:
    """Whole or in parts, a stage is one command with the same resources."""
    for file in (REPOSITORY / "workflow/rules").glob("*.smk"):
        commands = re.findall(r'"vatrack ([a-z-]+(?: [a-z]+)?) ', file.read_text())
        assert len(commands) == len(set(commands)), file.name


@pytest.mark.parametrize("own", [("predict_shard", "evaluate_shard"), ("predict", "evaluate")])
@pytest.mark.parametrize("shards", [1, 2])
def test_every_rule_says_what_it_needs(shards: int, own: tuple[str, str]) -> None:
    from snakemake.api import SnakemakeApi
    from snakemake.settings.types import ConfigSettings, OutputSettings, ResourceSettings

    with SnakemakeApi(OutputSettings(dryrun=True)) as api:
        workflow = api.workflow(
            # As a profile sets them, by the rules' names.
            ResourceSettings(cores=1, overwrite_resources={name: {"mem_mb": 1234} for name in own}),
            config_settings=ConfigSettings(
                configfiles=[REPOSITORY / "config/config.yaml"],
                config={"launcher": {f"{name}_shards": shards for name in STAGES}},
            ),
            snakefile=REPOSITORY / "workflow/Snakefile",
        )._workflow
        rules = [rule for rule in workflow.rules if rule.output]
        assert len(rules) >= 15
        assert {"predict", "predict_shard", "evaluate", "evaluate_shard"} <= {
            rule.name for rule in rules
        }
        for rule in rules:
            assert rule.log, rule.name
            assert rule.benchmark, rule.name
            assert rule.message, rule.name
            assert {"_cores", "mem_mb", "runtime"} <= set(rule.resources), rule.name
            memory = rule.resources["mem_mb"]
            changed = not memory.is_evaluable() and memory.value == 1234
            assert changed == (rule.name in own), rule.name


def test_weights_are_downloaded_only_when_asked_for(tmp_path: Path) -> None:
    content = b"weights"
    name = f"r18-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    server = tmp_path / "server" / name
    server.parent.mkdir()
    server.write_bytes(content)
    training = {"weights": {"resnet18": f"data/{name}"}, "weights_urls": [server.as_uri()]}
    workflow = Workflow(tmp_path / "work", {"training": training})
    told = rf"^error: \S+: training\.weights: data/{name}: no such file; download it \(`vatrack"
    with pytest.raises(SystemExit, match=told):
        workflow.plan()
    assert "fetch_weights" not in workflow.plan("annotations"), "the data need no weights"
    assert workflow.run("fetch_weights") == {"fetch_weights": 1}
    assert (tmp_path / "work" / "data" / name).read_bytes() == content
    plan = workflow.plan()
    assert plan["train"] == 1 and "fetch_weights" not in plan
