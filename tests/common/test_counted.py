"""Numbers of things, and that nothing else writes them in the plural."""

from __future__ import annotations

import ast
import re
from itertools import pairwise
from pathlib import Path

import pytest

from vatrack.common.counted import counted

PACKAGES = (Path(__file__).parents[2] / "vatrack", Path(__file__).parents[2] / "workflow")
PLURAL = re.compile(
    r" (\w+ )?(runs|clips|archives|files|folders|frames|images|videos|annotations|classes|tracks|"
    r"objects|detections|predictions|shards|jobs|epochs|iterations|tensors|rows|views|lines)\b"
)


@pytest.mark.parametrize(
    ("number", "noun", "form", "text"),
    [
        (1, "run", "", "1 run"),
        (0, "run", "", "0 runs"),
        (2, "video class", "", "2 video classes"),
        (1, "entry", "", "1 entry"),
        (3, "entry", "", "3 entries"),
        (2, "key", "", "2 keys"),
        (2, "box", "", "2 boxes"),
        (12, "epoch", "", "12 epochs"),
        (2, "batch", "", "2 batches"),
        (1234, "frame", ",", "1,234 frames"),
    ],
)
def test_counted(number: int, noun: str, form: str, text: str) -> None:
    assert counted(number, noun, form) == text


def bare_plurals(text: str) -> list[str]:
    """Plurals right after a number that is put into a text, in what results show of themselves."""
    shown = [
        node
        for function in ast.walk(ast.parse(text))
        if isinstance(function, ast.FunctionDef) and function.name in ("__str__", "describe")
        for node in ast.walk(function)
        if isinstance(node, ast.JoinedStr)
    ]
    return [
        ast.unparse(value.value) + str(after.value)
        for node in shown
        for value, after in pairwise(node.values)
        if isinstance(value, ast.FormattedValue)
        and "f" not in ast.unparse(value.format_spec or ast.Constant(""))[2:]  # measured
        and isinstance(after, ast.Constant)
        and PLURAL.match(str(after.value))
        and not ast.unparse(value.value).startswith("counted(")
    ]


def test_results_count_with_it() -> None:
    found = {
        path.name: plurals
        for package in PACKAGES
        for path in package.rglob("*.py")
        if (plurals := bare_plurals(path.read_text()))
    }
    assert found == {}, "1 runs? use vatrack.common.counted"


def test_a_bare_plural_is_seen() -> None:
    bad = "class A:\n    def __str__(self):\n        return f'{self.n} new runs of {self.m}'"
    assert bare_plurals(bad) == ["self.n new runs of "]
