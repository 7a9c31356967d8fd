"""docs/architecture.md: the table of rooms says what each room imports, no more and no less, and
modules are as short as the page says."""

from __future__ import annotations

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "vatrack"
PAGE = ROOT / "docs" / "architecture.md"
ROOMS = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
BELOW = {"common", "config"}  # what the table leaves unsaid
LONGEST = 300  # lines of a module


def table() -> dict[str, str]:
    """Room -> the text of its last column."""
    text = PAGE.read_text(encoding="utf-8").partition("## Rooms of the package")[2]
    rows = re.findall(r"^\| `(\w+)/` \|.*\| ([^|]*) \|$", text.partition("\n## ")[0], re.MULTILINE)
    return dict(rows)


def named(source: str) -> set[str]:
    """What a module names in its imports, those inside functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports are not followed"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def imported(source: str) -> set[str]:
    """The rooms among these."""
    parts = [name.split(".") for name in named(source)]
    return {part[1] for part in parts if part[0] == "vatrack" and part[1:]} & ROOMS


def imports_of(room: str) -> set[str]:
    modules = (PACKAGE / room).rglob("*.py")
    found = set().union(*(imported(module.read_text(encoding="utf-8")) for module in modules))
    return found - {room}


def test_every_room_is_in_the_table() -> None:
    assert set(table()) == ROOMS


def test_imports_are_found_wherever_they_stand() -> None:
    source = "def f():\n    from vatrack.data import store\nimport vatrack.models.rpn\n"
    assert imported(source + "from vatrack import runs, __version__\n") == {
        "data", "models", "runs",
    }  # fmt: skip


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_the_table_names_the_real_imports(room: str) -> None:
    said, real = table()[room], imports_of(room)
    if said == "only `common`":
        assert real == {"common"}
    elif room == "common":
        assert (said, real) == ("nothing", set())
    else:
        assert set(re.findall(r"`(\w+)`", said)) == real - BELOW


def test_no_modules_import_each_other() -> None:
    """Not through others, nor for types alone; the rooms themselves are parted by import-linter."""
    sources = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in PACKAGE.rglob("*.py")
    }
    needed = {}
    for module, path in sources.items():
        names = named(path.read_text(encoding="utf-8"))
        found = {name if name in sources else name.rpartition(".")[0] for name in names}
        needed[module] = found & sources.keys() - {module}
    assert needed["vatrack"] and needed["vatrack.cli"]
    list(TopologicalSorter(needed).static_order())  # raises CycleError


def test_no_module_is_too_long() -> None:
    folders = PACKAGE, ROOT / "workflow", ROOT / "snakemake_logger_plugin_vatrack"
    modules = [module for folder in folders for module in folder.rglob("*.py")]
    lengths = {
        module.relative_to(ROOT).as_posix(): len(module.read_text(encoding="utf-8").splitlines())
        for module in modules
    }
    assert len(lengths) > 300
    too_long = {name: lines for name, lines in lengths.items() if lines > LONGEST}
    assert not too_long, "cut them by concept: one module, one concept"
