"""What a person sees in MLflow: names, descriptions, saved views, addresses, and the server."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import termios
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qs, unquote

import pytest

from tests.experiments.experiments import Store, config, make_run
from vatrack.common.errors import InputError
from vatrack.common.files import write_json
from vatrack.config import Method
from vatrack.config.run_name import with_seed
from vatrack.experiments import content
from vatrack.experiments.client import StoreError
from vatrack.experiments.content import run_name
from vatrack.experiments.identity import begin
from vatrack.experiments.pages import HOST, PREFIX, check_server, links, serve
from vatrack.experiments.store import sync

pytestmark = pytest.mark.usefixtures("no_store_from_outside")

FINAL = {
    "image/amodal/AP50": 80.2695,
    "image/amodal_box/AP": 50.125,
    "video/amodal/AP": 34.1815,
    "video/amodal/AP50": 78.7128,
    "video/visible/AP50": 81.1499,
    "track/visible/HOTA": None,
    "image/hidden/IoU": 41.2,
}
NOTE = "mlflow.note.content"


def finish(folder: Path, **metrics: float | None) -> None:
    """What the stages after a training leave."""
    write_json(folder / "training.json", {"epochs": 3, "iterations": 609, "seconds": 440.7})
    candidates = [{"epoch": 2, "value": 25.8}, {"epoch": 3, "value": 34.2}]
    best = {"epoch": 3, "checkpoint": "checkpoints/epoch_03.pt", "metric": "video/amodal/AP"}
    best |= {"value": 34.2, "candidates": candidates}
    write_json(folder / "best.json", best)
    write_json(folder / "environment.json", {"device": "cpu, 2 threads"})
    write_json(folder / "metrics.json", FINAL | metrics)


def saved_views(store: Store) -> dict[str, dict[str, Any]]:
    found = store.ask("SELECT key, value FROM experiment_tags WHERE key LIKE ?", f"{PREFIX}%")
    return {key.removeprefix(PREFIX): json.loads(value) for key, value in found}


def test_groups_of_charts_and_the_main_metrics(tmp_path: Path) -> None:
    write_json(tmp_path / "metrics.json", FINAL)
    shown = content.final_metrics(tmp_path / "metrics.json").values
    assert shown["results image amodal/AP50"] == 80.2695
    assert shown["results image amodal box/AP"] == 50.125
    assert shown["results image hidden/IoU"] == 41.2
    main = {name: value for name, value in shown.items() if "/" not in name}
    assert main == {
        "vAP50 amodal": 78.71,
        "vAP50 visible": 81.15,
        "vAP amodal": 34.18,
        "AP50 amodal": 80.27,
        "hidden IoU": 41.2,
    }
    curves = content.curves({**FINAL, "track/amodal/MT": 3}, "track/amodal/MT")
    assert set(curves) == {f"per-epoch validation/{name}" for name in main} | {
        "per-epoch validation/HOTA visible",
        "per-epoch validation/track amodal MT",
    }
    groups = [content.LOSSES, content.VALIDATIONS, content.RESULTS, content.TRAINING]
    assert groups == sorted(groups), "MLflow shows them by the alphabet, losses first"


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("", "vatrack-2bbox resnet18 seed 3"),
        ("e6", "vatrack-2bbox resnet18 e6 seed 3"),
        (with_seed("", 3), "vatrack-2bbox resnet18 seed 3"),
        (with_seed("e6", 3), "vatrack-2bbox resnet18 e6 seed 3"),
    ],
)
def test_a_name_tells_method_backbone_label_and_seed(tmp_path: Path, label: str, name: str) -> None:
    assert run_name(config(tmp_path, Method.VATRACK_2BBOX, seed=3, run_label=label)) == name


def test_every_run_of_a_comparison_has_a_colour_of_its_own(tmp_path: Path) -> None:
    runs = [config(tmp_path, method, seed=seed) for method in Method for seed in range(3)]
    colours = {content.tags(tmp_path, run)["mlflow.runColor"] for run in runs}
    assert len(colours) == len(runs)


def test_the_description_has_the_main_metrics(results: Path, store: Store, folder: Path) -> None:
    make_run(folder, config(results), lines=2)
    begin(folder, resume=False)
    sync(folder)
    run_id = store.run(folder)
    assert "vAP50" not in store.tags(run_id)[NOTE]
    finish(folder)
    sync(folder)
    text = store.tags(run_id)[NOTE]
    first, _, last = text.partition("\n\n")
    assert first.splitlines() == [
        "- **amodal**: vAP50 78.7, vAP 34.2, AP50 80.3",
        "- **visible**: vAP50 81.1",
        "- **hidden parts**: IoU 41.2",
        "- chosen: epoch 3, the highest video/amodal/AP, 8.40 above epoch 2",
        "- trained for 7 min 21 s on cpu, 2 threads: 3 epochs, 609 iterations of 8 pairs",
    ]
    assert "vatrack with resnet18, seed 0, on mini" in last
    assert f"tags.comparison = '{store.tags(run_id)['comparison']}'" in last


def test_a_description_that_somebody_wrote_is_kept(
    results: Path, store: Store, folder: Path
) -> None:
    from mlflow.tracking import MlflowClient

    make_run(folder, config(results), lines=2)
    run_id = sync(folder).run_id
    client = MlflowClient(tracking_uri=f"sqlite:///{store.path}")
    client.set_tag(run_id, NOTE, "my own")
    finish(folder)
    assert "metrics.json" in sync(folder).sent
    assert store.tags(run_id)[NOTE] == "my own"


def test_what_the_last_stages_make_is_sent(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "mini/runs/vatrack__resnet18", config(tmp_path), lines=2)
    begin(folder, resume=False)
    root = tmp_path / "mini"
    (root / "figures").mkdir()
    (root / "figures/losses.svg").write_text("<svg/>")
    (root / "tables").mkdir()
    (root / "tables/image_visible.csv").write_text("method,AP\n")
    (root / "report.html").write_text("an earlier one, without this run")
    for name in ("overlay.png", "overlay.mp4"):
        (folder / name).write_bytes(b"x")
        os.utime(folder / name, (0, 0))  # of an earlier training
    assert sync(folder).sent[-2:] == ("config.yaml", "environment.json")
    finish(folder)
    for name in ("overlay.png", "overlay.mp4"):
        os.utime(folder / name)
    assert sync(folder).sent[1:] == (
        "metrics.json", "overlay.png", "overlay.mp4", "tables", "figures", "report.html"
    )  # fmt: skip
    store = Store(tmp_path / "mlflow.db")
    made = {"overlay.mp4", "tables/image_visible.csv", "figures/losses.svg", "report.html"}
    assert made <= store.artifacts(store.run(folder))
    assert sync(folder).sent == ()
    (root / "tables/image_amodal.csv").write_text("method,AP\n")
    assert sync(folder).sent == ("tables",)
    (root / "report.html").write_text("a new one")
    assert sync(folder).sent == ("report.html",)


def test_a_run_that_somebody_renamed_keeps_its_name(
    results: Path, store: Store, folder: Path
) -> None:
    from mlflow.tracking import MlflowClient

    make_run(folder, config(results), lines=1)
    run_id = sync(folder).run_id
    MlflowClient(tracking_uri=f"sqlite:///{store.path}").update_run(run_id, name="the best")
    sync(folder)
    assert store.tags(run_id)["mlflow.runName"] == "the best"


def test_saved_views_and_addresses(tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    server = "http://127.0.0.1:5000"
    assert links(uri, server) == []
    for method in Method:
        sync(make_run(tmp_path / f"runs/{method}__resnet18", config(tmp_path, method), lines=1))
    other = config(tmp_path, training={"epochs": 9})
    sync(make_run(tmp_path / "runs/vatrack__resnet18__long", other, lines=1))
    store = Store(tmp_path / "mlflow.db")
    shared = store.tags(store.run(tmp_path / "runs/qdtrack__resnet18"))["comparison"]
    state = json.loads(saved_views(store)[f"vatrack-{shared}"]["state"])
    assert state["searchFilter"] == f"tags.comparison = '{shared}'"
    assert "metrics.`vAP50 amodal`" in state["selectedColumns"]
    assert state["compareRunSections"][0]["name"] == "loss"
    table, charts, pairs = links(uri, server)  # one comparison has a single run
    assert "viewStateShareKey=vatrack&workflowType=machine_learning" in table[1]
    assert f"viewStateShareKey=vatrack-{shared}&" in charts[1]
    assert charts[1].endswith("compareRunsMode=CHART")
    assert "amodaltrack, qdtrack, vatrack, vatrack-2bbox" in charts[0]
    query = parse_qs(unquote(pairs[1]).partition("?")[2])
    assert len(json.loads(query["runs"][0])) == 4
    # Somebody's own changes of a saved view stay.
    own = saved_views(store)["vatrack"] | {"name": "mine", "updatedAt": 2_000_000_000_000}
    client = MlflowClient(tracking_uri=uri)
    client.set_experiment_tag("1", f"{PREFIX}vatrack", json.dumps(own))
    sync(tmp_path / "runs/qdtrack__resnet18")
    links(uri, server)
    assert saved_views(store)["vatrack"]["name"] == "mine"


def test_a_store_that_is_not_there_and_a_port_that_is_taken(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    with pytest.raises(InputError, match=r"mlflow\.db: no such store; train first"):
        check_server(uri, 5000)
    (tmp_path / "mlflow.db").touch()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"--port {port}: .*; use another port"):
            check_server(uri, port)
    with pytest.raises(StoreError):
        links("http://127.0.0.1:9", "http://127.0.0.1:9")


@dataclass
class Shown:
    """`vatrack mlflow-ui` on a terminal of its own.

    Attributes:
        terminal: the other end of the terminal.
        server: number of MLflow's process.
        said: what has been read from the terminal.
    """

    command: subprocess.Popen[bytes]
    terminal: IO[bytes]
    port: int
    server: int
    said: str


@pytest.fixture
def shown(results: Path, folder: Path) -> Iterator[Shown]:
    """The pages of a store with runs, when they can be opened."""
    sync(make_run(folder, config(results), lines=1))
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    master, slave = pty.openpty()
    words = ["mlflow-ui", "--results", str(results), "--port", str(port)]
    quiet = ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK")
    command = subprocess.Popen(
        [sys.executable, "-m", "vatrack", *words],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={key: value for key, value in os.environ.items() if key not in quiet},
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY),
    )
    os.close(slave)
    with os.fdopen(master, "r+b", buffering=0) as terminal:
        said = b""
        while b"to stop." not in said:
            said += terminal.read(1000)
        assert answers(port), "the links are shown when they work"
        pid = command.pid
        server = int(Path(f"/proc/{pid}/task/{pid}/children").read_text())
        yield Shown(command, terminal, port, server, said.decode())
    for pid in (command.pid, server):
        with contextlib.suppress(ProcessLookupError):  # where a test has failed
            os.killpg(pid, signal.SIGKILL)
    command.wait()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def gone(port: int) -> bool:
    """Whether nothing answers there any more, after some time at most."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if not answers(port):
            return True
        time.sleep(0.3)
    return False


