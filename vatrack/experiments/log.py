"""Keeps the MLflow run of a training up to date while it trains, and after later stages.

All of it is done by `vatrack.experiments.store.sync` from the run's folder; here is who calls it
and when. No failure of MLflow ends or slows a stage, it only warns; `vatrack mlflow-sync` sends
later what is missing.
"""

from __future__ import annotations

import logging
import os
import shlex
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vatrack.common.errors import InputError
from vatrack.common.extras import is_missing
from vatrack.common.growing_text import changed_at
from vatrack.config import RunConfig
from vatrack.experiments.client import first_line, import_client, sqlite_path, store_uri
from vatrack.experiments.identity import begin, end, read_identity
from vatrack.experiments.store import Summary, run_config, sync
from vatrack.runs.folder import RunFolder

logger = logging.getLogger(__name__)


class ExperimentLog:
    """The live copy of one run: a thread that calls `sync` when the run's folder has changed.

    Where others upload the run there is no thread, and only its end is noted in its folder.
    """

    pause = 10.0  # seconds between two calls; more where a call takes long
    share = 0.2  # of the time that may be spent in calls

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # What the caller knows of the training; None: the folder tells.
        self._status: str | None = None
        self._measures = False
        self._monitor: Any = None
        self._failure: str | None = None
        self._closing = threading.Event()
        # A daemon: a store that does not answer must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name="mlflow", daemon=True)

    @classmethod
    def start(cls, run: RunConfig, out: Path, resume: bool = False) -> ExperimentLog | None:
        """Begins mlflow.json of a training, and the copying where that is this process's task.

        config.yaml must be in `out` already, and the lines of an earlier training must be gone from
        there. Meanwhile this process must hold the folder's lock: it tells others that the run
        runs.

        Args:
            run: the resolved config.
            out: the run's folder.
            resume: continue the MLflow run of this folder.
        """
        if not run.mlflow.enabled:
            if not resume:  # an earlier training's MLflow run is not this one's
                RunFolder(out).mlflow.unlink(missing_ok=True)
            return None
        try:
            begin(out, resume)
        except OSError as error:
            _warn(first_line(error), "the run is logged only to its folder")
            return None
        log = cls(out)
        with _only_told(out):
            if _left_to_others(run, out):
                _warn(
                    "a SQLite store cannot be written from jobs on several machines",
                    "`vatrack launch` uploads the curves while it waits, or use "
                    f"{_command(out)}; set MLFLOW_TRACKING_URI to a server to upload from the job",
                )
            else:
                log.upload(run, trains=True)
        return log

    def upload(self, run: RunConfig, trains: bool) -> None:
        """Starts the thread.

        Args:
            trains: this process trains the run; it also measures the machine where the config says.

        Raises:
            InputError: see `store_uri`. MLflow, where it is missing or broken, raises anything.
        """
        # Here: a data loader's worker that is forked amid an import may wait for ever.
        import_client(store_uri(self._folder, run))
        if trains:
            self._status = "RUNNING"
            self._measures = run.mlflow.system_metrics and find_spec("psutil") is not None
        if self._measures:
            import mlflow.system_metrics.system_metrics_monitor
            import mlflow.utils.autologging_utils  # noqa: F401

            logging.getLogger("mlflow.system_metrics").setLevel(logging.ERROR)
        self._thread.start()

    def close(self, status: str | None = None, patience: float = 20.0) -> None:
        """Notes how the training ended and waits for the last copy, at most so many seconds.

        Args:
            status: FINISHED, FAILED or KILLED; None: the folder tells.
        """
        try:
            if status:
                end(self._folder, status)
        except OSError as error:  # a full disk, which may be why it ended
            _warn(first_line(error), f"later uploads may say KILLED instead of {status}")
        self._status = status
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(patience)
        rest = f"{_command(self._folder)} uploads the rest"
        if self._thread.is_alive():
            _warn(f"the store has not responded for {patience:.0f} s", rest)
        elif self._failure:
            _warn(self._failure, rest)

    def _work(self) -> None:
        run, sent, wait, closing = RunFolder(self._folder), [0, 0], 0.0, False
        while not closing:
            closing = self._closing.wait(wait)
            begun = time.monotonic()
            found = [changed_at(path) for path in (run.mlflow, run.metrics_log)]
            if closing and self._monitor:
                self._monitor.finish()
            if found[0] and (closing or found != sent):  # no training without mlflow.json
                self._attempt()
                sent = [0, 0] if self._failure else found
            # A store that does not answer in time is left alone the longer for it.
            wait = max(self.pause, (time.monotonic() - begun) / self.share)

    def _attempt(self) -> None:
        """Calls `sync`; warns when an outage begins, and tells its end."""
        before, self._failure = self._failure, None
        try:
            done = sync(self._folder, status=self._status)
            if self._measures and not self._closing.is_set():
                self._measure(done)
        except Exception as error:  # whatever it is, it must not end a training
            self._failure = first_line(error)
            if before is None and not self._closing.is_set():
                _warn(self._failure, "the run continues; missing data is uploaded later")
        if before and not self._failure:
            logger.info("MLflow: the store is back and up to date")

    def _measure(self, done: Summary) -> None:
        """Starts MLflow's own monitor of the machine; it ends by itself when the store fails it."""
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        if not any(thread.name == "SystemMetricsMonitor" for thread in threading.enumerate()):
            self._monitor = SystemMetricsMonitor(
                done.run_id, self.pause, resume_logging=True, tracking_uri=done.store
            )
            self._monitor.start()


