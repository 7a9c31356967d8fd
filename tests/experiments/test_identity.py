"""Which MLflow run a folder has: copied, moved, damaged, read-only, reached by another path."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.experiments.experiments import (
    AP50,
    CREATED,
    Store,
    add_lines,
    config,
    expected,
    make_run,
    send_together,
)
from vatrack.experiments.client import StoreError
from vatrack.experiments.identity import begin, identify, read_identity
from vatrack.experiments.store import sync

pytestmark = pytest.mark.usefixtures("no_store_from_outside")


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


def test_a_moved_run_keeps_its_identity(results: Path, store: Store, folder: Path) -> None:
    make_run(folder, config(results), lines=3)
    run_id = sync(folder).run_id
    moved = folder.rename(folder.with_name(f"{folder.name}_moved"))
    assert sync(moved).run_id == run_id
    # Another training where it was is another run.
    make_run(folder, config(results), lines=2)
    assert sync(folder).run_id != run_id
    assert sync(moved).run_id == run_id


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
