"""Writes tables as CSV (full precision), and as Markdown, LaTeX and HTML (rounded, best bold)."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

import pandas as pd
from pandas.io.formats.style import Styler
from pandas.io.formats.style_render import CSSDict

from vatrack.reporting.tables.panels import panels, width
from vatrack.reporting.tables.table import MISSING, Table

COLUMN = 55  # characters that fit beside each other in one of a page's two columns
LATEX_SIGNS = {
    **{sign: f"\\{sign}" for sign in "#$%&_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "`": r"\textasciigrave{}",
    '"': "''",  # the sign itself means something to babel
    "[": "{[}",  # after the end of a row, this and a star are read as its options
    "*": "{*}",
}
# What means something to Markdown: signs, underscores around a word, the start of an entity.
MARKDOWN_SIGNS = re.compile(r"[\\|*<\[\]~`]|(?<!\w)_+|_+(?!\w)|&(?=#?\w+;)")
LATEX_CODE, HTML_CODE = r"\texttt{{{}}}", "<code>{}</code>"
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c1c1c; background: #fff;
  margin: 1.5rem; max-width: 80rem; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
table { border-collapse: collapse; border-top: 2px solid; border-bottom: 2px solid; }
th { font-weight: 600; }
th, td { padding: .25rem .75rem; text-align: right; font-variant-numeric: tabular-nums; }
th[colspan] { text-align: center; }
p { font-size: .85rem; color: #555; }
"""


def to_csv(table: Table) -> str:
    """Comma-separated values, with names as options take them.

    A missing value is a dash (read with `na_values="-"`).
    """
    heads = [*table.texts, *(column.key for column in table.columns)]
    rows = []
    for row in table.rows:
        rows.append([*map(_line, row.key), *row.values])
        if row.spread:
            rows.append([*map(_line, row.spread_key), *row.spread])
    frame = pd.DataFrame(rows, columns=[_line(head) for head in heads], dtype=object)
    return frame.to_csv(index=False, na_rep=MISSING, lineterminator="\n")


def to_markdown(table: Table) -> str:
    """A heading, a pipe table and a note."""
    stars = table.style.replace({"best": "**", "quoted": "*"})
    cells = stars + table.shown.map(_markdown) + stars
    heads = [
        f"{group} {head}".lstrip() for group, head in zip(_groups(table), table.heads, strict=True)
    ]
    lines = [f"### {_markdown(table.title)}", "", _pipes(map(_markdown, heads))]
    lines.append("|" + "---|" * len(table.headings) + "---:|" * len(table.columns))
    lines += map(_pipes, cells.to_numpy().tolist())
    return "\n".join([*lines, "", _note(table, _markdown, "`{}`"), ""])


def to_latex(table: Table) -> str:
    """Floating tables with booktabs' rules: one, or one for each panel of a wide table."""
    return "\n".join(map(_float, panels(table)))


def _float(table: Table) -> str:
    first = len(table.headings)
    cells = table.shown.map(_latex_value)
    names = list(range(first))
    cells[names] = table.shown[names].map(_latex)
    heads = [_latex(head) for head in table.heads]
    rules, start = [], 1
    for group, members in groupby(_groups(table)):
        end = start + len(list(members)) - 1
        rules += [f"\\cmidrule(lr){{{start}-{end}}}"] * bool(group)
        start = end + 1
    heads[0] = "".join(f"{rule}\n" for rule in rules) + heads[0]
    for row in _new_blocks(table)[1:]:
        cells.iat[row, 0] = "\\midrule\n" + str(cells.iat[row, 0])
    text = _styler(table, cells, heads, _latex).to_latex(
        environment="table*" if width(table) > COLUMN else "table",
        position_float="centering",
        caption=f"{_latex(table.title)}. {_note(table, _latex, LATEX_CODE)}",
        label=f"tab:{table.name.replace('_', '-')}",
        column_format="l" * first + "r" * len(table.columns),
        hrules=True,
        multicol_align="c",
        convert_css=True,
    )
    return f"% needs \\usepackage{{booktabs}}\n{text}"


def to_page(tables: Sequence[Table]) -> str:
    """One HTML document with all tables, as readers see them."""
    body = "\n".join(
        f"<h2>{_html(table.title)}</h2>\n{_html_table(table)}\n"
        f"<p>{_note(table, _html, HTML_CODE)}</p>"
        for table in tables
    )
    head = f'<meta charset="utf-8"><title>VATrack: tables</title><style>{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def _html_table(table: Table) -> str:
    names = [f".col{number}" for number in range(len(table.headings))]
    rules = [f".row{row}" for row in _new_blocks(table)]
    styles = [CSSDict(selector=name, props="text-align: left") for name in names]
    styles += [CSSDict(selector=rule, props="border-top: 1px solid") for rule in rules]
    styler = _styler(table, table.shown.map(_html), [_html(head) for head in table.heads], _html)
    return styler.set_table_styles(styles).to_html(table_uuid=table.name)


def _styler(
    table: Table, cells: pd.DataFrame, heads: list[str], escape: Callable[[str], str]
) -> Styler:
    """The escaped cells below their headings, the best bold, names of quoted rows in italics."""
    groups = _groups(table)
    labels: dict[object, str] = dict(enumerate(heads))
    columns = pd.MultiIndex.from_arrays([groups, cells.columns])
    css = table.style.replace({"best": "font-weight: bold", "quoted": "font-style: italic"})
    css = css.set_axis(columns, axis=1)
    styler = (
        cells.set_axis(columns, axis=1).style.hide(axis="index").apply(lambda _: css, axis=None)
    )
    styler.format_index(lambda group: escape(str(group)), axis=1, level=0)
    styler.format_index(labels.__getitem__, axis=1, level=1)
    return styler if any(groups) else styler.hide(axis="columns", level=0)


def _groups(table: Table) -> list[str]:
    return [*("" for _ in table.headings), *(column.group for column in table.columns)]


def _new_blocks(table: Table) -> list[int]:
    """The rows with a rule above them."""
    blocks = [row.block for row in table.rows]
    return [row for row, block in enumerate(blocks) if row == 0 or block != blocks[row - 1]]


def _pipes(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _line(text: str) -> str:
    """The text without line breaks and other control characters, which would end a row."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", text)


def _note(table: Table, escape: Callable[[str], str], code: str) -> str:
    """The table's note, in which alone `signs` between backticks are code."""
    parts = re.split("`([^`]*)`", table.note)
    return "".join(
        code.format(escape(part)) if number % 2 else escape(part)
        for number, part in enumerate(parts)
    )


def _markdown(text: str) -> str:
    """Text in which no sign has a meaning to Markdown."""
    return MARKDOWN_SIGNS.sub(lambda found: re.sub(".", r"\\\g<0>", found[0]), _line(text))


def _latex(text: str) -> str:
    """Text in which no sign has a meaning to LaTeX."""
    return "".join(LATEX_SIGNS.get(sign, sign) for sign in _line(text)).replace("--", "-{}-")


def _latex_value(text: str) -> str:
    """A value, or an en dash; a hyphen is no minus."""
    if text == MISSING:
        return "--"
    return re.sub("[+-]", r"$\g<0>$", text).replace("±", r"$\pm$")


def _html(text: str) -> str:
    return html.escape(_line(text))
