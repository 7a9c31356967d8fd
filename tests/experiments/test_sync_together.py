"""The copy of a run where several send at once, or one is killed."""

from __future__ import annotations

import json
import random
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.experiments.experiments import (
    Store,
    add_lines,
    config,
    expected,
    make_run,
    send,
    send_together,
)
from tests.server import SERVER
from vatrack.experiments import content
from vatrack.experiments.content import read_points
from vatrack.experiments.identity import begin
from vatrack.experiments.store import sync

pytestmark = pytest.mark.usefixtures("no_store_from_outside")


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
