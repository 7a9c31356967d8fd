"""MLflow's pages: the server for a store on this machine, and addresses that show the results."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

from vatrack.common.errors import InputError
from vatrack.experiments import mlflow_process
from vatrack.experiments.client import connect, experiment_id, sqlite_path
from vatrack.experiments.saved_views import ALL_RUNS, comparison_key, view_address
from vatrack.experiments.store import StoreError, first_line

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
            if runs:
                number = experiment_id(client, experiment.name, uri)  # of a store that was moved
                found += _links_of(experiment.name, number, runs, server)
        return found
    except (StoreError, ImportError):
        raise
    except Exception as error:  # requests, SQLAlchemy, alembic, MLflow, the disk
        raise StoreError(f"{uri}: {first_line(error)}") from error


def _links_of(name: str, number: str, runs: list[Any], server: str) -> Iterator[Link]:
    yield Link(f"{name}: all runs, with the main metrics", view_address(server, number, ALL_RUNS))
    groups: dict[str, list[Any]] = {}  # the newest first
    for run in runs:
        groups.setdefault(run.data.tags["comparison"], []).append(run)
    for comparison, group in groups.items():
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


def serve(uri: str, port: int, show: Callable[[str], None]) -> NoReturn:
    """Runs MLflow's server for a SQLite store until it ends, or an exception (Ctrl-C) ends it.

    What the server says goes to mlflow_ui.log beside the store. It ends with this process, in
    whatever way that ends (on Linux also by SIGKILL).

    Args:
        show: called with the address of the pages once the server answers.

    Raises:
        InputError: there is no such store, or the port is in use.
        StoreError: the server did not start, or has ended by itself.
    """
    path = sqlite_path(uri)
    if path is None or not path.exists():
        raise InputError(
            f"{path or uri}: no such store; train first, or create it with `vatrack mlflow-sync "
            "RUN...`"
        )
    with socket.socket() as probe:  # another server there would answer instead
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise InputError(
                f"--port {port}: {error.strerror}; use another port, for example --port "
                f"{port + 1 if port < 65535 else 5000}"
            ) from None
    server, log = f"http://{HOST}:{port}", path.with_name("mlflow_ui.log")
    words = [sys.executable, "-m", mlflow_process.__name__, str(os.getpid()), "ui"]
    words += ["--workers", "1", "--host", HOST, "--port", str(port), "--backend-store-uri", uri]
    with log.open("w") as told:
        # In a group of its own: Ctrl-C is for this process, which then ends the group.
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=told,
            env=os.environ | QUIET,
            process_group=0,
        )
    try:
        end = time.monotonic() + SECONDS
        while not _answers(server):
            if process.poll() is not None or time.monotonic() > end:
                raise StoreError(f"the server did not start: {_last_line(log)}")
            time.sleep(0.3)
        show(server)
        process.wait()
        raise StoreError(f"the server stopped: {_last_line(log)}")
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends MLflow, and the process that MLflow itself starts, by force if need be."""
    process.terminate()  # MLflow hands it on
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        pass
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(server: str) -> bool:
    try:
        with urllib.request.urlopen(f"{server}/health", timeout=5):
            return True
    except OSError:
        return False


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines() or ["no message"]
    return f"{lines[-1]} (full log: {log})"
