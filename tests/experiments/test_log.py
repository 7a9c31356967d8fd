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
    Server,
    Store,
    add_lines,
    config,
    expected,
    make_run,
    running,
)
from vatrack.config import Method
from vatrack.experiments import log as experiment_log
from vatrack.experiments.log import ExperimentLog, log_evaluation, log_tables, watch
from vatrack.experiments.identity import begin, read_identity
from vatrack.experiments.store import sync

pytestmark = pytest.mark.usefixtures("no_store_from_outside")

SLURM = {"launcher": {"cluster": "slurm"}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ExperimentLog, "pause", 0.05)
    monkeypatch.setattr(ExperimentLog, "retry", 0.3)
    monkeypatch.setattr(ExperimentLog, "share", 1.0)


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not what():
        assert time.monotonic() < deadline, "what was waited for did not come"
        time.sleep(0.05)


def sent(store: Store, folder: Path) -> bool:
    """Whether the store has every line."""
    made = store.runs(folder) if store.path.exists() and read_identity(folder) else []
    return any(store.points(run_id) == expected(folder) for run_id in made)


def test_curves_are_live(results: Path, store: Store, tmp_path: Path) -> None:
    run = config(results)
    folder = make_run(tmp_path, run, lines=3)
    log = ExperimentLog.start(run, folder)
    sync(folder)  # the file of a new store appears before its tables do
    wait_for(lambda: sent(store, folder))
    for number in range(4, 30):
        add_lines(folder, number, 1)
    wait_for(lambda: sent(store, folder))
    run_id = store.run(folder)
    assert store.status(run_id) == "RUNNING"
    add_lines(folder, 30, 1)
    log.close("FAILED")
    assert store.points(run_id) == expected(folder)
    assert store.status(run_id) == "FAILED"
    log.close()  # nothing more


def test_a_resumed_run_continues_its_entry(results: Path, store: Store, tmp_path: Path) -> None:
    run = config(results)
    folder = make_run(tmp_path, run, lines=3)
    ExperimentLog.start(run, folder).close("KILLED")
    first = store.run(folder)
    assert store.status(first) == "KILLED"
    log = ExperimentLog.start(run, folder, resume=True)
    wait_for(lambda: store.status(first) == "RUNNING")
    add_lines(folder, 4, 3)
    log.close()
    assert (store.status(first), store.points(first)) == ("FINISHED", expected(folder))
    (folder / "metrics.jsonl").unlink()
    ExperimentLog.start(run, folder).close()
    assert len(store.runs(folder)) == 2


