"""`vatrack doctor`: the report and the command."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.doctor.looks import (
    expect,
    raising,
)
from vatrack.cli import app
from vatrack.common.errors import InputError
from vatrack.config import Config
from vatrack.doctor import (
    Report,
    examine,
    machine,
    paths,
)
from vatrack.doctor.check import Check, looked


def test_a_report_names_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    report = examine()
    names = [check.name for check in report.checks]
    for wanted in ("Python", "vatrack", "torch", "torchvision", "opencv-python", "MLflow"):
        assert wanted in names
    assert any(name.startswith("GPU") for name in names)
    for wanted in ("cores", "codecs", "SLURM", "results", "current folder", "home", "cache"):
        assert wanted in names
    assert {"/dev/shm", "open files"} <= set(names)
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


def test_lines_of_a_report() -> None:
    long = Check("place", "fails", "a " * 60, "b " * 60, "c " * 60)
    lines = str(long).splitlines()
    assert lines[0].startswith("fails    place: a a")
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("         affects: b") for line in lines)
    assert any(line.startswith("         fix: c") for line in lines)
    report = Report((Check("x", "ok", "1"), Check("y", "warning", "2", "l", "f"), long))
    assert report.fails
    assert str(report).endswith("\n1 ok, 1 warning, 1 failure")
    assert str(Report(report.checks[:1] * 2)).endswith("\n2 ok, 0 warnings, 0 failures")
    assert not Report(report.checks[:2]).fails


def test_a_command_can_be_copied_from_a_report() -> None:
    command = "`vatrack fetch --url https://example.org/a.json --size 3 --sha256 012345 --out a b`"
    lines = str(Check("place", "fails", "a", "b", f"correct the path, or {command}")).splitlines()
    assert lines[-1].strip() == command
    assert max(map(len, lines[:-1])) <= 80


def test_a_look_that_ends_in_an_error_is_a_finding() -> None:
    (check,) = looked("disk", raising(InputError("the disk is square")), Config())
    expect(check, "fails", "InputError: the disk is square", "fix the problem in the message")


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ending(*words: str) -> tuple[int, str]:
        ended = CliRunner().invoke(app, ["doctor", *words])
        return ended.exit_code, ended.output

    monkeypatch.setattr("vatrack.doctor.LOOKS", {"cores": machine.look_at_cores})
    mine = tmp_path / "mine.yaml"
    mine.write_text("training: {epochs: 3, random_start: true}\n")
    assert ending()[0] == 0
    code, shown = ending("--config", str(mine))
    assert code == 0
    assert re.search(r"ok +config: .*mine\.yaml", shown.replace("\n", " "))
    assert "data: miniature dataset (will be rendered)" in shown
    code, shown = ending("--config", str(mine), "--set", f"dataset.raw={tmp_path}/nowhere")
    assert code == 1
    shown = " ".join(shown.split())
    assert "dataset.raw: " in shown and "no such folder" in shown
    code, shown = ending("--config", str(mine), "--set", "training.epoch=3")
    assert code == 1
    assert "did you mean training.epochs?" in " ".join(shown.split())
    assert "cores: " in shown, "the rest is looked at all the same"
    assert "not checked: SLURM, MLflow, folders" in " ".join(shown.split())
    looks = {"folders": paths.look_at_folders, "cores": machine.look_at_cores}
    monkeypatch.setattr("vatrack.doctor.LOOKS", looks)
    assert "results: " not in ending("--config", str(tmp_path / "none.yaml"))[1]
    assert "results: " in ending("--config", str(mine))[1]
    assert ending("--config", str(tmp_path / "none.yaml"))[0] == 1
    (tmp_path / "empty.yaml").touch()
    code, shown = ending("--config", str(tmp_path / "empty.yaml"))
    assert (code, "is empty; set at least one key" in " ".join(shown.split())) == (1, True)
