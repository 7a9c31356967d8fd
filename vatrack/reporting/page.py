"""The tables as one web page, for the report."""

from __future__ import annotations

import html
import re
from itertools import groupby
from pathlib import Path

from vatrack.files import write_text

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c1c1c; background: #fff; margin: 1.5rem; max-width: 70rem; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
table { border-collapse: collapse; border-top: 2px solid; border-bottom: 2px solid; }
th { border-bottom: 1px solid; font-weight: 600; }
th, td { padding: .25rem .75rem; text-align: left; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
p { font-size: .85rem; color: #555; }
"""


def write_page(markdown: str, out: Path) -> None:
    """Writes Markdown tables as HTML.

    Args:
        markdown: what `vatrack.reporting.tables.write_tables` returns: headings, pipe tables and paragraphs of one line.
        out: the .html file.
    """
    body: list[str] = []
    for is_table, lines in groupby(markdown.splitlines(), key=lambda line: line.startswith("|")):
        if is_table:
            body.append(_table([[cell.strip() for cell in line.strip("|").split("|")] for line in lines]))
        else:
            body += [_text(line) for line in lines if line]
    head = f'<meta charset="utf-8"><title>VATrack: tables</title><style>{STYLE}</style>'
    write_text(out, f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n' + "\n".join(body) + "\n</body></html>\n")


def _table(rows: list[list[str]]) -> str:
    """A header, a line of dashes (with a colon at the end where the column is aligned right), and the rest."""
    header, dashes, *rest = rows
    kinds = [' class="number"' if dash.endswith(":") else "" for dash in dashes]

    def line(cells: list[str], tag: str) -> str:
        inner = [f"<{tag}{kind}>{_inline(cell)}</{tag}>" for cell, kind in zip(cells, kinds, strict=True)]
        return f"<tr>{''.join(inner)}</tr>"

    return "\n".join(["<table>", line(header, "th"), *(line(cells, "td") for cells in rest), "</table>"])


def _text(line: str) -> str:
    return f"<h2>{_inline(line.lstrip('# '))}</h2>" if line.startswith("#") else f"<p>{_inline(line)}</p>"


def _inline(text: str) -> str:
    text = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", html.escape(text))
    return re.sub(r"\*(.+?)\*", r"<em>\1</em>", text)
