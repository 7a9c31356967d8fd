"""The paths on the command line: outputs that would be written over inputs, pipes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.command import Command
from vatrack.cli.file_options import with_files
from vatrack.cli.prediction import predict
from vatrack.cli.training import select
from vatrack.cli.weights import import_checkpoint
from vatrack.common.errors import InputError
from vatrack.common.files import write_json, write_text


def evaluate(source: Any, out: Path, details: Path | None = None, run: Path | None = None) -> None:
    """Stands for a subcommand: writes what it reads, after reading it twice."""
    paths = source if isinstance(source, list) else [source]
    text = "".join(path.read_text() + path.read_text() for path in paths)
    if "bad" in text:
        raise InputError(f"{paths[0]}: is bad")
    write_text(out, text)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.txt"
    path.write_text("x")
    (tmp_path / "link.txt").symlink_to(path)
    (tmp_path / "hard.txt").hardlink_to(path)
    (tmp_path / "folder").mkdir()
    return path


@pytest.mark.parametrize("option", ["out", "details"])
@pytest.mark.parametrize("name", ["in.txt", "link.txt", "hard.txt", "folder/../in.txt"])
@pytest.mark.parametrize("several", [False, True])
def test_what_is_read_is_never_written_over(
    source: Path, option: str, name: str, several: bool
) -> None:
    folder = source.parent
    paths = {"out": folder / "out.txt", option: folder / name}
    with pytest.raises(InputError, match=rf"^--{option} .*: would overwrite the input .*in\.txt"):
        with_files(evaluate)(source=[source] if several else source, **paths)
    assert source.read_text() == "x"
    assert not (folder / "out.txt").exists()


@pytest.mark.parametrize(
    ("command", "out", "beside"),
    [
        (predict, "p.jsonl.gz", "inference.yaml"),
        (select, "best.json", "best.pt"),
        (import_checkpoint, "new.pt", "new.pt.names.txt"),
    ],
)
def test_what_is_written_beside_the_output_is_no_input(
    tmp_path: Path, command: Callable[..., None], out: str, beside: str
) -> None:
    (tmp_path / beside).write_text("seed: 1\n")
    (tmp_path / "config.yaml").symlink_to(beside)
    with pytest.raises(InputError, match=rf"{beside}, written next to --out: would overwrite"):
        with_files(command)(config=tmp_path / "config.yaml", out=tmp_path / out)
    assert (tmp_path / beside).read_text() == "seed: 1\n"


def test_other_names_are_written(source: Path) -> None:
    out = source.with_name("out.txt")
    with_files(evaluate)(source=source, out=out, details=None, run=source.parent)
    assert out.read_text() == "xx"


@pytest.mark.parametrize("text", ["x", "bad"])
def test_a_pipe_is_read_once_into_a_file(tmp_path: Path, text: str) -> None:
    pipe, out = tmp_path / "pipe", tmp_path / "out.txt"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(text,), daemon=True)
    writer.start()
    if text == "bad":
        with pytest.raises(InputError, match=rf"^{pipe}: is bad$"):
            with_files(evaluate)(source=[pipe], out=out)
        assert not out.exists()
    else:
        with_files(evaluate)(source=pipe, out=out)
        assert out.read_text() == "xx"
    writer.join(60)
    assert not writer.is_alive()


@pytest.mark.parametrize(("command", "option"), [("config", "config"), ("export", "checkpoint")])
def test_a_subcommand_refuses(source: Path, vatrack: Command, command: str, option: str) -> None:
    code, _, errors = vatrack(command, f"--{option}", source, "--out", source)
    assert (code, "would overwrite the input" in errors) == (2, True)
    assert source.read_text() == "x"


METRICS = {"amodal/image/AP": 1.0}
DETAILS: dict[str, Any] = {"per_class": [], "per_video": []}
PREDICTION = {"image_id": 1, "category_id": 1, "score": 1, "bbox_visible": [0, 0, 1, 1]}
TRACKS = {"annotations": [{"id": 1, "segmentations": [None]}]}


@pytest.mark.parametrize(
    ("command", "option", "name", "content", "what"),
    [
        ("evaluate", "details", "run/training.json", {"epochs": 1}, "belongs to the run there"),
        ("overlay", "video", "run/training.json", {"epochs": 1}, "belongs to the run there"),
        ("evaluate", "out", "run/mlflow.json", {"run": "1"}, "belongs to the run there"),
        ("evaluate", "out", "run/details.json", DETAILS, "is a file of metrics by class and"),
        ("evaluate", "details", "validation.json", {"ok": True}, "is one JSON object"),
        ("evaluate", "out", "video_amodal.json", TRACKS, "is a file of tracks"),
        ("merge_evaluations", "details", "run/metrics.json", METRICS, "is a file of metrics"),
        ("export_predictions", "out", "run/metrics.json", METRICS, "is a file of metrics"),
        ("validate", "out", "p.json", [PREDICTION], "is a file of predictions"),
        ("config", "out", "run/inference.yaml", {}, "belongs to the run there"),
        ("config", "out", "config.yaml", {}, "belongs to the results there"),
    ],
)
def test_what_a_command_never_wrote_is_kept(
    tmp_path: Path, command: str, option: str, name: str, content: Any, what: str
) -> None:
    for part in ("run", "runs"):
        (tmp_path / part).mkdir()
    write_json(tmp_path / "run" / "config.yaml", {})
    write_json(tmp_path / "run" / "training.json", {})
    target = tmp_path / name
    write_json(target, content)
    before = target.read_bytes()

    def write(**paths: Path) -> None:
        write_text(paths[option], "lost")

    write.__name__ = command
    paths = {"out": tmp_path / "new", option: target}
    with pytest.raises(InputError, match=f"^--{option} .*{what}.*would be lost; choose another"):
        with_files(write)(**paths)
    assert target.read_bytes() == before


@pytest.mark.parametrize(
    ("command", "option", "content"),
    [
        ("evaluate", "out", METRICS | {"amodal/class/bed/cot": None}),
        ("evaluate", "details", DETAILS),
        ("predict", "out", [PREDICTION]),
        ("validate", "out", {"ok": True}),
        ("config", "out", {"seed": 1}),
    ],
)
def test_an_earlier_output_is_replaced(
    tmp_path: Path, command: str, option: str, content: Any
) -> None:
    target = tmp_path / "old.json"
    write_json(target, content)

    def write(**paths: Path) -> None:
        write_text(paths[option], "new")

    write.__name__ = command
    with_files(write)(**{"out": tmp_path / "new", option: target})
    assert target.read_text() == "new"
