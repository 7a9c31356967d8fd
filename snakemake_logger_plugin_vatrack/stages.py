"""What a run of the workflow shows: a line for each stage, progress, failures, an end.

Knows nothing of Snakemake and prints nothing: `Stages` is told what happens and returns lines.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from snakemake_logger_plugin_vatrack.weights import WEIGHTS
from vatrack.common.counted import counted
from vatrack.common.growing_text import GrowingText, changed_at
from vatrack.common.progress import duration

# A stage is a rule for one run of the config; jobs that differ in other wildcards share its line.
OF_A_RUN = ("method", "backbone", "variant")
TITLE_WIDTH = 66
LAST_LINES = 15  # of a failed job's log
EMPTY = "its log is empty; the process may have been killed, for lack of memory for example"
IDLE_SECONDS = 3.0
FIRST_PAUSE = 30.0  # between lines of progress where they cannot replace each other

_LEFT = re.compile(r"(about [\d.]+ (min|h|days) left|less than a minute left)")
_COUNT = re.compile(r"iteration (\d+)/(\d+)|: (\d+) of (\d+)\b")
# Of a training: where its job runs, if that is here, and what the stage's own line says.
_SAID_OTHERWISE = re.compile(r"job \S+ \(local\)|.*: \d+ epochs, \d+ iterations in ")


@dataclass
class Job:
    """A job of a stage, and its log as far as it has been read."""

    rule: str
    message: str
    log: str | None
    started: float
    before: int = 0  # time of the last change of its log, by an earlier run
    done: bool = False
    news: str = ""  # the last line of progress in its log
    fraction: float = 0.0

    @cached_property
    def _text(self) -> GrowingText:
        return GrowingText(self.log or "")

    def read(self) -> list[str]:
        """The complete lines that came to its log since the last call."""
        if self.log is None or changed_at(self.log) == self.before:
            return []
        return self._text.lines()

    def follow(self) -> list[str]:
        """Reads on in its log; returns the lines of a training that are worth a line of ours."""
        worth = []
        for line in self.read():
            if _LEFT.search(line):
                self.news = line.split(";")[0].split(" (")[0]
                if count := _COUNT.search(line):
                    done, total = (int(number) for number in count.groups() if number)
                    self.fraction = min(1.0, done / max(1, total))
            elif self.rule == "train" and line.strip() and not _SAID_OTHERWISE.match(line):
                self.news = ""  # it is out of date
                worth.append(line.rstrip())
        return worth


@dataclass
class Stage:
    """The jobs that share a line."""

    rule: str
    message: str
    loose: tuple[str, ...]  # wildcards in which its jobs differ
    values: tuple[str, ...]
    jobs: dict[int, Job] = field(default_factory=dict)
    ended: float = 0.0
    shown: int = 0  # jobs that lines on the screen speak of
    pause: float = FIRST_PAUSE
    said: float = float("-inf")  # when
    told: str = ""  # what

    @property
    def running(self) -> list[Job]:
        """Its jobs that have not ended."""
        return [job for job in self.jobs.values() if not job.done]

    def title(self, count: int) -> str:
        """What it does for several of its jobs: "drawing the clips of 19 videos"."""
        text = self.message
        for name, value in zip(self.loose, self.values, strict=True):
            many = f"{count} {name}s"
            one = rf"(?<![\w.])({name} )?{re.escape(value)}( of \d+)?(?![\w.])"
            text = re.sub(one, many, text, count=1)
        return text


class Stages:
    """What has happened so far. `now`, everywhere, is in seconds, of any clock that only rises."""

    def __init__(self, now: float) -> None:
        self.begun = now
        self.planned: dict[str, int] = {}
        self.stages: dict[tuple[str, ...], Stage] = {}
        self.failed: dict[int, tuple[str, str | None]] = {}  # title and log by job

    def plan(self, counts: Mapping[str, int]) -> None:
        """How many jobs of each rule are to be done."""
        self.planned = {rule: count for rule, count in counts.items() if rule != "total"}

    def job(
        self,
        number: int,
        rule: str,
        message: str,
        wildcards: Mapping[str, str],
        logs: Sequence[str],
        now: float,
    ) -> None:
        """A job was started, or handed to a cluster."""
        own = tuple(wildcards[name] for name in OF_A_RUN if name in wildcards)
        loose = {name: str(wildcards[name]) for name in wildcards if name not in OF_A_RUN}
        stage = self.stages.setdefault(
            (rule, *own), Stage(rule, message, tuple(loose), tuple(loose.values()))
        )
        self.failed.pop(number, None)  # it is tried again
        log = logs[0] if logs else None
        stage.jobs[number] = Job(rule, message, log, now, before=changed_at(log) if log else 0)

    def finished(self, number: int, now: float) -> list[str]:
        """A job ended well; the line of its stage, where that is complete."""
        found = self._find(number)
        if found is None:
            return []
        stage, job = found
        lines = [f"{'':8}{line}" for line in job.follow()]
        job.done, stage.ended = True, now
        known = sum(len(other.jobs) for other in self.stages.values() if other.rule == stage.rule)
        if stage.running or (stage.loose and known != self.planned.get(stage.rule)):
            return lines
        return [*lines, *self._line(stage)]

    def failure(self, number: int, rule: str, logs: Sequence[str]) -> list[str]:
        """A job failed: which one, how its log ends, where the log is."""
        if number in self.failed:
            return []
        found = self._find(number)
        log = logs[0] if logs else None
        title = rule
        if found is not None:
            _, job = found
            job.done, log = True, job.log or log
            title = job.message
        self.failed[number] = (title, log)
        lines = ["", f"FAILED: {title} (rule {rule})"]
        if log is None:
            return lines
        last = _last_lines(log)
        lines += [f"  | {line}" for line in last] if last else [f"  ({EMPTY})"]
        return [*lines, f"  full log: {log}", ""]

    def tick(self, now: float, *, in_place: bool) -> list[str]:
        """Lines that are due now: what trainings say, progress, stages whose size is not known.

        Args:
            in_place: the screen shows `status`, so that progress needs no lines.
        """
        lines = []
        for stage in self.stages.values():
            for job in stage.running:
                lines += [f"{'':8}{line}" for line in job.follow()]
                due = not in_place and now - stage.said >= stage.pause
                if due and job.news not in ("", stage.told):
                    stage.said, stage.told = now, job.news
                    stage.pause = max(FIRST_PAUSE, (now - job.started) / 20)
                    lines.append(f"{self._percent()} {job.message}: {job.news}")
            if not stage.running and stage.ended and now - stage.ended > IDLE_SECONDS:
                lines += self._line(stage)
        return lines

    @property
    def status(self) -> str:
        """What runs now, in one line; empty where nothing does."""
        running = [stage for stage in self.stages.values() if stage.running]
        if not running:
            return ""
        # One that says how far it is, else the one that began last.
        told = [stage for stage in running if any(job.news for job in stage.running)]
        stage = (told or running)[-1]
        total = self.planned.get(stage.rule, 0)
        job = next((job for job in stage.running if job.news), stage.running[0])
        text = job.message
        if stage.loose and total > 1:
            done = sum(job.done for job in stage.jobs.values())
            text = f"{stage.title(total)}: {done} done"
        elif job.news:
            text += f": {job.news}"
        if len(running) > 1:
            text += f" (+ {len(running) - 1} more)"
        return f"{self._percent()} {text}"

    def rest(self) -> list[str]:
        """Lines of stages that are complete and were not shown yet, at the end of the run."""
        return [line for stage in self.stages.values() for line in self._line(stage)]

    def stopped(self, now: float, log: str | None, *, interrupted: bool) -> list[str]:
        """The end of a run that did not do everything."""
        done = sum(job.done for stage in self.stages.values() for job in stage.jobs.values())
        done -= len(self.failed)
        of = f"{done} of {counted(max(done, sum(self.planned.values())), 'job')} done"
        why = "interrupted" if interrupted else "stopped by a failure"
        lines = ["", f"{why} after {duration(now - self.begun)}; {of}"]
        if not interrupted:
            for title, path in self.failed.values():
                lines.append(f"  failed: {title}" + (f" ({path})" if path else ""))
        lines += [f"  details: {log}"] if log else []
        return [*lines, "  run the same command again to resume"]

    def _line(self, stage: Stage) -> list[str]:
        """The line of a stage for its jobs that no line speaks of yet."""
        done = [job for number, job in stage.jobs.items() if job.done and number not in self.failed]
        new = done[stage.shown :]
        if not new or stage.running:
            return []
        stage.shown = len(done)
        seconds = stage.ended - min(job.started for job in new)
        text = new[0].message if len(new) == 1 else stage.title(len(new))
        title = f"{self._percent()} {text}"
        return [f"{title:{TITLE_WIDTH}} {duration(seconds):>12}"]

    def _percent(self) -> str:
        total = sum(WEIGHTS.get(rule, 1.0) * count for rule, count in self.planned.items())
        done = sum(
            WEIGHTS.get(job.rule, 1.0) * (1.0 if job.done else job.fraction)
            for stage in self.stages.values()
            for number, job in stage.jobs.items()
            if number not in self.failed
        )
        return f"[{min(100.0, 100 * done / total) if total else 0:3.0f} %]"

    def _find(self, number: int) -> tuple[Stage, Job] | None:
        for stage in self.stages.values():
            if number in stage.jobs:
                return stage, stage.jobs[number]
        return None


def _last_lines(path: str) -> list[str]:
    """The end of a log; of a bar that was drawn over itself only what was left to see."""
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    lines = [line.rsplit("\r", 1)[-1].rstrip() for line in text.rstrip().split("\n")]
    return [line for line in lines if line][-LAST_LINES:]
