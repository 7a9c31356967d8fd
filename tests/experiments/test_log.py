"""The live copy of a run, with a real store and a real server."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.experiments.experiments import (
    Line,
    Server,
    Store,
    add_lines,
    config,
    expected,
    make_run,
    running,
    wait_for,
)
from vatrack.config import Method, RunConfig
from vatrack.experiments import log as experiment_log
from vatrack.experiments.client import StoreError
from vatrack.experiments.identity import begin, read_identity
from vatrack.experiments.log import ExperimentLog, log_evaluation, uploading
from vatrack.experiments.store import sync

pytestmark = pytest.mark.usefixtures("no_store_from_outside")

AP50 = [("AP50 visible", 0, 61.5), ("results image visible/AP50", 0, 61.5)]
TRAINED = '{"epochs": 1, "iterations": 2, "seconds": 3.5}'
SLURM: dict[str, Any] = {"launcher": {"cluster": "slurm"}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ExperimentLog, "pause", 0.05)
    monkeypatch.setattr(ExperimentLog, "share", 1.0)


def begun(run: RunConfig, folder: Path, resume: bool = False) -> ExperimentLog:
    """The log of a training that begins now."""
    log = ExperimentLog.start(run, folder, resume)
    assert log is not None
    return log


def measured(store: Store, run_id: str) -> list[tuple[str, int, float]]:
    """What MLflow itself has measured of the machine; the lines of the tests have none of it."""
    return [point for point in store.points(run_id) if point[0].startswith("system/")]


def training_points(store: Store, run_id: str) -> list[tuple[str, int, float]]:
    return [point for point in store.points(run_id) if not point[0].startswith("system/")]


def sent(store: Store, folder: Path) -> bool:
    """Whether the store has every line."""
    made = store.runs(folder) if store.path.exists() and read_identity(folder) else []
    return any(training_points(store, run_id) == expected(folder) for run_id in made)


@pytest.mark.slow
def test_curves_are_live(
    results: Path, store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = config(results)
    make_run(folder, run, lines=3)
    with running(folder):
        log = begun(run, folder)
        sync(folder)  # the file of a new store appears before its tables do
        wait_for(lambda: sent(store, folder))
        for number in range(4, 30):
            add_lines(folder, number, 1)
        wait_for(lambda: sent(store, folder))
        run_id = store.run(folder)
        assert store.status(run_id) == "RUNNING"
        wait_for(lambda: len(measured(store, run_id)) > 5)
        add_lines(folder, 30, 1)
        log.close("FAILED")
    assert training_points(store, run_id) == expected(folder)
    assert store.status(run_id) == "FAILED"
    names = {name for name, _, _ in measured(store, run_id)}
    assert {"system/cpu_utilization_percentage", "system/system_memory_usage_megabytes"} <= names
    sync(folder)
    assert store.status(run_id) == "FAILED"


def test_a_resumed_run_continues_its_mlflow_run(results: Path, store: Store, folder: Path) -> None:
    run = config(results, mlflow={"system_metrics": False})
    make_run(folder, run, lines=3)
    with running(folder):
        begun(run, folder).close("KILLED")
        first = store.run(folder)
        assert store.status(first) == "KILLED"
        log = begun(run, folder, resume=True)
        wait_for(lambda: store.status(first) == "RUNNING")
        add_lines(folder, 4, 3)
        log.close("FINISHED")
        # Without what MLflow measures: it is off.
        assert (store.status(first), store.points(first)) == ("FINISHED", expected(folder))
        (folder / "metrics.jsonl").unlink()
        begun(run, folder).close("FINISHED")
    assert len(store.runs(folder)) == 2


def test_a_server_goes_and_comes_back(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    line = Line(server.port)
    line.join()
    run = config(tmp_path, mlflow={"tracking_uri": line.uri})
    folder = make_run(tmp_path / "run", run)
    number = 1

    def train(what: Callable[[], bool]) -> None:
        """Trains until something has happened."""
        nonlocal number

        def step() -> bool:
            nonlocal number
            add_lines(folder, number, 1)
            number += 1
            return what()

        wait_for(step)

    caplog.set_level("INFO", logger="vatrack")
    with warnings.catch_warnings(record=True) as told, running(folder):
        warnings.simplefilter("always")
        log = begun(run, folder)
        train(
            lambda: (
                len(server.store.runs(folder)) == 1
                and len(training_points(server.store, server.store.run(folder))) > 50
            )
        )
        line.cut()
        train(lambda: len(told) > 0)
        train(lambda start=number: number > start + 40)  # type: ignore[misc]
        line.join()
        train(lambda: any("the store is back" in message for message in caplog.messages))
        line.cut()
        log.close("FINISHED")
        (folder / "training.json").write_text(TRAINED)
        messages = [str(warning.message) for warning in told]
    assert len(messages) == 2, messages
    assert messages[0].endswith("; the run continues; missing data is uploaded later")
    assert messages[1].endswith(f"; `vatrack mlflow-sync {folder}` uploads the rest")
    assert server.store.status(server.store.run(folder)) == "RUNNING"
    line.join()
    sync(folder)
    run_id = server.store.run(folder)
    assert training_points(server.store, run_id) == expected(folder)
    assert server.store.status(run_id) == "FINISHED"
    line.cut()
    assert {"config.yaml", "environment.json"} == {
        path.name for path in (server.folder / "files").rglob("*") if path.is_file()
    }


def test_a_server_that_is_away_from_the_start(
    results: Path, store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    run = config(results)
    make_run(folder, run, lines=3)
    with pytest.warns(
        UserWarning,
        match=r"MLflow: http://127\.0\.0\.1:9: .*`vatrack mlflow-sync .*` uploads the rest",
    ):
        begun(run, folder).close("FINISHED")
    (folder / "training.json").write_text(TRAINED)
    (folder / "metrics.json").write_text('{"image/visible/AP50": 61.5}')
    with pytest.warns(
        UserWarning, match=f"has no metrics yet; `vatrack mlflow-sync {folder}` uploads them"
    ):
        log_evaluation(folder)
    assert not store.path.exists() or store.runs(folder) == []
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    sync(folder, f"sqlite:///{store.path}")
    run_id = store.run(folder)
    assert store.points(run_id) == sorted(expected(folder) + AP50)
    assert store.status(run_id) == "FINISHED"


@pytest.mark.parametrize(
    ("instead", "message"),
    [
        (
            lambda *_, **__: time.sleep(1),
            r"the store has not responded for 0 s; `vatrack mlflow-sync .*` uploads the rest",
        ),
        (lambda *_, **__: 1 // 0, "division or modulo by zero"),
    ],
)
def test_no_failure_ends_or_holds_up_a_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instead: Callable[..., Any], message: str
) -> None:
    run = config(tmp_path)
    folder = make_run(tmp_path / "run", run)
    monkeypatch.setattr(experiment_log, "sync", instead)
    patience = 0.2 if "responded" in message else 20.0
    with pytest.warns(UserWarning, match=message):  # its thread warns, too, if it comes that far
        begun(run, folder).close("FINISHED", patience=patience)


def test_an_identity_that_cannot_be_written_ends_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = config(tmp_path)
    folder = make_run(tmp_path / "run", run)
    monkeypatch.setattr(
        experiment_log, "begin", lambda *_: (folder / "missing/file").write_text("")
    )
    message = "No such file or directory.*; the run is logged only to its folder"
    with pytest.warns(UserWarning, match=message):
        assert ExperimentLog.start(run, folder) is None


def test_an_end_that_cannot_be_noted_hides_no_error(
    results: Path, store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    run = config(results, mlflow={"system_metrics": False})
    make_run(folder, run)
    with running(folder):
        log = begun(run, folder)
        monkeypatch.setattr(experiment_log, "end", full)
        message = "No space left on device; later uploads may say KILLED instead of FAILED"
        with pytest.warns(UserWarning, match=message):
            log.close("FAILED")
    assert store.status(store.run(folder)) == "FAILED"
    assert sync(folder).status == "FAILED", "what the store knows stays"


def test_final_metrics_are_added(results: Path, store: Store, folder: Path) -> None:
    make_run(folder, config(results, Method.QDTRACK, mlflow={"experiment": "other"}))
    begin(folder, resume=False)
    metrics = {"image/visible/AP50": 61.5, "image/visible/AP50_S": None}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    log_evaluation(folder)
    run_id = store.run(folder)
    assert store.points(run_id) == AP50
    assert "metrics.json" in store.artifacts(run_id)


def test_jobs_of_a_cluster_leave_a_sqlite_file_alone(
    results: Path, store: Store, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = config(results, **SLURM)
    make_run(folder, run)
    with uploading(run, folder):  # the process that waits for the job
        monkeypatch.setenv("SLURM_JOB_ID", "7")
        with running(folder):
            with pytest.warns(
                UserWarning,
                match=r"cannot be written from jobs on .*machines; .* set MLFLOW_TRACKING_URI",
            ):
                log = begun(run, folder)
            add_lines(folder, 1, 6)
            wait_for(lambda: sent(store, folder))
            log.close("FAILED")
    run_id = store.run(folder)
    assert store.status(run_id) == "FAILED"
    with uploading(run, folder):  # once more, from where it was
        with running(folder):
            with pytest.warns(UserWarning, match="cannot be written from jobs"):
                ExperimentLog.start(run, folder, resume=True)
            wait_for(lambda: store.status(run_id) == "RUNNING")
        add_lines(folder, 7, 1)
        (folder / "training.json").write_text(TRAINED)
    assert (store.status(run_id), store.points(run_id)) == ("FINISHED", expected(folder))
    (folder / "metrics.json").write_text('{"image/visible/AP50": 61.5}')
    log_evaluation(folder)
    assert store.points(run_id) == expected(folder)
    sync(folder)  # as the workflow does when it is done
    assert store.points(run_id) == sorted(expected(folder) + AP50)


@pytest.mark.parametrize(
    ("sections", "begun", "sends"),
    [
        (SLURM, True, True),
        (SLURM, False, False),  # no training has begun
        ({}, True, False),  # the job sends
        ({"mlflow": {"tracking_uri": "http://h"}, **SLURM}, True, False),
        ({"mlflow": {"enabled": False}, **SLURM}, True, False),
    ],
)
def test_one_who_waits_sends_only_what_the_job_leaves_to_others(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sections: dict[str, Any],
    begun: bool,
    sends: bool,
) -> None:
    calls: list[Path] = []
    monkeypatch.setattr(experiment_log, "sync", lambda folder, status: calls.append(folder))
    run = config(tmp_path, **sections)
    make_run(tmp_path / "run", run)
    if begun:
        begin(tmp_path / "run", resume=False)
    with uploading(run, tmp_path / "run"):
        time.sleep(0.3)
    assert bool(calls) == sends


def test_a_folder_that_has_not_changed_is_sent_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str | None] = []
    failing = [True, True]

    def fake(folder: Path, status: str | None) -> None:
        calls.append(status)
        if failing:
            failing.pop()
            raise StoreError("store: away; start it")

    monkeypatch.setattr(experiment_log, "sync", fake)
    run = config(tmp_path, mlflow={"system_metrics": False})
    folder = make_run(tmp_path / "run", run, lines=2)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        log = begun(run, folder)
        wait_for(lambda: len(calls) == 3)  # a failure is tried again
    assert ["away" in str(warning.message) for warning in told] == [True]
    time.sleep(0.3)
    assert len(calls) == 3
    add_lines(folder, 3, 1)
    wait_for(lambda: len(calls) == 4)
    time.sleep(0.3)
    log.close("FINISHED")
    # The end is always sent; its note in mlflow.json may have been seen and sent just before.
    assert len(calls) in (5, 6)
    assert calls[-1] == "FINISHED"


def test_off_is_off(tmp_path: Path) -> None:
    run = config(tmp_path, mlflow={"enabled": False})
    (tmp_path / "mlflow.json").write_text("{}")  # of an earlier training
    assert ExperimentLog.start(run, tmp_path) is None
    (tmp_path / "metrics.json").write_text("{}")
    log_evaluation(tmp_path)
    with uploading(config(tmp_path, mlflow={"enabled": False}, **SLURM), tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.json"]


def test_without_mlflow_one_warning(
    results: Path, store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = config(results)
    make_run(folder, run, lines=2)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "mlflow", None)
        with pytest.warns(
            UserWarning,
            match="MLflow is not installed; once it is installed, `vatrack mlflow-sync .*` uploads "
            "the run",
        ):
            log = begun(run, folder)
        log.close("FAILED")
        with (
            pytest.warns(UserWarning, match="MLflow is not installed"),
            uploading(config(results, **SLURM), folder),  # nor where the job leaves it to others
        ):
            pass
    sync(folder)  # elsewhere, later
    run_id = store.run(folder)
    assert (store.status(run_id), store.points(run_id)) == ("FAILED", expected(folder))


@pytest.mark.parametrize(
    "error",
    [
        TypeError("unhashable type: 'list'"),
        ImportError("cannot import name 'x' from 'mlflow'", name="mlflow"),
        ModuleNotFoundError("No module named 'sqlalchemy'", name="sqlalchemy"),
    ],
)
def test_a_broken_mlflow_only_warns(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(uri: str) -> None:
        raise error

    monkeypatch.setattr(experiment_log, "import_client", broken)
    run = config(tmp_path)
    folder = make_run(tmp_path / "run", run)
    message = f"MLflow: {error}; `vatrack mlflow-sync .*` uploads the run then"
    with pytest.warns(UserWarning, match=message):
        begun(run, folder).close("FINISHED")
    waited = []
    with pytest.warns(UserWarning, match=message), uploading(config(tmp_path, **SLURM), folder):
        waited.append("for the job")
    assert waited
    (folder / "metrics.json").write_text("{}")
    monkeypatch.setattr(experiment_log, "sync", broken)
    with pytest.warns(UserWarning, match="has no metrics yet"):
        log_evaluation(folder)


def test_a_refused_path_only_warns(tmp_path: Path) -> None:
    run = config(tmp_path)
    folder = make_run(tmp_path / "a%b/runs/run", run, lines=2)
    with pytest.warns(UserWarning, match=r"with %; rename the folder, or set mlflow\.tracking_uri"):
        begun(run, folder).close("FINISHED")
    sync(folder, f"sqlite:///{tmp_path}/other.db")
    other = Store(tmp_path / "other.db")
    assert other.status(other.run(folder)) == "FINISHED"


def test_importing_the_package_does_not_import_mlflow() -> None:
    code = "import sys, vatrack.experiments.log; sys.exit('mlflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_a_training_is_logged_whole(tiny_data: Any, tmp_path: Path) -> None:
    from tests.conftest import tiny_config
    from tests.models.small import narrow_trunks
    from vatrack.config import Backbone
    from vatrack.training.loop import train

    values = tiny_config(tmp_path / "results").model_dump() | {"mlflow": {}}
    run = (
        type(tiny_config(tmp_path))
        .model_validate(values)
        .for_run(Method.VATRACK, Backbone.RESNET18)
    )
    folder = tmp_path / "results/runs/run"
    folder.parent.mkdir(parents=True)
    with narrow_trunks():
        train(run, tiny_data.annotations, tiny_data.images, folder, ExperimentLog.start)
    store = Store(tmp_path / "results/mlflow.db")
    run_id = store.run(folder)
    assert training_points(store, run_id) == expected(folder)
    assert store.status(run_id) == "FINISHED"
