"""Names of devices."""

from __future__ import annotations

import pytest
import torch

from vatrack.common.device import choose_device
from vatrack.common.errors import InputError


def test_the_device_that_is_there() -> None:
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gpu", "unknown device 'gpu'; did you mean cpu|unknown device 'gpu'; choose from"),
        ("cuda", "is cuda, but PyTorch finds no GPU here; choose auto or cpu"),
        ("cuda:1", "is cuda:1, but PyTorch finds no GPU here"),
        ("meta", "unknown device 'meta'; choose from auto, cpu, cuda, cuda:1"),
        ("cuda:-1", "unknown device 'cuda:-1'; did you mean cuda:1"),
        ("cuda:01", "unknown device 'cuda:01'; did you mean cuda:1"),
        ("cpu\n", r"unknown device 'cpu\\n'; did you mean cpu"),
        ("mps", "unknown device 'mps'; choose from auto, cpu, cuda"),
    ],
)
def test_a_device_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match=message):
        choose_device(name)


def test_a_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name in ("auto", "cuda", "cuda:1"):
        assert choose_device(name).type == "cuda"
    assert choose_device("cuda:1").index == 1 and choose_device("cuda").index is None
    for name in ("cuda:2", "cuda:777"):
        told = f"is {name}, but PyTorch finds 2 GPUs here; choose auto, cpu, or a GPU up to cuda:1$"
        with pytest.raises(InputError, match=told):
            choose_device(name)
