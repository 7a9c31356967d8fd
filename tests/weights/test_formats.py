"""Foreign files of weights: what is read, what is refused without being run, and what damage is
called."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.weights.published import FORMS, write_published
from vatrack.common.errors import InputError
from vatrack.weights.checkpoint import load
from vatrack.weights.formats import is_safetensors, read_file, write_file
from vatrack.weights.tensors import read_weights

WEIGHTS = {"backbone.conv1.weight": torch.randn(2, 3), "neck.x": torch.arange(4)}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_tensors(form: str, tmp_path: Path) -> None:
    file = read_weights(write_published(tmp_path / "x.pth", WEIGHTS, form), WEIGHTS)
    assert list(file.weights) == list(WEIGHTS)
    for name, value in WEIGHTS.items():
        assert torch.equal(file.weights[name], value)
    assert file.meta.get("epoch") == (None if form == "bare" else 12)
    if form != "bare":
        assert file.meta["hook_msgs"] == {"best_score": 0.263, "best_epoch": 11, "last": True}


def test_safetensors_are_known_by_their_content(tmp_path: Path) -> None:
    save_file(WEIGHTS, tmp_path / "x.pth")
    assert is_safetensors(tmp_path / "x.pth")
    assert torch.equal(read_weights(tmp_path / "x.pth").weights["neck.x"], WEIGHTS["neck.x"])
    assert not is_safetensors(write_published(tmp_path / "y.safetensors", WEIGHTS, "legacy"))
    assert list(read_weights(tmp_path / "y.safetensors").weights) == list(WEIGHTS)


class _Runs:
    """Unpickled by pickle itself, it would call a function."""

    def __init__(self, function: Any, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, tuple[object, ...]]:
        return self.call


class _Object:
    pass


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    ("harm", "name"),
    [
        (_Runs(os.mkdir, "must-not-exist"), "posix.mkdir"),
        (_Runs(eval, "__import__('os').mkdir('must-not-exist')"), "eval"),
        (_Object(), "tests.weights.test_formats._Object"),
        (torch.nn.Linear(2, 2), "torch.nn.modules.linear.Linear"),
        (np.zeros(3), "numpy._core.multiarray._reconstruct"),
    ],
    ids=["os", "eval", "own class", "module", "array"],
)
def test_anything_but_tensors_and_plain_values_is_named_and_not_run(
    harm: object, name: str, legacy: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "foreign.pth"
    content = {"meta": {"hook": harm}, "state_dict": WEIGHTS}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(
        InputError, match=rf"foreign\.pth: not a readable weights file: it contains {name},"
    ) as refused:
        read_weights(path)
    assert "was not executed" in str(refused.value)
    assert 'weights_only=False); torch.save(checkpoint["state_dict"], "new.pth")' in str(
        refused.value
    ), "the fix"
    assert [file.name for file in tmp_path.iterdir()] == ["foreign.pth"]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_bare_pickle_is_not_run(
    protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "foreign.pth"
    path.write_bytes(pickle.dumps(_Runs(os.mkdir, "must-not-exist"), protocol=protocol))
    for read, what in ((read_weights, "weights file"), (load, "checkpoint")):
        with pytest.raises(InputError, match=f"not a readable {what}"):
            read(path)
    assert [file.name for file in tmp_path.iterdir()] == ["foreign.pth"]


def test_texts_and_objects_of_numpy_stay_refused(tmp_path: Path) -> None:
    for value in (np.str_("text"), np.array([None]), np.datetime64("2021-01-01")):
        torch.save({"state_dict": WEIGHTS, "meta": {"value": value}}, tmp_path / "x.pth")
        with pytest.raises(InputError, match="not a readable weights file"):
            read_weights(tmp_path / "x.pth")


class _Crafted:
    """A number of numpy whose type says of itself that its eight bytes are a pointer to a Python
    object."""

    def __reduce__(self) -> tuple:
        return np.float64().__reduce__()[0], (_CraftedType(), b"\1" * 8)


class _CraftedType:
    def __reduce__(self) -> tuple:
        return np.dtype, ("f8", False, True), (3, "<", None, None, None, -1, -1, 63)


def test_types_of_numbers_are_taken_by_name_only(tmp_path: Path) -> None:
    torch.save({"state_dict": WEIGHTS, "best": _Crafted()}, tmp_path / "x.pth")
    read = read_file(tmp_path / "x.pth", "file")
    assert read["best"] == np.frombuffer(b"\1" * 8, np.float64)[0]
    assert read["best"].dtype.flags == np.dtype("f8").flags == 0


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.pt", "b.pt"):
        write_file(tmp_path / name, {"model": WEIGHTS, "epoch": 3})
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()
    assert torch.equal(read_file(tmp_path / "a.pt", "file")["model"]["neck.x"], WEIGHTS["neck.x"])


def test_a_full_disk_is_called_so_and_leaves_nothing(small_disk: Path) -> None:
    with pytest.raises(OSError, match=r"No space left on device: .*x\.pt"):
        write_file(small_disk / "x.pt", {"model": torch.zeros(10**6)})
    assert list(small_disk.iterdir()) == []
