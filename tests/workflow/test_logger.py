"""`snakemake --logger vatrack`: what a run shows, on a terminal, in a file, when it fails."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from snakemake_logger_plugin_vatrack import POLL_SECONDS, LogHandler
from snakemake_logger_plugin_vatrack.command_line import explained
from snakemake_logger_plugin_vatrack.stages import Stages
from tests.workflow.command import snakemake
from tests.workflow.small import PROGRAM, squeezed
from tests.workflow.snake import SNAKEFILE
from vatrack.common.errors import PERMIT

LogEvent = pytest.importorskip("snakemake_interface_logger_plugins.common").LogEvent
# Older versions of the interface have no tests of their own.
Interface: Any = pytest.importorskip("snakemake_interface_logger_plugins.tests").TestLogHandlerBase
RUN = {"method": "vatrack", "backbone": "resnet18"}


class TestInterface(Interface):
    """What Snakemake demands of every plugin."""

    __test__ = True

    def get_log_handler_cls(self) -> type[LogHandler]:
        return LogHandler

    def get_log_handler_settings(self) -> None:
        return None


def test_jobs_of_a_stage_share_a_line() -> None:
    stages = Stages(0.0)
    stages.plan({"cut": 3, "list": 1, "total": 4})
    for number in (1, 2, 3):
        wildcards = {"video": f"a{number}"}
        stages.job(number, "cut", f"drawing the clips of a{number}", wildcards, [], float(number))
    assert stages.finished(2, 4.0) == []
    assert stages.status == "[ 25 %] drawing the clips of 3 videos: 1 done"
    assert stages.finished(1, 5.0) == []
    assert squeezed(stages.finished(3, 8.0)) == ["[ 75 %] drawing the clips of 3 videos 7 s"]
    stages.job(4, "list", "listing", {}, [], 8.0)
    assert squeezed(stages.finished(4, 8.2)) == ["[100 %] listing 0.2 s"]
    assert stages.rest() == []


def test_only_the_wildcards_own_words_are_replaced() -> None:
    stages = Stages(0.0)
    stages.plan({"predict": 2})
    for number in (0, 1):
        wildcards = RUN | {"shard": str(number)}
        stages.job(
            number, "predict", f"finding with resnet10, shard {number} of 2", wildcards, [], 0.0
        )
    assert stages.status.endswith("finding with resnet10, 2 shards: 0 done")


def test_every_run_has_a_line_of_its_own() -> None:
    stages = Stages(0.0)
    stages.plan({"select": 2})
    for number, method in enumerate(("qdtrack", "vatrack")):
        stages.job(number, "select", f"choosing: {method}", RUN | {"method": method}, [], 0.0)
    assert squeezed(stages.finished(0, 1.0)) == ["[ 50 %] choosing: qdtrack 1 s"]
    assert squeezed(stages.finished(1, 2.0)) == ["[100 %] choosing: vatrack 2 s"]


def test_jobs_that_nobody_counted_get_their_line() -> None:
    """Those after a checkpoint: how many there are is known to nobody before."""
    stages = Stages(0.0)
    stages.plan({"open": 1})
    stages.job(1, "cut", "measuring a1", {"video": "a1"}, [], 0.0)
    assert stages.finished(1, 1.0) == []
    assert stages.tick(2.0, in_place=False) == []
    assert squeezed(stages.tick(5.0, in_place=False)) == ["[100 %] measuring a1 1 s"]
    assert stages.rest() == []
    stages.job(2, "cut", "measuring a2", {"video": "a2"}, [], 6.0)
    assert stages.finished(2, 8.0) == []
    assert squeezed(stages.rest()) == ["[100 %] measuring a2 2 s"]


def test_a_training_says_how_far_it_is(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text("of an earlier run\n" * 9)
    stages = Stages(0.0)
    stages.plan({"train": 1})
    stages.job(1, "train", "training", RUN, [str(log)], 0.0)
    log.write_text("job 12 (local); logs in there\n")
    assert stages.tick(1.0, in_place=False) == []
    with log.open("a") as file:
        print("epoch 1/3, iteration 25/100, about 6 min left; loss 4.9", file=file, flush=True)
        line = "[ 25 %] training: epoch 1/3, iteration 25/100, about 6 min left"
        assert stages.tick(2.0, in_place=False) == [line]
        assert stages.status == line
        assert stages.tick(3.0, in_place=False) == []  # not again and again
        assert stages.tick(33.0, in_place=False) == []
        print("epoch 1/3, iteration 50/100, about 5 min left; loss 3.1", file=file, flush=True)
        (line,) = stages.tick(34.0, in_place=False)
        assert line == "[ 50 %] training: epoch 1/3, iteration 50/100, about 5 min left"
        print("epoch 1/3, iteration 75/100, about 2 min left; loss 2.9", file=file, flush=True)
        assert stages.tick(35.0, in_place=False) == []  # not all the time
        print("epoch 1/3, validation: image AP50 1", end="", file=file, flush=True)
        assert stages.tick(70.0, in_place=True) == []  # a line that is not complete
        print("2.0 amodal", file=file, flush=True)
        said = "        epoch 1/3, validation: image AP50 12.0 amodal"
        assert stages.tick(71.0, in_place=True) == [said]
        print("epoch 3/3, validation: HOTA 54.2 amodal", file=file)
        print("runs/x: 3 epochs, 100 iterations in 7.3 min on cpu", file=file)
    lines = squeezed(stages.finished(1, 260.0))
    assert lines == ["epoch 3/3, validation: HOTA 54.2 amodal", "[100 %] training 4 min 20 s"]


def test_a_failure_shows_the_end_of_its_log(tmp_path: Path) -> None:
    log = tmp_path / "predict.log"
    log.write_text("".join(f"line {number}\n" for number in range(40)) + "50%\r100%\nerror: no\n")
    stages = Stages(0.0)
    stages.plan({"predict": 2})
    stages.job(1, "predict", "finding objects", RUN, [str(log)], 0.0)
    lines = stages.failure(1, "predict", [str(log)])
    assert lines[1] == "FAILED: finding objects (rule predict)"
    assert [line for line in lines if line.startswith("  |")][-2:] == ["  | 100%", "  | error: no"]
    assert len(lines) < 22
    assert f"  full log: {log}" in lines
    assert stages.failure(1, "predict", [str(log)]) == []  # Snakemake says it twice
    assert stages.rest() == []
    end = stages.stopped(9.0, "all.log", interrupted=False)
    assert end[1:4] == [
        "stopped by a failure after 9 s; 0 of 2 jobs done",
        f"  failed: finding objects ({log})",
        "  details: all.log",
    ]


def test_a_job_that_was_killed_leaves_no_words(tmp_path: Path) -> None:
    log = tmp_path / "predict.log"
    log.touch()
    told = Stages(0.0).failure(1, "predict", [str(log)])[2]
    assert told.startswith("  (its log is empty; the process may have been killed")


def quiet_handler() -> LogHandler:
    """The handler of a call without options."""
    settings = SimpleNamespace(
        **dict.fromkeys(("quiet", "dryrun", "verbose", "printshellcmds", "debug_dag"))
    )
    return LogHandler(common_settings=settings, settings=None)  # type: ignore[arg-type]


def begun() -> LogHandler:
    """The handler of a call that has one job to do."""
    handler = quiet_handler()
    plan = {"event": LogEvent.RUN_INFO, "stats": {"cut": 1}, "levelno": logging.INFO}
    handler.emit(logging.makeLogRecord(plan))
    return handler


def end_of(closing: Callable[[], str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What is shown of a call with nothing to do, when its end has this summary."""
    handler = quiet_handler()
    for values in ({"vatrack_closing": closing}, {"msg": "Nothing to be done."}):
        handler.emit(logging.makeLogRecord(values | {"levelno": logging.INFO}))
    handler.close()
    return capsys.readouterr().out.splitlines()


