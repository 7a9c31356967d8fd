"""The miniature pipeline on the cluster, as a person runs it: `snakemake --profile
profiles/slurm`."""

from __future__ import annotations

import copy
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import TINY_SET
from tests.slurm.cluster import ACCOUNT, processes_with, run, wait_until
from tests.workflow.conftest import TINY
from tests.workflow.snake import Workflow

REPOSITORY = Path(__file__).parents[2]
METHOD = "vatrack"
EPOCHS = 4  # of the undisturbed training
TRAINED = f"results/tiny/runs/{METHOD}__resnet18/training.json"
TABLES = "results/tiny/tables/tables.html"
PATIENCE = 300  # seconds, for what takes a few
SECONDS = 900  # for one call of Snakemake; everything here shares two cores
# What follows the training is one SLURM job: a job costs two starts of Snakemake, and one more for
# each rule in it.
AFTER = ("select", "predict", "evaluate", "tables")

CONFIG: dict[str, Any] = copy.deepcopy(TINY)
CONFIG["dataset"] |= {"synthetic": TINY_SET, "clips": {"structure": "whole"}}
CONFIG["training"] |= {"batch_size": 1}
CONFIG["input"] = {"image_scale": [96, 64]}
CONFIG["compute"] |= {"device": "cpu"}
CONFIG["mlflow"] = {"enabled": False}
CONFIG["launcher"] = {
    "cluster": "slurm",
    "gpus": 1,
    "gpu_type": "a100",
    "cpus": 1,
    "memory_gb": 2,
    "minutes": 20,
    # With a limit of two minutes SLURM tells the training when it next looks, not much later.
    "save_seconds": 85,
    "on_interrupt": "ask",
}


