"""However a conversion ends, all its files are there, or none."""

from __future__ import annotations

import errno
import gzip
import itertools
import os
import signal
import subprocess
import sys
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from tests.sailvos.conversion import (
    FILES,
    Json,
    content,
    names,
    set_rates,
    write_inputs,
)
from vatrack.common.mask_types import MaskType
from vatrack.config.dataset import DatasetConfig
from vatrack.data import form_files, store_writer
from vatrack.data.video_ground_truth import video_ground_truth
from vatrack.sailvos import convert, rewrite
from vatrack.sailvos.convert import convert_files

ROOT = Path(convert.__file__).parents[2]


def test_all_files_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train, structure = write_inputs(tmp_path)

    def fails_at_the_last(joint: Json, mask_type: MaskType, limit: float) -> Json:
        if mask_type == "visible" and joint["videos"] == [{"id": 3}]:
            raise OSError("no space")
        return video_ground_truth(joint, mask_type, limit)

    with monkeypatch.context() as patch:
        patch.setattr(rewrite, "video_ground_truth", fails_at_the_last)
        with pytest.raises(OSError, match="no space"):
            convert_files(train, structure, DatasetConfig(), tmp_path / "out")
    assert names(tmp_path) == ["structure.json", "train.json"]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").touch()
    convert_files(train, structure, DatasetConfig(), tmp_path / "out")
    assert names(tmp_path / "out") == sorted([*FILES, "notes.txt"])
    assert names(tmp_path) == ["out", "structure.json", "train.json"]


def hidden(folder: Path) -> list[str]:
    return [name for name in names(folder) if name.startswith(".")]


def killed_at(owner: Any, name: str, count: int, *arguments: Any) -> bool:
    """Converts in another process, which kills itself (signal 9) at the n-th call of a function;
    whether it came to that."""
    real, left = getattr(owner, name), count

    def killed(*values: Any, **options: Any) -> Any:
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*values, **options)

    def run() -> None:
        setattr(owner, name, killed)
        convert_files(*arguments)

    process = get_context("fork").Process(target=run)
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


CALLS = [
    (convert, "read_structure"),
    (convert, "unpacked"),
    (convert, "forms_of"),
    (form_files.FormFile, "add"),
    (store_writer.StoreWriter, "write"),
    (rewrite, "video_ground_truth"),
    pytest.param(os, "fsync", marks=pytest.mark.slow),
    (convert, "move_files"),
    pytest.param(Path, "unlink", marks=pytest.mark.slow),
    pytest.param(os, "replace", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("owner", "name"), CALLS)
def test_killed(tmp_path: Path, owner: Any, name: str) -> None:
    """Whenever it happens, old files are there as they were, or new ones, but never both; the next
    run cleans up."""
    train, structure = write_inputs(tmp_path, set_rates(*[0.2] * 10))
    out = tmp_path / "out"
    convert_files(train, structure, DatasetConfig(), out)
    old = content(out)
    write_inputs(tmp_path, set_rates(*[0.1] * 10))
    convert_files(train, structure, DatasetConfig(), tmp_path / "finished")
    new = content(tmp_path / "finished")
    packed = tmp_path / "train.json.gz"
    packed.write_bytes(gzip.compress(train.read_bytes()))
    partly = killed = 0
    for count in itertools.count(1):
        for file, text in old.items():
            (out / file).write_bytes(text)
        if not killed_at(owner, name, count, packed, structure, DatasetConfig(), out):
            break
        killed += 1
        found = content(out)
        if found != old:
            partly += 1
            assert all(old[file] == found[file] for file in found) or all(
                new[file] == found[file] for file in found
            )
        # What earlier ones left is gone, what this one left is there.
        assert len(hidden(tmp_path)) == (name != "read_structure")
    assert killed > 0
    # Between the first removal and the last move some files are gone.
    assert (partly > 0) == (name in ("unlink", "replace"))
    assert content(out) == new
    assert hidden(tmp_path) == []


JOB = """
import os, signal, sys
from pathlib import Path
from vatrack.config.dataset import DatasetConfig
from vatrack.data import form_files
from vatrack.sailvos import convert

def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    form_files.FormFile.add = killed
    convert.convert_files(*map(Path, sys.argv[1:3]), DatasetConfig(), Path(sys.argv[3]), 2)
"""


def test_killed_with_processes(tmp_path: Path) -> None:
    train, structure = write_inputs(tmp_path)
    out = tmp_path / "out"
    (tmp_path / "job.py").write_text(JOB)
    # What the workers write is waited for to its end, so that this would hang if they outlived
    # their parent.
    job = [sys.executable, str(tmp_path / "job.py"), str(train), str(structure), str(out)]
    done = subprocess.run(
        job, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not out.exists()
    assert len(hidden(tmp_path)) == 1
    convert_files(train, structure, DatasetConfig(), out)
    assert names(out) == FILES
    assert names(tmp_path) == ["job.py", "out", "structure.json", "train.json"]


def test_a_run_leaves_the_folder_of_another_that_still_works_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, structure = write_inputs(tmp_path)
    real = form_files.move_files
    inner: list[Path] = []

    def meanwhile(folder: Path, out: Path) -> None:
        if not inner:
            inner.append(out)
            convert_files(train, structure, DatasetConfig(), tmp_path / "out")
        real(folder, out)

    monkeypatch.setattr(convert, "move_files", meanwhile)
    convert_files(train, structure, DatasetConfig(), tmp_path / "out")
    assert inner and names(tmp_path / "out") == FILES
    assert names(tmp_path) == ["out", "structure.json", "train.json"]


@pytest.mark.parametrize(
    ("packed", "processes", "steps"), [(False, 1, 1), (True, 1, 1), (False, 2, 100)]
)
def test_full_disk(
    tmp_path: Path, small_disk: Path, packed: bool, processes: int, steps: int
) -> None:
    train, structure = write_inputs(tmp_path, set_rates(*[0.2] * 10))
    out = small_disk / "out"
    convert_files(train, structure, DatasetConfig(), out)
    old = content(out)
    write_inputs(tmp_path, set_rates(*[0.1] * 10))
    if packed:
        (tmp_path / "train.json.gz").write_bytes(gzip.compress(train.read_bytes()))
        train = tmp_path / "train.json.gz"
    page = os.statvfs(small_disk).f_frsize
    failed = 0
    for pages in range(0, 101, steps):
        filler = small_disk / "filler"
        filler.write_bytes(bytes(page * (os.statvfs(small_disk).f_bavail - pages)))
        try:
            convert_files(train, structure, DatasetConfig(), out, processes)
        except OSError as error:
            assert error.errno == errno.ENOSPC  # noqa: PT017
            failed += 1
            assert content(out) == old
            assert names(small_disk) == ["filler", "out"]
        else:
            break
        finally:
            filler.unlink()
    assert failed >= (8 if processes == 1 else 1)
    assert content(out) != old
    assert names(out) == FILES
