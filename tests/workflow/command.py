"""`snakemake WORDS` as it is typed, in a process that has Snakemake loaded: a new Python takes
seconds."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.server import SERVER, write_to

SECONDS = 300


def snakemake(
    words: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Calls it in a folder and waits for its end.

    Args:
        environment: all of its variables; None: those of this process.
    """
    variables = dict(os.environ if environment is None else environment)
    with tempfile.TemporaryDirectory() as scratch:
        shown = Path(scratch) / "output", Path(scratch) / "errors"
        process = SERVER.Process(target=_run, args=(list(words), folder, variables, *shown))
        process.start()
        process.join(SECONDS)
        if process.is_alive():
            process.kill()
            process.join()
        output, errors = (path.read_text() for path in shown)
        return subprocess.CompletedProcess(words, process.exitcode, output, errors)


def _run(
    words: list[str], folder: Path, environment: dict[str, str], output: Path, errors: Path
) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    write_to(output, errors)
    sys.argv = ["snakemake", *words]
    from snakemake.cli import main

    try:
        main()
    finally:
        logging.shutdown()  # as at the end of a program
