"""The documented commands do what they say: they are run on a miniature set, or show their plan."""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

import vatrack
from tests.conftest import TinyData
from tests.docs.commands import (
    DATA_RUNS,
    FRAGMENT,
    PAGES,
    REASONS,
    RUN,
    RUNS,
    UNTESTED,
    blocks_of,
    calls,
    documented,
    how_tested,
    is_dry,
)
from tests.video.videos import write_video
from tests.workflow.command import snakemake
from vatrack.cli import app
from vatrack.common.text_files import open_text
from vatrack.config import RunConfig
from vatrack.evaluation.evaluate import evaluate_inputs
from vatrack.evaluation.file_set import EvaluationInputs
from vatrack.runs.folder import RunFolder

ROOT = Path(__file__).parents[2]
COMMANDS = sorted({item.command for item in documented()})
TARGETS = sorted(
    {
        target
        for command in COMMANDS
        if command.startswith("make ")
        for target in command.split()[1:]
    }
)
PLANS = [command for command in COMMANDS if is_dry(command) and command.startswith("snakemake")]


def test_what_is_run_is_documented() -> None:
    assert [command for command in RUNS + DATA_RUNS if command not in COMMANDS] == []
    assert len(COMMANDS) > 100 and len(PLANS) > 3 and len(TARGETS) > 8
    assert sum(how_tested(command)[0] == RUN for command in COMMANDS) == len(RUNS + DATA_RUNS)


def test_every_command_is_run_or_has_a_reason() -> None:
    ways = {item: how_tested(item.command) for item in documented()}
    assert [item for item, (how, _) in ways.items() if how == UNTESTED] == []
    # In a block of code stands what is meant to be typed, whole.
    assert [i for i, (_, reason) in ways.items() if i.in_block and reason == FRAGMENT] == []
    for pattern, reason in REASONS:
        assert any(re.match(pattern, item.command) for item in ways), reason
        for named in re.findall(r"tests/[\w/.]+", reason):
            assert (ROOT / named).exists(), named


def unknown_configs(block: list[str]) -> list[str]:
    """The configs that commands read after another one of their block has written one: of another
    name, and not in the repository."""
    written: set[str] = set()
    unknown = []
    for command in block:
        for option, name in pairwise(shlex.split(command)):
            if option in ("--config", "--configfile") and name.endswith(".yaml") and written:
                unknown += [] if name in written or (ROOT / name).exists() else [name]
        for option, name in pairwise(shlex.split(command)):
            written |= {name} if option == "--out" and name.endswith(".yaml") else set()
    return unknown


def test_what_a_command_writes_has_the_same_name_in_the_next_one() -> None:
    blocks = [(page.name, block) for page in PAGES for block in blocks_of(page.read_text("utf-8"))]
    assert [(page, found) for page, block in blocks if (found := unknown_configs(block))] == []
    writes, reads = "vatrack init-config data --out a.yaml", "snakemake --configfile b.yaml"
    assert unknown_configs([writes, reads]) == ["b.yaml"]
    assert unknown_configs([writes, reads.replace("b.", "a."), "vatrack doctor --config c"]) == []
    assert sum(bool(re.search(r"--out \S+\.yaml", " ".join(block))) for _, block in blocks) > 2


@pytest.mark.parametrize("target", [name for name in TARGETS if "=" not in name])
def test_a_target_of_make_exists(target: str) -> None:
    found = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    assert target in found


