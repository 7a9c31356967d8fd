"""Loads batches or frames in processes of their own, in order, and never waits for ever.

A loading process is forked for a share of the items (every n-th) and keeps at most `AHEAD` results
ready. A result comes as an anonymous file in memory (memfd) behind a message of a few bytes, so
nothing depends on the size of /dev/shm, hardly anything on the number of open files, and a process
that is killed or stopped while it sends cannot block its reader. What the reader finds out by
itself: a process that ended, one that gives no answer, and a signal that came meanwhile.
"""

from __future__ import annotations

import errno
import io
import mmap
import os
import pickle
import resource
import signal
import socket
import struct
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import connection
from multiprocessing.context import ForkProcess
from multiprocessing.util import Finalize
from typing import Any, Generic, NoReturn, TypeVar

import torch

from vatrack.common.errors import InputError
from vatrack.common.signals import NUMBERS, end_with_parent, ignore_stop_signals
from vatrack.config import ComputeConfig

AHEAD = 2
POLL_SECONDS = 0.5
# How long a result is still waited for when a signal asks for the end.
STOP_SECONDS = 5.0
# A signal to a process group ends loading processes at once; this one notes it a little later.
SAME_SIGNAL_SECONDS = 2.0
FILES = 4096  # the soft limit of open files is raised to this where the hard limit allows it
NOTE_BYTES = 4096
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
    return f"while {text} was read" if text else "before anything was read"


def load_in_order(
    load: Callable[[T], R],
    items: Sequence[T],
    compute: ComputeConfig,
    *,
    pin: Callable[[R], R] | None = None,
    stop: Callable[[], bool] = lambda: False,
    obey: Callable[[], object] = lambda: None,
) -> Iterator[R]:
    """`load(item)` for every item, in order, in `compute.workers` processes (0: in this one).

    What `load` returns must not depend on the process that it runs in; then the number of processes
    changes nothing. Tensors arrive in memory of their own. The processes end with the iteration,
    however it ends, and with this process.

    Args:
        pin: copies a result to page-locked memory, in a thread, while the one before is used.
        stop: whether a signal asked for the end. Then results are still handed out, which are
            loaded here where the signal ended the loading processes.
        obey: called when `stop` and the next result does not come for `STOP_SECONDS`.

    Raises:
        InputError: as raised by `load`; or a loading process was ended, or gave no answer for
            `compute.loader_timeout_seconds`; or memory, processes or open files do not suffice.

    Example:
        >>> from vatrack.config import ComputeConfig
        >>> list(load_in_order(lambda number: number**2, [1, 2, 3], ComputeConfig(workers=2)))
        [1, 4, 9]
    """
    # Without memfd (other systems than Linux) nothing is as safe as loading here.
    count = min(compute.workers, len(items)) if hasattr(os, "memfd_create") else 0
    if count == 0:
        for item in items:
            yield _load(load, item)
        return
    loaders = _Loaders(load, items, count, compute, stop, obey)
    try:
        if pin is None:
            for index in range(len(items)):
                yield loaders.take(index)
        else:
            yield from _pinned(loaders, len(items), pin)
    finally:
        loaders.end()


def _pinned(loaders: _Loaders[Any, R], count: int, pin: Callable[[R], R]) -> Iterator[R]:
    device = torch.cuda.current_device()
    with ThreadPoolExecutor(1, initializer=torch.cuda.set_device, initargs=(device,)) as thread:
        following = thread.submit(pin, loaders.take(0))
        for index in range(1, count + 1):
            batch = following.result()
            early = index < count and loaders.ready(index)
            if early:
                following = thread.submit(pin, loaders.take(index))
            yield batch
            if not early and index < count:
                following = thread.submit(pin, loaders.take(index))


def _load(load: Callable[[T], R], item: T) -> R:
    """`load(item)`, with advice where the machine is the problem."""
    try:
        return load(item)
    except MemoryError:
        raise InputError(f"no memory was left {_noted(_note)}; {_memory_advice()}") from None
    except OSError as error:
        raise _explained(error, f"loading failed {_noted(_note)}") from None


def _explained(error: OSError, what: str) -> Exception:
    if error.errno == errno.EMFILE:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        return InputError(
            f"{what}: this process may have {soft} files open, and they are used up; raise the "
            f"limit (ulimit -n; up to {hard} here), or set compute.workers lower"
        )
    if error.errno in (errno.ENOMEM, errno.ENOSPC, errno.EAGAIN) and error.filename is None:
        return InputError(f"{what} ({error.strerror}); {_memory_advice()}")
    return error


def _memory_advice(workers: int | None = None) -> str:
    now = "" if workers is None else f" (now {workers}; 0: load in the main process)"
    return (
        f"set compute.workers{now} or training.batch_size lower, or give it more memory (on a "
        "cluster: launcher.memory_gb)"
    )


