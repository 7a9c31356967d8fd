"""What the HTML pages have in common: their frame, their tables, their look.

`base.html.j2` is the frame, which a page extends by its blocks; `table.html.j2` shows a `Section`;
`base.css` is the look of both. A page adds what it alone has.
"""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Any

from vatrack.common.colours import COLOURS
from vatrack.common.counted import counted
from vatrack.version import __version__

HERE = Path(__file__).parent


def render(template: Path, **values: Any) -> str:
    """The page that a template makes of the values.

    Everything that it shows is escaped, save files beside it, which `file("name")` brings in; a
    value that is not given is an error.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader([template.parent, HERE])
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["counted"] = counted
    shared = {
        "version": __version__,
        "colours": colour_rules(),
        "file": lambda name: loader.get_source(environment, name)[0],
    }
    return environment.get_template(template.name).render(shared | values)


def run_colour(number: int) -> str:
    """The class of what has the colour of a run, by its number from 0."""
    return f"c{number % len(COLOURS)}"


def colour_rules() -> str:
    """CSS that gives each class of `run_colour` its colour as --c; on paper that of light pages."""
    light, dark = (
        " ".join(f".c{number} {{ --c: {shade}; }}" for number, shade in enumerate(shades))
        for shades in zip(*((colour.light, colour.dark) for colour in COLOURS), strict=True)
    )
    return f"{light}\n@media screen and (prefers-color-scheme: dark) {{ {dark} }}\n"


def data_url(content: bytes, mime_type: str) -> str:
    """A file as the address of itself, for `src`."""
    return f"data:{mime_type};base64,{b64encode(content).decode()}"
