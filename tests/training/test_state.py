"""States of trainings that other machines went on with."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from vatrack.common.errors import InputError
from vatrack.training.state import (
    latest_state,
    random_state,
    restore_random_state,
    save_state,
)


def test_a_state_that_vanished_is_no_damaged_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network file system may remember names that another machine has replaced since."""
    newest = save_state(tmp_path, {"epoch": 1})
    known = [(number, tmp_path / f"state_{number:06d}.pt") for number in (8, 9)]
    monkeypatch.setattr("vatrack.training.state.numbered", lambda *_: known)
    told = r"^.*state_000009\.pt: vanished while states were looked for, .*; run again$"
    with pytest.raises(InputError, match=told):
        latest_state(tmp_path)
    assert newest.exists()


def test_an_old_state_that_is_gone_already_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = [(number, tmp_path / f"state_{number:06d}.pt") for number in (1, 2, 3)]
    monkeypatch.setattr("vatrack.training.state.numbered", lambda *_: known)
    assert save_state(tmp_path, {"epoch": 1}).name == "state_000004.pt"


def test_the_folder_is_looked_at_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []
    monkeypatch.setattr("vatrack.training.state.look_again", asked.append)
    assert latest_state(tmp_path) is None
    assert asked == [tmp_path]


def test_states_of_gpus_go_to_a_machine_with_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[tuple[int, torch.Tensor]] = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(
        torch.cuda, "set_rng_state", lambda state, index: taken.append((index, state))
    )
    first, second = torch.zeros(16, dtype=torch.uint8), torch.ones(16, dtype=torch.uint8)
    restore_random_state(random_state() | {"cuda": [first, second]})
    assert taken == [(0, first)]
