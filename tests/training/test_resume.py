"""Interrupted trainings end as if nothing had happened: the same weights, metrics and lines, bit by
bit."""

from __future__ import annotations

import logging
import os
import re
import shutil
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import IO, Any

import pytest
import torch

from tests.conftest import TinyData
from tests.data.made import annotation, pairs_of, write_clip
from tests.training.interrupted import (
    differences,
    finish,
    lines,
    short_run,
    slowly,
    start,
)
from tests.waiting import wait_until
from vatrack.common.errors import FolderBusy, InputError
from vatrack.common.files import write_json
from vatrack.common.signals import StopSignals
from vatrack.common.value_files import read_json
from vatrack.config import RunConfig
from vatrack.runs.folder import RunFolder
from vatrack.training.distributed import Processes
from vatrack.training.identity import identity_of
from vatrack.training.loop import train
from vatrack.training.recovery import Recovery
from vatrack.training.state import latest_state, read_state, save_state

pytestmark = pytest.mark.usefixtures("narrow_trunk")


def config(folder: Path, frozen_stages: int = 4, **training: object) -> RunConfig:
    """Two epochs, if not told otherwise: one border between epochs to be killed at, and a
    validation on each side."""
    # So states are saved at the start and around validations alone.
    settings: dict[str, Any] = {"epochs": 2, "save_minutes": 1000, **training}
    return short_run(folder, frozen_stages=frozen_stages, **settings)


def kill_with_two_states(data: TinyData, out: Path, **training: Any) -> None:
    process = start(config(out, **training), data, out, slowly)
    wait_until(lambda: len(list(out.glob("state/state_*.pt"))) == 2, process=process)
    os.kill(process.pid, signal.SIGKILL)
    process.join()


