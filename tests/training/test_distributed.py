"""Two processes train as one does with the same batches (gloo, on the CPU)."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import suppress
from datetime import timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch

from tests.conftest import TinyData, make_tiny_data, tiny_config
from tests.server import start_command
from tests.training import interrupted
from tests.training.interrupted import lines
from tests.waiting import wait_until
from vatrack.common.errors import InputError
from vatrack.common.files import write_yaml
from vatrack.common.value_files import read_json
from vatrack.config import Backbone, Method, RunConfig
from vatrack.data.frames import AnnotationFile
from vatrack.runs.folder import RunFolder
from vatrack.training import distributed
from vatrack.training.distributed import Processes, processes
from vatrack.training.loop import train
from vatrack.training.recovery import Recovery
from vatrack.weights.checkpoint import load

pytestmark = pytest.mark.usefixtures("narrow_trunk")

# What torchrun would set for the first of two processes.
NAMES = {
    "WORLD_SIZE": "2",
    "RANK": "0",
    "LOCAL_RANK": "0",
    "MASTER_PORT": "29999",
    "MASTER_ADDR": "127.0.0.1",
}
SGD = {"name": "sgd", "learning_rate": 0.01}


def _config(folder: Path, **training: object):
    # Plain descent: momentum and Adam's division would blow up the last bit of every gradient.
    return tiny_config(
        folder, **{"epochs": 1, "validate_from": 1, "optimizer": SGD, "log_every": 1, **training}
    )


def free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def names_of(count: int) -> list[dict[str, str]]:
    """The variables that torchrun sets, for each of so many processes."""
    same: dict[str, object] = {"WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
    same |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(), "OMP_NUM_THREADS": 1}
    return [
        {name: str(value) for name, value in (same | {"RANK": rank, "LOCAL_RANK": rank}).items()}
        for rank in range(count)
    ]


def command(config: Path, method: Method, data: TinyData, out: Path) -> list[str]:
    """`vatrack train` in two processes; returns what each shows."""
    words = ["train", "--config", config, "--method", method, "--backbone", "resnet18"]
    words += ["--annotations", data.annotations, "--images", data.images, "--out", out]
    shown = [out.parent / f"shown_{rank}" for rank in range(2)]
    started = [
        start_command([str(word) for word in words], names, path, path)
        for names, path in zip(names_of(2), shown, strict=True)
    ]
    for process in started:
        process.join(300)
    texts = [path.read_text() for path in shown]
    assert [process.exitcode for process in started] == [0, 0], texts
    return texts


def _name(names: dict[str, str]) -> None:
    os.environ.update(names)


def start(run: RunConfig, data: TinyData, out: Path) -> list[BaseProcess]:
    """The same in two processes that need not load PyTorch."""
    return [interrupted.start(run, data, out, _name, names) for names in names_of(2)]


def finish(started: list[BaseProcess], out: Path) -> str:
    """Waits for the end; returns what both show."""
    for process in started:
        process.join(300)
    shown = (out.parent / f"{out.name}.log").read_text()
    assert [process.exitcode for process in started] == [0] * len(started), shown
    return shown


@pytest.mark.parametrize("method", [Method.VATRACK, Method.VATRACK_2BBOX])
def test_two_processes_equal_one(method: Method, tiny_data: TinyData, tmp_path: Path) -> None:
    """Once by the command, as torchrun starts it."""
    config = _config(tmp_path)
    run = config.for_run(method, Backbone.RESNET18)
    train(run, tiny_data.annotations, tiny_data.images, tmp_path / "one")
    if method is Method.VATRACK:
        write_yaml(tmp_path / "config.yaml", config.model_dump(mode="json"))
        shown = command(tmp_path / "config.yaml", method, tiny_data, tmp_path / "two")
        assert "2 processes on cpu" in shown[0]
        assert shown[1].strip() == "", "one process speaks for all"
    else:
        finish(start(run, tiny_data, tmp_path / "two"), tmp_path / "two")
    one, two = (
        load(tmp_path / name / "checkpoints" / "epoch_01.pt").weights for name in ("one", "two")
    )
    start_weights = _initial(run)
    moved = max(
        float((value - start_weights[name]).abs().max())
        for name, value in one.items()
        if value.is_floating_point()
    )
    worst = max(
        float((value - two[name]).abs().max())
        for name, value in one.items()
        if value.is_floating_point()
    )
    assert worst < 1e-4 * moved, (worst, moved)
    first, second = lines(tmp_path / "one"), lines(tmp_path / "two")
    assert len(first) == len(second) > 3
    for ours, theirs in zip(first[:-1], second[:-1], strict=True):
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            # Values are rounded to six digits; accuracies count regions, one of which may lie on a
            # tie.
            assert theirs[name] == pytest.approx(value, rel=1e-3, abs=5e-6), (name, ours["step"])
    assert read_json(tmp_path / "two" / "training.json")["processes"] == 2


def test_two_processes_validate_as_one_does(tmp_path: Path) -> None:
    """With the same weights, so that the shared and joined predictions must be the same."""
    config = _config(tmp_path, epochs=1, optimizer={"name": "sgd", "learning_rate": 1e-30})
    config = config.model_copy(
        update={"inference": config.inference.model_copy(update={"score_threshold": 0.0})}
    )
    run = config.for_run(Method.VATRACK, Backbone.RESNET18)
    data = make_tiny_data(tmp_path / "data", valid_videos=3)
    train(run, data.annotations, data.images, tmp_path / "one")
    finish(start(run, data, tmp_path / "two"), tmp_path / "two")
    one, two = (
        read_json(tmp_path / name / "validation" / "epoch_01.json") for name in ("one", "two")
    )
    assert one == two
    assert len(AnnotationFile(data.annotations / "valid" / "joint.json").clips) == 3, (
        "something to share"
    )


def _initial(run: RunConfig) -> dict[str, torch.Tensor]:
    from vatrack.models.detector import build
    from vatrack.training.start import seed_everything

    seed_everything(run.seed, False)
    return build(run.method, run.model, run.backbone).state_dict()


def test_two_processes_stop_together_and_go_on(tiny_data: TinyData, tmp_path: Path) -> None:
    """A signal to one of them ends both at the same step; what follows equals the undisturbed run
    of two bit by bit."""
    config = _config(tmp_path, epochs=2, save_minutes=1000)
    run = config.for_run(Method.VATRACK, Backbone.RESNET18)
    whole, out = tmp_path / "whole", tmp_path / "interrupted"
    finish(start(run, tiny_data, whole), whole)
    started = start(run, tiny_data, out)
    begun = (out / "metrics.jsonl").exists
    wait_until(lambda: begun() and len(lines(out)) >= 2, process=started[1])
    os.kill(started[1].pid or 0, signal.SIGTERM)
    for process in started:
        process.join(60)
    assert [process.exitcode for process in started] == [-signal.SIGTERM] * 2
    stopped = "stopped by SIGTERM; the state is saved"
    assert stopped in (tmp_path / "interrupted.log").read_text()
    finish(start(run, tiny_data, out), out)
    assert interrupted.differences(whole, out) == []


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            {"WORLD_SIZE": "2", "RANK": "0"},
            r"WORLD_SIZE is set, but not LOCAL_RANK, MASTER_PORT, MASTER_ADDR; start .* torchrun",
        ),
        (NAMES | {"WORLD_SIZE": "two"}, "WORLD_SIZE is 'two', not a number"),
        (NAMES | {"RANK": "2"}, "RANK is 2, but WORLD_SIZE 2"),
    ],
)
def test_names_that_no_launcher_gives_are_refused(
    names: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=message), processes("cpu"):
        pass


def test_a_single_gpu_is_for_a_single_process(monkeypatch: pytest.MonkeyPatch) -> None:
    current: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    with processes("cuda:1") as group:
        assert group.device == torch.device("cuda", 1)
    assert current == [torch.device("cuda", 1)]
    for name, value in NAMES.items():
        monkeypatch.setenv(name, value)
    told = r"compute\.device: is cuda:1, but each of 2 processes takes a GPU of its own; set it to"
    with pytest.raises(InputError, match=told), processes("cuda:1"):
        pass


def test_who_waits_for_processes_that_never_come_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    for name, value in (NAMES | {"MASTER_PORT": port}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("vatrack.training.distributed.MEETING", timedelta(seconds=1))
    with (
        pytest.raises(
            TimeoutError, match=rf"the 2 processes could not connect at 127\.0\.0\.1:{port}"
        ),
        processes("cpu"),
    ):
        pass


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    group = Processes(torch.device("cpu"), rank=1, count=3)
    assert group.share(6, "training.batch_size") == slice(2, 4)
    with pytest.raises(
        InputError, match=r"training\.batch_size: is 4, which cannot be divided among 3 processes"
    ):
        group.share(4, "training.batch_size")


def test_alone_everything_is_as_it_is() -> None:
    group = Processes(torch.device("cpu"))
    assert (group.divisor(0), group.divisor(7)) == (1.0, 7.0)
    assert group.highest([1, 0]) == [1, 0]
    assert group.gather("x") == ["x"]


def test_a_signal_while_frames_do_not_arrive_says_that_nothing_is_saved(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The other processes wait inside of a step."""

    class Stop:
        requested = signal.SIGTERM

        def obey(self, number: int) -> None:
            raise SystemExit(128 + number)

    second = Processes(torch.device("cpu"), rank=1, count=2)
    settings = _config(tmp_path).training
    recovery = Recovery(RunFolder(tmp_path), {}, settings, second, Stop())  # type: ignore[arg-type]
    with pytest.raises(SystemExit):
        recovery.while_waiting()
    assert "stopped by SIGTERM without saving" in caplog.text
    assert "resume from the last saved state" in caplog.text


@pytest.mark.parametrize(
    ("device", "fails", "end"),
    [
        ("cpu", False, "group left"),
        ("cpu", True, "group left"),
        ("cuda", False, "group left"),
        ("cuda", True, "at once"),
    ],
)
def test_a_process_that_fails_does_not_wait_for_the_others_to_leave_the_group(
    device: str, fails: bool, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As NCCL would; they wait for this one in a step."""
    calls: list[str] = []
    for name, value in NAMES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(distributed, "choose_device", torch.device)
    monkeypatch.setattr(distributed, "rendezvous", lambda *_, **__: iter([(None, 0, 2)]))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "set_device", lambda _: None)
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda *_, **__: None)
    monkeypatch.setattr(
        torch.distributed, "destroy_process_group", lambda: calls.append("group left")
    )
    monkeypatch.setattr(distributed, "fail_at_exit", lambda: calls.append("at once"))
    with suppress(InputError), processes(device):
        if fails:
            raise InputError("frame.bmp: cut off")
    assert calls == [end]
