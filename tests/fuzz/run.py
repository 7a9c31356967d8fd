"""Runs the commands on damaged input and judges what happens.

`python -m tests.fuzz.run --cases 10000` (or `make fuzz`); the same seed makes the same cases.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shutil
import signal
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

from tests.built_once import commands_built_once
from tests.fuzz.inputs import make_inputs
from tests.fuzz.targets import TARGETS, Target, prepare, tree, uses_numbers
from tests.models.small import narrow_trunks
from tests.server import SERVER

SECONDS = 60  # a case that takes longer hangs
MESSAGE = 4000  # characters of the longest message
BATCH = 200  # cases of one child process


@dataclass(frozen=True)
class Verdict:
    """What became of a case: "refused", "same", "changed" (another result), or a fault."""

    target: str
    number: int
    outcome: str
    what: str = ""

    @property
    def fault(self) -> bool:
        return self.outcome not in ("refused", "same", "changed")


class Hang(BaseException):
    """The time of a case is over."""


def call(words: Sequence[object]) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of `vatrack WORDS`, in this process.

    Where the first word is a function, it is called with the others, as a command would.
    """
    from vatrack.cli import main
    from vatrack.common.errors import InputError

    first, *rest = words

    out, err = io.StringIO(), io.StringIO()
    argv, sys.argv = sys.argv, ["vatrack", *map(str, words)]
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                if callable(first):
                    first(*rest)
                else:
                    main()
                code = 0
            except InputError as error:
                code = 2
                print(error, file=sys.stderr)
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(bool(end.code))
            except Exception:
                code = 1
                traceback.print_exc()
    finally:
        sys.argv = argv
        signal.signal(signal.SIGTERM, handler)
    return code, out.getvalue(), err.getvalue()


def _over(*_: object) -> None:
    raise Hang


@contextlib.contextmanager
def _prepared(target: Target, inputs: Path) -> Iterator[tuple[Path, Path]]:
    """Sound input of a target, and an empty folder for what it makes."""
    with tempfile.TemporaryDirectory() as scratch:
        folder, out = Path(scratch) / "in", Path(scratch) / "out"
        folder.mkdir()
        out.mkdir()
        prepare(target, inputs, folder)
        yield folder, out


def run_case(
    target: Target, number: int, seed: int, inputs: Path, sound: dict[str, bytes]
) -> Verdict:
    """Damages the input of a target in the way that the number says, and judges the command."""
    chance = Random(f"{seed} {target.name} {number}")
    with _prepared(target, inputs) as (folder, out):
        victim = chance.choice(sorted(folder.glob(chance.choice(target.files))))
        same = bool(target.same) and chance.random() < 0.1
        how = chance.choice(target.same if same else target.damage)
        before = victim.read_bytes()
        content = how(before, chance)
        victim.unlink()
        victim.write_bytes(content)
        around = tree(folder)
        signal.signal(signal.SIGALRM, _over)
        signal.alarm(SECONDS)
        try:
            code, _, err = call(target.words(folder, out))
        except Hang:
            return Verdict(target.name, number, "hang", how.__name__)
        finally:
            signal.alarm(0)
        where = f"{how.__name__} of {victim.name}"
        if "Traceback" in err or code not in ((0, 1, 2) if target.compares else (0, 2)):
            return Verdict(target.name, number, "traceback", f"{where}: {err[-1500:]}")
        after, made = tree(folder), tree(out)
        if after != around:
            changed = [
                name for name in after.keys() | around.keys() if after.get(name) != around.get(name)
            ]
            return Verdict(target.name, number, "input changed", f"{where}: {sorted(changed)[:3]}")
        if code == 2:
            return _judge_refusal(
                target, number, where, err, victim, made, same or content == before
            )
        if bad := uses_numbers(made):
            return Verdict(target.name, number, "no strict JSON", f"{where}: {bad}")
        if _meaning(made) == _meaning(sound):
            return Verdict(target.name, number, "same", where)
        if same or target.guarded:
            return Verdict(target.name, number, "silently changed", where)
        return Verdict(target.name, number, "changed", where)


