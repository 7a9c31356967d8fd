"""What mkdocs cannot do by itself: pages made from the code, and formulas as MathML."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import typer
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import vatrack
from vatrack.cli import app

ROOT = Path(__file__).parents[2]
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', flags=re.DOTALL)
CODE = re.compile(r"<code>[^<]+</code>")
CONTRACT = re.compile(r"\bcontract ([1-6])\b")
OPTION = re.compile(r"(?<![\w-])--?[A-Za-z][\w-]*")
WIDTH = 96  # of a line of code, in characters
# Names of the public Python API, by heading.
API = {
    "Prediction": ("load", "Predictor", "FrameResult", "Selection"),
    "Whole videos": ("track_videos", "TrackSettings", "DrawSettings", "Tracked"),
    "Evaluation and other tools": (
        "evaluate",
        "read_predictions",
        "export_predictions",
        "import_predictions",
    ),
    "Training and files": ("train", "predict_files"),
    "Config": ("load_config", "load_run_config", "Config", "RunConfig", "Method", "Backbone"),
    "Errors": ("VatrackError", "InputError", "InvalidData", "TrainingDiverged", "FolderBusy"),
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are made from the code or lie outside docs/."""
    made = {
        "cli.md": cli_page(),
        "python.md": python_page(),
        "tutorial.md": notebook_page(ROOT / "docs" / "tutorial.ipynb"),
        "contributing.md": _outside("CONTRIBUTING.md"),
        "changelog.md": _outside("CHANGELOG.md"),
    }
    for name, content in made.items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_content(html: str, page: Page, **_: Any) -> str:
    """Formulas become MathML, which browsers show without a library; options stay in one piece;
    docstrings, which cannot have links, link to the contracts."""
    if page.file.src_uri == "python.md":
        html = CONTRACT.sub(_contract, html)
    html = CODE.sub(lambda found: OPTION.sub(r'<span class="option">\g<0></span>', found[0]), html)
    return FORMULA.sub(_mathml, html)


def _contract(match: re.Match[str]) -> str:
    text = (ROOT / "docs" / "contracts.md").read_text(encoding="utf-8")
    (title,) = re.findall(rf"^## {match[1]}\. (.+)$", text, re.MULTILINE)
    anchor = f"{match[1]}-{title.lower().replace(' ', '-')}"
    return f'<a href="contracts.html#{anchor}">{match[0]}</a>'


def _mathml(match: re.Match[str]) -> str:
    display = "block" if match[2] == "[" else "inline"
    formula = convert(unescape(match[3]).strip(), display=display)
    return f'<div class="formula">{formula}</div>' if display == "block" else formula


def _outside(name: str) -> str:
    """A page of the repository's root, with links as seen from docs/."""
    return (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")


def cli_page() -> str:
    """Every command with its options, defaults and an example."""
    group: Any = typer.main.get_command(app)
    lines = [
        "# All commands",
        "",
        "Made from the code; `vatrack COMMAND -h` shows the same. How options, configs and run "
        "folders work together: [the command line](command-line.md).",
    ]
    panels: dict[str, list[tuple[str, Any]]] = {}
    for name, command in group.commands.items():
        panels.setdefault(str(getattr(command, "rich_help_panel", "") or "Other"), []).extend(
            _leaves(name, command)
        )
    for panel, commands in panels.items():
        lines += ["", f"## {panel}"]
        for name, command in commands:
            lines += _command(name, command)
    return "\n".join([*lines, ""])


def _leaves(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    if hasattr(command, "commands"):
        for inner, found in command.commands.items():
            yield from _leaves(f"{name} {inner}", found)
    else:
        yield name, command


def _command(name: str, command: Any) -> list[str]:
    arguments = [param for param in command.params if _is_argument(param)]
    usage = " ".join(["vatrack", name, *(_metavar(param) for param in arguments)])
    lines = ["", f"### vatrack {name}", "", (command.help or "").strip(), ""]
    lines += ["```text", f"{usage} [OPTIONS]", "```", ""]
    rows = [_option(param, command) for param in command.params if not getattr(param, "hidden", 0)]
    if rows:
        lines += ["| option | value | default | meaning |", "|---|---|---|---|", *rows]
    example = (command.epilog or "").partition("Example:")[2].strip()
    if example:
        lines += ["", "```sh", _wrapped(example), "```"]
    return lines


def _wrapped(command: str) -> str:
    """A command in lines that fit the page, broken between its words."""
    lines: list[str] = []
    for word in re.findall(r"(?:'[^']*'|\S)+", command):
        if lines and len(lines[-1]) + len(word) < WIDTH:
            lines[-1] += f" {word}"
        else:
            lines.append(f"    {word}" if lines else word)
    return " \\\n".join(lines)


def _is_argument(param: Any) -> bool:
    return not param.opts[0].startswith("-")


def _metavar(argument: Any) -> str:
    return str(argument.metavar)


def _option(param: Any, command: Any) -> str:
    names = ", ".join(f"`{name}`" for name in (*param.opts, *param.secondary_opts))
    if _is_argument(param):
        names = f"`{_metavar(param)}`"
    kind: Any = getattr(param, "type_descriptor", None) or getattr(param, "type", None)
    choices = getattr(kind, "choices", None)
    if getattr(param, "is_flag", False) or _is_argument(param):
        value = ""
    elif choices and param.metavar.startswith("["):  # else the meaning lists them
        value = ", ".join(f"`{getattr(choice, 'value', choice)}`" for choice in choices)
    else:
        value = param.metavar
    default = param.default() if callable(param.default) else param.default
    shown = "required" if param.required else ""
    if (
        not param.required
        and isinstance(default, str | int | float | Path)
        and default is not False
    ):
        shown = "yes" if default is True else f"`{getattr(default, 'value', default)}`"
    meaning = (getattr(param, "help", "") or "").replace("|", "\\|").replace("<", "&lt;")
    return f"| {names} | {value} | {shown} | {meaning} |"


def python_page() -> str:
    """The names of `vatrack.__all__`, with their docstrings."""
    listed = {name for names in API.values() for name in names}
    missing = set(vatrack.__all__) - listed - {"__version__"}
    if missing:
        raise ValueError(f"docs/_site/hooks.py lists no heading for: {', '.join(sorted(missing))}")
    lines = [
        "# Python",
        "",
        "`import vatrack`; these names are public, everything else may change. "
        "[Your own video](own-video.md#python) has examples that you can copy.",
    ]
    for heading, names in API.items():
        lines += ["", f"## {heading}"]
        for name in names:
            lines += ["", f"::: {_home(name)}"]
    return "\n".join([*lines, ""])


def _home(name: str) -> str:
    """Where a public name is defined."""
    value = getattr(vatrack, name)
    return f"{value.__module__}.{value.__qualname__}"


def notebook_page(path: Path) -> str:
    """A notebook without its outputs."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    parts = [
        f"```python\n{''.join(cell['source'])}\n```"
        if cell["cell_type"] == "code"
        else "".join(cell["source"])
        for cell in cells
    ]
    return "\n\n".join([*parts, ""])
