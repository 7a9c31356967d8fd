"""Copies of what is found on a GPU to the host."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from vatrack.inference.predictor import _Copy


def test_a_copy_is_waited_for_on_the_gpu_of_its_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which may not be the current one: `load(..., device="cuda:1")`."""
    recorded: list[Any] = []
    event = SimpleNamespace(
        record=lambda stream=None: recorded.append(stream), synchronize=lambda: recorded.append(0)
    )
    monkeypatch.setattr(torch.cuda, "Event", lambda: event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device=None: f"stream of {device}")
    host = torch.ones(2)
    found: Any = SimpleNamespace(
        device=torch.device("cuda", 1), is_cuda=True, to=lambda *_, **__: host
    )
    copy = _Copy([found])
    assert copy.wait() == [host]
    assert recorded == ["stream of cuda:1", 0]
