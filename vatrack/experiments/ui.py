"""MLflow's pages: the server for a store on this machine, and addresses that show the results."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

from vatrack.common.errors import InputError
from vatrack.experiments.client import connect, experiment_id, sqlite_path
from vatrack.experiments.store import StoreError, first_line
from vatrack.experiments.views import (
    ALL_RUNS,
    comparison_key,
    missing,
    view_address,
    views,
)

logger = logging.getLogger(__name__)

SECONDS = 180.0  # that the server may take to start
HOST = "127.0.0.1"
# Nothing is told to anyone: MLflow asks the first of these, and the second; and no processes for
# the evaluation of chats.
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}
RUNS = 1000  # the newest ones are looked at


@dataclass(frozen=True)
class Link:
    """A page, and what it shows."""

    shows: str
    address: str


def links(uri: str, server: str) -> list[Link]:
    """The pages of all experiments of a store that have runs of this package.

    Args:
        server: the address of MLflow's pages.

    Raises:
        StoreError: the store is unreachable or refuses.
    """
    try:
        client = connect(uri)
        found: list[Link] = []
        for experiment in client.search_experiments():
            runs = client.search_runs([experiment.experiment_id], max_results=RUNS)
            runs = [run for run in runs if "comparison" in run.data.tags]
            if not runs:
                continue
            number = experiment_id(client, experiment.name, uri)
            # By a store of an older version, they were not made.
            for comparison in _groups(runs):
                for tag, view in missing(views(comparison), experiment.tags).items():
                    client.set_experiment_tag(number, tag, view)
            found += _links_of(experiment.name, number, runs, server)
        return found
    except (StoreError, InputError, ImportError):
        raise
    except Exception as error:  # requests, SQLAlchemy, alembic, MLflow, the disk
        raise StoreError(f"{uri}: {first_line(error)}") from error


def _groups(runs: list[Any]) -> dict[str, list[Any]]:
    """The runs by their comparison, the newest first."""
    groups: dict[str, list[Any]] = {}
    for run in runs:
        groups.setdefault(run.data.tags["comparison"], []).append(run)
    return groups


def _links_of(name: str, number: str, runs: list[Any], server: str) -> Iterator[Link]:
    yield Link(f"{name}: all runs, with the main metrics", view_address(server, number, ALL_RUNS))
    for comparison, group in _groups(runs).items():
        if len(group) < 2:
            continue
        methods = ", ".join(sorted({run.data.tags.get("method", "") for run in group}))
        key = comparison_key(comparison)
        yield Link(
            f"{name}: curves and final metrics of {methods}, side by side",
            view_address(server, number, key, charts=True),
        )
        ids = json.dumps([run.info.run_id for run in group[:20]], separators=(",", ":"))
        yield Link(
            f"{name}: the same runs, setting by setting",
            f"{server}/#/compare-runs?runs={quote(ids)}&experiments="
            f"{quote(json.dumps([number]))}&workflowType=machine_learning",
        )


@dataclass(frozen=True)
class Server:
    """MLflow's server for a store on this machine.

    Attributes:
        address: of its pages.
        log: what it says.
    """

    address: str
    process: subprocess.Popen[bytes]
    log: Path

    def wait(self) -> NoReturn:
        """Waits as long as the server runs.

        Raises:
            StoreError: it has ended by itself.
        """
        self.process.wait()
        raise StoreError(f"the server stopped: {_last_line(self.log)}")


@contextmanager
def served(uri: str, port: int) -> Iterator[Server]:
    """Runs MLflow's server for a SQLite store inside.

    What the server says goes to mlflow_ui.log beside the store. A terminal that is closed (SIGHUP)
    ends it, too.

    Raises:
        InputError: there is no such store, or the port is in use.
        StoreError: the server did not start.
        SystemExit: the terminal was closed.
    """
    path = sqlite_path(uri)
    if path is None or not path.exists():
        raise InputError(
            f"{path or uri}: no such store; train first, or create it with `vatrack mlflow-sync "
            "RUN...`"
        )
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise InputError(
                f"--port {port}: {error.strerror}; use another port, for example --port "
                f"{port + 1 if port < 65535 else 5000}"
            ) from None
    server = f"http://{HOST}:{port}"
    words = [sys.executable, "-m", "mlflow", "ui", "--workers", "1", "--host", HOST]
    words += ["--port", str(port), "--backend-store-uri", uri]
    log = path.with_name("mlflow_ui.log")
    with _ended_by_a_closed_terminal():
        with log.open("w") as told:
            process = subprocess.Popen(words, stdout=told, stderr=told, env=os.environ | QUIET)
        try:
            _wait(process, server, log)
            yield Server(server, process, log)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def _ended_by_a_closed_terminal() -> Iterator[None]:
    """Inside, SIGHUP is an exception, so that the server is ended; `nohup` stays."""

    def end(number: int, _: object) -> NoReturn:
        signal.signal(number, signal.SIG_IGN)  # a second one must not stop the cleaning
        sys.exit(128 + number)

    before = signal.getsignal(signal.SIGHUP)
    main = threading.current_thread() is threading.main_thread()
    if not main or before is signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGHUP, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def _wait(process: subprocess.Popen[bytes], server: str, log: Path) -> None:
    end = time.monotonic() + SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{server}/health", timeout=5):
                return
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                raise StoreError(f"the server did not start: {_last_line(log)}") from None
        time.sleep(0.3)


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines() or ["no message"]
    return f"{lines[-1]} (full log: {log})"
