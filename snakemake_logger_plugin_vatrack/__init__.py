"""`snakemake --logger vatrack`: one line a stage, progress, failures that say where to look.

Snakemake finds the package by its name. `workflow/profiles/default` asks for it. Snakemake's own
output is shown for dry runs and where it is asked for: -p, --verbose, --debug-dag, --quiet all.
"""

from __future__ import annotations

import shutil
import sys
import threading
import time
from logging import WARNING, Handler, LogRecord
from pathlib import Path
from typing import Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_vatrack.command_line import explained
from snakemake_logger_plugin_vatrack.stages import Stages
from vatrack.common.counted import counted
from vatrack.common.progress import duration

POLL_SECONDS = 0.5
CLEAR_LINE = "\r\x1b[K"
# Said of every run.
NOISE = ("Building DAG of jobs...", "Assuming unrestricted shared filesystem usage.")
NOTHING_TO_DO = "Nothing to be done"
INTERRUPTED = "Terminating processes on user request"
ENDING = "Will exit after finishing currently running jobs"  # after SIGTERM
LOG_FILES = "Complete log(s): "
# What is said of a failed job besides; its log says more.
OF_FAILURE = (
    "RuleException:\nCalledProcessError",
    "Exiting because a job execution failed",
    "WorkflowError:\nAt least one job",
)