@pytest.fixture(scope="module")
def one_epoch(tiny_data: TinyData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `two_epochs`, but shorter, for what does not depend on the number of epochs."""
    out = tmp_path_factory.mktemp("one_epoch") / "run"
    finish(config(out, epochs=1), tiny_data, out)
    return out


@pytest.fixture(scope="module")
def two_epochs(tiny_data: TinyData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed training."""
    out = tmp_path_factory.mktemp("two_epochs") / "run"
    finish(config(out), tiny_data, out)
    return out


@pytest.fixture(scope="module")
def two_states(tiny_data: TinyData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training that was killed after its first epoch: copy it."""
    out = tmp_path_factory.mktemp("two_states") / "run"
    kill_with_two_states(tiny_data, out)
    return out


def test_steps_between_two_saves_are_made_again(tiny_data: TinyData, tmp_path: Path) -> None:
    """Killed in the second epoch, after the saves around the first validation; the whole network is
    trained."""
    undisturbed, out = tmp_path / "undisturbed", tmp_path / "run"
    finish(config(undisturbed, frozen_stages=0), tiny_data, undisturbed)
    run = config(out, frozen_stages=0)
    process = start(run, tiny_data, out, slowly)
    wait_until(
        lambda: (out / "metrics.jsonl").exists() and any(line["epoch"] == 2 for line in lines(out)),
        process=process,
    )
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    saved = read_state(sorted(out.glob("state/state_*.pt"))[-1])
    assert saved["log"]["bytes"] < (out / "metrics.jsonl").stat().st_size, (
        "the log is ahead of what was saved"
    )
    at = (saved["progress"]["epoch"], saved["progress"]["batch"])
    assert at == (1, 0), "no step of the second epoch is in the state"
    finish(run, tiny_data, out)
    assert differences(undisturbed, out) == []
    assert read_json(out / "training.json")["starts"] == 2


def _die_writing(number: int, share: float) -> None:
    """Makes the process die while it writes its n-th file with torch.save, with a share of the
    bytes on the disk."""
    original, calls = torch.save, 0

    def save(content: object, stream: IO[bytes]) -> None:
        nonlocal calls
        calls += 1
        original(content, stream)
        if calls == number:
            stream.flush()
            os.ftruncate(stream.fileno(), int(stream.tell() * share))
            os.kill(os.getpid(), signal.SIGKILL)

    torch.save = save  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("number", "share", "epochs"), [(1, 0.5, 1), (2, 0.0, 1), (3, 0.99, 1), (7, 0.3, 2)]
)
def test_killed_while_a_file_is_written(
    number: int,
    share: float,
    epochs: int,
    one_epoch: Path,
    two_epochs: Path,
    tiny_data: TinyData,
    tmp_path: Path,
) -> None:
    out = tmp_path / "run"
    run = config(out, epochs=epochs)
    process = start(run, tiny_data, out, _die_writing, number, share)
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    finish(run, tiny_data, out)
    assert differences(one_epoch if epochs == 1 else two_epochs, out) == []
    left = [*out.glob("state/.*"), *out.glob("checkpoints/.*"), *out.glob("validation/.*")]
    assert not left, "half-written files are cleared away"


@pytest.mark.parametrize("damage", ["cut off", "a changed bit", "another program's", "empty"])
def test_a_damaged_state_is_recognised_and_the_one_before_is_used(
    damage: str, two_states: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    shutil.copytree(two_states, out)
    older, newest = sorted(out.glob("state/state_*.pt"))[-2:]
    content = bytearray(newest.read_bytes())
    if damage == "cut off":
        newest.write_bytes(content[: len(content) // 2])
    elif damage == "a changed bit":
        content[len(content) // 2] ^= 4
        newest.write_bytes(content)
    elif damage == "empty":
        newest.write_bytes(b"")
    else:
        torch.save({"model": {}}, newest)
    with pytest.warns(UserWarning, match=rf"{newest.name}.*resuming from the previous state"):
        found = latest_state(out / "state")
    assert found is not None and found[0] == older
    assert not newest.exists()
    assert newest.with_name(f"{newest.name}.damaged").exists()
    older.write_bytes(b"")
    newest.write_bytes(b"")
    with pytest.raises(
        InputError,
        match=rf"nor can {older.name} be read: remove {out}/state to train from scratch",
    ):
        latest_state(out / "state")
    newest.unlink()
    with pytest.raises(
        InputError, match=rf"there is no other state: remove {out}/state to train from scratch"
    ):
        latest_state(out / "state")
    assert older.exists()


def test_what_is_lost_with_a_damaged_state_is_made_again(
    two_states: Path, two_epochs: Path, tiny_data: TinyData, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    shutil.copytree(two_states, out)
    sorted(out.glob("state/state_*.pt"))[-1].write_bytes(b"")
    elsewhere = read_json(out / "environment.json") | {"device": "another"}
    write_json(out / "environment.json", elsewhere)
    finish(config(out), tiny_data, out)
    shown = (tmp_path / "run.log").read_text()
    assert "resuming from the previous state" in shown
    assert "resumed in another environment: device (another, now cpu, " in shown
    assert read_json(out / "environment.json")["earlier"] == [elsewhere]
    assert differences(two_epochs, out) == []


def test_a_disk_that_does_not_answer_says_nothing_about_a_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_state(tmp_path, {"epoch": 1})

    def fail(*_: object) -> None:
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr("zipfile.ZipFile", fail)
    with pytest.raises(OSError, match="Stale file handle"):
        latest_state(tmp_path)
    assert path.exists()


def test_a_state_is_plain_tensors_and_values(two_states: Path) -> None:
    content = torch.load(sorted(two_states.glob("state/state_*.pt"))[-1], weights_only=True)
    assert content.keys() >= {
        "format",
        "identity",
        "progress",
        "log",
        "random",
        "model",
        "optimizer",
        "scaler",
        "mean",
    }


def test_with_another_recipe_or_other_data_a_training_begins_anew(
    two_states: Path, tiny_data: TinyData, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    shutil.copytree(two_states, out)
    (out / "metrics.json").write_text("of a training before")
    finish(config(out, epochs=1, flip=0.0), tiny_data, out)
    assert (
        "the existing training differs in training.epochs, training.flip; starting a new one"
        in (tmp_path / "run.log").read_text()
    )
    fresh = tmp_path / "fresh"
    finish(config(fresh, epochs=1, flip=0.0), tiny_data, fresh)
    assert differences(fresh, out) == []
    assert read_json(out / "training.json")["starts"] == 1
    kept = {path.name for path in (out / "interrupted_1").iterdir()}
    assert kept >= {"state", "config.yaml", "metrics.json"} and "training.json" not in kept
    assert not (out / "metrics.json").exists()


@pytest.mark.parametrize("changed", ["annotations", "weights"])
def test_files_that_changed_in_place_are_those_of_another_training(
    changed: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, weights = write_clip(tmp_path, [annotation(0, 0, 1)]), tmp_path / "start.pt"
    weights.write_text("1")
    folder, run = RunFolder(tmp_path / "run"), config(tmp_path, weights=weights)

    def recovery(*, older: bool = False) -> Recovery:
        dataset, alone = pairs_of(file), Processes(torch.device("cpu"))
        identity = identity_of(run, dataset, tmp_path / "valid", alone)
        if older:
            identity = {name: identity[name] for name in ("recipe", "data")}
        return Recovery(folder, identity, run.training, alone, StopSignals(""))

    summary = {"epochs": 1, "iterations": 1, "seconds": 1.0}
    folder.path.mkdir()
    folder.finish(summary | {"identity": recovery().identity})
    weights.rename(tmp_path / "away")
    assert recovery().complete() is not None  # it may be gone
    (tmp_path / "away").rename(weights)
    assert recovery(older=True).complete() is not None
    if changed == "weights":
        weights.write_text("2")
    else:
        text = file.read_text()
        file.write_text(text.replace('"category_id": 2', '"category_id": 9'))
    with caplog.at_level(logging.INFO):
        assert recovery().complete() is None
    words = {"annotations": "the data", "weights": "the content of training.weights"}[changed]
    assert f"the existing training differs in {words}; starting" in caplog.text
    assert (folder.path / "complete_1" / "training.json").exists()


@pytest.mark.parametrize("complete", [True, False])
def test_epochs_that_were_validated_otherwise_are_warned_of(complete: bool, tmp_path: Path) -> None:
    """It is the same training, but its epochs cannot be compared."""
    dataset, valid = pairs_of(write_clip(tmp_path, [annotation(0, 0, 1)])), tmp_path / "valid"
    alone, folder, run = (
        Processes(torch.device("cpu")),
        RunFolder(tmp_path / "run"),
        config(tmp_path),
    )
    folder.validations.mkdir(parents=True)
    folder.validation(1).write_text("{}")
    valid.mkdir()

    def found(run: RunConfig) -> Any:
        identity = identity_of(run, dataset, valid, alone)
        recovery = Recovery(folder, identity, run.training, alone, StopSignals(""))
        return recovery.complete() if complete else recovery.find_state()

    def write(text: str) -> None:
        (valid / "video_amodal.json").write_text(text)

    write("1")
    identity = identity_of(run, dataset, valid, alone)
    if complete:
        summary = {"epochs": 1, "iterations": 1, "seconds": 1.0}
        folder.finish(summary | {"identity": identity})
    else:
        save_state(folder.state, {"identity": identity})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert found(run) is not None
    write("2")
    with pytest.warns(UserWarning, match=r"with different validation data than .* remove .*run$"):
        assert found(run) is not None
    write("1")
    other = run.evaluation.model_copy(update={"detection_area": "mask"})
    with pytest.warns(UserWarning, match="with different evaluation settings than the present"):
        assert found(run.model_copy(update={"evaluation": other})) is not None


def test_a_training_that_has_begun_needs_no_start_weights(
    two_epochs: Path, tiny_data: TinyData, tmp_path: Path
) -> None:
    weights, out = tmp_path / "start.pt", tmp_path / "run"
    shutil.copy(two_epochs / "checkpoints" / "epoch_01.pt", weights)
    kill_with_two_states(tiny_data, out, weights=weights)
    weights.unlink()
    run = config(out, weights=weights)
    finish(run, tiny_data, out)
    assert train(run, tiny_data.annotations, tiny_data.images, out).repeated
    with pytest.raises(InputError, match=r"start\.pt: no such file; put it there"):
        train(config(out, weights=weights, epochs=1), tiny_data.annotations, tiny_data.images, out)


@pytest.mark.parametrize("workflow", [False, True])
def test_a_complete_training_is_not_repeated_and_never_lost(
    workflow: bool, tiny_data: TinyData, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    run = config(out, epochs=1)
    train(run, tiny_data.annotations, tiny_data.images, out)
    (out / "metrics.json").write_text("{}")
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.name != ".lock"}
    save_state(out / "state", {"epoch": 1})  # as if it was killed before it could clear up
    summary = train(config(out, epochs=1, workers=1), tiny_data.annotations, tiny_data.images, out)
    assert "complete; to repeat it, remove the folder" in str(summary)
    assert {
        path: path.stat().st_mtime_ns for path in out.rglob("*") if path.name != ".lock"
    } == before
    # With other settings it is kept, and nothing takes the one that is half done for complete.
    if workflow:  # Snakemake removes the output of a stage before it repeats it
        (out / "training.json").unlink()
    other = start(run.model_copy(update={"seed": 1}), tiny_data, out)
    wait_until(lambda: bool(list(out.glob("state/state_*.pt"))), process=other)
    os.kill(other.pid or 0, signal.SIGKILL)
    other.join()
    assert (
        "the existing training differs in seed; starting a new one"
        in (tmp_path / "run.log").read_text()
    )
    assert not (out / "training.json").exists() and not (out / "metrics.json").exists()
    kept = out / "complete_1"
    assert (kept / "metrics.json").exists()
    assert read_json(kept / "training.json")["epochs"] == 1
    for path in before:
        if path.is_file() and path.parent.name in ("checkpoints", "validation"):
            assert (kept / path.relative_to(out)).stat().st_mtime_ns == before[path]
    # Changed back, it can be put back.
    (out / "training.json").unlink(missing_ok=True)
    for name in ("checkpoints", "validation", "state"):
        shutil.rmtree(out / name, ignore_errors=True)
    for path in kept.iterdir():
        path.replace(out / path.name)
    assert "complete" in str(train(run, tiny_data.annotations, tiny_data.images, out))


@pytest.mark.parametrize(
    "lost", [None, "checkpoints/epoch_02.pt", "validation/epoch_01.json", "repeat", "valid"]
)
def test_a_training_that_a_workflow_repeats_needlessly_is_kept(
    lost: str | None, tmp_path: Path
) -> None:
    """Snakemake removes training.json where an input is newer, also if its content is the same."""
    dataset, valid = pairs_of(write_clip(tmp_path, [annotation(0, 0, 1)])), tmp_path / "valid"
    alone, run = Processes(torch.device("cpu")), config(tmp_path, epochs=2)
    folder = RunFolder(tmp_path / "run")
    for epoch in (1, 2):
        for file in (folder.checkpoint(epoch), folder.validation(epoch)):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("{}")
    valid.mkdir()
    (valid / "joint.json").write_text("1")
    summary = {"epochs": 2, "iterations": 1, "seconds": 1.0}
    folder.finish(summary | {"identity": identity_of(run, dataset, valid, alone)})
    before = folder.training.read_bytes()
    folder.training.unlink()
    if lost == "repeat":  # as `--forcerun train` asks for
        folder.repeat()
    elif lost == "valid":
        (valid / "joint.json").write_text("2")
    elif lost:
        (folder.path / lost).unlink()
    identity = identity_of(run, dataset, valid, alone)
    found = Recovery(folder, identity, run.training, alone, StopSignals("")).complete()
    assert (found is None) == (lost is not None)
    assert folder.training.exists() == (lost is None)
    assert lost is not None or folder.training.read_bytes() == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_the_state_and_ends_the_training(
    number: signal.Signals, one_epoch: Path, tiny_data: TinyData, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    run = config(out, epochs=1, workers=1)
    process = start(run, tiny_data, out, slowly)
    wait_until(lambda: (out / "metrics.jsonl").exists() and len(lines(out)) >= 1, process=process)
    os.kill(process.pid, number)
    process.join(60)
    assert process.exitcode not in (0, None, -signal.SIGKILL)
    log = (tmp_path / "run.log").read_text()
    shown = "Ctrl-C" if number == signal.SIGINT else number.name
    told = f"{shown}: saving the state if this step completes, then this process ends"
    assert told in log  # "if": in a group of processes, a step without a batch ends unsaved
    assert f"stopped by {shown}; the state is saved" in log
    progress = read_state(sorted(out.glob("state/state_*.pt"))[-1])["progress"]
    assert progress["batch"] not in (0, 5), "saved between two steps, not at the end of an epoch"
    (out / "best.json").touch()
    finish(run, tiny_data, out)
    assert (out / "best.json").exists(), "of a training that is resumed everything stays"
    assert differences(one_epoch, out) == []


def test_a_signal_during_a_validation_does_not_wait_for_its_end(
    one_epoch: Path, tiny_data: TinyData, tmp_path: Path
) -> None:
    """SLURM sends it to every process of a job, those that load frames included: one of them obeys,
    once."""
    out, obeyed = tmp_path / "run", tmp_path / "obeyed"
    run = config(out, epochs=1, workers=2)
    process = start(run, tiny_data, out, _validate_slowly, out / "validating", obeyed)
    wait_until((out / "validating").exists, process=process)
    os.killpg(process.pid, signal.SIGUSR2)
    process.join(60)
    assert process.exitcode == 3, (tmp_path / "run.log").read_text()
    assert obeyed.read_text() == f"{process.pid}\n"
    finish(run, tiny_data, out)
    assert differences(one_epoch, out) == []


def _validate_slowly(validating: Path, obeyed: Path) -> None:
    """In a process group of its own, with a handler as submitit's; the second frame of a validation
    takes for ever."""
    from vatrack.inference import predictor

    os.setpgid(0, 0)

    def obey(*_: object) -> None:
        with obeyed.open("a") as stream:
            stream.write(f"{os.getpid()}\n")
        sys.exit(3)

    signal.signal(signal.SIGUSR2, obey)
    original = predictor.FramePredictor._detect

    def detect(self: predictor.FramePredictor, inputs: list[tuple[int, Any]]) -> Any:
        if inputs[0][0] == 1:
            validating.touch()
            time.sleep(100)
        return original(self, inputs)

    predictor.FramePredictor._detect = detect  # type: ignore[method-assign]


def test_only_the_last_and_the_best_checkpoint_are_kept_where_the_config_says_so(
    tiny_data: TinyData, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    run = config(out, epochs=3, keep_checkpoints="best")
    process = start(run, tiny_data, out, slowly)
    wait_until((out / "checkpoints" / "epoch_01.pt").exists, process=process)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    finish(run, tiny_data, out)
    values = {
        epoch: read_json(out / f"validation/epoch_{epoch:02d}.json")["video/amodal/AP"]
        for epoch in (1, 2, 3)
    }
    best = max(values, key=lambda epoch: (values[epoch] is not None, values[epoch] or 0, epoch))
    kept = {path.name for path in (out / "checkpoints").iterdir()}
    assert kept == {f"epoch_{epoch:02d}.pt" for epoch in {best, 3}}


def test_a_second_training_in_the_same_folder_is_refused(
    tiny_data: TinyData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "run"
    validating = tmp_path / "validating"
    process = start(config(out), tiny_data, out, _validate_slowly, validating, tmp_path / "obeyed")
    wait_until(validating.exists, process=process)
    monkeypatch.setattr("vatrack.training.start.LOCK_PATIENCE_SECONDS", 1)
    with pytest.raises(FolderBusy, match="another training is running in this folder"):
        train(config(out), tiny_data.annotations, tiny_data.images, out)
    shown = capsys.readouterr().out
    assert re.search(rf"process {process.pid}, since .*\); waiting up to 1 s for it to end", shown)
    # A signal ends the waiting; there is nothing to save.
    second = start(config(out), tiny_data, out)
    wait_until(lambda: "waiting up to 180 s" in (tmp_path / "run.log").read_text(), process=second)
    os.kill(second.pid or 0, signal.SIGTERM)
    second.join(60)
    assert second.exitcode == -signal.SIGTERM
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