def test_a_summary_that_fails_does_not_take_the_end_with_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def broken() -> str:
        raise KeyError("epoch")

    def silent() -> str:
        raise TypeError

    said = "nothing to do, everything is up to date"
    assert end_of(lambda: "run 1", capsys) == [said, "", "run 1", ""]
    assert end_of(lambda: "", capsys) == [said]
    assert end_of(broken, capsys) == [said, "", "summary not available: 'epoch'", ""]
    assert end_of(silent, capsys) == [said, "", "summary not available: TypeError", ""]


def test_where_no_job_was_started_the_message_alone_says_why(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A hook of the workflow refuses: the same command would be refused again."""
    handler = begun()
    handler.close()
    assert capsys.readouterr().out == "1 job to do\n"


def test_the_end_does_not_wait_for_ever_for_its_own_lock() -> None:
    """`logging.shutdown` and Snakemake close a handler with its lock held; the ticker wants it."""
    handler = begun()
    assert handler._ticker.is_alive()

    def end() -> None:
        handler.acquire()
        try:
            time.sleep(2 * POLL_SECONDS)  # the ticker is at the lock now
            handler.close()
        finally:
            handler.release()

    ending = threading.Thread(target=end, daemon=True)
    ending.start()
    ending.join(20)
    assert not ending.is_alive()


# Nobody may make a folder in /sys, not even root, who gets another error.
REFUSED = os.strerror(errno.EACCES if os.geteuid() else errno.EPERM).lower()
NOT_ALLOWED = f"{REFUSED}; {PERMIT}"


MISTAKES = [
    (
        ["--config", "training.epochs=6"],
        "error: --config training.epochs=6: sections need braces; "
        "write --config 'training={epochs: 6}'",
    ),
    (
        ["--config", "dataset.clips.fetch=true"],
        "error: --config dataset.clips.fetch=true: sections need braces; "
        "write --config 'dataset={clips: {fetch: true}}'",
    ),
    (
        ["--config", "methods"],
        "error: --config: give NAME=VALUE, for example --config 'methods=[qdtrack]'",
    ),
    (
        ["--configfile", "no such.yaml"],
        "error: --configfile no such.yaml: no such file; check the path",
    ),
    (["--configfile", "."], "error: --configfile .: is a folder; give a YAML file"),
    (
        ["--configfile=empty.yaml"],
        "error: --configfile empty.yaml: is empty; set at least one key, see docs/config.md",
    ),
    (
        ["--configfile", "text.yaml"],
        "error: --configfile text.yaml: invalid configuration: 'hello' is not a mapping of "
        "keys; give keys with values, as in `seed: 1` (docs/config.md)",
    ),
    (
        ["--configfile", "seed.yaml", "tables"],
        "error: --configfile tables: no such file; check the path; if it is a target, give it "
        "before --configfile",
    ),
    (
        ["--until", "validat"],
        "error: --until validat: no such rule or file of the workflow; did you mean validate? "
        "Otherwise list the rules with `snakemake --list-rules`",
    ),
    (
        ["--config", "seed=1", "--config", "run_label=e3"],
        "error: --config occurs twice, and Snakemake reads only the last; give all values "
        "after one --config",
    ),
    (
        ["--config", "seed=1", "seed=2"],
        "error: --config seed: seed occurs twice (1, then 2); give it once",
    ),
    (["--directory", "/sys/new"], f"error: /sys/new: {NOT_ALLOWED}"),
]


def as_a_program(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PROGRAM, *words], cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("words", "message", "more", "call"),
    # A dry run shows less; one mistake of each option is enough for it.
    [(*mistake, [], snakemake) for mistake in MISTAKES]
    + [(*mistake, ["-n"], snakemake) for mistake in (MISTAKES[0], MISTAKES[5])]
    + [(*MISTAKES[0], [], as_a_program)],
)
def test_a_mistake_on_the_command_line_is_one_sentence(
    tmp_path: Path,
    words: list[str],
    message: str,
    more: list[str],
    call: Callable[[list[str], Path], subprocess.CompletedProcess[str]],
) -> None:
    (tmp_path / "empty.yaml").touch()
    (tmp_path / "text.yaml").write_text("hello\n")
    (tmp_path / "seed.yaml").write_text("seed: 1\n")
    ended = call(["-s", str(SNAKEFILE), "--cores", "1", *more, *words], tmp_path)
    assert ended.returncode == 1
    lines = ended.stderr.splitlines()
    assert message in lines
    assert "Traceback" not in ended.stderr
    assert len(lines) <= 3


@pytest.mark.slow
@pytest.mark.parametrize("place", ["folder", "results"])
def test_a_folder_that_may_not_be_written_is_one_sentence(tmp_path: Path, place: str) -> None:
    words = ["-s", str(SNAKEFILE), "--cores", "1"]
    if place == "folder":
        folder = Path("/sys")
        message = (
            f"error: /sys/.snakemake: {REFUSED}; Snakemake keeps its records "
            "there: run it in a writable folder, or give one with --directory"
        )
    else:
        folder = tmp_path
        words += ["--config", "results=/sys/new", "--until", "synth"]
        message = f"results: /sys/new: {NOT_ALLOWED}"
    ended = snakemake(words, folder)
    assert ended.returncode == 1
    told = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    assert len(told) == 1 and told[0].endswith(message)
    assert "Traceback" not in ended.stderr and "line 1" not in ended.stderr


def test_errors_of_the_system_that_have_no_known_fix_stay_as_they_are() -> None:
    assert explained("OSError: [Errno 28] No space left on device: 'a/b'", []) == (
        "error: [Errno 28] No space left on device: 'a/b'; free disk space, or choose another "
        "place for the output"
    )
    assert explained("OSError: [Errno 71] Protocol error: 'a/b'", []) is None
    assert explained("vatrack: error: [Errno 28] No space left on device: 'a/b'", []) is None
