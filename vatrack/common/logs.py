"""Progress lines of the package, through `logging`.

Each module logs to its own logger, `logging.getLogger(__name__)`, so all of them are below
"vatrack": that one name silences or redirects everything,

    logging.getLogger("vatrack").setLevel(logging.WARNING)

Nothing is shown unless somebody asks for it: `configure` is what the command line and the jobs
call.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

ROOT = logging.getLogger("vatrack")


class ConsoleHandler(logging.Handler):
    """Shows messages alone: up to INFO on standard output, warnings and errors on standard error.

    A stream that is closed or full is an OSError, as with `print`.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Writes the message at once, where the standard streams lead now."""
        stream = sys.stderr if record.levelno >= logging.WARNING else sys.stdout
        print(self.format(record), file=stream, flush=True)


def configure() -> None:
    """Lets the package show its progress on the console; called again, it does nothing."""
    if any(isinstance(handler, ConsoleHandler) for handler in ROOT.handlers):
        return
    ROOT.addHandler(ConsoleHandler())
    # Libraries that set up the root logger for themselves must not show each line once more.
    ROOT.propagate = False
    if ROOT.level == logging.NOTSET:
        ROOT.setLevel(logging.INFO)


@contextmanager
def warnings_only() -> Iterator[None]:
    """Inside, the package logs no progress; for all processes of a training but the first."""
    before = ROOT.level
    ROOT.setLevel(max(before, logging.WARNING))
    try:
        yield
    finally:
        ROOT.setLevel(before)
