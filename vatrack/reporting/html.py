"""What the HTML pages have in common: their templates, and files that stand in the page itself."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Template


def load_template(path: Path) -> Template:
    """A template; everything that it shows is escaped, and a name that is not given is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(path.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(path.name)


def data_url(content: bytes, mime_type: str) -> str:
    """A file as the address of itself, for `src`."""
    return f"data:{mime_type};base64,{b64encode(content).decode()}"
