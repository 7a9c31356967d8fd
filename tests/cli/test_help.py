"""Help, version, completion, and what is said of wrong or missing words on the command line."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import vatrack
from tests.docs.test_advice import problem
from vatrack.cli import COMMANDS, app
from vatrack.cli.examples import EXAMPLES

COLUMNS = 80


def all_commands() -> Iterator[tuple[str, Any]]:
    """Full names of all commands, and they themselves."""
    waiting = list(typer.main.get_command(app).commands.items())  # type: ignore[attr-defined]
    while waiting:
        name, command = waiting.pop(0)
        inner = getattr(command, "commands", {})
        waiting += [(f"{name} {own}", below) for own, below in inner.items()]
        if not inner:
            yield name, command


NAMES = [name for name, _ in all_commands()]


def told(*words: str, columns: int = COLUMNS) -> tuple[int, str]:
    """Exit code, and output and errors as one line without frames."""
    ended = CliRunner().invoke(app, list(words), env={"COLUMNS": str(columns)})
    text = re.sub(r"[╭╮╰╯│─]+", " ", ended.output)
    return ended.exit_code, " ".join(text.split())


@pytest.mark.parametrize("name", ["", "cuts", *NAMES])
def test_help_fits_a_terminal(name: str) -> None:
    ended = CliRunner().invoke(app, [*name.split(), "-h"], env={"COLUMNS": str(COLUMNS)})
    assert ended.exit_code == 0
    if name in ("", "cuts", "predict"):
        assert told(*name.split(), "--help") == told(*name.split(), "-h")
    for line in ended.stdout.splitlines():
        assert len(line) <= COLUMNS, line
        assert "…" not in line, "a name or a default that is cut off"
        assert "[default: (" not in line, "a default that is put between brackets twice"
    for param in getattr(dict(all_commands()).get(name), "params", ()):
        if str(param.metavar).startswith("[") and "|" in param.metavar:
            assert param.metavar in ended.stdout, "choices that are broken inside a name"


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_an_example_that_can_be_given(name: str) -> None:
    assert problem(f"vatrack {name} {EXAMPLES[name]}") is None
    words = shlex.split(EXAMPLES[name])
    command = dict(all_commands())[name]
    # Every option that must be there is there.
    missing = [
        param.opts[0] for param in command.params
        if param.required and param.opts[0].startswith("-") and not set(param.opts) & set(words)
    ]  # fmt: skip
    assert missing == []
    assert f"vatrack {name} {' '.join(words)}" in told(*name.split(), "-h")[1]


@pytest.mark.parametrize("name", ["", "cuts", *NAMES])
def test_values_are_in_capitals_and_flags_take_none(name: str) -> None:
    """Choices apart, which are shown as they are written."""
    text = told(*name.split(), "-h", columns=200)[1]
    assert not re.search(r"<\w+", text), "the library's own way to show types"
    for param in getattr(dict(all_commands()).get(name), "params", ()):
        if not getattr(param, "is_flag", False):
            assert re.fullmatch(r"[A-Z0-9=/_.\[\] ]+|\[[a-z0-9|:N-]+\]", param.metavar), param.name
        help_ = str(getattr(param, "help", ""))
        assert "file or folder." not in help_.lower(), "which of them, and what is in it?"


def test_the_usage_names_arguments_as_the_table_does() -> None:
    assert "Usage: vatrack track [OPTIONS] SOURCE... " in told("track", "-h")[1]
    assert "Usage: vatrack init-config [OPTIONS] [FOLDER] " in told("init-config", "-h")[1]
    assert "--out FOLDER Run folder. [required]" in told("train", "-h", columns=120)[1]


def test_no_example_is_left_over() -> None:
    assert set(EXAMPLES) == set(NAMES)


def test_commands_are_shown_by_stage() -> None:
    code, shown = told("-h")
    assert code == 0
    stages = [f" {panel} " for panel in COMMANDS]
    assert [shown.index(stage) for stage in stages] == sorted(map(shown.index, stages))
    assert shown.index(" Own videos ") < shown.index(" track ") < shown.index(" Set-up ")
    assert shown.index(" Data ") < shown.index(" cuts ") < shown.index(" Training ")


def test_version() -> None:
    assert told("--version") == (0, f"vatrack {vatrack.__version__}")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("predct", "No such command: predct; did you mean predict?"),
        ("cuts shet", "No such command: shet; did you mean sheet?"),
        ("xyz", "No such command: xyz (vatrack -h lists them)"),
        ("--verison", "No such option: --verison; did you mean --version?"),
        ("predict --chekpoint x", "No such option: --chekpoint; did you mean --checkpoint?"),
        ("predict --ground-truht x", "--ground-truht; did you mean --ground-truth?"),
        ("predict --xyz", "No such option: --xyz"),
        ("-v", "No such option: -v; did you mean --version?"),
        ("track a -c b", "No such option: -c; did you mean --checkpoint"),
        ("track a -out b", "No such option: -o; did you mean --out or "),
        ("train --method vatrak", "is not one of 'qdtrack', 'amodaltrack', 'vatrack', "
         "'vatrack-2bbox'; did you mean vatrack?"),
        ("train --backbone resnet5", "; did you mean resnet50?"),
        ("track a --checkpoint b --encoder x265", "; did you mean x264?"),
        ("import-dataset a --from KINS", "'movi'; give coco-amodal"),
        ("import-dataset a --from coco", "; for plain COCO, rename `segmentation` to "
         "`visible_mask` and use coco-amodal (see docs/own-data.md)"),
        ("export-predictions a --to yt-vis", "; did you mean ytvis?"),
        ("predict", "Missing: --checkpoint, --frames, --images, --out"),
        ("predict --out x --frames y", "Missing: --checkpoint, --images"),
        ("track", "Missing: SOURCE..., --checkpoint"),
        ("cuts compare a", "Missing: B"),
        ("evaluate", "Missing: --out, --ground-truth (or --run), --predictions (or --run)"),
        ("evaluate --out x --ground-truth y", "Missing: --predictions (or --run)"),
        ("evaluate --run x", "Missing: --out"),
        ("unpack", "Missing: --archive (or --config), --out (or --config)"),
        ("convert --processes x", "Invalid value for '--processes': 'x' is not a whole number; "
         "give one, such as 3"),
        ("mlflow-ui --port 0", "Invalid value for '--port': '0' must be at least 1"),
        ("views --fps x", "Invalid value for '--fps': 'x' is not a number; give one, such as 0.5"),
    ],
)  # fmt: skip
def test_wrong_and_missing_words(words: str, message: str) -> None:
    code, shown = told(*words.split(), columns=400)
    assert code == 2
    assert message in shown
    assert "Traceback" not in shown


def shell(script: str, home: Path) -> str:
    """What bash prints, with `vatrack` as a command in PATH."""
    program = home / "bin" / "vatrack"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m vatrack "$@"\n')
    program.chmod(0o755)
    settings = os.environ | {"HOME": str(home), "PATH": f"{program.parent}:{os.environ['PATH']}"}
    ended = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, env=settings, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def complete(words: str, home: Path) -> list[str]:
    """What bash offers for the last word."""
    number = len(words.split(" ")) - 1
    return shell(
        f'COMP_WORDS="{words}" COMP_CWORD={number} _VATRACK_COMPLETE=complete_bash vatrack', home
    ).split()


def test_completion(tmp_path: Path) -> None:
    assert "predict" in complete("vatrack pre", tmp_path)
    assert complete("vatrack cuts sh", tmp_path) == ["sheet"]
    assert complete("vatrack predict --check", tmp_path) == ["--checkpoint"]
    assert complete("vatrack track a --encoder x", tmp_path) == ["x264"]


def test_completion_is_shown_and_installed(tmp_path: Path) -> None:
    # The shell is found among the processes above; without `true` bash would become the command.
    shown = shell("vatrack --show-completion; true", tmp_path)
    assert "_VATRACK_COMPLETE=complete_bash" in shown and "complete -o" in shown
    assert list(tmp_path.glob(".bash*")) == []
    shell("vatrack --install-completion; true", tmp_path)
    scripts = [path.read_text() for path in tmp_path.rglob("*.sh")]
    assert any("_VATRACK_COMPLETE=complete_bash" in text for text in scripts)
    assert "vatrack.sh" in (tmp_path / ".bashrc").read_text()
