"""MLflow's pages: saved views of the table of runs, their addresses, and the server that shows
them.

MLflow keeps saved views (which columns and charts are shown) as tags of the experiment, and lists
them in its menu *Views*. Versions of MLflow that know none show the table as it is.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

from vatrack.common.errors import InputError
from vatrack.common.mask_types import MASK_TYPES
from vatrack.experiments.client import (
    StoreError,
    connect,
    experiment_id,
    naming_store,
    sqlite_path,
)
from vatrack.experiments.content import LOSSES, MAIN, RESULTS, TRAINING, VALIDATIONS

PREFIX = "mlflow.sharedViewState."
ALL_RUNS = "vatrack"  # key of the saved view of all runs, and what the others' begin with
MADE = 1_764_000_000_000  # milliseconds since 1970, of all
# Groups of charts: open from the start, in this order; the others wait folded.
OPEN = (LOSSES, "Model metrics", VALIDATIONS)
FOLDED = (
    *(f"{RESULTS} {level} {mask}" for mask in MASK_TYPES for level in ("image", "video", "track")),
    f"{RESULTS} image hidden",
    *(f"{RESULTS} {level} {mask} box" for mask in MASK_TYPES for level in ("image", "track")),
    TRAINING,
    "System metrics",
)
NAME = "attributes.`Run Name`"
NAME_WIDTH = 250  # pixels; "amodaltrack resnext101 seed 0" is whole
LETTER, AROUND = 7.5, 20  # pixels, of the width of the other columns

HOST = "127.0.0.1"
RUNS = 1000  # the newest ones are looked at


def missing_views(comparison: str, there: Mapping[str, str]) -> dict[str, str]:
    """The saved views that a run is shown in and that are missing, by the experiment's tag.

    Args:
        comparison: the tag of the runs that may be compared.
        there: the tags of the experiment.
    """
    wanted = {
        PREFIX + ALL_RUNS: ("Main metrics of all runs", ""),
        f"{PREFIX}{ALL_RUNS}-{comparison}": (
            f"Comparison {comparison}", f"tags.comparison = '{comparison}'"
        ),
    }  # fmt: skip
    return {tag: _saved_view(*view) for tag, view in wanted.items() if tag not in there}


def _saved_view(name: str, wanted: str) -> str:
    """A saved view as MLflow keeps it.

    Args:
        wanted: filter of the runs.
    """
    columns = {f"metrics.`{metric}`": round(LETTER * len(metric) + AROUND) for metric in MAIN}
    state: dict[str, Any] = {
        "searchFilter": wanted,
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "selectedColumns": list(columns),
        "columnOrder": [NAME, *columns],
        "columnWidths": {NAME: NAME_WIDTH, **columns},
        "compareRunCharts": [],  # MLflow adds those of the metrics that there are
        "compareRunSections": [
            {"uuid": f"vatrack {number}", "name": name, "display": name in OPEN}
            | {"isReordered": False, "deleted": False, "isGenerated": True}
            for number, name in enumerate(OPEN + FOLDED)
        ],
        "isAccordionReordered": True,
    }
    return json.dumps(
        {"name": name, "createdAt": MADE, "updatedAt": MADE, "state": json.dumps(state)}
    )


def links(uri: str, server: str) -> list[tuple[str, str]]:
    """The pages of all experiments of a store that have runs of this package.

    Args:
        server: the address of MLflow's pages.

    Returns:
        Of each page, what it shows, and its address.

    Raises:
        StoreError: the store is unreachable or refuses.
    """
    found: list[tuple[str, str]] = []
    with naming_store(uri):
        client = connect(uri)
        for experiment in client.search_experiments():
            runs = client.search_runs([experiment.experiment_id], max_results=RUNS)
            runs = [run for run in runs if "comparison" in run.data.tags]
            if runs:
                number = experiment_id(client, experiment.name, uri)  # of a store that was moved
                found += _links_of(experiment.name, number, runs, server)
    return found


def _links_of(name: str, number: str, runs: list[Any], server: str) -> Iterator[tuple[str, str]]:
    kind = "workflowType=machine_learning"
    table = f"{server}/#/experiments/{number}/runs?viewStateShareKey="
    yield f"{name}: all runs, with the main metrics", f"{table}{ALL_RUNS}&{kind}"
    groups: dict[str, list[Any]] = {}  # the newest first
    for run in runs:
        groups.setdefault(run.data.tags["comparison"], []).append(run)
    for comparison, group in groups.items():
        if len(group) < 2:
            continue
        methods = ", ".join(sorted({run.data.tags.get("method", "") for run in group}))
        yield (
            f"{name}: curves and final metrics of {methods}, side by side",
            f"{table}{quote(f'{ALL_RUNS}-{comparison}')}&{kind}&compareRunsMode=CHART",
        )
        ids = json.dumps([run.info.run_id for run in group[:20]], separators=(",", ":"))
        yield (
            f"{name}: the same runs, setting by setting",
            f"{server}/#/compare-runs?runs={quote(ids)}&experiments="
            f"{quote(json.dumps([number]))}&{kind}",
        )


def check_server(uri: str, port: int) -> Path:
    """Refuses what `serve` could not show.

    Returns:
        The file for what the server says, beside the store.

    Raises:
        InputError: there is no such store, or the port is in use.
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
    return path.with_name("mlflow_ui.log")


def serve(uri: str, port: int, log: Path, show: Callable[[], None]) -> NoReturn:
    """Runs MLflow's server for a store until it ends, or an exception (Ctrl-C, a signal) ends it.

    Args:
        uri: the store; `links` has prepared it, and the environment.
        log: file for what the server says.
        show: called once the server answers.

    Raises:
        StoreError: the server did not start, or ended by itself.
    """
    words = ["-m", "mlflow", "ui", "--host", HOST, "--port", str(port), "--workers", "1"]
    words += ["--backend-store-uri", uri]
    with log.open("w") as told:
        # In a group of its own: Ctrl-C is for this process, which then ends the group.
        server = subprocess.Popen(
            [sys.executable, *words],
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=told,
            process_group=0,
        )
    try:
        while server.poll() is None and not _answers(port):
            time.sleep(0.2)
        if server.poll() is None:
            show()
        server.wait()
    finally:
        _end(server)
    last = (log.read_text(errors="replace").strip().splitlines() or ["no message"])[-1]
    raise StoreError(f"the server stopped: {last}; see {log}")


def _answers(port: int) -> bool:
    with closing(HTTPConnection(HOST, port, timeout=5)) as server:
        try:
            server.request("GET", "/health")
            return server.getresponse().status == 200
        except (OSError, HTTPException):
            return False


def _end(server: subprocess.Popen[bytes]) -> None:
    """Ends MLflow, and the process that MLflow itself starts, by force if need be."""
    try:
        server.terminate()  # MLflow hands it on
        with suppress(subprocess.TimeoutExpired):
            server.wait(10)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()
