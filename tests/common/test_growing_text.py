from __future__ import annotations

from pathlib import Path

from vatrack.common.growing_text import GrowingText


def test_a_character_that_is_written_in_two_parts_is_one(tmp_path: Path) -> None:
    path = tmp_path / "log"
    text = GrowingText(path)
    assert text.lines() == []
    written = "first\nsecond ü".encode()
    path.write_bytes(written[:-1])  # ends inside a character
    assert text.lines() == ["first"]
    path.write_bytes(written + b"\nthird")
    assert text.lines() == ["second ü"]
    assert text.lines() == []
    assert text.lines(last=True) == ["third"]
    assert text.lines(last=True) == []


def test_what_cannot_be_decoded_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"a\xff\nb\xc3")
    assert GrowingText(tmp_path / "log").lines(last=True) == ["a\ufffd", "b\ufffd"]


def test_a_file_that_is_begun_anew_is_read_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "log"
    text = GrowingText(path)
    path.write_bytes("a longer line\nan end that is lost ü".encode()[:-1])
    assert text.lines() == ["a longer line"]
    path.write_bytes(b"short\n")
    assert text.lines() == ["short"]


def test_the_last_line_is_not_lost_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("no end")
    text = GrowingText(path)
    assert text.lines() == []
    path.unlink()
    assert text.lines(last=True) == ["no end"]