def test_a_server_goes_and_comes_back(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = config(tmp_path, mlflow={"tracking_uri": server.uri})
    folder = make_run(tmp_path / "run", run)
    number = 1

    def train(what: Callable[[], bool]) -> None:
        """Goes on with the training until something has happened."""
        nonlocal number

        def step() -> bool:
            nonlocal number
            add_lines(folder, number, 1)
                number += 1
            return what()

        wait_for(step)

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        log = ExperimentLog.start(run, folder)
        train(
            lambda: (
                len(server.store.runs(folder)) == 1
                and len(server.store.points(server.store.run(folder))) > 50
            )
        )
        server.kill()
        train(lambda: len(told) > 0)
        train(lambda start=number: number > start + 40)  # type: ignore[misc]
        server.start()
        capsys.readouterr()
        train(lambda: "the store is back" in capsys.readouterr().out)
        server.kill()
        log.close()
        messages = [str(warning.message) for warning in told]
    assert len(messages) == 2, messages
    assert messages[0].endswith("; the run continues; what is missing is sent later")
    assert messages[1].endswith(f"; `vatrack mlflow-sync {folder}` sends the rest")
    assert server.store.status(server.store.run(folder)) == "RUNNING"
    server.start()
    sync(folder)
    run_id = server.store.run(folder)
    assert server.store.points(run_id) == expected(folder)
    assert server.store.status(run_id) == "FINISHED"
    assert {"config.yaml", "environment.json"} == {
        path.name for path in (server.folder / "files").rglob("*") if path.is_file()
    }


def test_a_server_that_is_away_from_the_start(
    results: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    run = config(results)
    folder = make_run(tmp_path, run, lines=3)
    with pytest.warns(
        UserWarning,
        match=r"MLflow: http://127\.0\.0\.1:9: .*`vatrack mlflow-sync .*` sends the rest",
    ):
        ExperimentLog.start(run, folder).close()
    (folder / "metrics.json").write_text('{"image/visible/AP50": 61.5}')
    with pytest.warns(UserWarning, match="lacks its metrics; `vatrack mlflow-sync .*` sends them"):
        log_evaluation(folder, folder / "metrics.json")
    assert read_identity(folder).run_id is None
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    sync(folder, f"sqlite:///{store.path}")
    run_id = store.run(folder)
    assert store.points(run_id) == sorted([*expected(folder), ("image/visible/AP50", 0, 61.5)])
    assert store.status(run_id) == "FINISHED"


def test_a_store_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = config(tmp_path)
    folder = make_run(tmp_path / "run", run)
    monkeypatch.setattr(experiment_log, "sync", lambda folder: time.sleep(30))
    log = ExperimentLog.start(run, folder)
    with pytest.warns(
        UserWarning,
        match=r"the store has not answered for 0 s; `vatrack mlflow-sync .*` sends the rest",
    ):
        log.close(patience=0.2)
    assert read_identity(folder).status == "FINISHED"


def test_a_failure_of_any_kind_ends_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = config(tmp_path)
    folder = make_run(tmp_path / "run", run)
    monkeypatch.setattr(experiment_log, "sync", lambda folder: 1 // 0)
    with pytest.warns(UserWarning, match="division or modulo by zero"):
        ExperimentLog.start(run, folder).close()
    monkeypatch.setattr(
        experiment_log, "begin", lambda *_: (folder / "missing/file").write_text("")
    )
    with pytest.warns(
        UserWarning, match="No such file or directory.*; the run is written to its folder only"
    ):
        ExperimentLog.start(run, folder).close()


def test_final_metrics_and_tables_are_added(results: Path, store: Store, tmp_path: Path) -> None:
    folder = make_run(
        tmp_path / "runs/run", config(results, Method.QDTRACK, mlflow={"experiment": "other"})
    )
    begin(folder, config(results, Method.QDTRACK, mlflow={"experiment": "other"}), resume=False)
    metrics = tmp_path / "elsewhere.json"
    metrics.write_text(json.dumps({"image/visible/AP50": 61.5, "image/visible/AP50_S": None}))
    tables = tmp_path / "tables"
    tables.mkdir()
    (tables / "image_visible.csv").write_text("method,AP\n")
    log_evaluation(folder, metrics)
    log_tables([folder], tables)
    run_id = store.run(folder)
    assert store.points(run_id) == [("image/visible/AP50", 0, 61.5)]
    assert {"elsewhere.json", "tables/image_visible.csv"} < store.artifacts(run_id)
    assert (read_identity(folder).metrics, read_identity(folder).tables) == (
        "../../elsewhere.json",
        "../../tables",
    )


def test_jobs_of_a_cluster_leave_a_sqlite_file_alone(
    results: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = config(results, **SLURM)
    folder = make_run(tmp_path / "run", run)
    with watch(run, folder):  # the process that waits for the job
        monkeypatch.setenv("SLURM_JOB_ID", "7")
        with pytest.warns(
            UserWarning,
            match=r"not written from jobs on several machines; .* set MLFLOW_TRACKING_URI",
        ):
            log = ExperimentLog.start(run, folder)
        add_lines(folder, 1, 6)
        assert log._thread is None
        wait_for(lambda: sent(store, folder))
        log.close()
        add_lines(folder, 7, 1)
    run_id = store.run(folder)
    assert (store.status(run_id), store.points(run_id)) == ("FINISHED", expected(folder))
    (folder / "metrics.json").write_text('{"image/visible/AP50": 61.5}')
    log_evaluation(folder, folder / "metrics.json")
    assert store.points(run_id) == expected(folder)
    (tmp_path / "tables").mkdir()
    log_tables([folder], tmp_path / "tables")
    assert store.points(run_id) == sorted([*expected(folder), ("image/visible/AP50", 0, 61.5)])


def test_one_who_waits_for_a_job_elsewhere_does_nothing(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiment_log, "sync", lambda folder: pytest.fail("something was sent"))
    with watch(config(results, **SLURM), tmp_path):  # no training has begun
        pass
    make_run(tmp_path, config(results))
    for run in (config(results), config(results, mlflow={"tracking_uri": "http://h"}, **SLURM)):
        begin(tmp_path, run, resume=False)
        with watch(run, tmp_path):
            pass


def test_off_is_off(tmp_path: Path) -> None:
    run = config(tmp_path, mlflow={"enabled": False})
    (tmp_path / "mlflow.json").write_text("{}")  # of an earlier training
    log = ExperimentLog.start(run, tmp_path)
    log.wake()
    log.close()
    metrics = tmp_path / "metrics.json"
    metrics.write_text("{}")
    log_evaluation(tmp_path, metrics)
    with watch(config(tmp_path, mlflow={"enabled": False}, **SLURM), tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.json"]


def test_without_mlflow_one_warning(
    results: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = config(results)
    folder = make_run(tmp_path, run, lines=2)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "mlflow", None)
        with pytest.warns(
            UserWarning,
            match="MLflow is not installed; where it is, `vatrack mlflow-sync .*` makes",
        ):
            log = ExperimentLog.start(run, folder)
        with warnings.catch_warnings(action="error"):
                log.close()
    sync(folder)  # elsewhere, later
    assert store.points(store.run(folder)) == expected(folder)
    assert store.status(store.run(folder)) == "FINISHED"


def test_importing_the_package_does_not_import_mlflow() -> None:
    code = "import sys, vatrack.experiments.log; sys.exit('mlflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_training_is_logged_whole(tiny_data: Any, tmp_path: Path) -> None:
    from tests.conftest import tiny_config
    from vatrack.config import Backbone
    from vatrack.training.loop import train

    values = tiny_config(tmp_path / "results").model_dump() | {"mlflow": {}}
    run = (
        type(tiny_config(tmp_path))
        .model_validate(values)
        .for_run(Method.VATRACK, Backbone.RESNET18)
    )
    train(run, tiny_data.annotations, tiny_data.images, tmp_path / "run")
    store = Store(tmp_path / "results/mlflow.db")
    run_id = store.run(tmp_path / "run")
    assert store.points(run_id) == expected(tmp_path / "run")
    assert store.status(run_id) == "FINISHED"
