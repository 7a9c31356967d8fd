"""MLflow's pages: saved views of the table of runs, their addresses, and MLflow's server.

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
from collections.abc import Iterator, Mapping
from contextlib import suppress
from types import FrameType
from typing import Any
from urllib.parse import quote

from vatrack.common.errors import InputError
from vatrack.common.mask_types import MASK_TYPES
from vatrack.common.text_files import no_such
from vatrack.experiments.client import connect, experiment_id, naming_store, sqlite_path
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
    columns = [f"metrics.`{metric}`" for metric in MAIN]
    state: dict[str, Any] = {
        "searchFilter": wanted,
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "selectedColumns": columns,
        "columnOrder": ["attributes.`Run Name`", *columns],
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


def check_server(uri: str, port: int) -> socket.socket:
    """Refuses what `run_server` could not show.

    Returns:
        What keeps other calls of this from the port until the server has it, as long as it is open.

    Raises:
        InputError: it is of another type, there is no such file, or the port is in use.
    """
    path = sqlite_path(uri)
    if path is None:
        raise InputError(
            f"{uri}: not a store; it must be a SQLite file or a server's http address, give "
            "--tracking-uri sqlite:///FILE or http://HOST:PORT"
        )
    if not path.exists():
        raise InputError(
            f"{path}: {no_such(path, 'store')}; give the folder that holds {path.name} with "
            "--results, or create it with `vatrack mlflow-sync RUN...`"
        )
    hold = socket.socket(socket.AF_UNIX)
    with socket.socket() as probe:  # another server there would answer instead
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            if sys.platform == "linux":  # a name without a file, which ends with its process
                hold.bind(f"\0vatrack mlflow-ui {port}")
        except OSError as error:
            raise InputError(
                f"--port {port}: {error.strerror}; use another port, for example --port "
                f"{port + 1 if port < 65535 else 5000}"
            ) from None
    return hold


def run_server(uri: str, port: int) -> int:
    """Runs MLflow's server for a store that `links` has prepared, until a signal stops it.

    Ctrl-C reaches this process alone, which passes SIGTERM on: of SIGINT the server shows
    tracebacks, while it starts, or at the second one.

    Returns:
        The exit code: 0 after Ctrl-C, 128 and its number after another signal, and at least 1 where
        the server ended by itself.
    """
    # The links stay in view: no line for each request, nor advice for MLflow's own authors.
    os.environ.setdefault("UVICORN_ACCESS_LOG", "false")
    ignored = "ignore:starlette.middleware.wsgi is deprecated"
    os.environ["PYTHONWARNINGS"] = f"{ignored},{os.environ.get('PYTHONWARNINGS', '')}".strip(",")
    words = ["-m", "mlflow", "ui", "--host", HOST, "--port", str(port), "--workers", "1"]
    words += ["--backend-store-uri", uri, "--registry-store-uri", uri]
    came: list[int] = []
    servers: list[subprocess.Popen[bytes]] = []

    def end() -> None:
        for server in servers:
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGTERM)

    def stop(number: int, _: FrameType | None) -> None:
        came.append(number)
        end()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as it is under nohup
            signal.signal(number, stop)
    servers.append(subprocess.Popen([sys.executable, *words], process_group=0))
    if came:  # before there was a server
        end()
    code = servers[0].wait()
    if came:
        return 0 if came[0] == signal.SIGINT else 128 + came[0]
    return max(code, 1)
