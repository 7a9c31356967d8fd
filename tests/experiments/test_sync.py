"""The copy of a run in a real SQLite store: whole, and nothing twice, whatever happens in
between."""

from __future__ import annotations

import json
import multiprocessing
import random
import re
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from tests.experiments.experiments import Store, add_lines, config, expected, make_run, send
from vatrack.common.errors import InputError
from vatrack.config import Method
from vatrack.experiments import client as experiment_client
from vatrack.experiments import store as experiment_store
from vatrack.experiments.record import begin, read_record, tracking_uri, update
from vatrack.experiments.store import StoreError, sync

pytestmark = pytest.mark.usefixtures("no_store_from_outside")


@pytest.fixture(scope="module")
def processes() -> Any:
    """Makes processes in milliseconds, from one that has MLflow imported already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        [
            "tests.experiments.experiments",
            "vatrack.experiments.store",
            "mlflow.store.tracking.sqlalchemy_store",
        ]
    )
    return context


def test_a_run_becomes_an_entry(results: Path, store: Store, tmp_path: Path) -> None:
    run = config(results)
    folder = make_run(tmp_path / "run", run, lines=12)
    record = begin(folder, run, resume=False)
    summary = sync(folder)
    assert (summary.created, summary.lines, summary.files) == (
        True,
        14,
        ("config.yaml", "environment.json"),
    )
    run_id = store.entry(folder)
    written = json.loads((folder / "mlflow.json").read_text())
    assert (written["run_id"], written["tracking_uri"], written["experiment"]) == (
        run_id,
        tracking_uri(run),
        "mini",
    )
    assert store.points(run_id) == expected(folder)
    assert store.status(run_id) == "RUNNING"
    tags = store.tags(run_id)
    assert {
        key: tags[key] for key in ("method", "backbone", "dataset", "masks", "seed", "git_revision")
    } == {
        "method": "vatrack",
        "backbone": "resnet18",
        "dataset": "mini",
        "masks": "amodal,visible",
        "seed": "0",
        "git_revision": "0123456789abcdef+changes",
    }
    assert re.fullmatch("[0-9a-f]{10}", tags["config_hash"])
    assert re.fullmatch("mini-resnet18-[0-9a-f]{10}", tags["comparison"])
    assert tags["mlflow.runName"] == "vatrack__resnet18"
    params = store.params(run_id)
    assert (params["training.epochs"], params["training.optimizer.learning_rate"]) == ("7", "0.005")
    assert not [name for name in params if name.startswith(("launcher", "mlflow", "results"))]
    assert store.artifacts(run_id) == {"config.yaml", "environment.json"}
    times = store.ask(
        "SELECT step, timestamp FROM metrics WHERE run_uuid = ? AND key = 'loss' ORDER BY step",
        run_id,
    )
    assert times == [(step, record.started + 250 * step) for step in range(2, 26, 2)]


def test_a_second_call_sends_nothing(
    results: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_run(tmp_path, config(results), lines=7)
    sync(folder)
    everything = [
        store.ask(f"SELECT * FROM {table}") for table in ("metrics", "params", "tags", "runs")
    ]
    from mlflow.tracking import MlflowClient

    for name in (
        "log_batch",
        "log_artifact",
        "log_artifacts",
        "set_tag",
        "create_run",
        "set_terminated",
        "update_run",
    ):
        monkeypatch.setattr(MlflowClient, name, lambda *_, **__: pytest.fail("something was sent"))
    summary = sync(folder)
    assert (summary.created, summary.lines, summary.files) == (False, 0, ())
    assert "nothing new" in str(summary)
    assert everything == [
        store.ask(f"SELECT * FROM {table}") for table in ("metrics", "params", "tags", "runs")
    ]


def test_a_resumed_training_that_logs_the_same_steps_again(
    results: Path, store: Store, tmp_path: Path
) -> None:
    run = config(results)
    folder = make_run(tmp_path, run, lines=9)
    begin(folder, run, resume=False)
    sync(folder)
    sent = store.points(store.entry(folder))
    # Back to the fourth line, and on: the same values, but for what a clock measures.
    lines = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)
    (folder / "metrics.jsonl").write_text("".join(lines[:4]))
    begin(folder, run, resume=True)
    add_lines(folder, 5, 8, seconds_per_iteration=0.5)
    assert sync(folder).lines == 4  # three training lines, one validation
    points = store.points(store.entry(folder))
    assert set(sent) <= set(points)
    assert [point for point in points if point[0] == "loss"] == [
        point for point in expected(folder) if point[0] == "loss"
    ]
    assert len({(name, step) for name, step, _ in points}) == len(points) == len(expected(folder))


def test_a_fresh_training_makes_an_entry_of_its_own(
    results: Path, store: Store, tmp_path: Path
) -> None:
    run = config(results)
    folder = make_run(tmp_path, run, lines=5)
    begin(folder, run, resume=False)
    sync(folder)
    (folder / "metrics.json").write_text('{"video/amodal/AP": 50.0}')
    other = make_run(tmp_path / "other", run, lines=1)
    begin(other, run, resume=False)
    sync(other)
    beside = store.entry(other)
    old = json.loads((folder / "mlflow.json").read_text())["run_id"]
    time.sleep(0.02)
    (folder / "metrics.jsonl").unlink()
    begin(folder, run, resume=False)
    add_lines(folder, 1, 3)
    sync(folder)
    new = json.loads((folder / "mlflow.json").read_text())["run_id"]
    assert set(store.entries(folder)) == {old, new} and old != new
    # Nor does it get the metrics of the one before.
    assert store.points(new) == expected(folder)
    # Nobody will end the one that was replaced; other folders' are left alone.
    assert (store.status(old), store.status(new), store.status(beside)) == (
        "KILLED",
        "RUNNING",
        "RUNNING",
    )


def test_a_lost_id_is_found_again(
    results: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = config(results)
    folder = make_run(tmp_path, run, lines=3)
    begin(folder, run, resume=False)

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(
            "vatrack.experiments.entry.update", killed
        )  # between the entry and the note of its id
        with pytest.raises(KeyboardInterrupt):
            sync(folder)
    assert read_record(folder).run_id is None
    assert not sync(folder).created
    assert store.points(store.entry(folder)) == expected(folder)


@pytest.mark.parametrize(
    "damage", ["", None, '{"run_id": "x", "tracking_uri": "y", "experiment": "mini"}']
)
def test_a_lost_record_is_found_again(
    results: Path, store: Store, tmp_path: Path, damage: str | None
) -> None:
    folder = make_run(tmp_path / "it's", config(results), lines=3)
    sync(folder)
    add_lines(folder, 4, 1)
    if damage is None:
        (folder / "mlflow.json").unlink()
    else:
        (folder / "mlflow.json").write_text(damage)
    summary = sync(folder)
    assert (summary.created, summary.lines) == (False, 1)
    assert store.points(store.entry(folder)) == expected(folder)


def test_a_lost_record_is_not_taken_from_another_training(
    results: Path, store: Store, tmp_path: Path
) -> None:
    folder = make_run(tmp_path, config(results), lines=3)
    sync(folder)
    (folder / "mlflow.json").unlink()
    (folder / "metrics.jsonl").unlink()
    add_lines(folder, 1, 4, loss=7.0)
    assert sync(folder).created
    assert len(store.entries(folder)) == 2


def test_final_metrics_and_tables(
    results: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_run(tmp_path / "run", config(results), lines=2)
    sync(folder)
    (folder / "metrics.json").write_text(
        json.dumps({"image/visible/AP50": 61.5, "x/AP50_S": None, "track/IDF1 (all)": 3.0})
    )
    tables = tmp_path / "tables"
    tables.mkdir()
    (tables / "image_visible.csv").write_text("method,AP\n")
    update(folder, tables="../tables", status="FINISHED", ended=1_900_000_000_000)
    final = [("image/visible/AP50", 0, 61.5), ("track/IDF1 _all_", 0, 3.0)]

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(
            "mlflow.tracking.MlflowClient.set_tag", killed
        )  # the metrics are there, the note of it is not
        with pytest.raises(KeyboardInterrupt):
            sync(folder)
    run_id = store.entry(folder)
    assert store.points(run_id) == sorted(expected(folder) + final)
    assert sync(folder).files == ("metrics.json", "tables")
    assert store.points(run_id) == sorted(expected(folder) + final)
    assert store.artifacts(run_id) == {
        "config.yaml",
        "environment.json",
        "metrics.json",
        "tables/image_visible.csv",
    }
    assert store.ask("SELECT status, end_time FROM runs WHERE run_uuid = ?", run_id) == [
        ("FINISHED", 1_900_000_000_000)
    ]
    (tables / "image_amodal.csv").write_text("method,AP\n")
    assert sync(folder).files == ("tables",)
    (folder / "metrics.json").write_text(
        json.dumps({"image/visible/AP50": 70.0, "track/IDF1 (all)": 3.0})
    )
    assert sync(folder).files == ("metrics.json",)
    new = ("image/visible/AP50", 0, 70.0)
    assert store.points(run_id) == sorted([*expected(folder), *final, new])


def test_killed_at_any_moment(results: Path, store: Store, tmp_path: Path, processes: Any) -> None:
    run = config(results)
    whole = 0.0
    for name in ("first", "second"):  # the first one also starts what processes are made from
        process = processes.Process(
            target=send, args=(make_run(tmp_path / name, run, lines=10), 16)
        )
        begun = time.monotonic()
        process.start()
        process.join()
        assert process.exitcode == 0
        whole = time.monotonic() - begun
    folder = make_run(tmp_path / "run", run)
    begin(folder, run, resume=False)
    chance = random.Random(7)
    killed = 0
    for attempt in range(25):
        add_lines(folder, 1 + 5 * attempt, 5)
        if attempt == 12:
            (folder / "metrics.json").write_text(
                json.dumps({f"m{number}": number / 3 for number in range(40)})
            )
        process = processes.Process(target=send, args=(folder, 16))
        process.start()
        process.join(chance.uniform(0, whole))
        killed += process.is_alive()
        process.kill()
        process.join()
    assert killed > 10
    last = processes.Process(target=send, args=(folder, 8))
    last.start()
    last.join()
    assert last.exitcode == 0
    final = [(f"m{number}", 0, number / 3) for number in range(40)]
    assert store.points(store.entry(folder)) == sorted(expected(folder) + final)


def test_two_processes_at_once(results: Path, store: Store, tmp_path: Path, processes: Any) -> None:
    for attempt in range(4):
        folder = make_run(tmp_path / str(attempt), config(results), lines=60)
        both = [processes.Process(target=send, args=(folder, 8)) for _ in range(2)]
        for process in both:
            process.start()
        for process in both:
            process.join()
        assert [process.exitcode for process in both] == [0, 0]
        assert store.points(store.entry(folder)) == expected(folder)


def test_runs_that_start_together_share_a_new_store(tmp_path: Path, processes: Any) -> None:
    folders = [
        make_run(tmp_path / name, config(tmp_path / "results"), lines=5) for name in ("a", "b")
    ]
    both = [processes.Process(target=send, args=(folder,)) for folder in folders]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    store = Store(tmp_path / "results/mlflow.db")
    assert len(store.ask("SELECT DISTINCT experiment_id FROM runs")) == 1
    for folder in folders:
        assert store.points(store.entry(folder)) == expected(folder)


def test_a_training_that_begins_during_the_call(
    results: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = config(results)
    folder = make_run(tmp_path, run, lines=5)
    begin(folder, run, resume=False)
    sync(folder)
    old = store.entry(folder)
    before = store.points(old)
    read, calls = experiment_store.read_points, []

    def slow(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 1:  # after the old record was read, before the lines are
            (folder / "metrics.jsonl").unlink()
            begin(folder, run, resume=False)
            add_lines(folder, 1, 9, loss=9.0)
        return read(*arguments)

    monkeypatch.setattr(experiment_store, "read_points", slow)
    sync(folder)
    assert store.points(old) == before
    assert store.points(read_record(folder).run_id) == expected(folder)


def test_a_store_that_was_deleted_is_filled_again(tmp_path: Path, processes: Any) -> None:
    folder = make_run(tmp_path / "run", config(tmp_path / "results"), lines=4)
    for _ in range(2):  # in fresh processes: MLflow keeps connections
        process = processes.Process(target=send, args=(folder,))
        process.start()
        process.join()
        assert process.exitcode == 0
        store = Store(tmp_path / "results/mlflow.db")
        assert store.points(store.entry(folder)) == expected(folder)
        shutil.rmtree(tmp_path / "results")


def test_an_entry_that_was_deleted_is_not_made_again(
    results: Path, store: Store, tmp_path: Path
) -> None:
    from mlflow.tracking import MlflowClient

    folder = make_run(tmp_path, config(results), lines=1)
    run_id = sync(folder).run_id
    MlflowClient(tracking_uri=f"sqlite:///{store.path}").delete_run(run_id)
    with pytest.raises(StoreError, match=f"the entry of {tmp_path} was deleted; restore it"):
        sync(folder)
    (folder / "mlflow.json").unlink()
    assert sync(folder).created


def test_a_copy_for_another_store_leaves_the_runs_own(
    results: Path, store: Store, tmp_path: Path
) -> None:
    folder = make_run(tmp_path / "run", config(results), lines=6)
    sync(folder)
    record = read_record(folder)
    other = f"sqlite:///{tmp_path / 'other.db'}"
    assert sync(folder, other).created
    assert not sync(folder, other).created
    assert read_record(folder) == record
    copy = Store(tmp_path / "other.db")
    assert copy.points(copy.entry(folder)) == expected(folder)
    assert copy.artifacts(copy.entry(folder)) == {"config.yaml", "environment.json"}
    assert len(store.entries(folder)) == 1


def test_which_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = config(tmp_path)
    assert tracking_uri(run) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere")
    assert tracking_uri(run) == "http://elsewhere"
    assert tracking_uri(config(tmp_path, mlflow={"tracking_uri": "http://mine"})) == "http://mine"
    folder = make_run(tmp_path / "run", run)
    begin(folder, run, resume=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert (
        experiment_store.store_of(folder, run) == "http://elsewhere"
    )  # where the training has sent it


def test_waits_for_a_locked_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    failures = iter(
        [
            RuntimeError("(sqlite3.OperationalError) database is locked"),
            RuntimeError("database is locked"),
        ]
    )

    def busy() -> str:
        for failure in failures:
            raise failure
        return "done"

    assert experiment_client.patient(busy) == "done"
    with pytest.raises(ZeroDivisionError):
        experiment_client.patient(lambda: 1 // 0)


def test_the_command(
    results: Path, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from typer.testing import CliRunner

    from vatrack.cli import app

    folders = [make_run(tmp_path / method, config(results, method), lines=3) for method in Method]
    words = ["mlflow-sync", *map(str, folders)]
    done = CliRunner().invoke(app, words)
    assert (
        done.exit_code,
        done.output.count("a new entry, 3 lines, config.yaml, environment.json"),
    ) == (0, 4)
    shared = {store.tags(store.entry(folder))["comparison"] for folder in folders}
    assert len(shared) == 1 and done.output.count(shared.pop()) == 4
    assert CliRunner().invoke(app, words).output.count("nothing new") == 4
    away = CliRunner().invoke(app, [*words, "--tracking-uri", "http://127.0.0.1:9"])
    assert away.exit_code == 1
    assert "vatrack: error: MLflow: http://127.0.0.1:9: " in away.output
    assert "the same command sends the rest later" in away.output
    with pytest.raises(InputError, match=r"has no config\.yaml; give the folder of a run"):
        sync(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "config.yaml").write_text("methods: [vatrack]")
    with pytest.raises(InputError, match=rf"holds runs, but is none; give {tmp_path}/runs/\*"):
        sync(tmp_path)
