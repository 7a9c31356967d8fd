"""The live copy of a run, with a real store."""

from __future__ import annotations

import json
import time
import warnings
from pathlib import Path
from typing import Any

import pytest

from tests.experiments.experiments import (
    AP50,
    TRAINED,
    Store,
    add_lines,
    config,
    expected,
    make_run,
    running,
)
from tests.experiments.logged import SLURM, begun, measured, sent, training_points
from tests.waiting import wait_until
from vatrack.config import Method
from vatrack.experiments import log as experiment_log
from vatrack.experiments.client import StoreError
from vatrack.experiments.identity import begin
from vatrack.experiments.log import ExperimentLog, log_evaluation, uploading
from vatrack.experiments.store import sync

pytestmark = pytest.mark.usefixtures("no_store_from_outside", "quick_log")


@pytest.mark.slow
def test_curves_are_live(
    results: Path, store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = config(results)
    make_run(folder, run, lines=3)
    with running(folder):
        log = begun(run, folder)
        sync(folder)  # the file of a new store appears before its tables do
        wait_until(lambda: sent(store, folder))
        for number in range(4, 30):
            add_lines(folder, number, 1)
        wait_until(lambda: sent(store, folder))
        run_id = store.run(folder)
        assert store.status(run_id) == "RUNNING"
        wait_until(lambda: len(measured(store, run_id)) > 5)
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
        wait_until(lambda: store.status(first) == "RUNNING")
        add_lines(folder, 4, 3)
        log.close("FINISHED")
        # Without what MLflow measures: it is off.
        assert (store.status(first), store.points(first)) == ("FINISHED", expected(folder))
        (folder / "metrics.jsonl").unlink()
        begun(run, folder).close("FINISHED")
    assert len(store.runs(folder)) == 2


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
            wait_until(lambda: sent(store, folder))
            log.close("FAILED")
    run_id = store.run(folder)
    assert store.status(run_id) == "FAILED"
    with uploading(run, folder):  # once more, from where it was
        with running(folder):
            with pytest.warns(UserWarning, match="cannot be written from jobs"):
                ExperimentLog.start(run, folder, resume=True)
            wait_until(lambda: store.status(run_id) == "RUNNING")
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
        wait_until(lambda: len(calls) == 3)  # a failure is tried again
    assert ["away" in str(warning.message) for warning in told] == [True]
    time.sleep(0.3)
    assert len(calls) == 3
    add_lines(folder, 3, 1)
    wait_until(lambda: len(calls) == 4)
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