class Pipeline:
    """A results folder with one config.

    Args:
        epochs: how long the training takes; only the last one is validated.
        target: what Snakemake is called for.
    """

    def __init__(
        self, folder: Path, epochs: int, target: str = TABLES, **sections: dict[str, Any]
    ) -> None:
        self.folder, self.target = folder, target
        self.config = copy.deepcopy(CONFIG) | {"methods": [METHOD]}
        self.config["training"] |= {"epochs": epochs, "validate_from": epochs}
        for name, values in sections.items():
            self.config[name] |= values
        self.results = folder / "results" / "tiny"
        self.training_folder = self.results / "runs" / f"{METHOD}__resnet18"

    def make_data(self) -> None:
        """The data stages, without SLURM: their jobs would cost minutes and show nothing that later
        ones do not."""
        Workflow(self.folder, self.config).run("annotations")

    def copy_data(self, staged: Pipeline) -> None:
        """Takes over what comes before the training, with Snakemake's memory of it."""
        shutil.copytree(staged.folder, self.folder, symlinks=True)

    def command(self, *more: str) -> list[str]:
        """A call of Snakemake for the target, or for `more`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "config.yaml"
        config.write_text(yaml.safe_dump(self.config))
        command = [sys.executable, "-m", "snakemake", *(more or [self.target])]
        command += ["--profile", "profiles/slurm"]
        command += ["--directory", str(self.folder), "--configfile", str(config)]
        # What a person would write into the profile; the trainings take it over.
        command += [
            "--default-resources",
            "slurm_partition=gpu_low",
            f"slurm_account={ACCOUNT}",
            "constraint=a100_40gb",
        ]
        command += ["mem_mb=2000", "runtime=20", "--slurm-init-seconds-before-status-checks", "1"]
        command += ["--set-threads", "predict=1", "evaluate=1"]
        command += ["--groups", *(f"{rule}=after" for rule in AFTER)]
        return command

    def start(self, *more: str) -> subprocess.Popen[str]:
        """Calls Snakemake in a session of its own and does not wait; what it shows goes to
        `shown`."""
        with (self.folder.parent / f"{self.folder.name}.log").open("a") as output:
            return subprocess.Popen(
                self.command(*more),
                cwd=REPOSITORY,
                env=_environment(),
                text=True,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def shown(self) -> str:
        """What all calls so far have shown, except on a terminal of their own."""
        path = self.folder.parent / f"{self.folder.name}.log"
        return path.read_text() if path.exists() else ""

    def finish(self, call: subprocess.Popen[str], status: int = 0) -> None:
        """Waits for a call of Snakemake."""
        try:
            assert call.wait(SECONDS) == status, self.shown
        except subprocess.TimeoutExpired:
            os.killpg(call.pid, signal.SIGKILL)
            raise AssertionError(
                f"not ready after {SECONDS} s:\n{self.shown}\n{run('squeue')}"
            ) from None

    def run(self, *more: str, status: int = 0) -> None:
        """Calls Snakemake and waits for it."""
        self.finish(self.start(*more), status)

    def job(self) -> str:
        """The id of the training's SLURM job."""
        return json.loads((self.training_folder / "submitit" / "job.json").read_text())["id"]

    def jobs(self) -> dict[str, str]:
        """All SLURM jobs that were submitted for the training, from what they left, with the states
        that each has been in. Waits until they have ended."""
        left = (self.training_folder / "submitit").glob("*_submission.sh")
        jobs = sorted(path.name.split("_")[0] for path in left)

        def ended() -> bool:
            return not {"RUNNING", "PENDING"} & set(" ".join(map(history, jobs)).split())

        wait_until(ended, PATIENCE, f"the end of the jobs {jobs}")
        return {job: history(job) for job in jobs}

    def training(self) -> dict[str, Any]:
        """training.json."""
        return json.loads((self.training_folder / "training.json").read_text())

    def freeze(self) -> str:
        """Stops the training in its second epoch, so that no machine is too quick or too slow for
        what happens to it. SIGCONT resumes it; SLURM sends one before each of its signals.

        Returns:
            The id of its SLURM job.
        """
        states = self.training_folder / "state"
        # It saves its state at its start and at each epoch's end.
        wait_until(
            lambda: any(states.glob("state_*[2-9].pt")),
            PATIENCE,
            f"the second epoch of the training\n{self.shown}",
        )
        self._signal(signal.SIGSTOP)
        assert states.exists(), "the training was too quick for this test"
        return self.job()

    def thaw(self) -> None:
        """Lets a frozen training go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        for pid in self.processes():
            os.kill(pid, number)

    def processes(self) -> list[int]:
        """The processes that train, without SLURM's own, which watch them."""
        found = processes_with(f"SLURM_JOB_ID={self.job()}")
        commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") for pid in found}
        return [
            pid
            for pid, words in commands.items()
            if words[1:4] == [b"-u", b"-m", b"submitit.core._submit"]
        ]

    def wait_until_shown(self, line: str) -> None:
        """Waits until a call of Snakemake has shown a line."""
        wait_until(lambda: line in self.shown, PATIENCE, f"{line!r} in\n{self.shown}")

    def log(self, job: str) -> str:
        """What a SLURM job of the training has written, in all its starts."""
        return (self.training_folder / "submitit" / f"{job}_0_log.out").read_text()

    def learned(self) -> dict[str, bytes]:
        """The checkpoint and its metrics: all later files are made from them."""
        return {
            path.name: path.read_bytes()
            for folder in ("checkpoints", "validation")
            for path in sorted((self.training_folder / folder).iterdir())
        }

    def tables(self) -> dict[str, bytes]:
        """All tables, by name."""
        return {
            path.name: path.read_bytes()
            for path in sorted((self.results / "tables").iterdir())
            if path.is_file()
        }


def _environment() -> dict[str, str]:
    # Jobs import this checkout. Coverage and the like stay out of them.
    return {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}


def on_terminal(pipeline: Pipeline, typed: dict[str, Callable[[], bytes]]) -> tuple[int, str]:
    """Calls Snakemake on a terminal of its own and types something when what is shown matches a
    pattern, in this order.

    Returns:
        Its exit status and all that it showed.
    """
    terminal, its_side = pty.openpty()
    command = ["setsid", "--ctty", *pipeline.command()]
    call = subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env=_environment(),
        stdin=its_side,
        stdout=its_side,
        stderr=its_side,
    )
    os.close(its_side)
    shown, rest = "", list(typed.items())
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                shown += os.read(terminal, 10000).decode(errors="replace")
            except OSError:  # nobody has it open any more
                break
        if rest and re.search(rest[0][0], shown):
            os.write(terminal, rest.pop(0)[1]())
    else:
        call.kill()
    os.close(terminal)
    status = call.wait()
    assert not rest, f"{rest} was never typed:\n{shown}"
    return status, shown


def history(job: str) -> str:
    """All states that a SLURM job has been in, one for each start."""
    asked = run("sacct", "-n", "-X", "--duplicates", "-j", job, "--format=State%40")
    return " ".join(asked.split())


def field(job: str, name: str) -> str:
    """A field of SLURM's accounting."""
    return run("sacct", "-n", "-X", "-P", "-j", job, f"--format={name}").splitlines()[-1].strip()
