"""The copy of a run in a real SQLite store: whole, and nothing twice, whatever happens in
between."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import sqlite3
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.experiments.experiments import (
    Store,
    add_lines,
    config,
    expected,
    make_run,
    running,
    send,
)
from tests.server import SERVER
from vatrack.common.errors import InputError
from vatrack.config import Config, Method
from vatrack.experiments import content
from vatrack.experiments.client import StoreError, experiment_id, sqlite_path, store_uri
from vatrack.experiments.content import read_points
from vatrack.experiments.identity import begin, end, identify, read_identity
from vatrack.experiments.store import sync

CREATED = "a new MLflow run"
TRAINED = '{"epochs": 1, "iterations": 2, "seconds": 3.5}'
AP50 = [("AP50 visible", 0, 61.5), ("results image visible/AP50", 0, 61.5)]

pytestmark = pytest.mark.usefixtures("no_store_from_outside")


def send_together(*arguments: tuple[Any, ...]) -> None:
    """Calls `send` in processes that run at the same time."""
    started = [SERVER.Process(target=send, args=each) for each in arguments]
    for process in started:
        process.start()
    for process in started:
        process.join()
    assert [process.exitcode for process in started] == [0] * len(started)


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


def test_a_copied_folder_is_a_run_of_its_own(results: Path, store: Store, folder: Path) -> None:
    make_run(folder, config(results), lines=3)
    original = sync(folder).run_id
    points = store.points(original)
    copy = folder.with_name(f"{folder.name} it's a copy")
    shutil.copytree(folder, copy)
    add_lines(copy, 4, 2, loss=9.0)
    summary = sync(copy)
    assert CREATED in summary.sent
    assert summary.run_id != original
    assert store.points(summary.run_id) == expected(copy)
    assert (store.points(original), store.run(folder)) == (points, original)
    for place, run_id in ((copy, summary.run_id), (folder, original)):
        assert (sync(place).run_id, sync(place).sent) == (run_id, ())


@pytest.mark.parametrize("damage", ["", '{"uuid": "x"}', "[1]"])
def test_a_damaged_identity_is_made_again(folder: Path, damage: str) -> None:
    folder.mkdir(parents=True)
    (folder / "config.yaml").touch()
    (folder / "mlflow.json").write_text(damage)
    assert identify(folder) == identify(folder) == read_identity(folder)


def test_a_folder_reached_by_another_path_is_no_copy(results: Path, folder: Path) -> None:
    make_run(folder, config(results), lines=1)
    run_id = sync(folder).run_id
    link = folder.with_name(f"{folder.name}_link")
    link.symlink_to(folder)
    assert sync(link).run_id == run_id


def test_a_copy_whose_original_may_not_be_seen_counts_as_moved(
    tmp_path: Path, closed: Path
) -> None:
    original = begin(tmp_path, resume=False)
    known = json.loads((tmp_path / "mlflow.json").read_text()) | {
        "folder": str(closed / "runs/run")
    }
    (tmp_path / "mlflow.json").write_text(json.dumps(known))
    assert identify(tmp_path) == original


def test_results_that_were_moved_keep_their_store(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new place"
    folder = make_run(old / "mini/runs/run", config(old), lines=3)
    send_together((folder,))  # in a process of its own: MLflow remembers folders
    run_id = Store(old / "mlflow.db").run(folder)
    old.rename(new)
    folder = new / "mini/runs/run"
    add_lines(folder, 4, 1)
    (folder / "metrics.json").write_text('{"image/visible/AP50": 61.5}')
    summary = sync(folder)
    assert summary.run_id == run_id
    assert summary.sent == ("1 line", "2 final metrics", "metrics.json")
    assert not old.exists()
    assert list(tmp_path.rglob("*.db")) == [new / "mlflow.db"]
    store = Store(new / "mlflow.db")
    assert store.points(run_id) == sorted(expected(folder) + AP50)
    assert store.artifacts(run_id) == {"config.yaml", "environment.json", "metrics.json"}
    assert store.run(folder) == run_id, "the tag follows"


@pytest.mark.parametrize(
    ("kept", "exist", "corrected"),
    [
        ("old/mlartifacts", ("new/mlartifacts",), True),  # moved
        ("old/mlartifacts", ("old/mlartifacts", "new/mlartifacts"), True),  # copied
        ("old/mlartifacts", (), True),  # moved before any artifact arrived
        ("old/mlartifacts", ("old/mlartifacts",), False),  # the file was copied, they were not
        ("elsewhere", ("new/mlartifacts",), False),  # where somebody wanted them
        ("closed/mlartifacts", (), True),  # of somebody whose folders may not be entered
    ],
)
def test_addresses_of_artifacts_are_corrected_only_where_they_moved(
    tmp_path: Path, closed: Path, kept: str, exist: tuple[str, ...], corrected: bool
) -> None:
    for folder in ("new", *exist):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    database, old = tmp_path / "new/mlflow.db", (tmp_path / kept).as_uri()
    new = (tmp_path / "new/mlartifacts").as_uri()
    before = [f"{old}/1/artifacts", f"{old}2/1/artifacts"]  # the second one begins alike
    with closing(sqlite3.connect(database)) as store, store:
        store.execute("CREATE TABLE experiments (artifact_location)")
        store.execute("CREATE TABLE runs (artifact_uri)")
        store.execute("INSERT INTO experiments VALUES (?)", (old,))
        store.executemany("INSERT INTO runs VALUES (?)", [(uri,) for uri in before])
    known = SimpleNamespace(experiment_id="1", lifecycle_stage="active", artifact_location=old)
    client = SimpleNamespace(get_experiment_by_name=lambda name: known)
    assert experiment_id(client, "mini", f"sqlite:///{database}") == "1"
    made = Store(database)
    after = [f"{new}/1/artifacts", before[1]] if corrected else before
    assert made.ask("SELECT * FROM runs") == [(uri,) for uri in after]
    assert made.ask("SELECT * FROM experiments") == [(new if corrected else old,)]


def test_a_moved_run_keeps_its_identity(results: Path, store: Store, folder: Path) -> None:
    make_run(folder, config(results), lines=3)
    run_id = sync(folder).run_id
    moved = folder.rename(folder.with_name(f"{folder.name}_moved"))
    assert sync(moved).run_id == run_id
    # Another training where it was is another run.
    make_run(folder, config(results), lines=2)
    assert sync(folder).run_id != run_id
    assert sync(moved).run_id == run_id


@pytest.mark.parametrize("free", [20, 400])
def test_a_disk_that_fills_while_the_store_is_made(small_disk: Path, free: int) -> None:
    """One line, nothing half-made, and the same call makes it when there is room."""
    folder = make_run(small_disk / "runs/run", config(small_disk), lines=2)
    begin(folder, resume=False)
    ballast = small_disk / "ballast"
    space = os.statvfs(small_disk)
    ballast.write_bytes(bytes(space.f_bavail * space.f_frsize - 1024 * free))
    with pytest.raises(StoreError, match=r"^sqlite:///\S+/mlflow\.db: .*full$"):
        sync(folder)
    assert {path.name for path in small_disk.iterdir()} <= {
        "ballast",
        "runs",
        ".mlflow.lock",
        "mlartifacts",
    }
    ballast.unlink()
    subprocess.run(["mount", "-o", "remount,size=9m", str(small_disk)], check=True)
    assert CREATED in sync(folder).sent


@pytest.mark.parametrize("name", ["a?b", "a#b", "a%20b"])
def test_a_path_that_would_mean_something_else_is_refused(tmp_path: Path, name: str) -> None:
    folder = make_run(tmp_path / name / "runs/run", config(tmp_path), lines=2)
    mark = name[1]
    with pytest.raises(
        InputError, match=rf"with \{mark}; rename the folder, or set mlflow\.tracking_uri .*--track"
    ):
        sync(folder)
    assert not list(tmp_path.rglob("*.db"))


def test_paths_of_addresses() -> None:
    known = {
        "sqlite:////a/b c.db": Path("/a/b c.db"),
        "sqlite+pysqlite:///b.db?timeout=5": Path("b.db"),
        "sqlite:///file:/a/b.db?uri=true": Path("/a/b.db"),
        "sqlite+pysqlite:///file:/a/q%23b.db?uri=true": Path("/a/q#b.db"),
        "sqlite:////a/q%23b.db": Path("/a/q%23b.db"),
        "http://h:1/x": None,
        "sqlite://": None,
        "postgresql:///x": None,
    }
    assert {uri: sqlite_path(uri) for uri in known} == known


def test_which_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = config(tmp_path / "elsewhere")
    assert store_uri(tmp_path / "runs/run", run) == f"sqlite:///{tmp_path}/mlflow.db"
    assert store_uri(tmp_path / "run", run) == f"sqlite:///{tmp_path}/mlflow.db"
    assert store_uri(tmp_path / "mini/runs/run", run) == f"sqlite:///{tmp_path}/mlflow.db"
    renamed = tmp_path / "renamed/runs/run"
    assert store_uri(renamed, run) == f"sqlite:///{tmp_path}/renamed/mlflow.db"
    (tmp_path / "mlflow.db").touch()
    assert store_uri(renamed, run) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere")
    assert store_uri(tmp_path / "run", run) == "http://elsewhere"
    monkeypatch.chdir(tmp_path)
    run = config(tmp_path, mlflow={"tracking_uri": "sqlite:///mine.db"})
    assert store_uri(tmp_path / "run", run) == "sqlite:///mine.db"


def test_labels_seeds_and_datasets_share_a_store(tmp_path: Path) -> None:
    stores = set()
    for name in ("mini", "mine"):
        for run in Config(dataset={"name": name}, seeds=(0, 1), run_label="e6").runs():
            stores.add(store_uri(tmp_path / "results" / name / "runs" / run.name, run))
    assert stores == {f"sqlite:///{tmp_path}/results/mlflow.db"}


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


@pytest.fixture
def nobody() -> Iterator[Path]:
    """A folder for a user who may not write everywhere, as root may."""
    folder = Path(tempfile.mkdtemp())
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("known", [True, False])
def test_a_read_only_folder_is_sent_to_another_store(nobody: Path, known: bool) -> None:
    folder = make_run(nobody / "results/runs/run", config(nobody), lines=3)
    if known:
        begin(folder, resume=False)
    before = sorted(path.name for path in folder.iterdir())
    uri = f"sqlite:///{nobody}/open/other.db"
    (nobody / "open").mkdir()
    for place, mode in ((nobody, 0o755), (nobody / "open", 0o777), (folder, 0o555)):
        place.chmod(mode)
    root = os.getuid() == 0
    try:
        if root:
            os.seteuid(12345)
        assert CREATED in sync(folder, uri).sent
        assert sync(folder, uri).sent == ()
        with pytest.raises(StoreError, match=r"mlflow\.db: .*Permission denied"):
            sync(folder)
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o755)
    assert sorted(path.name for path in folder.iterdir()) == before
    store = Store(nobody / "open/other.db")
    assert store.points(store.run(folder)) == expected(folder)


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


def test_killed_at_any_moment(results: Path, store: Store, folder: Path) -> None:
    run = config(results)
    lengths = []
    for name in ("first", "second", "third"):  # the first one also starts the server of processes
        place = make_run(folder.with_name(f"{folder.name}_{name}"), run, lines=10)
        begun = time.monotonic()
        send_together((place, 16))
        lengths.append(time.monotonic() - begun)
    make_run(folder, run)
    begin(folder, resume=False)
    chance = random.Random(7)
    killed = 0
    for attempt in range(100):
        if killed > 10 and attempt > 12:
            break
        add_lines(folder, 1 + 5 * attempt, 5)
        if attempt == 12:
            (folder / "metrics.json").write_text(
                json.dumps({f"m{number}": number / 3 for number in range(40)})
            )
        process = SERVER.Process(target=send, args=(folder, 16))
        process.start()
        process.join(chance.uniform(0, min(lengths)))
        killed += process.is_alive()
        process.kill()
        process.join()
    assert killed > 10
    send_together((folder, 8))
    final = [(f"results/m{number}", 0, number / 3) for number in range(40)]
    assert store.points(store.run(folder)) == sorted(expected(folder) + final)


def test_two_processes_at_once(results: Path, store: Store, folder: Path) -> None:
    for attempt in range(4):
        place = make_run(folder.with_name(f"{folder.name}_{attempt}"), config(results), lines=60)
        send_together((place, 8), (place, 8))
        assert store.points(store.run(place)) == expected(place)


def test_runs_that_start_together_share_a_new_store(tmp_path: Path) -> None:
    folders = [make_run(tmp_path / "runs" / name, config(tmp_path), lines=5) for name in "abc"]
    send_together(*((folder,) for folder in folders))
    store = Store(tmp_path / "mlflow.db")
    assert len(store.ask("SELECT DISTINCT experiment_id FROM runs")) == 1
    for folder in folders:
        assert store.points(store.run(folder)) == expected(folder)


def test_another_writer_of_the_file_is_waited_for(
    results: Path, store: Store, folder: Path
) -> None:
    make_run(folder, config(results), lines=3)
    sync(folder)
    add_lines(folder, 4, 1)
    with closing(
        sqlite3.connect(store.path, isolation_level=None, check_same_thread=False)
    ) as writer:
        writer.execute("BEGIN IMMEDIATE")
        end = threading.Timer(1.5, writer.rollback)
        end.start()
        assert sync(folder).sent == ("1 line",)
        end.join()
    assert store.points(store.run(folder)) == expected(folder)


def test_a_training_that_begins_during_the_call(
    results: Path, store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(folder, config(results), lines=5)
    begin(folder, resume=False)
    old = sync(folder).run_id
    before = store.points(old)
    read, calls = read_points, []

    def slow(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 1:  # after the old identity was read, before the lines are
            (folder / "metrics.jsonl").unlink()
            begin(folder, resume=False)
            add_lines(folder, 1, 9, loss=9.0)
        return read(*arguments)

    monkeypatch.setattr(content, "read_points", slow)
    new = sync(folder).run_id
    assert new != old
    assert store.points(old) == before
    assert store.points(new) == expected(folder)


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


def test_new_stores_by_several_threads(tmp_path: Path) -> None:
    folders = [make_run(tmp_path / name / "runs/run", config(tmp_path), lines=2) for name in "abc"]
    with ThreadPoolExecutor(3) as pool:
        for done in pool.map(sync, folders):
            assert CREATED in done.sent
    for folder in folders:
        store = Store(folder.parents[1] / "mlflow.db")
        assert store.points(store.run(folder)) == expected(folder)
