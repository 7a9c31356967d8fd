"""The end of a run of the workflow, for MLflow: what is newer than what the stages have sent."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

SECONDS = 600.0  # that a store may take


def send_runs(runs: Sequence[str], log: Path, seconds: float = SECONDS) -> str:
    """Sends to MLflow what is missing there; a store that is away fails nothing.

    Args:
        runs: folders of runs.
        log: takes what the command says.
        seconds: after them it is ended.

    Returns:
        What failed and how to send the rest later, for a warning; empty: nothing.
    """
    if not runs:
        return ""
    words = ["mlflow-sync", *runs]
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w") as told:
            done = subprocess.run(
                [sys.executable, "-m", "vatrack", *words],
                stdin=subprocess.DEVNULL,
                stdout=told,
                stderr=told,
                timeout=seconds,
                check=False,
            )
        if done.returncode == 0:
            return ""
        reason = f"see {log}"
    except subprocess.TimeoutExpired:
        reason = f"no result after {seconds:g} s, see {log}"
    except OSError as error:
        reason = str(error)
    return (
        f"MLflow: upload incomplete ({reason}); upload the rest with: vatrack {shlex.join(words)}"
    )
