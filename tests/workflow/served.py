"""`vatrack` as a program that starts in no time: each call is forked off a server that has loaded
PyTorch, where a new Python takes seconds. Networks are those of `narrow_trunks`, also in the jobs
of `vatrack launch`.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from pathlib import Path
from unittest.mock import patch

import typer.main

from tests.built_once import commands_built_once
from tests.narrow import narrow_commands
from tests.server import SERVER, WORKERS, use_this_server
from tests.waiting import wait_until

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
    server = SERVER.Process(target=serve, args=(str(address),))
    server.start()
    try:
        wait_until(address.exists, process=server, what="the server of commands")
        yield python
    finally:
        server.kill()
        server.join()


def serve(address: str) -> None:
    """Answers calls until the process that started this one ends."""
    for name in LOADED:
        import_module(name)
    from vatrack.cli import app

    use_this_server()
    with (
        narrow_commands(),
        patch("vatrack.common.parallel.get_context", lambda _: WORKERS),
        commands_built_once(),
    ):
        typer.main.get_command(app)
        _accept(address)


def _accept(address: str) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who answer
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{address}.part")
        listener.listen(64)
        Path(f"{address}.part").rename(address)
        starter = parent_process()
        assert starter is not None
        while starter.sentinel not in wait([listener, starter.sentinel]):
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
    # The jobs of `launch` find tests.narrow there.
    os.environ.update(environment | {"PYTHONPATH": str(REPOSITORY)})
    sys.argv = ["vatrack", *words]

    import torch

    from vatrack.cli import main

    torch.set_num_threads(int(environment.get("OMP_NUM_THREADS", "1")))
    main()
