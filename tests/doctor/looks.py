"""What the tests of the looks share."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.docs.test_advice import parses
from vatrack.config import Config, parse_config
from vatrack.doctor import (
    LOOKS,
    looks_at_config,
)
from vatrack.doctor.check import Check, State

GIB = 1 << 30
RANDOM = {"random_start": True}
ROOT = Path(__file__).parents[2]
LOOKS_AT_CONFIG = looks_at_config("--config mine.yaml")
COMMAND = re.compile(r"`((?:vatrack|snakemake) [^`]+)`")


def config(**values: Any) -> Config:
    return parse_config(values, "test", Config)


def only(name: str, **values: Any) -> Check:
    """The one finding of a look."""
    (check,) = (LOOKS | LOOKS_AT_CONFIG)[name](config(**values))
    return check


def expect(check: Check, state: State, found: str = "", fix: str = "") -> None:
    assert check.state == state, check
    assert found in check.found
    assert fix in check.fix
    assert bool(check.lost) == bool(check.fix) == (state != "ok"), "what is lost, and the fix"
    for command in COMMAND.findall(check.fix):
        parses(command)


def raising(error: Exception) -> Callable[..., Any]:
    """A function that ends in this error, whatever it is called with."""

    def refuse(*_: object, **__: object) -> None:
        raise error

    return refuse