def test_make_lets_python_keep_what_it_compiled() -> None:
    shows = "shown: ; @echo [$$PYTHONDONTWRITEBYTECODE]"
    shown = subprocess.run(
        ["make", "--silent", "--eval", shows, "shown"],
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == "[]\n"


@pytest.mark.slow
@pytest.mark.parametrize("command", PLANS)
def test_snakemake_shows_its_plan(command: str, tmp_path: Path) -> None:
    pytest.importorskip("snakemake")
    _, *words = [*shlex.split(command), "-n", "--quiet"]
    words += ["--snakefile", str(ROOT / "workflow/Snakefile"), "--directory", str(tmp_path)]
    ran = snakemake(words, ROOT)
    # In an empty folder there is nothing whose rule could be forced.
    assert ran.returncode == 0, ran.stderr


@pytest.mark.slow
def test_commands_run_one_after_the_other(
    tiny_run: tuple[RunConfig, Path],
    tiny_data: TinyData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    prepare(tmp_path, tiny_run[1], tiny_data)
    runner = CliRunner()
    for command in RUNS:
        for program, *words in calls(command):
            if program == "python":
                monkeypatch.setattr(sys, "argv", words)
                runpy.run_path(words[0], run_name="__main__")
                continue
            if words[0] == "init-config":  # two pages begin with it; it keeps an edited config
                Path("mine.yaml").unlink(missing_ok=True)
            ran = runner.invoke(app, words)
            # A machine may lack something that `doctor` looks for.
            ended = ran.exception is None or isinstance(ran.exception, SystemExit)
            assert ended and (ran.exit_code == 0 or words[0] == "doctor"), (
                f"{command}\n{ran.output}"
            )
            for option, value in pairwise(words):
                if option == "--out":
                    assert Path(value).exists(), command
        if "predictions.jsonl.gz" in command and not Path("predictions.jsonl").exists():
            with open_text(Path("predictions.jsonl.gz")) as lines:
                Path("predictions.jsonl").write_text(lines.read(), encoding="utf-8")
            shutil.copy("predictions.jsonl", "theirs.jsonl")
    assert len(list(Path("tracked").glob("*/overlay.mp4"))) == 2
    assert Path("my_run/training.json").exists()
    assert Path("compare/compare.html").exists()


def prepare(folder: Path, run: Path, data: TinyData) -> None:
    """The files that the commands name, in a folder."""
    mini = folder / "results/mini"
    (mini / "clips").mkdir(parents=True)
    (mini / "annotations").symlink_to(data.annotations)
    for clip in data.images.glob("[!.]*"):
        (mini / "clips" / clip.name).symlink_to(clip)
    valid = json.loads((data.annotations / "valid/joint.json").read_text(encoding="utf-8"))
    clip = valid["videos"][0]["name"]
    (mini / "clips/mini_valid_003__26").symlink_to(data.images / clip)
    own = mini / "runs/vatrack__resnet18"
    shutil.copytree(run, own)
    shutil.copy(RunFolder(own).checkpoint(2), own / "best.pt")
    shutil.copy(own / "best.pt", folder / "best.pt")
    for name, source in {
        "joint.json": data.annotations / "valid/joint.json",
        "valid.json": data.annotations / "valid/joint.json",
        "train.json": data.annotations / "train/joint.json",
        "clips": data.images,
        "frames": data.images,
    }.items():
        (folder / name).symlink_to(source)
    write_video(folder / "street.mp4", 8)
    mine = folder / "data/mine"
    mine.mkdir(parents=True)
    for name in ("train.json", "valid.json", "frames"):
        (mine / name).symlink_to((folder / name).resolve())
    truth = data.annotations / "valid/joint.json"
    found = RunFolder(own)
    load_run = vatrack.load_run_config(found.config)
    vatrack.predict_files(load_run, found.best_checkpoint, truth, data.images, found.predictions)
    evaluation = load_run.evaluation
    evaluate_inputs(
        EvaluationInputs(truth, found.predictions, switches=evaluation),
        found.metrics,
        details=found.details,
    )
    shutil.copytree(own, mini / "runs/vatrack__resnet18__e6")
    for copy in ("sailvos-cut/runs/vatrack__resnet50", "a/runs/x", "b/runs/y"):
        shutil.copytree(own, folder / "results" / copy)
    for seed in "01":
        shutil.copytree(own, folder / f"results_{seed}/mini/runs/vatrack__resnet18")
    (folder / "published").mkdir()
    shutil.copy(found.predictions, folder / "published/predictions.jsonl.gz")
    for name, source in {
        "config": ROOT / "config",
        "docs": ROOT / "docs",
        "ANNOTATIONS": data.annotations,
        "FILE": folder / "mine.yaml",
        "GT.json": truth,
        "PRED": found.predictions,
        "RUN": own,
        "RUN_A": own,
        "RUN_B": mini / "runs/vatrack__resnet18__e6",
        "RUN_FOLDER...": own,
    }.items():
        (folder / name).symlink_to(source)
