"""Progress lines of the package, through `logging`.

Each module logs to its own logger, `logging.getLogger(__name__)`, so all of them are below
"vatrack": that one name silences or redirects everything,

    logging.getLogger("vatrack").setLevel(logging.WARNING)

A record with the attribute `in_place` (`extra=IN_PLACE`) is shown, on a terminal, in one line that
the next record replaces; one with `beside` (`extra=BESIDE`) on standard error, beside results.

Nothing is shown unless somebody asks for it: `configure` is what the command line and the jobs
call.
"""

from __future__ import annotations

import logging
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager

ROOT = logging.getLogger("vatrack")
IN_PLACE = {"in_place": True}
BESIDE = {"beside": True}
CLEAR_LINE = "\r\x1b[K"


class ConsoleHandler(logging.Handler):
    """Shows messages alone: on standard output, or standard error (warnings, errors, `BESIDE`).

    A stream that is closed or full is an OSError, as with `print`.
    """

    _open = False  # a line on the terminal waits to be replaced

    def emit(self, record: logging.LogRecord) -> None:
        """Writes the message at once, where the standard streams lead now."""
        beside = record.levelno >= logging.WARNING or getattr(record, "beside", False)
        stream = sys.stderr if beside else sys.stdout
        self.clear()
        if getattr(record, "in_place", False) and stream.isatty():
            width = shutil.get_terminal_size().columns - 1
            print(self.format(record)[:width], end="", file=stream, flush=True)
            self._open = True
        else:
            print(self.format(record), file=stream, flush=True)

    def clear(self) -> None:
        """Takes the line away that waits to be replaced, where there is one."""
        if self._open:
            self._open = False
            print(CLEAR_LINE, end="", file=sys.stdout, flush=True)


def configure() -> None:
    """Lets the package show its progress on the console; called again, it does nothing."""
    if any(isinstance(handler, ConsoleHandler) for handler in ROOT.handlers):
        return
    ROOT.addHandler(ConsoleHandler())
    # Libraries that set up the root logger for themselves must not show each line once more.
    ROOT.propagate = False
    if ROOT.level == logging.NOTSET:
        ROOT.setLevel(logging.INFO)


def clear_line() -> None:
    """Takes a line `in_place` away, before something else writes to the terminal."""
    for handler in ROOT.handlers:
        if isinstance(handler, ConsoleHandler):
            handler.clear()


@contextmanager
def warnings_only() -> Iterator[None]:
    """Inside, the package logs no progress; for all processes of a training but the first."""
    before = ROOT.level
    ROOT.setLevel(max(before, logging.WARNING))
    try:
        yield
    finally:
        ROOT.setLevel(before)
