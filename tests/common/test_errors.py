"""Messages: what to do about a problem stands behind a semicolon, in all of the package."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from vatrack.common.errors import InputError, InvalidData, advised, naming_config

ROOT = Path(__file__).parents[2]
ERRORS = {"InputError", "InvalidData", "FolderBusy", "TrainingDiverged", "PredictionError"}
# Names of texts from elsewhere, which end in their own advice.
FORWARDED = {"error", "fault", "form", "found", "hint", "problem", "text"}


def written(node: ast.expr) -> Iterator[ast.expr]:
    """The parts of a message in order: texts, and what is put between them."""
    if isinstance(node, ast.JoinedStr):
        for part in node.values:
            yield from written(part)
    elif isinstance(node, ast.BinOp):
        yield from (*written(node.left), *written(node.right))
    else:
        yield node.value if isinstance(node, ast.FormattedValue) else node


def says_what_to_do(message: ast.expr) -> bool:
    """Whether there is a semicolon, or a text from elsewhere at the end."""
    parts = list(written(message))
    last = parts[-1]
    return (
        any(isinstance(part, ast.Constant) and "; " in str(part.value) for part in parts)
        or isinstance(last, ast.BoolOp | ast.Call | ast.Subscript | ast.Attribute | ast.Starred)
        or (isinstance(last, ast.Name) and (last.id in FORWARDED or last.id.isupper()))
    )


def without_advice(text: str) -> list[str]:
    return [
        f"line {node.lineno}: {ast.unparse(node.args[-1])}"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ERRORS
        and node.args
        and not says_what_to_do(node.args[-1])
    ]


def test_every_message_says_what_to_do() -> None:
    found = {
        str(path.relative_to(ROOT)): messages
        for folder in ("vatrack", "workflow")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if (messages := without_advice(path.read_text()))
    }
    assert found == {}, "what is to be done? write '...; do this'"


@pytest.mark.parametrize(
    ("message", "sound"),
    [
        ('"is wrong"', False),
        ('f"{path}: is wrong: {name}"', False),
        ('f"{path}: is {shown} in one" " and another"', False),
        ('f"{path}: is wrong; " "correct it"', True),
        ('f"{path}: {problem}"', True),
        ('unknown("class", name, known)', True),
    ],
)
def test_what_the_test_sees(message: str, sound: bool) -> None:
    assert (without_advice(f"raise InputError({message})") == []) is sound


def test_advice_is_given_once() -> None:
    assert advised("is wrong", "correct it") == "is wrong; correct it"
    assert advised("is wrong; remove it", "correct it") == "is wrong; remove it"


def test_a_config_is_named_where_its_file_is_known() -> None:
    named = naming_config(InvalidData("config: seed is odd; choose another"), "mine.yaml")
    assert type(named) is InvalidData
    assert str(named) == "mine.yaml: seed is odd; choose another"
    other = InputError("a.json: config: seed; correct it")
    assert naming_config(other, "mine.yaml") is other
