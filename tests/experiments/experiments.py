"""Run folders made by hand, and what a SQLite store of MLflow holds of them, read without
MLflow."""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.server import SERVER
from vatrack.common.files import write_json, write_yaml
from vatrack.common.locks import locked
from vatrack.config import Backbone, Config, Method, RunConfig, parse_config
from vatrack.experiments.store import sync

PER_EPOCH = 5
CREATED = "a new MLflow run"
TRAINED = '{"epochs": 1, "iterations": 2, "seconds": 3.5}'
AP50 = [("AP50 visible", 0, 61.5), ("results image visible/AP50", 0, 61.5)]


def config(results: Path, method: Method = Method.VATRACK, **sections: Any) -> RunConfig:
    values = {"results": str(results), "training": {"epochs": 7}} | sections
    return parse_config(values, "test", Config).for_run(method, Backbone.RESNET18)


def make_run(folder: Path, run: RunConfig, lines: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_yaml(folder / "config.yaml", run.model_dump(mode="json"))
    write_json(folder / "environment.json", {"git_revision": "0123456789abcdef+changes"})
    add_lines(folder, 1, lines)
    return folder


def add_lines(folder: Path, first: int, count: int, **changes: Any) -> None:
    """Training lines number `first` and on, at every second step, and a validation after each
    fifth."""
    with (folder / "metrics.jsonl").open("a") as stream:
        for number in range(first, first + count):
            step, epoch = 2 * number, (number - 1) // PER_EPOCH + 1
            at = {"step": step, "epoch": epoch, "time": 1.7e9 + step / 4}
            losses = {"lr": 0.1 / number, "loss": 5 / number, "loss_box": math.sin(number)}
            line = at | losses | {"seconds_per_iteration": 0.25} | changes
            stream.write(json.dumps(line) + "\n")
            if number % PER_EPOCH == 0:
                metrics = {"video/amodal/AP": 2.0 * epoch, "video/amodal/AP50_S": None}
                stream.write(json.dumps(at | {"validation": metrics}) + "\n")


# Of a validation; its other metrics are not sent.
CURVES = {
    f"{level}/{mask}/{metric}": f"per-epoch validation/{short} {mask}"
    for short, level, metric in (
        ("vAP50", "video", "AP50"),
        ("vAP", "video", "AP"),
        ("AP50", "image", "AP50"),
        ("HOTA", "track", "HOTA"),
    )
    for mask in ("amodal", "visible")
} | {"image/hidden/IoU": "per-epoch validation/hidden IoU"}


def _training_name(name: str) -> str:
    if name == "loss":
        return "loss/all"
    return name.replace("loss_", "loss/", 1) if name.startswith("loss_") else f"training/{name}"


def expected(folder: Path) -> list[tuple[str, int, float]]:
    """Every value of metrics.jsonl as (MLflow's name, step, value), sorted."""
    points = []
    for text in (folder / "metrics.jsonl").read_text().splitlines():
        line = json.loads(text)
        step, epoch = line.pop("step"), line.pop("epoch")
        line.pop("time", None)
        marker = "per-epoch validation/epoch" if "validation" in line else "training/epoch"
        points.append((marker, step, float(epoch)))
        if "validation" in line:
            named = {
                CURVES[name]: line["validation"][name]
                for name in CURVES.keys() & line["validation"]
            }
        else:
            named = {_training_name(name): value for name, value in line.items()}
        points += [(name, step, float(value)) for name, value in named.items() if value is not None]
    return sorted(points)


class Store:
    """A SQLite file of MLflow."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def ask(self, question: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(
            sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=60)
        ) as database:
            return database.execute(question, values).fetchall()

    def runs(self, folder: Path) -> list[str]:
        """The ids of the MLflow runs that were made for a folder."""
        found = self.ask(
            "SELECT run_uuid FROM tags WHERE key = 'vatrack.folder' AND value = ?",
            str(folder.resolve()),
        )
        return [run_id for (run_id,) in found]

    def run(self, folder: Path) -> str:
        """The id of the only MLflow run."""
        (run_id,) = self.runs(folder)
        return run_id

    def points(self, run_id: str) -> list[tuple[str, int, float]]:
        return sorted(self.ask("SELECT key, step, value FROM metrics WHERE run_uuid = ?", run_id))

    def tags(self, run_id: str) -> dict[str, str]:
        return dict(self.ask("SELECT key, value FROM tags WHERE run_uuid = ?", run_id))

    def params(self, run_id: str) -> dict[str, str]:
        return dict(self.ask("SELECT key, value FROM params WHERE run_uuid = ?", run_id))

    def status(self, run_id: str) -> str:
        ((status,),) = self.ask("SELECT status FROM runs WHERE run_uuid = ?", run_id)
        return str(status)

    def artifacts(self, run_id: str) -> set[str]:
        ((uri,),) = self.ask("SELECT artifact_uri FROM runs WHERE run_uuid = ?", run_id)
        root = Path(unquote(uri.removeprefix("file://")))
        return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Server:
    """A real tracking server on this machine, always at the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.store = Store(folder / "server.db")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it answers."""
        words = f"-m mlflow server --port {self.port} --workers 1 --backend-store-uri"
        words += f" sqlite:///{self.store.path} --artifacts-destination {self.folder / 'files'}"
        quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *words.split()],
                stdout=log,
                stderr=log,
                env=os.environ | quiet,
                start_new_session=True,
                cwd=self.folder,
            )
        deadline = time.monotonic() + 180
        while True:
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=5):
                    return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((self.folder / "server.log").read_text()) from None
            time.sleep(0.2)

    def kill(self) -> None:
        """kill -9, with all its processes."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


class Line:
    """A port of its own that leads to a server and can be cut: as if the server were killed and
    started again, which takes seconds."""

    def __init__(self, port: int) -> None:
        self._server = port
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._listener: socket.socket | None = None
        self._ends: list[socket.socket] = []

    def join(self) -> None:
        """Lets requests through."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        """Nobody is let in, and who is connected is no longer."""
        assert self._listener is not None
        for end in (self._listener, *self._ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._ends.clear()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", self._server))
                self._ends += client, server
                if listener.fileno() < 0:  # cut meanwhile
                    client.close()
                    server.close()
                    return
                for ends in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    @staticmethod
    def _pass_on(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


@contextmanager
def running(folder: Path) -> Iterator[None]:
    """Holds the lock of a run's folder, as a training does."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a") as file, locked(file):
        yield


def send(folder: Path, batch: int = 1000) -> None:
    """One `sync` as a process of its own does it; small batches have more moments between them."""
    from mlflow.tracking._tracking_service import client

    client.MAX_METRICS_PER_BATCH = batch  # type: ignore[attr-defined]
    sync(folder)


def send_together(*arguments: tuple[Any, ...]) -> None:
    """Calls `send` in processes that run at the same time."""
    started = [SERVER.Process(target=send, args=each) for each in arguments]
    for process in started:
        process.start()
    for process in started:
        process.join()
    assert [process.exitcode for process in started] == [0] * len(started)