@contextmanager
def uploading(run: RunConfig, out: Path) -> Iterator[None]:
    """Copies the run while its job is waited for, where the job leaves that to others."""
    log = ExperimentLog(out)
    with _only_told(out), suppress(InputError):  # which the job says
        if run.mlflow.enabled and _cluster_with_file(run, out):
            log.upload(run, trains=False)
    try:
        yield
    finally:
        log.close()


def log_evaluation(folder: Path) -> None:
    """Adds the final metrics in a run's folder to its MLflow run; a failure is only told.

    Does nothing where the folder has no mlflow.json.
    """
    if read_identity(folder) is None:
        return
    try:
        run = run_config(folder)
        # Evaluations are many jobs at a time; the end of the workflow sends what they leave.
        if run.mlflow.enabled and not _left_to_others(run, folder):
            sync(folder)
    except Exception as error:
        rest = f"{_command(folder)} uploads them"
        _warn(first_line(error), f"the MLflow run of {folder} has no metrics yet; {rest}")


@contextmanager
def _only_told(folder: Path) -> Iterator[None]:
    """Whatever keeps the upload from beginning is a warning, and goes no further."""
    later = f"{_command(folder)} uploads the run"
    try:
        yield
    except Exception as error:  # a refused path, or an MLflow that is broken, in whatever way
        if isinstance(error, ImportError) and is_missing("mlflow", error):
            _warn("MLflow is not installed", f"once it is installed, {later}")
            return
        problem = str(error) if isinstance(error, InputError) else first_line(error)
        _warn(problem, f"{later} then")


def _command(folder: Path) -> str:
    return f"`vatrack mlflow-sync {shlex.quote(str(folder))}`"


def _left_to_others(run: RunConfig, folder: Path) -> bool:
    """Whether this is a job on a cluster and the store a SQLite file.

    Many machines must not write one over a network disk.
    """
    return "SLURM_JOB_ID" in os.environ and _cluster_with_file(run, folder)


def _cluster_with_file(run: RunConfig, folder: Path) -> bool:
    return run.launcher.cluster == "slurm" and sqlite_path(store_uri(folder, run)) is not None


def _warn(problem: str, consequence: str) -> None:
    warnings.warn(f"MLflow: {problem}; {consequence}", stacklevel=3)
