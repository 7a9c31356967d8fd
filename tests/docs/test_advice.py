"""Every command that a message or a document advises exists, with its options."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import typer

from snakemake_logger_plugin_vatrack.weights import WEIGHTS
from tests.weights.test_formats import _Object
from vatrack.cli import app
from vatrack.common.errors import InputError
from vatrack.weights.formats import read_file

ROOT = Path(__file__).parents[2]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
SOURCES = sorted((ROOT / "vatrack").rglob("*.py"))
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
VALUE = "VALUE"  # what an f-string puts in


def texts(path: Path) -> Iterator[str]:
    """Every text of a module, with VALUE for what is put in."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in node.values
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else VALUE for part in node.values
            )
        elif isinstance(node, ast.Constant) and id(node) not in inside:
            yield str(node.value)


def advised(program: str, text: str, blocks: bool) -> Iterator[str]:
    """Commands of a program: between backticks, and in a page's blocks of code."""
    for quoted in re.findall(r"`([^`]+)`", FENCE.sub("", text) if blocks else text):
        if " ".join(quoted.split()).startswith(f"{program} "):
            yield " ".join(quoted.split())
    for _, code in FENCE.findall(text) if blocks else ():
        for line in code.replace("\\\n", " ").splitlines():
            if line.strip().startswith(f"{program} "):
                yield " ".join(line.partition(" #")[0].split())


@cache
def all_texts() -> list[tuple[str, str, bool]]:
    """File, text and whether the text is a page, of all that could advise; read and parsed once."""
    found = [(page, page.read_text(encoding="utf-8"), True) for page in PAGES]
    # A command in a text stands between backticks.
    found += [(path, text, False) for path in SOURCES for text in texts(path) if "`" in text]
    return [(path.relative_to(ROOT).as_posix(), text, page) for path, text, page in found]


@cache
def all_advised(program: str) -> list[tuple[str, str]]:
    found = {
        (place, command)
        for place, text, page in all_texts()
        for command in advised(program, text, page)
    }
    return sorted(found)


def problem(command: str) -> str | None:
    """What is wrong with a command of ours; values of options are not looked at."""
    here: Any = typer.main.get_command(app)
    words = shlex.split(command.replace("…", VALUE))[1:]
    while hasattr(here, "commands") and words and not words[0].startswith("-"):
        name = words.pop(0)
        if name == "..." or name.isupper():  # any of them
            return None
        if (inner := here.commands.get(name)) is None:
            return f"no subcommand {name}"
        here = inner
    known = {name for option in here.params for name in (*option.opts, *option.secondary_opts)}
    wrong = [
        word for word in words if word.startswith("--") and word.partition("=")[0] not in
        known | {"--help"}
    ]  # fmt: skip
    return f"no option {wrong[0]}" if wrong else None


def test_every_advised_command_of_ours_exists() -> None:
    wrong = [(*found, told) for found in all_advised("vatrack") if (told := problem(found[1]))]
    assert wrong == []


def test_commands_in_comments_of_configs_have_known_options() -> None:
    files = sorted((ROOT / "config").glob("*.yaml"))
    found = [
        (file.name, command, problem(command))
        for file in files
        for command in re.findall(r"^# +(vatrack .*)$", file.read_text("utf-8"), re.MULTILINE)
    ]
    assert len(found) >= 4
    assert [each for each in found if each[2]] == []


def parses(command: str) -> None:
    """Parses a whole command, ours or one of Snakemake, as a shell hands it over.

    Raises:
        Exception: it lacks something, or has something that does not exist.
    """
    program, *words = shlex.split(command)
    if program == "snakemake":
        parser = pytest.importorskip("snakemake.cli").get_argument_parser()
        assert set(parser.parse_args(words).targets) <= set(WEIGHTS), "rules of the workflow"
        return
    here: Any = typer.main.get_command(app)
    while hasattr(here, "commands"):
        here = here.commands[words.pop(0)]
    here.make_context(command, words, help_option_names=["-h", "--help"])  # which it keeps


def test_what_a_wrong_command_is() -> None:
    assert problem("vatrack imports x") == "no subcommand imports"
    assert problem("vatrack export --weights x") == "no option --weights"
    assert len(all_advised("vatrack")) > 30 and len(all_advised("snakemake")) > 5


def test_every_advised_command_of_snakemake_has_known_options() -> None:
    parser = pytest.importorskip("snakemake.cli").get_argument_parser()
    known = set(parser._option_string_actions)
    wrong = [
        (place, command, word)
        for place, command in all_advised("snakemake")
        for word in command.split()
        if word.startswith("-") and word.partition("=")[0] not in known
    ]
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_advised_python_is_python(page: Path) -> None:
    for language, code in FENCE.findall(page.read_text(encoding="utf-8")):
        if language in ("python", "py"):
            lines = code.splitlines()
            indent = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
            ast.parse("\n".join(line[indent:] for line in lines))


def test_the_advice_for_refused_checkpoints_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"a": torch.ones(2)}, "meta": _Object()}, "old.pth")
    with pytest.raises(InputError) as refused:
        read_file(Path("old.pth"), "weights file")
    advice = str(refused.value).partition("use that file: ")[2]
    page = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    block = next(
        code
        for language, code in FENCE.findall(page)
        if language == "python" and "torch.load" in code
    )
    for code in (f"import torch; {advice}", "\n".join(line[2:] for line in block.splitlines())):
        Path("new.pth").unlink(missing_ok=True)
        exec(code, {})
        assert torch.equal(read_file(Path("new.pth"), "weights file")["a"], torch.ones(2))
