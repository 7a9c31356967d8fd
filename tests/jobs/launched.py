"""Launchers of jobs, in this process and in one of their own."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.server import REPOSITORY
from vatrack.config import Config, parse_config
from vatrack.jobs.launch import run_in_job

POLL_SECONDS = 0.05


def run(
    function: Callable[..., str], arguments: tuple[object, ...], folder: Path, **launcher: object
) -> tuple[str, str]:
    shown = io.StringIO()
    settings = parse_config({"launcher": launcher}, "test", Config).launcher
    result = run_in_job(function, arguments, settings, folder, stream=shown)
    return str(result), shown.getvalue()


class Launcher:
    """A launcher in a process of its own, as `vatrack launch` is."""

    def __init__(
        self,
        folder: Path,
        function: str,
        *arguments: object,
        key: str = "",
        product: Path | None = None,
    ) -> None:
        code = (
            "import sys; from pathlib import Path; from tests.jobs import jobs; from "
            "vatrack.config import LauncherConfig;"
            "from vatrack.jobs import wait; from vatrack.jobs.launch import run_in_job;"
            f"wait.POLL_SECONDS = {POLL_SECONDS};"
            f"print(run_in_job(jobs.{function}, {arguments!r}, LauncherConfig(), "
            f"Path({str(folder)!r}), "
            f"key={key!r}, product={product!r}))"
        ).replace("PosixPath", "Path")
        folder.parent.mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder.parent, delete=False) as output:
            self._output = Path(output.name)
            self.process = subprocess.Popen(
                [sys.executable, "-c", code],
                cwd=REPOSITORY,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def shown(self) -> str:
        """What it has shown so far."""
        return self._output.read_text()

    def end(self, number: signal.Signals | None = None) -> tuple[int, str]:
        """Sends a signal, if any, and waits."""
        if number:
            self.process.send_signal(number)
        return self.process.wait(timeout=90), self.shown

    def kill(self) -> None:
        """The launcher alone; its job lives on."""
        self.process.kill()
        self.process.wait()
