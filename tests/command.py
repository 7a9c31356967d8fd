"""`vatrack` with its arguments, called in the process of the tests."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from vatrack import cli

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def vatrack(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Called with the words behind `vatrack`, of any type; returns exit code, output, errors."""

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["vatrack", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        shown = capsys.readouterr()
        return int(ended.value.code or 0), shown.out, shown.err

    return call
