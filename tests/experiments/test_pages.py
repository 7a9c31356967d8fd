"""What a person sees in MLflow: names, descriptions, saved views, addresses, and the server."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import pytest

from tests.experiments.experiments import Store, config, free_port, make_run
from tests.waiting import alive, wait_until
from vatrack.common.errors import InputError
from vatrack.common.files import write_json
from vatrack.config import Method
from vatrack.config.run_name import with_seed
from vatrack.experiments import content
from vatrack.experiments.client import StoreError
from vatrack.experiments.content import run_name
from vatrack.experiments.identity import begin
from vatrack.experiments.pages import HOST, PREFIX, check_server, links
from vatrack.experiments.store import SENT, sync
from vatrack.jobs.local import descendants

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


def test_a_label_is_a_tag_and_part_of_the_name(tmp_path: Path) -> None:
    plain, labelled = (config(tmp_path, run_label=label) for label in ("", "e6"))
    known = content.tags(tmp_path, plain)
    assert content.tags(tmp_path, labelled) == known | {"run_label": "e6"}
    assert "run_label" not in known
    assert content.params(labelled) == content.params(plain)
    colours = {
        content.tags(tmp_path, config(tmp_path, method, seed=seed))["mlflow.runColor"]
        for method in Method
        for seed in range(3)
    }
    assert len(colours) == 12, "each run of a comparison has its own"


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
        "- vAP50 amodal 78.71, vAP50 visible 81.15, vAP amodal 34.18, AP50 amodal 80.27, "
        "hidden IoU 41.20",
        "- chosen: epoch 3, the highest video/amodal/AP, 8.40 above epoch 2",
        "- trained: 3 epochs in 7 min 21 s",
    ]
    assert "vatrack with resnet18, seed 0, on mini" in last
    assert f"tags.comparison = '{store.tags(run_id)['comparison']}'" in last


def test_the_description_says_that_metrics_are_of_an_earlier_choice(tmp_path: Path) -> None:
    finish(tmp_path)
    (tmp_path / "evaluation.yaml").write_text("predictions: {checkpoint: {epoch: 2}}")
    text = content.description(tmp_path, config(tmp_path), {})
    assert "- outdated: metrics.json is of epoch 2, but best.json chooses epoch 3\n" in text


def test_what_somebody_wrote_in_mlflow_is_kept(results: Path, store: Store, folder: Path) -> None:
    from mlflow.tracking import MlflowClient

    make_run(folder, config(results), lines=2)
    run_id = sync(folder).run_id
    client = MlflowClient(tracking_uri=f"sqlite:///{store.path}")
    client.set_tag(run_id, NOTE, "my own")
    client.update_run(run_id, name="the best")
    finish(folder)
    assert "metrics.json" in sync(folder).sent
    assert store.tags(run_id)[NOTE] == "my own"
    assert store.tags(run_id)["mlflow.runName"] == "the best"


@pytest.mark.parametrize("edited", ["", "mine", "7", "null", "[1]", "{"])
def test_an_edited_tag_of_what_has_arrived_counts_as_empty(
    results: Path, store: Store, folder: Path, edited: str
) -> None:
    from mlflow.tracking import MlflowClient

    make_run(folder, config(results), lines=2)
    run_id = sync(folder).run_id
    before = store.tags(run_id)
    MlflowClient(tracking_uri=f"sqlite:///{store.path}").set_tag(run_id, SENT, edited)
    assert sync(folder).sent == ("config.yaml", "environment.json")
    assert json.loads(store.tags(run_id)[SENT]).items() <= json.loads(before[SENT]).items()
    assert store.tags(run_id)[NOTE] == before[NOTE]
    assert sync(folder).sent == ()


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
    with pytest.raises(InputError, match=r"mlflow\.db: no such store; give the folder that holds"):
        check_server(uri, 5000)
    (tmp_path / "mlflow.db").touch()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"--port {port}: .*; use another port"):
            check_server(uri, port)
    with (
        check_server(uri, port),  # by one whose server has only begun to start
        pytest.raises(InputError, match=f"--port {port}: Address already in use; use another"),
    ):
        check_server(uri, port)
    check_server(uri, port).close()
    with pytest.raises(InputError, match=r"ftp://x: .* a SQLite file or a server's http address"):
        check_server("ftp://x", 5000)
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:9: no server answers there; start it$"):
        links("http://127.0.0.1:9", "http://127.0.0.1:9")


def server_of(command: int) -> int | None:
    """MLflow's process, once it is there."""
    for pid in descendants(command):
        with suppress(OSError):  # one that has just ended
            if b"mlflow\0ui" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
    return None


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


@pytest.mark.parametrize("early", [False, True])
def test_the_links_then_the_server_without_telemetry_until_ctrl_c(
    results: Path, folder: Path, tmp_path: Path, early: bool
) -> None:
    """Also while the server is only starting."""
    sync(make_run(folder, config(results), lines=1))
    port, quiet = free_port(), ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK")
    words = ["mlflow-ui", "--results", str(results), "--port", str(port)]
    with (tmp_path / "said").open("wb") as said:
        command = subprocess.Popen(
            [sys.executable, "-m", "vatrack", *words],
            stdout=said,
            stderr=said,
            env={key: value for key, value in os.environ.items() if key not in quiet},
            start_new_session=True,
        )
    try:
        server = wait_until(lambda: server_of(command.pid))
        assert f"@vatrack mlflow-ui {port}\n" in Path("/proc/net/unix").read_text()
        if early:
            os.killpg(command.pid, signal.SIGINT)
            assert command.wait(30) == 0
            assert "Traceback" not in (tmp_path / "said").read_text()
            assert not alive(server) and not answers(port)
            return
        wait_until(lambda: answers(port) or command.poll() is not None)
        first, *found = (tmp_path / "said").read_text().splitlines()
        assert first.endswith("Ctrl-C stops it); then open:"), "the links come last"
        assert re.search(rf"http://127\.0\.0\.1:{port}/#/experiments/\d+/runs\?", "\n".join(found))
        environment = Path(f"/proc/{server}/environ").read_text().split("\0")
        assert {"MLFLOW_DISABLE_TELEMETRY=true", "DO_NOT_TRACK=true"} <= set(environment)
        with urllib.request.urlopen(f"http://{HOST}:{port}/health", timeout=60) as answer:
            assert answer.read() == b"OK"
        noise = r"GET|Registry store URI|DeprecationWarning"
        assert not re.search(noise, (tmp_path / "said").read_text()), "the links stay in view"
        for _ in range(2):  # as a terminal does; the second one while the server ends
            os.killpg(command.pid, signal.SIGINT)
        assert command.wait(30) == 0
        assert "Traceback" not in (tmp_path / "said").read_text()
        wait_until(lambda: not answers(port))
    finally:
        for each in (*descendants(command.pid), command.pid) if command.poll() is None else ():
            os.kill(each, signal.SIGKILL)
