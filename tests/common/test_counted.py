"""Numbers of things, and that nothing else writes them in the plural."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from vatrack.common.counted import counted, few

ROOT = Path(__file__).parents[2]
PACKAGES = ("vatrack", "workflow", "snakemake_logger_plugin_vatrack")
# What is counted anywhere. Masks are not: "{mask_type} masks" tells of which sort.
NOUNS = (
    "annotations archives blocks boxes bytes candidates categories channels characters checks "
    "classes clips days detections digits entries epochs errors faults files findings folders "
    "frames gaps groups hours images instances iterations items jobs keys levels lines methods "
    "minutes nodes numbers objects pairs pixels places points predictions problems processes "
    "regions rows runs seconds seeds segmentations settings shards shots steps tensors tracks "
    "trainings tries values videos views warnings workers"
)
PLURAL = re.compile(rf" (?:(?!and |has |is |the )\w+ )?(?:{'|'.join(NOUNS.split())})\b")
# Not numbers of things: names and sizes in front of a noun, what a checksum is made of, and the
# letters of the alphabet.
NAMES = {
    "vatrack/common/images.py": {"size pixels"},
    "vatrack/common/png.py": {"found pixels"},
    "vatrack/reporting/compare/read.py": {"len(ascii_uppercase) run folders"},
    "vatrack/sailvos/content.py": {"pixels.shape[1::-1] pixels"},
    "vatrack/sailvos/index.py": {"owner[name] annotations"},
    "vatrack/weights/checksum.py": {"len(value) items", "len(value) values"},
    "vatrack/video/sources.py": {"', '.join(others[:5]) files"},
}


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [
        (1, "run", "1 run"),
        (0, "run", "0 runs"),
        (2, "video class", "2 video classes"),
        (1, "entry", "1 entry"),
        (3, "entry", "3 entries"),
        (2, "key", "2 keys"),
        (2, "box", "2 boxes"),
        (12, "epoch", "12 epochs"),
        (2, "batch", "2 batches"),
        (1234, "frame", "1234 frames"),
    ],
)
def test_counted(number: int, noun: str, text: str) -> None:
    assert counted(number, noun) == text


def test_few() -> None:
    assert few(range(1, 5)) == "1, 2, 3, ..."
    assert few(["a", "b"], 2) == "a, b"
    assert few([]) == ""


def is_number(value: ast.FormattedValue, before: object) -> bool:
    """Whether a value in a text may be a number that is exactly one.

    Measured values (`:.1f`), the second side of a size (`3 x 4`) and constants of a module are not.
    """
    name = ast.unparse(value.value)
    return not (
        name.startswith("counted(")
        or name.strip("_").isupper()
        or "f" in ast.unparse(value.format_spec or ast.Constant(""))[2:]
        or str(before).endswith(" x ")
    )


def bare_plurals(text: str) -> list[str]:
    """Plurals right after a number that is put into a text, without an adjective or with one."""
    return [
        ast.unparse(value.value) + plural[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.JoinedStr)
        for before, value, after in zip(
            [None, *node.values], node.values, node.values[1:], strict=False
        )
        if isinstance(value, ast.FormattedValue)
        and isinstance(after, ast.Constant)
        and (plural := PLURAL.match(str(after.value)))
        and is_number(value, before.value if isinstance(before, ast.Constant) else None)
    ]


def test_every_text_counts_with_it() -> None:
    found = {
        name: plurals
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        for name in [path.relative_to(ROOT).as_posix()]
        if (plurals := set(bare_plurals(path.read_text())) - NAMES.get(name, set()))
    }
    assert found == {}, "1 runs? use vatrack.common.counted"


@pytest.mark.parametrize(
    ("text", "plurals"),
    [
        ("{self.n} new runs of {self.m}", ["self.n new runs"]),
        ("= {limit} faults: {what}", ["limit faults"]),
        ("{read} of {size} bytes", ["size bytes"]),
        ("{size:,} bytes", ["size bytes"]),
        ("{counted(n, 'run')} and {name} runs", ["name runs"]),
        ("{counted(n, 'run')}", []),
        ("{days:.1f} days left", []),
        ("{width} x {height} pixels", []),
        ("more than {LONGEST} characters", []),
        ("{path} has lines", []),
    ],
)
def test_a_bare_plural_is_seen(text: str, plurals: list[str]) -> None:
    assert bare_plurals(f"def complain():\n    raise InputError(f{text!r})") == plurals
