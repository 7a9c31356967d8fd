"""The paths on the command line: outputs that would be written over inputs, pipes."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vatrack.cli import main
from vatrack.cli.file_options import with_files
from vatrack.cli.prediction import predict
from vatrack.cli.training import select
from vatrack.cli.weights import import_checkpoint
from vatrack.common.errors import InputError
from vatrack.common.files import write_text


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
    writer = threading.Thread(target=pipe.write_text, args=(text,))
    writer.start()
    if text == "bad":
        with pytest.raises(InputError, match=rf"^{pipe}: is bad$"):
            with_files(evaluate)(source=[pipe], out=out)
        assert not out.exists()
    else:
        with_files(evaluate)(source=pipe, out=out)
        assert out.read_text() == "xx"
    writer.join()


@pytest.mark.parametrize(("command", "option"), [("config", "config"), ("export", "checkpoint")])
def test_a_subcommand_refuses(
    source: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    option: str,
) -> None:
    words = ["vatrack", command, f"--{option}", str(source), "--out", str(source)]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "would overwrite the input" in capsys.readouterr().err
    assert source.read_text() == "x"
