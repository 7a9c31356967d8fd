"""What a person sees in MLflow: names, descriptions, views, addresses, and the server itself."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import pytest

from tests.experiments.experiments import Store, add_lines, config, expected, make_run
from vatrack.common.errors import InputError
from vatrack.common.files import write_json
from vatrack.config import Method
from vatrack.config.run_name import with_seed
from vatrack.experiments import content, names
from vatrack.experiments import store as experiment_store
from vatrack.experiments.content import run_name
from vatrack.experiments.identity import begin
from vatrack.experiments.store import StoreError, sync
from vatrack.experiments.ui import links, served
from vatrack.experiments.views import PREFIX

pytestmark = pytest.mark.usefixtures("no_store_from_outside")

FINAL = {
    "image/amodal/AP50": 80.2695,
    "image/amodal_box/AP": 50.125,
    "video/amodal/AP": 34.1815,
    "video/amodal/AP50": 78.7128,
    "video/visible/AP50": 81.1881,
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


def views(store: Store) -> dict[str, dict[str, Any]]:
    found = store.ask("SELECT key, value FROM experiment_tags WHERE key LIKE ?", f"{PREFIX}%")
    return {key.removeprefix(PREFIX): json.loads(value) for key, value in found}


def test_groups_of_charts_and_the_main_metrics() -> None:
    shown = names.results(FINAL)
    assert shown["results image amodal/AP50"] == 80.2695
    assert shown["results image amodal box/AP"] == 50.125
    assert shown["results image hidden/IoU"] == 41.2
    main = {name: value for name, value in shown.items() if "/" not in name}
    assert main == {
        "vAP50 amodal": 78.71,
        "vAP50 visible": 81.19,
        "vAP amodal": 34.18,
        "AP50 amodal": 80.27,
        "hidden IoU": 41.2,
    }
    curves = names.curves({**FINAL, "track/amodal/MT": 3}, "track/amodal/MT")
    assert set(curves) == {f"per-epoch validation/{name}" for name in main} | {
        "per-epoch validation/HOTA visible",
        "per-epoch validation/track amodal MT",
    }
    groups = [names.LOSSES, names.VALIDATIONS, names.RESULTS, names.TRAINING]
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
        "- **visible**: vAP50 81.2",
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
    assert "metrics.json" in sync(folder).files
    assert store.tags(run_id)[NOTE] == "my own"


def test_what_the_last_stages_make_is_sent(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "mini/runs/vatrack__resnet18", config(tmp_path), lines=2)
    begin(folder, resume=False)
    root = tmp_path / "mini"
    (root / "figures").mkdir()
    (root / "figures/losses.svg").write_text("<svg/>")
    (root / "report.html").write_text("an earlier one, without this run")
    for name in ("overlay.png", "overlay.mp4"):
        (folder / name).write_bytes(b"x")
        os.utime(folder / name, (0, 0))  # of an earlier training
    made = ("config.yaml", "environment.json")
    assert sync(folder).files == made
    finish(folder)
    for name in ("overlay.png", "overlay.mp4"):
        os.utime(folder / name)
    files = sync(folder).files
    assert files == ("metrics.json", "overlay.png", "overlay.mp4", "figures", "report.html")
    store = Store(tmp_path / "mlflow.db")
    assert {"overlay.mp4", "figures/losses.svg", "report.html"} <= store.artifacts(
        store.run(folder)
    )
    assert sync(folder).files == ()
    (root / "report.html").write_text("a new one")
    assert sync(folder).files == ("report.html",)


def test_a_store_of_an_older_version_gets_the_new_names_beside_the_old_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can be renamed in MLflow: old names stay, and nothing is sent twice."""
    folder = make_run(tmp_path / "runs/vatrack__resnet18", config(tmp_path), lines=7)
    finish(folder)
    store = Store(tmp_path / "mlflow.db")
    old = {"EPOCH": "epoch", "VALIDATED_EPOCH": "validated_epoch", "training_values": dict}
    old["curves"] = lambda metrics, _: {f"validation/{k}": v for k, v in metrics.items()}
    with monkeypatch.context() as patch:
        for name, value in old.items():
            patch.setattr(content, name, value)
        for name in ("EPOCH", "VALIDATED_EPOCH"):
            patch.setattr(experiment_store, name, old[name])
        patch.setattr(experiment_store, "run_name", lambda run: run.name)
        patch.setattr(experiment_store, "results", dict)
        patch.setattr(experiment_store, "VERSION", "1")
        patch.setattr(experiment_store, "_describe", lambda *_: None)
        patch.setattr(experiment_store, "views", lambda _: {})
        sync(folder)
    run_id = store.run(folder)
    before = store.points(run_id)
    assert {"loss", "validation/video/amodal/AP", "image/amodal/AP50"} <= {p[0] for p in before}
    assert store.tags(run_id)["mlflow.runName"] == "vatrack__resnet18"
    add_lines(folder, 8, 1)

    done = sync(folder)
    assert (done.created, done.lines, done.files) == (False, 9, ("metrics.json",))
    final = [(name, 0, value) for name, value in names.results(FINAL).items() if value is not None]
    assert store.points(run_id) == sorted([*before, *expected(folder), *final])
    assert store.tags(run_id)["mlflow.runName"] == "vatrack resnet18 seed 0"
    assert "vAP50 78.7" in store.tags(run_id)[NOTE]
    assert set(views(store)) == {"vatrack", f"vatrack-{store.tags(run_id)['comparison']}"}
    assert "nothing new" in str(sync(folder))


