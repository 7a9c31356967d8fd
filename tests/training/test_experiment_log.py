"""Against a real MLflow store in a SQLite file."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from vatrack.config import Backbone, Config, Method, RunConfig, parse_config
from vatrack.training import experiment_log
from vatrack.training.experiment_log import ExperimentLog, flatten, log_evaluation, log_tables, metric_name, tracking_uri


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One results folder for all tests: a new database takes seconds."""
    return tmp_path_factory.mktemp("results")


@pytest.fixture(autouse=True)
def _no_store_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def config(results: Path, method: Method = Method.VATRACK, **mlflow: Any) -> RunConfig:
    values = {"results": str(results), "mlflow": mlflow, "training": {"epochs": 7}}
    return parse_config(values, "test", Config).for_run(method, Backbone.RESNET18)


def stored(out: Path) -> Any:
    """The entry of a run's folder, read from the store."""
    from mlflow.tracking import MlflowClient

    record = json.loads((out / "mlflow.json").read_text())
    client = MlflowClient(tracking_uri=record["tracking_uri"])
    return client, client.get_run(record["run_id"])


def test_a_run_is_recorded(results: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / "config.yaml").write_text("seed: 0\n")
    log = ExperimentLog.start(config(results), out)
    for step in range(1200):
        log.log(step, {"loss": 1.0 / (step + 1), "lr": 0.1, "broken": float("nan")})
    log.log_validation(1199, {"video/amodal/AP": 12.5, "video/amodal/AP50_S": None})
    (out / "notes.txt").write_text("good\n")
    log.artifact(out / "notes.txt")
    log.close()
    client, run = stored(out)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "vatrack__resnet18"
    assert {key: run.data.tags[key] for key in ("method", "backbone", "dataset")} == {
        "method": "vatrack",
        "backbone": "resnet18",
        "dataset": "mini",
    }
    assert run.data.params["training.epochs"] == "7"
    assert run.data.params["training.optimizer.learning_rate"] == "0.005"
    assert "launcher.cpus" not in run.data.params
    curve = client.get_metric_history(run.info.run_id, "loss")
    assert [(point.step, point.value) for point in sorted(curve, key=lambda point: point.step)] == [
        (step, pytest.approx(1.0 / (step + 1))) for step in range(1200)
    ]
    assert set(run.data.metrics) == {"loss", "lr", "validation/video/amodal/AP"}
    assert [entry.path for entry in client.list_artifacts(run.info.run_id)] == ["config.yaml", "notes.txt"]
    assert (results / "mlflow.db").exists()
    assert list((results / "mlartifacts").rglob("config.yaml"))
    assert client.get_experiment(run.info.experiment_id).name == "mini"


def test_final_metrics_and_tables_are_added(results: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    ExperimentLog.start(config(results, Method.QDTRACK, experiment="other"), out).close("FAILED")
    metrics = out / "metrics.json"
    metrics.write_text(json.dumps({"image/visible/AP50": 61.5, "image/visible/AP50_S": None, "track/IDF1 (all)": 3.0}))
    tables = tmp_path / "tables"
    tables.mkdir()
    (tables / "image_visible.csv").write_text("method,AP\n")
    log_evaluation(out, metrics)
    log_tables([out], tables)
    client, run = stored(out)
    assert run.info.status == "FAILED"
    assert run.data.metrics == {"image/visible/AP50": 61.5, "track/IDF1 _all_": 3.0}
    assert [entry.path for entry in client.list_artifacts(run.info.run_id)] == ["metrics.json", "tables"]
    assert [entry.path for entry in client.list_artifacts(run.info.run_id, "tables")] == ["tables/image_visible.csv"]
    assert client.get_experiment(run.info.experiment_id).name == "other"


def test_a_resumed_run_continues_its_entry(results: Path, tmp_path: Path) -> None:
    ExperimentLog.start(config(results), tmp_path).close("KILLED")
    _, first = stored(tmp_path)
    log = ExperimentLog.start(config(results), tmp_path, resume=True)
    log.log(5, {"loss": 2.0})
    log.close()
    _, second = stored(tmp_path)
    assert (second.info.run_id, second.info.status) == (first.info.run_id, "FINISHED")
    assert second.data.metrics == {"loss": 2.0}
    ExperimentLog.start(config(results), tmp_path).close()
    assert stored(tmp_path)[1].info.run_id != first.info.run_id


def test_resuming_without_an_entry_makes_one(results: Path, tmp_path: Path) -> None:
    ExperimentLog.start(config(results), tmp_path, resume=True).close()
    assert stored(tmp_path)[1].info.status == "FINISHED"


def test_runs_that_start_together_share_a_new_store(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.training.test_experiment_log import config;"
        "from vatrack.training.experiment_log import ExperimentLog;"
        "out = Path(sys.argv[2]); out.mkdir(); log = ExperimentLog.start(config(Path(sys.argv[1])), out);"
        "[(log.log(step, {'loss': 1.0}), log._flush()) for step in range(5)]; log.close()"
    )
    outs = [tmp_path / "a", tmp_path / "b"]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "results"), str(out)],
            cwd=Path(__file__).parents[2],
            stderr=subprocess.PIPE,
            text=True,
        )
        for out in outs
    ]
    for process in processes:
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    runs = [stored(out) for out in outs]
    assert len({run.info.experiment_id for _, run in runs}) == 1
    for client, run in runs:
        assert len(client.get_metric_history(run.info.run_id, "loss")) == 5


