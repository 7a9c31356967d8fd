"""Which store a run has, and its addresses."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.experiments.experiments import (
    CREATED,
    Store,
    config,
    expected,
    make_run,
)
from vatrack.common.errors import InputError
from vatrack.config import Config
from vatrack.experiments.client import StoreError, experiment_id, sqlite_path, store_uri
from vatrack.experiments.identity import begin
from vatrack.experiments.store import sync

pytestmark = pytest.mark.usefixtures("no_store_from_outside")


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


def test_new_stores_by_several_threads(tmp_path: Path) -> None:
    folders = [make_run(tmp_path / name / "runs/run", config(tmp_path), lines=2) for name in "abc"]
    with ThreadPoolExecutor(3) as pool:
        for done in pool.map(sync, folders):
            assert CREATED in done.sent
    for folder in folders:
        store = Store(folder.parents[1] / "mlflow.db")
        assert store.points(store.run(folder)) == expected(folder)
