"""Files that are looked at once their reader has refused them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from vatrack.common.errors import InputError, InvalidData
from vatrack.common.file_forms import FileForm, FormTable, Outline

SHOPS, ROADS, LINES = FileForm("shops", "give shops"), FileForm("roads"), FileForm("l", "m", True)


def _by_name(item: Any) -> FileForm | None:
    names = item.keys() if isinstance(item, Mapping) else ()
    return next((form for form in (SHOPS, ROADS) if form.what in names), None)


def _whole(outline: Outline) -> FileForm | None:
    return FileForm(f"{[*outline.first]}, lists {[*outline.lists]}", vague=True)


TABLE = FormTable("items", _by_name, _whole, _by_name)
OTHER = "is roads, not shops; give shops"


@pytest.fixture
def roads(tmp_path: Path) -> Path:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"about": "a", "items": [1, {"x": 1}, {"roads": 2}]}))
    return path


def test_what_tells_a_form(roads: Path) -> None:
    assert TABLE.form_of(roads) == ROADS
    for text, form in (
        ('[{"shops": 1}]', SHOPS),
        ('{"shops": 1}\n{"shops": 1}', SHOPS),
        ('{"a": 1, "b": [2]}', FileForm("['a', 'b'], lists ['b']", vague=True)),
        ("[]", None),
        ('{"items": [{"roads": 2}', ROADS),
        ('{"items": [{"roads": 2', None),
    ):
        roads.write_text(text)
        assert TABLE.form_of(roads) == form


def test_only_a_file_that_is_refused_is_looked_at(roads: Path, tmp_path: Path) -> None:
    @TABLE.wants(files=(SHOPS, LINES))
    def read(files: Any, told: str = "") -> int:
        if told:
            raise InputError(told)
        return 3

    assert read(roads) == 3
    for files in (roads, str(roads), [roads], {"valid": roads}):
        with pytest.raises(InputError) as caught:
            read(files, f"{roads}: list `shops` is missing")
        assert str(caught.value) == f"{roads}: {OTHER}"
        # The fault of another file, also where this one is named.
        for told in (
            "told by the reader",
            f"{tmp_path / 'other.json'}: does not belong to {roads}",
            f"{roads}.gz: is damaged",
            f"{roads / 'b'}: is damaged",
        ):
            with pytest.raises(InputError) as caught:
                read(files, told)
            assert str(caught.value) == told
    for files in (None, [], {"valid": tmp_path / "none"}):
        with pytest.raises(InputError, match="none: is missing"):
            read(files, f"{tmp_path / 'none'}: is missing")


def test_a_path_is_known_however_it_is_spelled(
    roads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @TABLE.wants(path=SHOPS)
    def read(path: str, told: Any) -> None:
        raise InputError(f"{told}: is damaged")

    monkeypatch.chdir(roads.parent)
    for told in ("./a.json", Path("./a.json")):
        with pytest.raises(InputError, match=OTHER):
            read("./a.json", told)


def test_findings_are_about_the_files_with_errors(roads: Path) -> None:
    @TABLE.wants(files=SHOPS)
    def check(files: list[Path], wrong: list[str]) -> None:
        raise InvalidData("what was looked at, and 1 finding", wrong)

    with pytest.raises(InputError, match=f"{roads}: {OTHER}"):
        check([roads], [str(roads)])
    with pytest.raises(InvalidData, match="1 finding"):
        check([roads], ["frames/000.png"])


def test_only_readers_of_lines_say_what_is_vague(roads: Path) -> None:
    roads.write_text('{"a": 1}')
    for form, told in ((SHOPS, "is damaged$"), (LINES, r"is \['a'\], lists \[\], not l; m$")):

        @TABLE.wants(path=form)
        def read(path: Path) -> None:
            raise InputError(f"{path}: is damaged")

        with pytest.raises(InputError, match=told):
            read(roads)
