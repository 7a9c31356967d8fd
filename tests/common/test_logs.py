from __future__ import annotations

import io
import logging
import sys

import pytest

from vatrack.common import logs

logger = logging.getLogger("vatrack.room.module")


def test_messages_alone_are_shown_where_they_belong(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    logs.configure()  # a second time changes nothing
    logger.debug("details")
    logger.info("epoch %d", 3)
    logger.info("frames: 7 of 9", extra=logs.BESIDE)
    logger.warning("the disk is full")
    assert capsys.readouterr() == ("epoch 3\n", "frames: 7 of 9\nthe disk is full\n")


def test_one_name_silences_all(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs.ROOT, "level", logs.ROOT.level)
    logging.getLogger("vatrack").setLevel(logging.WARNING)
    logs.configure()
    logger.info("epoch 3")
    assert capsys.readouterr().out == ""
    logging.getLogger("vatrack").setLevel(logging.INFO)
    logger.info("epoch 4")
    assert capsys.readouterr().out == "epoch 4\n"


def test_other_processes_than_the_first_only_warn(capsys: pytest.CaptureFixture[str]) -> None:
    with logs.warnings_only():
        logger.info("epoch 3")
        logger.warning("the disk is full")
    logger.info("epoch 4")
    assert capsys.readouterr() == ("epoch 4\n", "the disk is full\n")


def test_a_stream_that_takes_nothing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with `print`: a training whose reader is gone ends, and does not fill the other stream."""

    class Full(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    with pytest.raises(OSError, match="No space left"):
        logger.info("epoch 3")


def test_progress_is_replaced_on_a_terminal_and_listed_elsewhere(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def train() -> str:
        logger.info("iteration 25 of 100", extra=logs.IN_PLACE)
        logger.info("iteration 50", extra=logs.IN_PLACE)
        logger.info("validation")
        logger.info("iteration 75", extra=logs.IN_PLACE)
        logs.clear_line()
        logs.clear_line()  # nothing is left to take away
        return capsys.readouterr().out

    logs.configure()
    assert train() == "iteration 25 of 100\niteration 50\nvalidation\niteration 75\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    clear = logs.CLEAR_LINE
    assert train() == (
        f"iteration 25 of 100{clear}iteration 50{clear}validation\niteration 75{clear}"
    )
