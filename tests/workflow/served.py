"""`vatrack` as a program that starts in no time: each call is forked off a server that has loaded
PyTorch, where a new Python takes seconds.

`python -m tests.workflow.served SOCKET` is the server; `served_commands` starts it and makes the
programs that hand their calls over to it.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path

import typer.main

from tests.built_once import commands_built_once

REPOSITORY = Path(__file__).parents[2]
# Words, folder and environment go over, and the three standard streams; an exit code comes back.
CLIENT = """#!{python} -SE
import json, os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
call = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(server, [len(call).to_bytes(8, "big")], [0, 1, 2])
server.sendall(call)
code = server.recv(1)
sys.exit(code[0] if code else "the served command was killed")
"""
# The workflow calls the `vatrack` beside the Python that runs it, or `python -m vatrack`.
PYTHON = """#!/bin/sh
if [ "$1 $2" = "-m vatrack" ]; then shift 2; exec {vatrack} "$@"; fi
exec {python} "$@"
"""
LOADED = (
    "torchvision.ops",
    "vatrack.cli",
    "vatrack.evaluation.evaluate",
    "vatrack.inference.predict",
    "vatrack.training.loop",
    "vatrack.reporting.page",
    "matplotlib.figure",
    "motmetrics",
    "mlflow.store.tracking.sqlalchemy_store",
)


@contextmanager
def served_commands(folder: Path) -> Iterator[Path]:
    """A program in place of `sys.executable`, while the server runs; beside it is `vatrack`.

    Args:
        folder: empty; for the programs and the socket.
    """
    address, python, program = folder / "socket", folder / "bin/python", folder / "bin/vatrack"
    program.parent.mkdir()
    program.write_text(CLIENT.format(python=sys.executable, address=str(address)))
    python.write_text(PYTHON.format(python=sys.executable, vatrack=program))
    for made in (program, python):
        made.chmod(0o755)
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "tests.workflow.served", str(address)]
    # Its standard input tells it when this process has ended, in whatever way.
    with subprocess.Popen(words, env=environment, stdin=subprocess.PIPE) as server:
        try:
            while not address.exists():
                assert server.poll() is None, "the server of commands ended"
                time.sleep(0.02)
            yield python
        finally:
            server.kill()


def serve(address: str) -> None:
    """Answers calls until standard input ends."""
    for name in LOADED:
        import_module(name)
    from vatrack.cli import app

    with commands_built_once():
        typer.main.get_command(app)
        _accept(address)


def _accept(address: str) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who answer
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{address}.part")
        listener.listen(64)
        Path(f"{address}.part").rename(address)
        while True:
            ready, _, _ = select.select([listener, sys.stdin], [], [])
            if sys.stdin in ready:
                return
            connection, _ = listener.accept()
            with connection:
                if os.fork() == 0:
                    listener.close()
                    _answer(connection)


def _answer(connection: socket.socket) -> None:
    """Runs one call in a child of this process, tells its exit code, and ends. (A process that has
    PyTorch loaded takes a second to end as programs do; one of `multiprocessing` does not.)"""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    size, streams, _, _ = socket.recv_fds(connection, 8, 3)
    call = b""
    while len(call) < int.from_bytes(size, "big"):
        call += connection.recv(1 << 20)
    child = get_context("fork").Process(target=_run, args=(streams, *json.loads(call)))
    child.start()
    child.join()
    code = child.exitcode or 0
    connection.sendall(bytes([code if code >= 0 else 128 - code]))
    os._exit(0)


def _run(streams: list[int], words: list[str], folder: str, environment: dict[str, str]) -> None:
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["vatrack", *words]

    import torch

    from vatrack.cli import main

    torch.set_num_threads(int(environment.get("OMP_NUM_THREADS", "1")))
    main()


if __name__ == "__main__":
    serve(sys.argv[1])