def test_off_is_off(tmp_path: Path) -> None:
    log = ExperimentLog.start(config(tmp_path, enabled=False), tmp_path)
    log.log(1, {"loss": 1.0})
    log.log_validation(1, {"x": 1.0})
    log.artifact(tmp_path / "missing")
    log.close()
    metrics = tmp_path / "metrics.json"
    metrics.write_text("{}")
    log_evaluation(tmp_path, metrics)
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.json"]


def test_without_mlflow_one_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.warns(UserWarning, match="mlflow is not installed"):
        log = ExperimentLog.start(config(tmp_path), tmp_path)
    with warnings.catch_warnings(action="error"):
        log.log(1, {"loss": 1.0})
        log.close()
    assert list(tmp_path.iterdir()) == []


def test_importing_the_package_does_not_import_mlflow() -> None:
    code = "import sys, vatrack.training.experiment_log; sys.exit('mlflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_server_that_is_away_is_only_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    away = "http://127.0.0.1:9"
    with pytest.warns(UserWarning, match="MLflow: .*; the run is recorded in its folder only"):
        ExperimentLog.start(config(tmp_path, tracking_uri=away), tmp_path).close()
    assert not (tmp_path / "mlflow.json").exists()
    (tmp_path / "mlflow.json").write_text(json.dumps({"run_id": "1", "tracking_uri": away, "experiment": "mini"}))
    metrics = tmp_path / "metrics.json"
    metrics.write_text('{"image/visible/AP50": 61.5}')
    with pytest.warns(UserWarning, match="was not completed"):
        log_evaluation(tmp_path, metrics)


def test_curves_survive_an_outage(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = ExperimentLog.start(config(results), tmp_path)
    sent = log._client.log_batch
    failures = iter([OSError("away"), OSError("still away")])

    def unsteady(*arguments: Any, **named: Any) -> None:
        for failure in failures:
            raise failure
        sent(*arguments, **named)

    monkeypatch.setattr(log._client, "log_batch", unsteady)
    with pytest.warns(UserWarning, match="MLflow: away; curves are sent later"):
        log.log(0, {"loss": 0.0})
    with warnings.catch_warnings(action="error"):  # told once
        log._next_flush = 0.0
        log.log(1, {"loss": 1.0})
        log.log(2, {"loss": 2.0})
        log.close()
    client, run = stored(tmp_path)
    assert sorted(point.value for point in client.get_metric_history(run.info.run_id, "loss")) == [0.0, 1.0, 2.0]


def test_waits_for_a_locked_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    failures = iter([RuntimeError("(sqlite3.OperationalError) database is locked"), RuntimeError("database is locked")])

    def busy() -> str:
        for failure in failures:
            raise failure
        return "done"

    assert experiment_log._patient(busy) == "done"
    with pytest.raises(ZeroDivisionError):
        experiment_log._patient(lambda: 1 // 0)


def test_which_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tracking_uri(config(tmp_path)) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere")
    assert tracking_uri(config(tmp_path)) == "http://elsewhere"
    assert tracking_uri(config(tmp_path, tracking_uri="http://mine")) == "http://mine"


def test_names() -> None:
    assert metric_name("image/amodal/AP50_P") == "image/amodal/AP50_P"
    assert metric_name("AP@[0.5:0.95] ü+") == "AP__0.5:0.95_ __"
    assert flatten({"a": {"b": 1, "c": {}}, "d": [1, 2]}) == {"a.b": 1, "a.c": {}, "d": [1, 2]}
