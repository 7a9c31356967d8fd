"""What happens to loading processes, as a user sees it: one line, exit code 2, nothing is left, and
the same command resumes."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import yaml

from tests.children import children_of
from tests.conftest import TinyData, make_tiny_data, tiny_config
from tests.server import start_command, start_program
from tests.training.interrupted import differences, finish
from tests.waiting import wait_until
from vatrack.config import Backbone, Method

pytestmark = pytest.mark.usefixtures("narrow_trunk")

SECONDS = 120


class Command:
    """`vatrack` with data of its own, whose frames can be damaged.

    Args:
        name: train, launch or predict; `changes`: of `compute`.
        program: whether a Python of its own runs it, as users have it.
    """

    def __init__(
        self, data: TinyData, folder: Path, name: str, program: bool = False, **changes: object
    ) -> None:
        self.images, self.out, self.name = folder / "clips", folder / "run", name
        self._start = start_program if program else start_command
        self._shown = folder / "output", folder / "errors"
        self._session: int | None = None  # kernel threads have session 0
        shutil.copytree(data.images, self.images, symlinks=True)
        self._annotations = data.annotations
        self._config = tiny_config(folder, **TRAINING, **changes)
        config = self._config.model_dump(mode="json")
        config["launcher"]["cpus"] = 1  # so many threads change the last bits
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        method = ["--method", "vatrack", "--backbone", "resnet18", "--images", str(self.images)]
        self.arguments = [name, "--config", str(folder / "config.yaml"), *method]
        self._mark = f"VATRACK_TEST={folder}"

    def start(self, *more: object) -> BaseProcess:
        for path in self._shown:
            path.unlink(missing_ok=True)
        words, (name, value) = [*self.arguments, *map(str, more)], self._mark.split("=")
        process = self._start(words, {name: value}, *self._shown)
        self._session = process.pid
        return process

    def resume(self) -> None:
        """What `train` does, without loading PyTorch anew."""
        run = self._config.for_run(Method.VATRACK, Backbone.RESNET18)
        finish(run, TinyData(self._annotations, self.images), self.out)

    def processes(self) -> list[int]:
        """All that descend from this command and live: those of its session, and the programs that
        they started elsewhere."""
        found = []
        for folder in Path("/proc").iterdir():
            try:
                marked = self._mark.encode() in (folder / "environ").read_bytes().split(b"\0")
                state, _, _, session, *_ = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            own = marked or int(session) == self._session
            if folder.name.isdigit() and own and state not in "ZX":
                found.append(int(folder.name))
        return found

    def wait(self, process: BaseProcess, status: int) -> tuple[str, str]:
        """Its output and its errors; nothing is left."""
        process.join(SECONDS)
        output, errors = (path.read_text() for path in self._shown)
        assert process.exitcode == status, output + errors
        wait_until(
            lambda: not self.processes(), SECONDS, what="the end of all processes", pause=0.1
        )
        return output, errors

    def end(self, process: BaseProcess, status: int) -> str:
        """The one line of its errors, or its output where all went well; nothing is left."""
        output, errors = self.wait(process, status)
        assert "Traceback" not in output + errors
        if status == 0:
            assert errors == ""
            return output
        (line,) = errors.splitlines()
        assert line.startswith("vatrack: error: ")
        return line


TRAINING = {"epochs": 1, "validate_from": 1, "batch_size": 2}


@pytest.fixture(scope="module")
def undisturbed(tiny_data: TinyData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    run = tiny_config(out, **TRAINING).for_run(Method.VATRACK, Backbone.RESNET18)
    finish(run, tiny_data, out)
    return out


@pytest.fixture(scope="module")
def two_videos(tmp_path_factory: pytest.TempPathFactory) -> TinyData:
    return make_tiny_data(tmp_path_factory.mktemp("two_videos"), valid_videos=2)


def damage(frame: Path) -> Callable[[], None]:
    """Cuts a frame off; what is returned restores it."""
    target = frame.resolve()
    frame.unlink()
    frame.write_bytes(target.read_bytes()[:1000])

    def restore() -> None:
        frame.unlink()
        frame.symlink_to(target)

    return restore


def a_frame(images: Path, annotations: Path, subset: str) -> Path:
    """One frame from the middle of a subset."""
    names = [
        image["file_name"]
        for image in json.loads((annotations / subset / "joint.json").read_text())["images"]
    ]
    return images / names[len(names) // 2]


@pytest.mark.parametrize(
    ("name", "workers", "subset", "program"),
    [
        ("train", 0, "train", False),
        ("train", 2, "train", True),
        ("train", 2, "valid", False),
        ("launch", 2, "train", True),
    ],
)
def test_a_damaged_frame_ends_a_training_which_is_resumed_when_it_is_fixed(
    name: str,
    workers: int,
    subset: str,
    program: bool,
    undisturbed: Path,
    tiny_data: TinyData,
    tmp_path: Path,
) -> None:
    command = Command(tiny_data, tmp_path, name, program, workers=workers)
    frame = a_frame(command.images, tiny_data.annotations, subset)
    options = ("--annotations", tiny_data.annotations, "--out", command.out)
    restore = damage(frame)
    for _ in range(1 + (name == "launch")):  # launch: the old job is not waited for
        line = command.end(command.start(*options), 2)
        assert line.startswith(f"vatrack: error: {frame}: truncated, 1000 of ")
    restore()
    if name == "launch":
        assert f"{command.out}: 1 epoch" in command.end(command.start(*options), 0)
    else:
        command.resume()
    assert differences(undisturbed, command.out) == []


@pytest.mark.parametrize(("workers", "program"), [(0, True), (2, False)])
def test_a_damaged_frame_ends_a_prediction_and_leaves_no_half_file(
    workers: int, program: bool, undisturbed: Path, tiny_data: TinyData, tmp_path: Path
) -> None:
    command = Command(tiny_data, tmp_path, "predict", program, workers=workers)
    frame = a_frame(command.images, tiny_data.annotations, "valid")
    restore = damage(frame)
    out = tmp_path / "predictions.jsonl"
    options = (
        "--checkpoint",
        undisturbed / "checkpoints/epoch_01.pt",
        "--out",
        out,
        "--frames",
        tiny_data.annotations / "valid/joint.json",
    )
    line = command.end(command.start(*options), 2)
    assert line.startswith(f"vatrack: error: {frame}: truncated, 1000 of ")
    assert not [path for path in tmp_path.iterdir() if "predictions" in path.name]
    if workers:
        restore()
        command.end(command.start(*options), 0)
        assert out.exists()


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (
            signal.SIGKILL,
            "probably out of memory; lower compute.workers (now 2; 0: load in the main process)",
        ),
        (signal.SIGSTOP, r"did not respond for 1 s "),
    ],
)
def test_a_loading_process_that_is_killed_or_stopped_ends_a_training(
    number: signal.Signals,
    message: str,
    undisturbed: Path,
    tiny_data: TinyData,
    tmp_path: Path,
) -> None:
    command = Command(tiny_data, tmp_path, "train", workers=2, loader_timeout_seconds=1)
    options = ("--annotations", tiny_data.annotations, "--out", command.out)
    process = command.start(*options)
    # The training is short: two looks must lie close together.
    for child in wait_until(
        lambda: several(children_of(process), 2), SECONDS, process=process, pause=0.001
    ):
        os.kill(child, number)
    assert message in command.end(process, 2)
    command.resume()
    assert differences(undisturbed, command.out) == []


@pytest.mark.parametrize(
    ("number", "whom", "status", "message"),
    [
        (signal.SIGKILL, "worker", 1, "use fewer --processes"),
        (signal.SIGTERM, "command", 128 + signal.SIGTERM, ""),
        (signal.SIGHUP, "command", 128 + signal.SIGHUP, ""),
        (signal.SIGINT, "group", 130, ""),
        (signal.SIGKILL, "command", -signal.SIGKILL, ""),
    ],
)
def test_processes_that_predict_end_together(
    number: signal.Signals,
    whom: str,
    status: int,
    message: str,
    undisturbed: Path,
    two_videos: TinyData,
    tmp_path: Path,
) -> None:
    command = Command(two_videos, tmp_path, "predict", workers=2)
    folder = tmp_path / "out"
    process = command.start(
        *("--checkpoint", undisturbed / "checkpoints" / "epoch_01.pt", "--processes", 2),
        *("--frames", two_videos.annotations / "valid" / "joint.json", "--out", folder / "p.jsonl"),
    )
    found = wait_until(
        lambda: several(predicting(command.processes()), 2), SECONDS, process=process
    )
    if whom == "group":
        os.killpg(process.pid, number)
    else:
        os.kill(process.pid if whom == "command" else found[0], number)
    output, errors = command.wait(process, status)
    # Python's own, of a process whose parent was killed before it had sent it its work.
    orphaned = number == signal.SIGKILL == -status and "EOFError" in errors
    assert orphaned or "Traceback" not in output + errors
    assert message in errors
    assert not (folder / "p.jsonl").exists()
    assert number == signal.SIGKILL == -status or list(folder.iterdir()) == []


def several(processes: list[int], number: int) -> list[int]:
    """The processes, once there are so many of them."""
    return processes if len(processes) >= number else []


def predicting(processes: list[int]) -> list[int]:
    """Those among processes that predict (and, later, those that load for them)."""
    found = []
    for number in processes:
        with suppress(OSError):
            if b"spawn_main" in Path(f"/proc/{number}/cmdline").read_bytes():
                found.append(number)
    return found
