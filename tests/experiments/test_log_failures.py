"""Whatever fails in the copy of a run, the training goes on, and nothing is lost."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.experiments.experiments import (
    AP50,
    TRAINED,
    Line,
    Server,
    Store,
    add_lines,
    config,
    expected,
    make_run,
    running,
)
from tests.experiments.logged import SLURM, begun, training_points
from tests.waiting import wait_until
from vatrack.experiments import log as experiment_log
from vatrack.experiments.log import ExperimentLog, log_evaluation, uploading
from vatrack.experiments.store import sync

pytestmark = pytest.mark.usefixtures("no_store_from_outside", "quick_log")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.kill()


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

        wait_until(step)

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
