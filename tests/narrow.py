"""`python -m tests.narrow WORDS` is `vatrack WORDS` in a program of its own, with the network of
`narrow_trunks`; its jobs have it, too."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

from vatrack.cli import main as command
from vatrack.cli.train_job import _train


@contextmanager
def narrow_commands(computes: bool = True) -> Iterator[None]:
    """The commands in this process have narrow trunks, and so do the jobs that they start.

    Args:
        computes: whether there are networks in this process; else it need not load PyTorch.
    """
    with patch("vatrack.cli.train_job._train", train), _trunks() if computes else nullcontext():
        yield


def train(*arguments: Any) -> str:
    """What `vatrack launch` calls, in whichever process."""
    with _trunks():
        return _train(*arguments)


def _trunks() -> Any:
    from tests.models.small import narrow_trunks

    return narrow_trunks()


def main() -> None:
    """The program."""
    with narrow_commands(computes="launch" not in sys.argv):
        command()


if __name__ == "__main__":
    # Not of this module, which a job would not find under its name.
    from tests import narrow

    narrow.main()
