"""The command line, built once for all calls in a process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import pytest
import typer.main


@contextmanager
def commands_built_once() -> Iterator[None]:
    """Typer builds all commands anew for every call, which takes longer than most calls of a test;
    nothing changes them."""
    build = cache(typer.main.get_command)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("typer.main.get_command", build)
        patch.setattr("typer.testing._get_command", build)
        yield