def test_a_run_that_somebody_renamed_keeps_its_name(
    results: Path, store: Store, folder: Path
) -> None:
    from mlflow.tracking import MlflowClient

    make_run(folder, config(results), lines=1)
    run_id = sync(folder).run_id
    MlflowClient(tracking_uri=f"sqlite:///{store.path}").update_run(run_id, name="the best")
    sync(folder)
    assert store.tags(run_id)["mlflow.runName"] == "the best"


def test_views_and_addresses(tmp_path: Path) -> None:
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
    state = json.loads(views(store)[f"vatrack-{shared}"]["state"])
    assert state["searchFilter"] == f"tags.comparison = '{shared}'"
    assert "metrics.`vAP50 amodal`" in state["selectedColumns"]
    assert state["compareRunSections"][0]["name"] == "loss"
    table, charts, pairs = links(uri, server)  # one comparison has a single run
    assert "viewStateShareKey=vatrack&workflowType=machine_learning" in table.address
    assert f"viewStateShareKey=vatrack-{shared}&" in charts.address
    assert charts.address.endswith("compareRunsMode=CHART")
    assert "amodaltrack, qdtrack, vatrack, vatrack-2bbox" in charts.shows
    query = parse_qs(unquote(pairs.address).partition("?")[2])
    assert len(json.loads(query["runs"][0])) == 4
    # Somebody's own changes of a view stay.
    own = views(store)["vatrack"] | {"name": "mine", "updatedAt": 2_000_000_000_000}
    client = MlflowClient(tracking_uri=uri)
    client.set_experiment_tag("1", f"{PREFIX}vatrack", json.dumps(own))
    sync(tmp_path / "runs/qdtrack__resnet18")
    links(uri, server)
    assert views(store)["vatrack"]["name"] == "mine"


def test_a_store_that_is_not_there_and_a_port_that_is_taken(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    with pytest.raises(InputError, match=r"mlflow\.db: no such store; train first"):
        served(uri, 5000).__enter__()
    (tmp_path / "mlflow.db").touch()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"--port {port}: .*; use another port"):
            served(uri, port).__enter__()
    with pytest.raises(StoreError):
        links("http://127.0.0.1:9", "http://127.0.0.1:9")


FAKE = """
import signal, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer

class Healthy(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

signal.signal(signal.SIGHUP, signal.SIG_IGN)
server = HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Healthy)
server.serve_forever()
"""


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`vatrack mlflow-ui` with a server that only answers; and the server's process."""
    sync(make_run(tmp_path / "runs/vatrack__resnet18", config(tmp_path), lines=1))
    (tmp_path / "fake.py").write_text(FAKE)
    fake = tmp_path / "python"
    fake.write_text(f'#!/bin/sh\nexec {sys.executable} {tmp_path}/fake.py "$@"\n')
    fake.chmod(0o755)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    words = ["vatrack", "mlflow-ui", "--results", str(tmp_path), "--port", port]
    script = (
        f"import sys; sys.executable = {str(fake)!r}; sys.argv = {words}; "
        f"from vatrack.cli import main; main()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert any("Ctrl-C" in line for line in process.stdout)
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
            yield process, int(children)
        finally:
            process.kill()


def test_a_server_that_dies_ends_the_command(
    shown: tuple[subprocess.Popen[str], int], tmp_path: Path
) -> None:
    process, server = shown
    os.kill(server, signal.SIGKILL)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert said.startswith("vatrack: error: MLflow: the server stopped: ")
    assert said.endswith(f"(full log: {tmp_path / 'mlflow_ui.log'})\n")


def test_a_closed_terminal_ends_the_server(shown: tuple[subprocess.Popen[str], int]) -> None:
    process, server = shown
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGHUP
    assert not Path(f"/proc/{server}").exists()


def test_the_server_runs_without_telemetry_and_ends_with_the_command(tmp_path: Path) -> None:
    sync(make_run(tmp_path / "runs/vatrack__resnet18", config(tmp_path), lines=1))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["mlflow-ui", "--results", str(tmp_path), "--port", str(port)]
    quiet = ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK")
    asked = {key: value for key, value in os.environ.items() if key not in quiet}
    process = subprocess.Popen(
        [sys.executable, "-m", "vatrack", *words], stdout=subprocess.PIPE, text=True, env=asked
    )
    assert process.stdout is not None
    try:
        said = ""
        while "Ctrl-C" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        assert re.search(rf"http://127\.0\.0\.1:{port}/#/experiments/\d+/runs\?", said)
        (server,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        environment = Path(f"/proc/{server}/environ").read_text().split("\0")
        assert {"MLFLOW_DISABLE_TELEMETRY=true", "DO_NOT_TRACK=true"} <= set(environment)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=60) as answer:
            assert answer.read() == b"OK"
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with socket.socket() as gone:
            if gone.connect_ex(("127.0.0.1", port)):
                return
        time.sleep(0.3)
    pytest.fail("the server is still there")