class LogHandler(LogHandlerBase):
    """Shows a run of the workflow."""

    def __post_init__(self) -> None:
        asked = self.common_settings
        quiet = {str(getattr(level, "name", level)).lower() for level in asked.quiet or ()}
        own = asked.dryrun or asked.verbose or asked.printshellcmds or asked.debug_dag
        self._plain = bool(own or quiet & {"all", "rules", "progress"})
        self._delegate: Handler | None = None
        self._stages = Stages(time.monotonic())
        self._before: list[str] = []  # what was said before it was clear that jobs will run
        self._runs = self._interrupted = self._ending = self._nothing = self._closed = False
        self._tables = 0
        self._log: str | None = None
        self._closing: Any = None
        self._status = ""
        self._in_place = sys.stdout.isatty()
        self._stop = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)

    @property
    def writes_to_stream(self) -> bool:
        """In place of Snakemake's own output."""
        return True

    @property
    def writes_to_file(self) -> bool:
        """Snakemake keeps its log file."""
        return False

    @property
    def has_filter(self) -> bool:
        """Snakemake's is used."""
        return False

    @property
    def has_formatter(self) -> bool:
        """Snakemake's is used where its own text is shown."""
        return False

    @property
    def needs_rulegraph(self) -> bool:
        """Not needed."""
        return False

    def emit(self, record: LogRecord) -> None:
        """Shows what a record means."""
        try:
            if (closing := getattr(record, "vatrack_closing", None)) is not None:
                self._closing = closing
            elif (
                record.levelno >= WARNING
                and getattr(record, "event", None) != LogEvent.JOB_ERROR
                and (mistake := explained(record.getMessage(), sys.argv[1:]))
            ):
                self._write([mistake], sys.stderr)
            elif self._is_first_table(record):
                pass
            elif self._plain:
                self._snakemakes_own().handle(record)
            else:
                self._take(record, getattr(record, "event", None))
        except Exception:
            self.handleError(record)

    def _is_first_table(self, record: LogRecord) -> bool:
        """Whether this is the table of jobs that a dry run shows once more at its end."""
        if not self.common_settings.dryrun or getattr(record, "event", None) != LogEvent.RUN_INFO:
            return False
        self._tables += 1
        return self._tables == 1

    def _snakemakes_own(self) -> Handler:
        if self._delegate is None:
            from snakemake.logging import ColorizingTextHandler

            settings = self.common_settings
            stream = sys.stdout if settings.stdout else sys.stderr
            self._delegate = ColorizingTextHandler(settings.nocolor, stream, self.formatter)
        return self._delegate

    def _take(self, record: LogRecord, event: LogEvent | None) -> None:
        now = time.monotonic()
        if event == LogEvent.RUN_INFO:
            self._plan(record.stats)  # type: ignore[attr-defined]
        elif event == LogEvent.JOB_INFO:
            self._job(record.__dict__, now)
        elif event == LogEvent.JOB_FINISHED:
            self._write(self._stages.finished(record.job_id, now))  # type: ignore[attr-defined]
        elif event == LogEvent.JOB_ERROR:
            if not self._interrupted:
                values = record.__dict__
                failure = self._stages.failure(values["jobid"], values["rule_name"], values["log"])
                self._write(failure, sys.stderr)
        elif record.levelno >= WARNING and event in (None, LogEvent.ERROR):
            self._problem(record)
        elif event is None and record.msg:
            self._remark(str(record.msg))

    def _plan(self, counts: dict[str, int]) -> None:
        self._runs = True
        # `all` and the like only collect.
        self._stages.plan({rule: count for rule, count in counts.items() if rule != "all"})
        jobs = sum(self._stages.planned.values())
        self._write([f"{counted(jobs, 'job')} to do"])
        if not self._ticker.is_alive():
            self._ticker.start()

    def _job(self, values: dict[str, Any], now: float) -> None:
        if values["rule_name"] in self._stages.planned:
            message = values["rule_msg"] or values["rule_name"].replace("_", " ")
            wildcards = dict(values["wildcards"] or {})
            logs = [str(log) for log in values["log"]]
            number, rule = values["jobid"], values["rule_name"]
            self._stages.job(number, rule, message, wildcards, logs, now)

    def _problem(self, record: LogRecord) -> None:
        text = self.format(record)
        if not text.startswith(OF_FAILURE):
            self._write([text], sys.stderr)

    def _remark(self, text: str) -> None:
        if text.startswith(LOG_FILES):
            self._log = _near(text.removeprefix(LOG_FILES))
        elif text.startswith(NOTHING_TO_DO):
            self._nothing = True
        elif text.startswith(INTERRUPTED):
            self._interrupted = True
            self._status = ""  # nothing is cleared or written in place: a training may be asking
            self._write(["", "stopping (a running training saves its state first)"])
        elif text.startswith(ENDING):
            if not self._ending:  # Snakemake says it again and again
                self._ending = True
                self._write(["", "waiting for the running jobs, starting no others (Ctrl-C stops)"])
        elif not self._runs and text not in NOISE:
            self._before.append(text)

    def _tick(self) -> None:
        while not self._stop.wait(POLL_SECONDS):
            with self.lock:  # type: ignore[union-attr]
                if self._stop.is_set():  # it was waited for in vain
                    return
                lines = self._stages.tick(time.monotonic(), in_place=self._in_place)
                self._write(lines)

    def _write(self, lines: list[str], stream: Any = None) -> None:
        """Lines, and below them on a terminal what runs now."""
        shows = self._in_place and not (self._closed or self._interrupted)
        status = self._stages.status if shows else ""
        if not lines and status == self._status:
            return
        if self._status:
            print(CLEAR_LINE, end="", flush=True)
        for line in lines:
            print(line, file=stream or sys.stdout, flush=True)
        self._status = status
        if status:
            width = shutil.get_terminal_size().columns - 1
            print(status[:width], end="", flush=True)

    def close(self) -> None:
        """The end: the stages that are complete, and what came out or why it did not."""
        if not self._closed:
            self._stop.set()
            if self._ticker.is_alive():
                # It waits for the handler's lock, which may be held here.
                self._ticker.join(timeout=2 * POLL_SECONDS)
            self._closed = True
            if not self._plain:
                self._write(self._last_lines())
        super().close()

    def _last_lines(self) -> list[str]:
        now, stages = time.monotonic(), self._stages
        if not self._runs:
            nothing = ["nothing to do, everything is up to date"] if self._nothing else []
            return self._before + nothing + (self._results() if self._nothing else [])
        lines = stages.tick(now, in_place=True) + stages.rest()
        complete = sum(job.done for stage in stages.stages.values() for job in stage.jobs.values())
        if not stages.stages and not (self._interrupted or self._ending):
            return lines  # a message says why no job was started
        if stages.failed or self._interrupted or complete < sum(stages.planned.values()):
            interrupted = self._interrupted or (self._ending and not stages.failed)
            return lines + stages.stopped(now, self._log, interrupted=interrupted)
        lines += self._results() if "report" in stages.planned else []
        took = f"{counted(sum(stages.planned.values()), 'job')} in {duration(now - stages.begun)}"
        return [*lines, f"{took}; details: {self._log}" if self._log else took]

    def _results(self) -> list[str]:
        if self._closing is None:
            return []
        try:
            text = str(self._closing())
        except Exception as error:  # Snakemake would swallow it, and with it all last lines
            reason = str(error) or type(error).__name__
            text = f"summary not available: {reason}"
        return ["", text, ""] if text else []


def _near(path: str) -> str:
    """Relative to the working folder where it lies below it."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path
