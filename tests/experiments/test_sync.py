"""The copy of a run in a real SQLite store: whole, and nothing twice, whatever happens in
between."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from tests.experiments.experiments import (
    AP50,
    CREATED,
    TRAINED,
    Store,
    add_lines,
    config,
    expected,
    make_run,
    running,
    send_together,
)
from vatrack.common.errors import InputError
from vatrack.config import Method
from vatrack.experiments.client import StoreError
from vatrack.experiments.identity import begin, end, identify, read_identity
from vatrack.experiments.store import sync

pytestmark = pytest.mark.usefixtures("no_store_from_outside")


def test_a_run_becomes_an_mlflow_run(results: Path, store: Store, folder: Path) -> None:
    run = config(results)
    make_run(folder, run, lines=12)
    identity = begin(folder, resume=False)
    with running(folder):
        summary = sync(folder)
    assert summary.sent == ("a new MLflow run", "14 lines", "config.yaml", "environment.json")
    run_id = store.run(folder)
    assert store.points(run_id) == expected(folder)
    assert store.status(run_id) == "RUNNING"
    tags = store.tags(run_id)
    wanted = {
        "method": "vatrack",
        "backbone": "resnet18",
        "dataset": "mini",
        "masks": "amodal,visible",
        "seed": "0",
        "git_revision": "0123456789abcdef+changes",
        "mlflow.source.git.commit": "0123456789abcdef",
        "mlflow.runName": "vatrack resnet18 seed 0",
        "vatrack.run_uuid": identity.uuid,
    }
    assert wanted.items() <= tags.items()
    assert re.fullmatch("[0-9a-f]{10}", tags["config_hash"])
    assert re.fullmatch("mini-resnet18-[0-9a-f]{10}", tags["comparison"])
    params = store.params(run_id)
    assert (params["training.epochs"], params["training.optimizer.learning_rate"]) == ("7", "0.005")
    assert not [name for name in params if name.startswith(("launcher", "mlflow", "results"))]
    assert len(params) > 100
    assert store.artifacts(run_id) == {"config.yaml", "environment.json"}
    times = store.ask(
        "SELECT step, timestamp FROM metrics WHERE run_uuid = ? AND key = 'loss/all' ORDER BY step",
        run_id,
    )
    assert times == [(step, 1_700_000_000_000 + 250 * step) for step in range(2, 26, 2)]
    assert store.ask(
        "SELECT start_time, experiments.name FROM experiments JOIN runs USING (experiment_id)"
        " WHERE run_uuid = ?",
        run_id,
    ) == [(identity.started, "mini")]


def test_a_second_call_sends_nothing(
    results: Path, store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(folder, config(results), lines=7)
    sync(folder)
    tables = ("metrics", "params", "tags", "runs")
    everything = [store.ask(f"SELECT * FROM {table}") for table in tables]
    from mlflow.tracking import MlflowClient

    for name in (
        "log_batch",
        "log_artifact",
        "log_artifacts",
        "set_tag",
        "create_run",
        "set_terminated",
        "update_run",
        "set_experiment_tag",
    ):
        monkeypatch.setattr(MlflowClient, name, lambda *_, **__: pytest.fail("something was sent"))
    summary = sync(folder)
    assert summary.sent == ()
    assert "nothing new" in str(summary)
    assert everything == [store.ask(f"SELECT * FROM {table}") for table in tables]


def test_a_resumed_training_that_logs_the_same_steps_again(
    results: Path, store: Store, folder: Path
) -> None:
    make_run(folder, config(results), lines=9)
    begin(folder, resume=False)
    sync(folder)
    sent = store.points(store.run(folder))
    # Back to the fourth line, and on: the same values, but for what a clock measures.
    lines = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)
    (folder / "metrics.jsonl").write_text("".join(lines[:4]))
    begin(folder, resume=True)
    add_lines(folder, 5, 8, seconds_per_iteration=0.5, time=1.8e9)
    assert sync(folder).sent == ("4 lines",)  # three training lines, one validation
    points = store.points(store.run(folder))
    assert set(sent) <= set(points)
    assert [point for point in points if point[0] == "loss/all"] == [
        point for point in expected(folder) if point[0] == "loss/all"
    ]
    assert len({(name, step) for name, step, _ in points}) == len(points) == len(expected(folder))


def test_a_new_training_gets_an_mlflow_run_of_its_own(
    results: Path, store: Store, folder: Path
) -> None:
    run = config(results)
    other = folder.with_name(f"{folder.name}_other")
    with running(folder), running(other):
        for place in (folder, other):
            make_run(place, run, lines=5)
            begin(place, resume=False)
        old, beside = sync(folder).run_id, sync(other).run_id
        (folder / "metrics.json").write_text('{"video/amodal/AP": 50.0}')
        time.sleep(0.02)
        (folder / "metrics.jsonl").unlink()
        begin(folder, resume=False)
        add_lines(folder, 1, 3)
        new = sync(folder).run_id
    assert set(store.runs(folder)) == {old, new} and old != new
    # Nor does it get the metrics of the one before.
    assert store.points(new) == expected(folder)
    # Nobody will end the one that was replaced; other folders' are left alone.
    statuses = [store.status(run_id) for run_id in (old, new, beside)]
    assert statuses == ["KILLED", "RUNNING", "RUNNING"]


def test_killed_right_after_the_mlflow_run_was_made(
    results: Path, store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(folder, config(results), lines=3)

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("mlflow.tracking.MlflowClient.log_batch", killed)
        with pytest.raises(KeyboardInterrupt):
            sync(folder)
    assert store.points(store.run(folder)) == []
    assert CREATED not in sync(folder).sent
    assert store.points(store.run(folder)) == expected(folder)


@pytest.mark.parametrize("complete", [True, False])
def test_who_holds_the_folder_tells_whether_it_runs(
    results: Path, store: Store, folder: Path, complete: bool
) -> None:
    make_run(folder, config(results), lines=2)
    with running(folder):
        begin(folder, resume=False)
        run_id = sync(folder).run_id
        assert store.status(run_id) == "RUNNING"
    if complete:
        (folder / "training.json").write_text(TRAINED)
    for path in folder.iterdir():
        os.utime(path, (1_800_000_000, 1_800_000_000))
    status = "FINISHED" if complete else "KILLED"
    assert sync(folder).status == store.status(run_id) == status
    assert store.ask("SELECT end_time FROM runs WHERE run_uuid = ?", run_id) == [
        (1_800_000_000_000,)
    ]
    with running(folder):
        (folder / "training.json").unlink(missing_ok=True)
        begin(folder, resume=True)
        sync(folder)
        assert store.status(run_id) == "RUNNING"


def test_every_store_learns_how_a_training_ended(
    results: Path, store: Store, folder: Path, tmp_path: Path
) -> None:
    make_run(folder, config(results), lines=2)
    with running(folder):
        begin(folder, resume=False)
        run_id = sync(folder).run_id
        end(folder, "FAILED")
    identity = identify(folder)
    copy = shutil.copytree(folder, folder.with_name(f"{folder.name}_copy"))
    assert CREATED in sync(folder, f"sqlite:///{tmp_path / 'other.db'}").sent
    assert read_identity(folder) == identity
    for made, place in ((Store(tmp_path / "other.db"), folder), (store, folder), (store, copy)):
        sync(place)
        asked = "SELECT status, end_time FROM runs WHERE run_uuid = ?"
        assert made.ask(asked, made.run(place)) == [("FAILED", identity.ended)]
    with running(folder):
        begin(folder, resume=True)
        sync(folder)
        assert store.status(run_id) == "RUNNING"
    # The second attempt was killed before it could note anything.
    sync(folder)
    assert store.status(run_id) == "KILLED"


def test_without_locks_nobody_is_called_dead(
    results: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: Any) -> None:
        raise OSError("no locks available")

    make_run(folder, config(results))
    (folder / ".lock").touch()
    monkeypatch.setattr("fcntl.flock", none)
    assert sync(folder).status == "RUNNING"


def test_a_bad_line_is_named_and_the_rest_is_sent(
    results: Path, store: Store, folder: Path
) -> None:
    make_run(folder, config(results), lines=3)
    bad = ['{"step": NaN, "epoch": 1}', '{"step": 1e400, "epoch": 1}', '{"step": 8, "epo{"step": 9']
    with (folder / "metrics.jsonl").open("a") as stream:
        stream.write("".join(f"{line}\n" for line in bad))
    add_lines(folder, 7, 1)
    problem = rf"MLflow: {folder}/metrics\.jsonl, line 4: .* \(and 2 more\); the rest is uploaded"
    with pytest.warns(UserWarning, match=problem):
        assert "4 lines" in sync(folder).sent
    losses = [step for name, step, _ in store.points(store.run(folder)) if name == "loss/all"]
    assert losses == [2, 4, 6, 14]


def test_final_metrics(
    results: Path, store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(folder, config(results), lines=2)
    sync(folder)
    (folder / "metrics.json").write_text(
        json.dumps({"image/visible/AP50": 61.5, "x/AP50_S": None, "track/IDF1": 3.0})
    )
    (folder / "training.json").write_text(TRAINED)
    os.utime(folder / "training.json", (1_900_000_000, 1_900_000_000))
    final = [*AP50, ("results track/IDF1", 0, 3.0)]

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        # The metrics and the file are there, the note of it is not.
        patch.setattr("mlflow.tracking.MlflowClient.set_tag", killed)
        with pytest.raises(KeyboardInterrupt):
            sync(folder)
    run_id = store.run(folder)
    assert store.points(run_id) == sorted(expected(folder) + final)
    done = sync(folder)
    assert done.sent == ("metrics.json",)
    assert store.points(run_id) == sorted(expected(folder) + final)
    assert store.artifacts(run_id) == {"config.yaml", "environment.json", "metrics.json"}
    assert store.ask("SELECT status, end_time FROM runs WHERE run_uuid = ?", run_id) == [
        ("FINISHED", 1_900_000_000_000)
    ]
    (folder / "metrics.json").write_text(
        json.dumps({"image/visible/AP50": 70.123, "track/IDF1": 3.0})
    )
    done = sync(folder)
    assert done.sent == ("2 final metrics", "metrics.json")
    assert "2 final metrics, metrics.json" in str(done)
    new = [("AP50 visible", 0, 70.12), ("results image visible/AP50", 0, 70.123)]
    assert store.points(run_id) == sorted([*expected(folder), *final, *new])


@pytest.mark.parametrize("content", ["[]", '{"image/visible/AP50": "high"}'])
def test_damaged_final_metrics_are_not_the_stores_fault(
    results: Path, folder: Path, content: str
) -> None:
    make_run(folder, config(results), lines=2)
    (folder / "metrics.json").write_text(content)
    with pytest.raises(InputError, match=r"metrics\.json: .*; evaluate the run again"):
        sync(folder)


def test_a_store_that_was_deleted_is_filled_again(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "runs/run", config(tmp_path), lines=4)
    for _ in range(2):  # in fresh processes: MLflow keeps connections
        send_together((folder,))
        store = Store(tmp_path / "mlflow.db")
        assert store.points(store.run(folder)) == expected(folder)
        for path in tmp_path.glob("ml*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def test_what_was_deleted_is_not_made_again(results: Path, store: Store, folder: Path) -> None:
    from mlflow.tracking import MlflowClient

    make_run(folder, config(results, mlflow={"experiment": "gone"}), lines=1)
    client = MlflowClient(tracking_uri=f"sqlite:///{store.path}")
    client.delete_run(sync(folder).run_id)
    with pytest.raises(StoreError, match=f"the MLflow run of {folder} was deleted; restore it"):
        sync(folder)
    (folder / "mlflow.json").unlink()
    assert CREATED in sync(folder).sent
    experiment = client.get_experiment_by_name("gone")
    assert experiment
    client.delete_experiment(experiment.experiment_id)
    with pytest.raises(StoreError, match="the experiment gone was deleted; restore it in MLflow"):
        sync(folder)


def test_the_command(results: Path, store: Store, folder: Path) -> None:
    from typer.testing import CliRunner

    from vatrack.cli import app

    folders = [
        make_run(folder.with_name(f"{folder.name}_{method}"), config(results, method), lines=3)
        for method in Method
    ]
    words = ["mlflow-sync", *map(str, folders)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0
    assert done.output.count("a new MLflow run, 3 lines, config.yaml, environment.json") == 4
    shared = {store.tags(store.run(folder))["comparison"] for folder in folders}
    assert len(shared) == 1 and done.output.count(shared.pop()) == 4
    assert CliRunner().invoke(app, words).output.count("nothing new") == 4
    away = CliRunner().invoke(app, [*words, "--tracking-uri", "http://127.0.0.1:9"])
    assert away.exit_code == 1
    assert "vatrack: error: MLflow: http://127.0.0.1:9: " in away.output
    assert "; repeat this command to upload the rest" in away.output


def test_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no config\.yaml; give a run folder"):
        sync(tmp_path)
    with pytest.raises(InputError, match=r"gone: no such folder; give a run folder written by"):
        sync(tmp_path / "gone")
    (tmp_path / "runs").mkdir()
    (tmp_path / "config.yaml").write_text("methods: [vatrack]")
    with pytest.raises(
        InputError, match=rf"contains runs but is not a run folder; give {tmp_path}/runs/\*"
    ):
        sync(tmp_path)
