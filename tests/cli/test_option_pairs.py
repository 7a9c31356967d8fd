"""Options that would have no effect are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer

from tests.command import Command
from tests.sailvos.official import write_raw
from vatrack.cli import app
from vatrack.cli.option_pairs import INSTEAD, NEEDS
from vatrack.common.files import write_json
from vatrack.sailvos.index import build_index

DRAWING = "overlay --ground-truth j.json --predictions p.jsonl --images i --out o.png"
SHEET = "cuts sheet --raw raw --index index.json --structure clips.json --video a --out o.png"
OFFICIAL = "--raw raw --train raw/train.json --valid raw/valid.json"
JOINT = "validate --joint j.json --images i"
OWN = "--train t.json --valid v.json --images i"
REFUSED = {
    "config --out c.json --schema --reference": "--reference: has no effect with --schema; give",
    "config --out c.json --schema --config c.yaml": "--config: has no effect with --schema; give",
    "config --out c.json --schema --json {}": "--json: has no effect with --schema; give",
    "config --out c.md --reference --set seed=1": "--set: has no effect with --reference; give",
    "config --out c.yaml --json {} --config c.yaml": "--config: has no effect with --json; give",
    "compare a b --image-clips 5": "--image-clips: has no effect without --out; give both, or",
    "compare a b --score 0.5": "--score: has no effect without --out; give both, or neither",
    "compare a b --ground-truth j.json": "--ground-truth: has no effect without --out; give both",
    "compare a b --images i": "--images: has no effect without --out; give both, or neither",
    f"{SHEET} --threshold 27": "--threshold: has no effect without --scores; give both, or neither",
    f"{DRAWING} --fps 8": "--fps: has no effect without --video; give both, or neither",
    "track v.mp4 --checkpoint c.pt --no-overlay --encoder x264": "--encoder: has no effect without "
    "--overlay; give both, or neither",
    "track v.mp4 --checkpoint c.pt --no-overlay --sound": "--sound: has no effect without",
    "track v.mp4 --checkpoint c.pt --no-overlay --draw box": "--draw: has no effect without "
    "--overlay or --show; give one of them, or remove --draw\n",
    "track v.mp4 --checkpoint c.pt --no-overlay --line-width 2": "--line-width: has no effect",
    "mlflow-ui --results r --tracking-uri http://localhost:1": "--results: has no effect with "
    "--tracking-uri; give one of the two",
    "mlflow-ui --tracking-uri http://localhost:1 --port 5000": "--port 5000: has no effect, "
    "because http://localhost:1 is running; remove it",
    f"{JOINT} --raw raw": "--raw: has no effect with your own annotations; remove it, or --joint",
    f"{JOINT} --train t.json": "--train: has no effect with your own annotations; remove it",
    f"{JOINT} --valid t.json": "--valid: has no effect with your own annotations; remove it",
    "validate --config own.yaml --raw raw": "--raw: has no effect with your own annotations; "
    "remove it, or dataset.format: joint from the config",
    f"validate {OFFICIAL} --images i": "--images: has no effect without --joint; give both, or",
    f"init-config data {OWN} --out c.yaml": "data: has no effect with all of --train, --valid and "
    "--images; remove it",
    "cuts structure --config whole.yaml --index index.json --scores raw --out o.json": "whole.yaml"
    ": dataset.clips.structure: is whole, so that --scores has no effect; remove it, or use",
    "annotate --raw raw --video a --videos v.txt --out o.json": "v.txt: both --video and --videos "
    "are given; use one",
    "unpack --config c.yaml --checksums sums --out x": "--checksums needs --archive",
    "evaluate --ground-truth j --predictions p --shard 1/2 --details d.json --out o.npz": (
        "--details d.json: shards have no details; give --details to"
    ),
}


@pytest.fixture
def vatrack(vatrack: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Called in a folder of the files that are named above."""
    monkeypatch.chdir(tmp_path)
    paths = write_raw(tmp_path / "raw", {"train": {"a": 4}, "valid": {"b": 4}})
    build_index(tmp_path / "raw", paths, tmp_path / "index.json")
    write_json(tmp_path / "clips.json", {"a__3": ["000003.bmp", "000004.bmp"]})
    (tmp_path / "c.yaml").write_text("seed: 1\n")
    (tmp_path / "whole.yaml").write_text("dataset: {clips: {structure: whole}}\n")
    (tmp_path / "own.yaml").write_text(
        "dataset: {format: joint, train_json: t.json, valid_json: v.json, images: i}\n"
    )
    return vatrack


@pytest.mark.parametrize("words", REFUSED)
def test_an_option_without_effect_is_refused(vatrack: Command, tmp_path: Path, words: str) -> None:
    before = set(tmp_path.rglob("*"))
    code, shown, errors = vatrack(*words.split())
    assert (code, shown) == (2, "")
    assert errors.startswith(f"vatrack: error: {REFUSED[words]}"), errors
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "words",
    [
        "config --out c.json --schema",
        "config --out c.md --reference",
        "config --out o.yaml --json {} --set seed=1",
        SHEET,
    ],
)
def test_defaults_are_no_options_that_were_given(vatrack: Command, words: str) -> None:
    assert vatrack(*words.split())[::2] == (0, "")


def test_scores_are_drawn_with_their_threshold(vatrack: Command) -> None:
    score = "cuts score --raw raw --index index.json --video a --out a.json"
    assert vatrack(*score.split())[0] == 0
    assert vatrack(*f"{SHEET} --scores a.json --threshold 9".split())[0] == 0


def test_the_rules_name_options_that_there_are() -> None:
    group: Any = typer.main.get_command(app)
    names = {name.replace("-", "_"): one for name, one in group.commands.items()}
    names |= {f"cuts_{name}": one for name, one in group.commands["cuts"].commands.items()}
    for key, others in (NEEDS | INSTEAD).items():
        command, _, option = key.partition(" ")
        assert {option, *others} <= {param.name for param in names[command].params}, key
