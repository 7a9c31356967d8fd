"""Disturbs trainings at random moments, and looks whether they end as if nothing had happened.

    python -m tests.training.kills --kills 200 --seed 1

Prints one line for each training and a table at the end; `make kill-test` runs it.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from tests.children import children_of
from tests.conftest import TinyData, make_tiny_data
from tests.training.interrupted import differences, finish, short_run, start
from vatrack.common.value_files import read_json
from vatrack.config import RunConfig

# What is done, to whom, and how often among ten times.
DISTURBANCES = {
    "kill -9": (signal.SIGKILL, "training", 3),
    "SIGTERM": (signal.SIGTERM, "training", 1),
    "SIGINT": (signal.SIGINT, "training", 1),
    "SIGTERM to all": (signal.SIGTERM, "all", 1),
    "kill -9 of a loading process": (signal.SIGKILL, "loading process", 2),
    "SIGTERM to a loading process": (signal.SIGTERM, "loading process", 1),
    "stop of a loading process": (signal.SIGSTOP, "loading process", 1),
}
# Seconds until a disturbed training must have ended by itself.
PATIENCE = 60
LOADER_TIMEOUT = 5.0


def config(folder: Path, **given: Any) -> RunConfig:
    return short_run(folder, **{"loader_timeout_seconds": LOADER_TIMEOUT, **given})


@dataclass
class Kills:
    """What was done, and what went wrong.

    Attributes:
        done: (disturbance, moment, number of loading processes) to times.
        trainings: how many came to their end; `problems`: what did not go as it should.
    """

    done: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    trainings: int = 0
    problems: list[str] = field(default_factory=list)

    def table(self) -> str:
        """Times of every disturbance at every moment, by loading processes, in Markdown."""
        moments = ("at a random moment", "in a validation", "while saving")
        lines = [
            f"| disturbance | loading processes | {' | '.join(moments)} | all |",
            "|---|---:|---:|---:|---:|---:|",
        ]
        for name, (_, who, _) in DISTURBANCES.items():
            for workers in (2,) if who == "loading process" else (0, 2):
                counts = [self.done[name, moment, workers] for moment in moments]
                row = [name, workers, *counts, sum(counts)]
                lines.append(f"| {' | '.join(map(str, row))} |")
        return "\n".join(lines)


def _moments(out: Path, length: float, dice: random.Random) -> tuple[str, Callable[[], bool]]:
    """A moment to wait for: its name, and whether it has come."""
    until = time.monotonic() + dice.uniform(0, 0.6 * length + 1)
    name = dice.choices(("at a random moment", "in a validation", "while saving"), (6, 2, 2))[0]
    if name == "in a validation":
        epoch = dice.randint(1, 3)
        return name, lambda: any(out.glob(f"validation/*{epoch:02d}.predictions*/*"))
    if name == "while saving":
        number = dice.randint(1, 4)
        seen: set[str] = set()

        def saving() -> bool:
            found = [*out.glob("state/.*"), *out.glob("checkpoints/.*")]
            seen.update(path.name for path in found)
            return len(seen) >= number and bool(found)

        return name, saving
    return name, lambda: time.monotonic() >= until


def _victims(process: BaseProcess, who: str, dice: random.Random) -> list[int]:
    below = children_of(process)
    if who == "loading process":
        return [dice.choice(below)] if below else []
    return [process.pid or 0, *(below if who == "all" else [])]


def disturb(
    run: RunConfig, data: TinyData, out: Path, kills: Kills, length: float, dice: random.Random
) -> None:
    """Starts or resumes a training, and disturbs it once where it does not end before."""
    workers = run.compute.workers
    possible = {
        name: weight
        for name, (_, who, weight) in DISTURBANCES.items()
        if workers or who == "training"
    }
    name = dice.choices(list(possible), list(possible.values()))[0]
    number, who, _ = DISTURBANCES[name]
    process = start(run, data, out)
    moment, has_come = _moments(out, length, dice)
    victims: list[int] = []
    while process.is_alive() and not victims:
        if has_come():
            victims = _victims(process, who, dice)
        time.sleep(0.0005)
    below = children_of(process)
    for victim in victims:
        try:
            os.kill(victim, number)
        except ProcessLookupError:
            victims = []
    if victims:
        kills.done[name, moment, workers] += 1
    process.join(PATIENCE)
    if process.is_alive():
        kills.problems.append(f"{out}: it hangs after {name} {moment}")
        process.kill()
        process.join()
    elif not victims and process.exitcode != 0:
        kills.problems.append(f"{out}: it ended by itself ({process.exitcode})")
    deadline = time.monotonic() + 5
    while any(Path(f"/proc/{pid}/task/{pid}").exists() for pid in below):
        if time.monotonic() > deadline:
            kills.problems.append(f"{out}: a process is left after {name} {moment}")
            break
        time.sleep(0.01)


def kill(data: TinyData, folder: Path, number: int, seed: int) -> Iterator[Kills]:
    """Disturbs trainings until there were so many disturbances; yields after each training."""
    dice, kills = random.Random(seed), Kills()
    reference = folder / "undisturbed"
    finish(config(reference), data, reference)
    length = read_json(reference / "training.json")["seconds"]
    while sum(kills.done.values()) < number:
        out = folder / f"training_{kills.trainings}"
        # Saved after every step, or around validations alone; with loading processes or without.
        save_minutes = 1e-9 if kills.trainings % 3 else 1000.0
        run = config(out, workers=2 * (kills.trainings % 4 != 3), save_minutes=save_minutes)
        while not (out / "training.json").exists() and sum(kills.done.values()) < number:
            disturb(run, data, out, kills, length, dice)
        if not (out / "training.json").exists():
            finish(run, data, out)
        kills.trainings += 1
        kills.problems += [f"{out}: differs in {name}" for name in differences(reference, out)]
        yield kills


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        kills = Kills()
        for kills in kill(make_tiny_data(folder / "data"), folder, options.kills, options.seed):
            print(
                f"{sum(kills.done.values())} of {options.kills} kills, {kills.trainings} trainings "
                f"ended, {len(kills.problems)} problems",
                flush=True,
            )
    print(kills.table())
    print(*kills.problems, sep="\n")
    if kills.problems:
        again = f"make kill-test SEED={options.seed} KILLS={options.kills}"
        raise SystemExit(f"`{again}` draws the same disturbances; their moments vary with the load")


if __name__ == "__main__":
    main()
