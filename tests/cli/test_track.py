"""`vatrack track` as people call it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.api.conftest import *  # noqa: F403
from tests.video.videos import write_video
from vatrack.cli import app
from vatrack.common.errors import InputError


def call(*words: object) -> tuple[int, str, BaseException | None]:
    result = CliRunner().invoke(app, ["track", *map(str, words)])
    return result.exit_code, result.output, result.exception


def test_a_summary_at_the_end(checkpoint: Path, video: Path, tmp_path: Path) -> None:
    code, output, _ = call(video, "--checkpoint", checkpoint, "--out", tmp_path, "--score", 0.05)
    assert code == 0, output
    assert "frames a second" in output
    assert f"files: {tmp_path / 'clip'}" in output
    code, output, _ = call(
        video, "--checkpoint", checkpoint, "--out", tmp_path, "--overwrite", "--quiet"
    )
    assert (code, output) == (0, "")


def test_a_cut_off_source_has_an_exit_code_of_its_own(checkpoint: Path, tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", 40, front=True)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 3 // 4])
    code, output, _ = call(path, "--checkpoint", checkpoint, "--out", tmp_path / "out")
    assert code == 3, output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--score", "2"], "the score threshold is 2.0; a number from 0 to 1 is needed"),
        (["--class", "zebra"], "no class is called 'zebra'"),
        (["--every", "0"], "every 0-th frame"),
        (["--from", "9"], "no frame can be read between the first and the last time"),
        (["--from", "2", "--to", "1"], "is not after the first"),
        (["--fps", "0"], "--fps is 0.0"),
        (["--draw", "outline,boxes"], "did you mean box"),
        (["--line-width", "0"], "the line width is 0 pixels"),
        (["--largest-side", "5"], "the largest side is 5 pixels"),
        (["--method", "vatrack"], "is a checkpoint of method vatrack-2bbox, not vatrack"),
    ],
)
def test_wrong_options(
    checkpoint: Path, video: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    _, _, error = call(video, "--checkpoint", checkpoint, "--out", tmp_path / "out", *words)
    assert isinstance(error, InputError)
    assert message in str(error)
    assert not list(tmp_path.rglob("run.yaml"))


def test_wrong_sources(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for source, message in (
        (tmp_path / "none.mp4", "there is no such file or folder"),
        (tmp_path / "empty", "holds no frames"),
        (checkpoint, "is no video that can be read|a zip archive"),
    ):
        _, _, error = call(source, "--checkpoint", checkpoint, "--out", tmp_path / "out")
        assert isinstance(error, InputError)
        assert any(part in str(error) for part in message.split("|")), str(error)
