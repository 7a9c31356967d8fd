"""Where a store lies, and who builds and reads it at the same time."""

from __future__ import annotations

import os
import pickle
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.data.stored import BOTH, EXPECTED, builds, ids, item, small, write
from vatrack.common.errors import InputError
from vatrack.common.json_lists import Item, read_lists
from vatrack.common.mask_types import MaskType
from vatrack.common.parallel import ordered_map
from vatrack.data import store
from vatrack.data.frames import AnnotationFile
from vatrack.data.store import Store, open_store
from vatrack.data.store_writer import store_path


def refuse_writing(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> None:
    real = os.access
    monkeypatch.setattr(
        os, "access", lambda place, mode: Path(place) not in folders and real(place, mode)
    )


@pytest.mark.parametrize("home", ["/proc", "locked"])
def test_neither_the_folder_nor_home_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    path = write(tmp_path / "a.json")
    locked = tmp_path / "locked" / ".cache" / "vatrack"
    refuse_writing(monkeypatch, tmp_path, locked)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("HOME", str(tmp_path / home))  # an absolute one stays as it is
    with builds() as built:
        assert ids(open_store(path)) == ids(open_store(path)) == EXPECTED
    assert [place.parent for place in built] == [
        tmp_path / "temporary" / f"cache-{os.getuid()}" / "vatrack"
    ]


@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
def test_a_folder_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "data").mkdir()
    path = write(tmp_path / "data" / name)
    cache = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    refuse_writing(monkeypatch, path.parent, tmp_path / "other")
    with builds() as built:
        assert ids(open_store(path)) == EXPECTED
        assert ids(open_store(path)) == EXPECTED
    assert len(built) == 1
    assert built[0].parent == cache / "vatrack"
    assert [entry.name for entry in path.parent.iterdir()] == [name]
    # Files of the same name in other folders have other stores.
    (tmp_path / "other").mkdir()
    other = write(tmp_path / "other" / name, {**small(), "annotations": []})
    assert ids(open_store(other)) == {number: [] for number in EXPECTED}
    assert ids(open_store(path)) == EXPECTED
    assert len(list((cache / "vatrack").glob("*.store"))) == 2
    # The source changes: the cached store is built again, not believed.
    write(path, {**small(), "annotations": [item(8, 11)]})
    assert ids(open_store(path))[11] == [8]
    assert ids(open_store(other)) == {number: [] for number in EXPECTED}
    # Without the variable the cache is in the home folder.
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    open_store(path)
    assert len(list((tmp_path / "home" / ".cache" / "vatrack").glob(f"{name}.*.store"))) == 1


def test_a_damaged_store_in_a_folder_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.json")
    store_path(path).write_bytes(b"old")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    refuse_writing(monkeypatch, tmp_path)
    assert ids(open_store(path)) == ids(open_store(path)) == EXPECTED
    assert store_path(path).read_bytes() == b"old"


def test_no_process_ever_sees_a_store_that_is_not_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process finds no store, builds one and reads it while this one is still at it."""
    path = write(tmp_path / "a.json")
    real_read, real_replace = read_lists, os.replace
    opened: list[Store] = []

    def read(*arguments: Any, **options: Any) -> Iterator[Item]:
        yield from real_read(*arguments, **options)
        if not opened:
            monkeypatch.setattr(store, "read_lists", real_read)
            opened.append(open_store(path))

    def replace(source: Path, target: Path) -> None:
        real_replace(source, target)
        if Path(target) == store_path(path):
            assert ids(Store(store_path(path), path)) == EXPECTED

    monkeypatch.setattr(store, "read_lists", read)
    monkeypatch.setattr(os, "replace", replace)
    with builds() as built:
        assert ids(open_store(path)) == EXPECTED
    assert len(built) == 2
    assert ids(opened[0]) == EXPECTED


def read_all(path: Path, form: tuple[MaskType, ...]) -> list[list[int]]:
    file = AnnotationFile(path, form)
    return [file.objects(number).instances.tolist() for number in range(len(file))]


@pytest.mark.slow
@pytest.mark.usefixtures("served_workers")
@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
def test_processes_that_build_at_the_same_time(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name)
    results = list(ordered_map(read_all, [path] * 12, 4, BOTH))
    assert results == [[[1, 2], [], [1], [1, 2], []]] * 12


def test_a_source_that_changes_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.json")
    real = read_lists

    def read(*arguments: Any, **options: Any) -> Iterator[Item]:
        yield from real(*arguments, **options)
        write(path, {**small(), "annotations": [item(8, 11)]})

    with monkeypatch.context() as patch:
        patch.setattr(store, "read_lists", read)
        with pytest.raises(
            InputError, match=r"a\.json: changed while it was being read; run again"
        ):
            open_store(path)
    assert ids(open_store(path))[11] == [8]


def count_all(number: int, file: AnnotationFile) -> tuple[int, list[int]]:
    return os.getpid(), file.objects(number).labels.tolist()


@pytest.mark.slow
@pytest.mark.usefixtures("served_workers")
@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
def test_another_process_gets_the_place_and_not_the_content(tmp_path: Path, name: str) -> None:
    file = AnnotationFile(write(tmp_path / name), BOTH)
    packed = pickle.dumps(file)
    assert len(packed) < 500
    again = pickle.loads(packed)
    assert again.mask_types == BOTH
    assert [again.frame(number) for number in range(5)] == [
        file.frame(number) for number in range(5)
    ]
    results = list(ordered_map(count_all, range(5), 2, file))
    assert [labels for _, labels in results] == [[2, 2], [], [2], [2, 2], []]
    assert os.getpid() not in {process for process, _ in results}