INCIDENTAL = {"bytes", "path", "seconds"}  # in the report of `validate`


def _meaning(content: dict[str, bytes]) -> dict[str, Any]:
    """The content of files; of JSON without order, time, and what files are called."""
    return {
        name: json.loads(data, object_hook=_result) if name.endswith(".json") else data
        for name, data in content.items()
    }


def _result(value: dict[str, Any]) -> dict[str, Any]:
    return {key: item for key, item in value.items() if key not in INCIDENTAL}


def _judge_refusal(
    target: Target,
    number: int,
    where: str,
    err: str,
    victim: Path,
    made: dict[str, bytes],
    sound: bool,
) -> Verdict:
    if sound:
        return Verdict(target.name, number, "sound input refused", f"{where}: {err[-500:]}")
    if made and not (target.findings or target.resumes):
        return Verdict(target.name, number, "half-written", f"{where}: {sorted(made)[:3]}")
    if len(err) > MESSAGE and not target.findings:
        return Verdict(target.name, number, "long message", f"{where}: {len(err)} characters")
    names = (victim.name, victim.stem, victim.parent.name)
    if not any(name in err for name in names):
        return Verdict(target.name, number, "unnamed", f"{where}: {err[-500:]}")
    return Verdict(target.name, number, "refused", where)


def _batch(pipe: Connection, tasks: list[tuple[int, int]], seed: int, inputs: Path) -> None:
    """A child process: a crash in C ends it, and the parent knows which case it was."""
    os.environ["OMP_NUM_THREADS"] = "1"
    sound: dict[int, dict[str, bytes]] = {}
    with commands_built_once(), narrow_trunks():
        for place, number in tasks:
            target = TARGETS[place]
            if place not in sound:
                sound[place] = sound_result(target, inputs)
            pipe.send(None)
            pipe.send(run_case(target, number, seed, inputs, sound[place]))
    pipe.close()


def sound_result(target: Target, inputs: Path) -> dict[str, bytes]:
    """What a command makes of its sound input."""
    with _prepared(target, inputs) as (folder, out):
        code, _, err = call(target.words(folder, out))
        assert code == 0, f"{target.name}: {err}"
        return tree(out)


def fuzz(cases: int, seed: int, inputs: Path, only: str = "") -> Iterator[Verdict]:
    """Judges so many cases, spread over the targets by their weights."""
    chosen = [place for place, target in enumerate(TARGETS) if only in target.name]
    shares = [place for place in chosen for _ in range(TARGETS[place].weight)]
    tasks = sorted((shares[number % len(shares)], number) for number in range(cases))
    while tasks:
        now, tasks = tasks[:BATCH], tasks[BATCH:]
        here, there = SERVER.Pipe(duplex=False)
        child = SERVER.Process(target=_batch, args=(there, now, seed, inputs))
        child.start()
        there.close()
        done = 0
        try:
            while done < len(now):
                if (verdict := here.recv()) is not None:
                    done += 1
                    yield verdict
        except EOFError:  # the child is dead: the case that it was at goes, the rest comes again
            place, number = now[done]
            child.join()
            yield Verdict(TARGETS[place].name, number, "crash", f"exit code {child.exitcode}")
            tasks = now[done + 1 :] + tasks
        child.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="part of the name of the targets to take")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        inputs = Path(scratch) / "inputs"
        inputs.mkdir()
        make_inputs(inputs)
        table: dict[str, Counter[str]] = {}
        for verdict in fuzz(options.cases, options.seed, inputs, options.only):
            table.setdefault(verdict.target, Counter())[verdict.outcome] += 1
            if verdict.fault:
                print(f"{verdict.target} {verdict.number}: {verdict.outcome}: {verdict.what}")
        shutil.rmtree(inputs)
    for name, outcomes in table.items():
        print(f"{name}: " + ", ".join(f"{count} {what}" for what, count in outcomes.most_common()))
    faults = sum(
        count
        for outcomes in table.values()
        for what, count in outcomes.items()
        if Verdict("", 0, what).fault
    )
    print(f"{options.cases} cases, {faults} faults")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