class _Loaders(Generic[T, R]):
    """The loading processes of one iteration."""

    def __init__(
        self,
        load: Callable[[T], R],
        items: Sequence[T],
        count: int,
        compute: ComputeConfig,
        stop: Callable[[], bool],
        obey: Callable[[], object],
    ) -> None:
        self._load, self._items, self._stop, self._obey = load, items, stop, obey
        self._timeout, self._workers = compute.loader_timeout_seconds, compute.workers
        self._processes: list[_Process] = []
        # Before multiprocessing, at this process's end, asks each process to end and waits for it:
        # one that is stopped would never answer.
        self.end = Finalize(self, _end, args=(self._processes,), exitpriority=10)
        _raise_file_limit()
        # A new process must not meet a signal before it knows what to do.
        held = signal.pthread_sigmask(signal.SIG_BLOCK, NUMBERS)
        try:
            for number in range(count):
                self._processes.append(_Process(load, items[number::count]))
        except OSError as error:
            self.end()
            raise _explained(error, "no loading process can be started") from None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)

    def ready(self, index: int) -> bool:
        """Whether a result can be taken without waiting."""
        return bool(connection.wait([self._of(index).socket], 0))

    def take(self, index: int) -> R:
        """The result of an item; they are taken in order."""
        process = self._of(index)
        if self._wait(process):
            message, files = process.receive()
            if message[:1] == b"=":
                return self._open(message, files)
            if message:
                self._raise(*pickle.loads(message[1:]))
        self._check_end(process)
        return _load(self._load, self._items[index])

    def _of(self, index: int) -> _Process:
        return self._processes[index % len(self._processes)]

    def _wait(self, process: _Process) -> bool:
        """Until there is a message; False where the process ended without one."""
        # Counted in looks, not by the clock: while this process itself is stopped, nothing is late.
        looks, stop_looks = 0, 0
        while not (found := connection.wait([process.socket, process.sentinel], POLL_SECONDS)):
            looks += 1
            stop_looks += self._stop()
            if stop_looks * POLL_SECONDS >= STOP_SECONDS:
                self._obey()
            if looks * POLL_SECONDS >= self._timeout:
                raise InputError(
                    f"a loading process gave no answer for {self._timeout:g} s "
                    f"{process.doing()}; see whether the frames can still be read there, or raise "
                    "compute.loader_timeout_seconds"
                )
        return process.socket in found

    @staticmethod
    def _open(message: bytes, files: list[int]) -> R:
        if not files:
            raise _explained(OSError(errno.EMFILE, ""), "a loaded batch cannot be opened")
        _, start, size = RESULT.unpack(message)
        try:
            memory = mmap.mmap(files[0], 0, mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0))
        except OSError as error:
            raise _explained(error, "a loaded batch cannot be opened") from None
        finally:
            os.close(files[0])
        view = memoryview(memory)
        stream, spans = pickle.loads(view[start : start + size])
        result: R = pickle.loads(stream, buffers=[view[first:last] for first, last in spans])
        return result

    def _raise(self, name: str, arguments: tuple[Any, ...], trace: str) -> NoReturn:
        if name == "InputError":
            raise InputError(*arguments)
        if name == "OSError":
            raise OSError(*arguments)
        error = RuntimeError(f"{name} in a loading process: {arguments[0]}")
        error.add_note(trace)
        raise error

    def _check_end(self, process: _Process) -> None:
        """Returns where a signal to all processes ended this one, too.

        Raises:
            InputError: it ended for another reason.
        """
        process.join(5)
        code = process.exitcode
        deadline = time.monotonic() + SAME_SIGNAL_SECONDS
        while code == -signal.SIGTERM and not self._stop() and time.monotonic() < deadline:
            time.sleep(0.05)
        if self._stop():
            return
        advice = _memory_advice(self._workers)
        name = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
        what = f"a loading process ended ({name}) {process.doing()}"
        raise InputError(
            {
                -signal.SIGKILL: f"{what}: the memory was probably used up; {advice}",
                -signal.SIGBUS: f"{what}: a file was cut off while it was read, or the memory was "
                f"used up; {advice}",
                -signal.SIGTERM: f"{what}, from outside; repeat the command",
            }.get(code or 0, f"{what}; see whether that file is sound")
        )


class _Process(ForkProcess):
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
            message, files, *_ = socket.recv_fds(self.socket, 1 << 17, 1)
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
            file, message = _pack(_load(self._load, item))
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
        raise _explained(error, "a loaded batch cannot be handed on") from None
    return file, RESULT.pack(b"=", start, size)


def _end(processes: list[_Process]) -> None:
    for process in processes:
        process.kill()
    for process in processes:
        process.join(5)  # what waits for a dead disk cannot even be killed
        process.socket.close()


def _raise_file_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
