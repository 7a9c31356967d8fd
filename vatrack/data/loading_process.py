"""One process that loads: how it is started and ends, and how results come from it.

A result comes as an anonymous file in memory (memfd) behind a message of a few bytes. So nothing
depends on the size of /dev/shm, hardly anything on the number of open files, and a process that is
killed or stopped while it sends cannot block its reader.
"""

from __future__ import annotations

import errno
import io
import mmap
import os
import pickle
import resource
import socket
import struct
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.context import ForkProcess
from typing import Any, NoReturn, TypeVar

import torch

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.signals import end_with_parent, ignore_stop_signals

AHEAD = 2  # results that each process makes ahead
NOTE_BYTES = 4096
MESSAGE_BYTES = 1 << 17  # the most that is taken of one
ALIGNMENT = 64  # as PyTorch aligns its own tensors
RESULT = struct.Struct("<cQQ")

T = TypeVar("T")
R = TypeVar("R")

# What is read now; in a loading process its parent sees it.
_note: mmap.mmap = mmap.mmap(-1, NOTE_BYTES)


def reading(what: object) -> None:
    """Notes what is read next; messages about a loading process that ended or hangs name it."""
    text = str(what).encode(errors="replace")[: NOTE_BYTES - 1]
    _note[: len(text) + 1] = text + b"\0"


def _noted(note: mmap.mmap) -> str:
    text = note[:].split(b"\0", 1)[0].decode(errors="replace")
    return f"while reading {text}" if text else "before reading anything"


def load_here(load: Callable[[T], R], item: T) -> R:
    """`load(item)`, with advice where the machine is the problem."""
    try:
        return load(item)
    except MemoryError:
        raise InputError(f"out of memory {_noted(_note)}; {memory_advice()}") from None
    except OSError as error:
        raise explained(error, f"loading failed {_noted(_note)}") from None


def explained(error: OSError, what: str) -> Exception:
    """An `InputError` with advice where open files, memory or processes are used up.

    Any other error is returned as it is.

    Args:
        what: failed; begins the message.
    """
    if error.errno == errno.EMFILE:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        return InputError(
            f"{what}: this process has reached its limit of {counted(soft, 'open file')}; raise "
            f"the limit (ulimit -n; up to {hard} here), or lower compute.workers"
        )
    if error.errno in (errno.ENOMEM, errno.ENOSPC, errno.EAGAIN) and error.filename is None:
        return InputError(f"{what} ({error.strerror}); {memory_advice()}")
    return error


def memory_advice(workers: int | None = None) -> str:
    """What to do where memory is used up.

    Args:
        workers: `compute.workers`, where it is known.
    """
    now = "" if workers is None else f" (now {workers}; 0: load in the main process)"
    return (
        f"lower compute.workers{now} or training.batch_size, or provide more memory (on a "
        "cluster: launcher.memory_gb)"
    )


class LoadingProcess(ForkProcess):
    """One loading process, as its parent sees it.

    Attributes:
        socket: gives a message for each item, and takes a byte for each further one.
    """

    def __init__(self, load: Callable[[Any], Any], items: Sequence[Any]) -> None:
        super().__init__(daemon=True)
        self.socket, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._note = mmap.mmap(-1, NOTE_BYTES)
        self._load, self._share, self._parent = load, items, os.getpid()
        self._wanted = 0
        with self._theirs:
            self.start()
        for _ in range(AHEAD):
            self._want_another()

    def receive(self) -> tuple[bytes, list[int]]:
        """A message and the file that came with it; nothing where the process is gone."""
        try:
            message, files, *_ = socket.recv_fds(self.socket, MESSAGE_BYTES, 1)
        except OSError:
            return b"", []
        self._want_another()
        return message, files

    def _want_another(self) -> None:
        # Never more than there are: bytes that nobody reads would hide the last result.
        if self._wanted < len(self._share):
            self._wanted += 1
            with suppress(OSError):
                self.socket.send(b"+")

    def doing(self) -> str:
        """What it reads, for messages."""
        return _noted(self._note)

    def run(self) -> None:
        """In the loading process: loads its share."""
        global _note
        ignore_stop_signals()
        end_with_parent(self._parent)
        self.socket.close()
        _note = self._note
        torch.set_num_threads(1)
        try:
            for item in self._share:
                if not self._theirs.recv(1):
                    return
                self._send(item)
        except OSError:  # the parent is gone
            return

    def _send(self, item: Any) -> None:
        try:
            file, message = _pack(load_here(self._load, item))
        except Exception as error:  # whatever it is, the parent shall say it
            self._theirs.send(b"!" + pickle.dumps(_plain(error)))
            return
        with file:
            socket.send_fds(self._theirs, [message], [file.fileno()])


def _plain(error: Exception) -> tuple[str, tuple[Any, ...], str]:
    """Name, arguments and traceback of an error, as values that any process can read."""
    if isinstance(error, InputError):
        return "InputError", (str(error),), ""
    if isinstance(error, OSError) and error.errno is not None:
        return "OSError", (error.errno, error.strerror, error.filename), ""
    trace = "".join(traceback.format_exception(error))[-20000:]
    return type(error).__name__, (str(error)[:20000],), trace


def _raise_error(name: str, arguments: tuple[Any, ...], trace: str) -> NoReturn:
    if name == "InputError":
        raise InputError(*arguments)
    if name == "OSError":
        raise OSError(*arguments)
    error = RuntimeError(f"{name} in a data-loading process: {arguments[0]}")
    error.add_note(trace)
    raise error


class _Pickler(pickle.Pickler):
    """Tensors as arrays, whose content is handed out beside the stream."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return torch.from_numpy, (value.numpy(),)
        return NotImplemented


def _pack(result: Any) -> tuple[io.BufferedRandom, bytes]:
    """A file in memory with the content of a result, and the message that says what is where."""
    stream, buffers = io.BytesIO(), list[pickle.PickleBuffer]()
    _Pickler(stream, protocol=5, buffer_callback=buffers.append).dump(result)
    try:
        file = os.fdopen(os.memfd_create("vatrack"), "w+b")
        try:
            spans = []
            for buffer in buffers:
                file.write(bytes(-file.tell() % ALIGNMENT))
                first = file.tell()
                file.write(buffer.raw())
                spans.append((first, file.tell()))
            start = file.tell()
            size = file.write(pickle.dumps((stream.getvalue(), spans)))
            file.flush()
        except BaseException:
            file.close()
            raise
    except OSError as error:
        raise explained(error, "a loaded batch cannot be passed on") from None
    return file, RESULT.pack(b"=", start, size)


def open_result(message: bytes, files: list[int]) -> Any:
    """The result that a message tells of, in the memory of the file that came with it.

    Raises:
        InputError: as in the loading process; or the file cannot be opened.
        OSError: as in the loading process.
        RuntimeError: any other error there; the note has its traceback.
    """
    if message[:1] == b"!":
        _raise_error(*pickle.loads(message[1:]))
    if not files:
        raise explained(OSError(errno.EMFILE, ""), "a loaded batch cannot be opened")
    _, start, size = RESULT.unpack(message)
    try:
        memory = mmap.mmap(files[0], 0, mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0))
    except OSError as error:
        raise explained(error, "a loaded batch cannot be opened") from None
    finally:
        os.close(files[0])
    view = memoryview(memory)
    stream, spans = pickle.loads(view[start : start + size])
    return pickle.loads(stream, buffers=[view[first:last] for first, last in spans])
