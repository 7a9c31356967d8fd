"""What is known of an update that is not finite.

Quirk T11: the published training goes on after one, and dies much later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vatrack.common.files import write_json


@dataclass(frozen=True)
class Fault:
    """What one process knows of an update that is not finite.

    Attributes:
        terms: the loss terms, their sum "loss", and "gradient_norm".
        parameters: names of those whose gradient is not finite.
        images: (key, reference) ids of each pair.
    """

    terms: dict[str, float]
    parameters: list[str]
    images: list[tuple[int, int]]

    def __str__(self) -> str:
        return ", ".join(f"{name} {value:g}" for name, value in self.terms.items())


class NotFinite(Exception):
    """An update was not made, because a number in it is not finite."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        super().__init__(str(fault))


def write_fault(path: Path, faults: Sequence[Fault], where: dict[str, Any]) -> None:
    """Writes what is known of a fault as JSON; numbers that are not finite are texts there.

    Args:
        faults: one per process; `where`: epoch, batch, iteration, learning rate.
    """
    content = {
        **where,
        "images": [list(pair) for fault in faults for pair in fault.images],
        "processes": [
            {
                "terms": {name: _plain(value) for name, value in fault.terms.items()},
                "gradients": fault.parameters,
            }
            for fault in faults
        ],
    }
    write_json(path, content, indent=2)


def _plain(value: float) -> float | str:
    return value if abs(value) < float("inf") else str(value)
