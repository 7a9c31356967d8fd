"""Functions that tests run in jobs: importable by name in a fresh process."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from vatrack.common.errors import ConfigError, FolderLost, InputError


def report(word: str) -> str:
    print(f"out: {word} in process {os.getpid()}")
    print(f"err: {word}, no end of line", file=sys.stderr, end="")
    return f"did {word}"


def bad_input() -> str:
    raise InputError("train.json: cut off; fetch it again")


def fill_the_disk(path: Path) -> str:
    print("training")
    raise OSError(errno.ENOSPC, "No space left on device", str(path))


def lose_a_frame(path: Path) -> str:
    return path.read_text()


def lose_the_folder() -> str:
    raise FolderLost("run: another training has begun")


def bad_setting() -> str:
    raise ConfigError("training.epochs", "is odd; choose another")


def fail_and_stay(bad: Path, pid: Path) -> str:
    """Finds its input bad where `bad` exists, but does not end, as with a process that it waits
    for."""
    if not bad.exists():
        return "went"
    pid.write_text(str(os.getpid()))
    threading.Thread(target=time.sleep, args=(300,)).start()
    raise InputError("frame.bmp: cut off")


def crash() -> str:
    print("about to crash")
    raise ZeroDivisionError("a bug")


def vanish() -> str:
    """Ends as a process does that runs out of memory."""
    os.kill(os.getpid(), signal.SIGKILL)
    return "never"


def wait_with_child(path: Path) -> str:
    """Starts a child process, as a data loader does, writes both process ids into `path`, and
    waits."""
    child = subprocess.Popen(["sleep", "300"])
    path.with_suffix(".part").write_text(f"{os.getpid()} {child.pid}")
    path.with_suffix(".part").rename(path)
    time.sleep(300)
    return "never"


def wait_for(go: Path, count: Path, product: Path | None = None) -> str:
    """Notes in `count` that it was started, waits for the file `go`, and writes `product` last."""
    with count.open("a") as file:
        file.write(f"{os.getpid()}\n")
    print("waiting", flush=True)
    while not go.exists():
        time.sleep(0.05)
    if product:
        product.write_text("complete\n")
    return "went"


def save_when_told(path: Path) -> str:
    """Saves when SIGTERM comes and then ends as the handler before says, like a training."""
    before = signal.getsignal(signal.SIGTERM)

    def save(number: int, frame: object) -> None:
        time.sleep(0.5)
        path.with_suffix(".saved").touch()
        before(number, frame)  # type: ignore[operator, arg-type]

    signal.signal(signal.SIGTERM, save)
    path.touch()
    time.sleep(300)
    return "never"


def describe_rank() -> str:
    """What torch.distributed reads."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    text = " ".join(os.environ[name] for name in names)
    print(f"rank {text}")
    return text


def describe_gpus() -> str:
    """What CUDA_VISIBLE_DEVICES says, and the lock files that this process holds open."""
    links = Path("/proc/self/fd").iterdir()
    names = [link.readlink().name for link in links if link.is_symlink()]
    locks = sorted(name for name in names if name.endswith(".lock"))
    return f"sees {os.environ['CUDA_VISIBLE_DEVICES']}, holds {' '.join(locks)}"


def import_queue() -> str:
    """Where a module of the standard library comes from, and whether PyTorch can be imported."""
    import queue

    import torch

    return f"{queue.__file__} {torch.__name__}"


def second_fails(kind: str) -> str:
    """The first process waits for ever for the second one, which fails."""
    if os.environ["RANK"] == "1":
        if kind == "bad input":
            raise InputError("valid.json: cut off; fetch it again")
        raise ZeroDivisionError("a bug in the second")
    time.sleep(300)
    return "never"
