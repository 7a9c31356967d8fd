"""`vatrack` in processes that a server forks, which has PyTorch loaded already: a job of a workflow
then starts in no time instead of four seconds.

    python -m tests.workflow.preloaded SOCKET PARENT
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from vatrack.common.signals import end_with_parent

LIBRARIES = ("torchvision.ops", "vatrack.training.loop", "matplotlib.pyplot", "pandas", "mlflow")
# Sends the server its streams, arguments, folder and environment, and ends as the command does.
CLIENT = """\
#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    socket.send_fds(server, [b"+"], [0, 1, 2])
    server.sendall(json.dumps([sys.argv, os.getcwd(), dict(os.environ)]).encode())
    server.shutdown(socket.SHUT_WR)
    sys.exit(int(server.recv(10)))
"""


@cache
def _commands() -> Path:
    """A folder with a `vatrack` of that kind, and Python; its server ends with this process."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    address = Path(folder.name) / "server"
    texts = {
        "vatrack": CLIENT.format(python=sys.executable, address=str(address)),
        "python": f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n',
    }
    for name, text in texts.items():
        command = Path(folder.name) / name
        command.write_text(text)
        command.chmod(0o755)
    server = subprocess.Popen(
        [sys.executable, "-m", __name__, str(address), str(os.getpid())],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
    )
    atexit.register(server.kill)
    assert server.stdout is not None and server.stdout.readline() == b"ready\n"
    return Path(folder.name)


@contextmanager
def preloaded() -> Iterator[None]:
    """Inside, the workflow's `vatrack` is that of this module: it takes the one beside Python, and
    other commands from PATH."""
    folder = _commands()
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", path)
        patch.setattr(sys, "executable", str(folder / "python"))
        yield


def _serve(address: str, parent: int) -> list[str]:
    """Returns in the new process of every command, with its arguments."""
    end_with_parent(parent)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    for name in LIBRARIES:
        importlib.import_module(name)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(address)
    listening.listen(100)
    os.write(1, b"ready\n")
    while True:
        client, _ = listening.accept()
        if not os.fork():
            listening.close()
            return _receive(client)
        client.close()


def _receive(client: socket.socket) -> list[str]:
    """Takes over what the client sent, in a process below this one, which reports its end."""
    _, streams, _, _ = socket.recv_fds(client, 1, 3)
    with client.makefile("rb") as stream:
        arguments, folder, environment = json.load(stream)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if child:
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        client.sendall(b"%d" % (status if status >= 0 else 128 - status))
        os._exit(0)
    client.close()
    for number, given in enumerate(streams):
        os.dup2(given, number)
        os.close(given)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    # Snakemake sets it for every job, and PyTorch reads it when it is loaded.
    import torch

    torch.set_num_threads(int(environment["OMP_NUM_THREADS"]))
    return arguments


if __name__ == "__main__":
    from vatrack.cli import main

    sys.argv = _serve(sys.argv[1], int(sys.argv[2]))
    main()