def test_the_server_runs_without_telemetry_and_ends_with_the_command(
    shown: Shown, results: Path
) -> None:
    assert re.search(rf"http://127\.0\.0\.1:{shown.port}/#/experiments/\d+/runs\?", shown.said)
    environment = Path(f"/proc/{shown.server}/environ").read_text().split("\0")
    assert {"MLFLOW_DISABLE_TELEMETRY=true", "DO_NOT_TRACK=true"} <= set(environment)
    with urllib.request.urlopen(f"http://{HOST}:{shown.port}/health", timeout=60) as answer:
        assert answer.read() == b"OK"
    shown.terminal.write(b"\x03")
    assert shown.command.wait(30) == 0
    assert gone(shown.port)
    assert shown.terminal.read(5000).strip() == b"^C", "the links stay in view"
    assert str(shown.port) in (results / "mlflow_ui.log").read_text()


@pytest.mark.slow
def test_a_closed_terminal_ends_the_server(shown: Shown) -> None:
    shown.terminal.close()
    assert shown.command.wait(30) == 128 + signal.SIGHUP
    assert gone(shown.port)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_command_alone_ends_the_server(
    shown: Shown, number: signal.Signals
) -> None:
    shown.command.send_signal(number)
    assert shown.command.wait(30) == 128 + number
    assert gone(shown.port)


@pytest.mark.slow
def test_a_server_that_dies_ends_the_command(shown: Shown, results: Path) -> None:
    os.kill(shown.server, signal.SIGKILL)
    assert shown.command.wait(30) == 1
    assert gone(shown.port)  # MLflow's own child, which answered
    said = shown.terminal.read(5000).decode()
    assert "vatrack: error: MLflow: the server stopped: " in said
    assert said.endswith(f"; see {results / 'mlflow_ui.log'}\r\n")


def test_a_server_that_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho loading\necho no such module >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    log = tmp_path / "log"
    with pytest.raises(StoreError, match=f"^the server stopped: no such module; see {log}$"):
        serve("sqlite:///x.db", 1, log, lambda: pytest.fail("nothing answers"))
