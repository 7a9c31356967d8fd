"""Keeps a run's entry in MLflow up to date while the run goes on, and after later stages.

All of it is done by `vatrack.experiments.store.sync` from the run's folder; here is who calls it
and when. No failure of MLflow ends or slows a stage, it only warns; `vatrack mlflow-sync` sends
later what is missing.
"""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vatrack.common.errors import InputError
from vatrack.config import RunConfig
from vatrack.experiments.client import import_client, sqlite_path
from vatrack.experiments.record import RECORD, begin, now, read_record, tracking_uri, update
from vatrack.experiments.store import StoreError, first_line, run_config, store_of, sync


class ExperimentLog:
    """The live copy of one run: a thread that calls `sync` when there is something new."""

    pause = 10.0  # seconds between two calls; more where a call takes long
    retry = 60.0  # seconds for which a store that failed is left alone
    share = 0.2  # of the time that may be spent in calls

    def __init__(self, folder: Path | None = None, *, watch: bool = False) -> None:
        """Without a folder: nothing is ever done. `watch`: somebody else writes in the folder, so
        look there now and then."""
        self._folder = folder
        self._watch = watch
        self._woken, self._closing = threading.Event(), threading.Event()
        self._failure: str | None = None
        self._seen: tuple[int, ...] | None = None
        self._thread: threading.Thread | None = None

    @classmethod
    def start(cls, run: RunConfig, out: Path, resume: bool = False) -> ExperimentLog:
        """Begins the record of a training in its folder, and the copying where that is this
        process's task.

        config.yaml must be in `out` already, and the lines of an earlier training must be gone from
        there.

        Args:
            run: the resolved config.
            out: the run's folder.
            resume: go on with the entry that `out` names.
        """
        out = Path(out)
        if not run.mlflow.enabled:
            if not resume:
                (out / RECORD).unlink(
                    missing_ok=True
                )  # an earlier training's entry is not this one's
            return cls()
        log = cls(out)
        try:
            begin(out, run, resume)
            import_client(
                tracking_uri(run)
            )  # here: a data loader's worker that is forked amid an import may wait for ever
        except ImportError:
            _warn("MLflow is not installed", f"where it is, {command(out)} makes the run's entry")
        except OSError as error:
            _warn(first_line(error), "the run is recorded in its folder only")
        else:
            if left_to_others(run, tracking_uri(run)):
                _warn(
                    "a SQLite file is not written from jobs on several machines",
                    f"`vatrack launch` sends the curves while it waits, or {command(out)} does it; "
                    "set MLFLOW_TRACKING_URI to a server to send from the job",
                )
            else:
                log._run()
                log.wake()
        return log

    def wake(self) -> None:
        """There is something new in the folder. Returns at once."""
        self._woken.set()

    def close(self, status: str = "FINISHED", patience: float = 20.0) -> None:
        """Notes how the training ended (FINISHED, FAILED or KILLED) and waits at most `patience`
        seconds for the last copy."""
        if self._folder is None:
            return
        try:
            update(self._folder, status=status, ended=now())
        except OSError as error:
            _warn(
                first_line(error), f"{self._folder / RECORD} does not say that the run is {status}"
            )
        self._stop(patience)

    def _run(self) -> None:
        # A daemon: a store that does not answer must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name="mlflow", daemon=True)
        self._thread.start()

    def _stop(self, patience: float) -> None:
        if self._thread is None or self._closing.is_set():
            return
        self._closing.set()
        self.wake()
        self._thread.join(patience)
        if self._thread.is_alive():
            _warn(
                f"the store has not answered for {patience:.0f} s",
                f"{command(self._folder)} sends the rest",
            )
        elif self._failure:
            _warn(self._failure, f"{command(self._folder)} sends the rest")

    def _work(self) -> None:
        while True:
            self._wait()
            self._woken.clear()
            closing = self._closing.is_set()
            begun = time.monotonic()
            done = self._attempt()
            if closing:
                return
            if not done:
                self.wake()
            took = time.monotonic() - begun
            self._closing.wait(max(self.pause, took / self.share) if done else self.retry)

    def _wait(self) -> None:
        """Until there is something new, or the end has come."""
        while not self._woken.wait(self.pause if self._watch else None):
            if (found := self._state()) != self._seen:
                self._seen = found
                return

    def _state(self) -> tuple[int, ...] | None:
        """Changes when the folder does; None while no training has begun there."""
        assert self._folder is not None
        paths = [self._folder / name for name in (RECORD, "metrics.jsonl")]
        times = tuple(path.stat().st_mtime_ns if path.exists() else 0 for path in paths)
        return times if times[0] else None

    def _attempt(self) -> bool:
        """Whether the store has everything now. The first failure of an outage is told, and its
        end."""
        assert self._folder is not None
        if self._watch and self._state() is None:
            return True
        try:
            sync(self._folder)
        except Exception as error:  # whatever it is, it must not end a training
            if self._failure is None and not self._closing.is_set():
                _warn(first_line(error), "the run goes on; what is missing is sent later")
            self._failure = first_line(error)
            return False
        if self._failure is not None:
            print("MLflow: the store is back, and has what was missing", flush=True)
        self._failure = None
        return True


@contextmanager
def follow(run: RunConfig, out: Path) -> Iterator[None]:
    """For a process that waits for the job of a run: copies the run meanwhile, where the job leaves
    that to others."""
    log = ExperimentLog(Path(out), watch=True)
    if run.mlflow.enabled and _cluster_with_file(run, tracking_uri(run)):
        try:
            import_client(tracking_uri(run))
            log._run()
        except ImportError:
            pass  # the job says it
    try:
        yield
    finally:
        log._stop(patience=20.0)


def log_evaluation(run: Path, metrics: Path) -> None:
    """Adds the final metrics to the entry of a run, and their file; does nothing where the run has
    no entry."""
    _complete(run, "metrics", metrics)


def log_tables(runs: list[Path], tables: Path) -> None:
    """Adds the files of a folder to the entries of runs, under `tables/`."""
    for run in runs:
        _complete(run, "tables", tables)


def left_to_others(run: RunConfig, uri: str) -> bool:
    """Whether this is a job on a cluster and the store a SQLite file: many machines must not write
    one over a network disk."""
    return "SLURM_JOB_ID" in os.environ and _cluster_with_file(run, uri)


def command(folder: Path | None) -> str:
    """What a person calls to send the rest."""
    return f"`vatrack mlflow-sync {folder}`"


def _cluster_with_file(run: RunConfig, uri: str) -> bool:
    return run.launcher.cluster == "slurm" and sqlite_path(uri) is not None


def _complete(folder: Path, key: str, made: Path) -> None:
    """Notes what a later stage has made and sends it; a failure is only told."""
    folder = Path(folder)
    if read_record(folder) is None:
        return
    try:
        # From the run's folder, so that a tree of results may be moved.
        update(folder, **{key: os.path.relpath(made.resolve(), folder.resolve())})
        run = run_config(folder)
        # Evaluations are many jobs at a time; the tables come last and alone, and send everything.
        if run.mlflow.enabled and not (
            key == "metrics" and left_to_others(run, store_of(folder, run))
        ):
            sync(folder)
    except (InputError, StoreError, OSError) as error:
        _warn(
            first_line(error),
            f"the entry of {folder} lacks its {key}; {command(folder)} sends them",
        )


def _warn(problem: str, consequence: str) -> None:
    warnings.warn(f"MLflow: {problem}; {consequence}", stacklevel=3)
