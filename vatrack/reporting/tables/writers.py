"""Writes tables as CSV (full precision), and as Markdown and LaTeX (rounded, best bold)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import groupby

import pandas as pd

from vatrack.reporting.tables.panels import panels, width
from vatrack.reporting.tables.table import MISSING, Table, one_line

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
LATEX_CODE = r"\texttt{{{}}}"
# Fonts differ: what is still wider than the page or its column becomes as wide as that.
LATEX_FIT = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{"


def to_csv(table: Table) -> str:
    """Comma-separated values, with names as options take them.

    A missing value is a dash (read with `na_values="-"`).
    """
    heads = [*table.texts, *(column.key for column in table.columns)]
    rows = []
    for row in table.rows:
        rows.append([*map(one_line, row.key), *row.values])
        if row.spread:
            rows.append([*map(one_line, row.spread_key), *row.spread])
    frame = pd.DataFrame(rows, columns=[one_line(head) for head in heads], dtype=object)
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
    first, kind = len(table.headings), "table*" if width(table) > COLUMN else "table"
    names, values = table.shown.iloc[:, :first], table.shown.iloc[:, first:]
    cells = pd.concat([names.map(_latex), values.map(_latex_value)], axis=1)
    cells = table.style.replace({"best": r"\bfseries ", "quoted": r"\itshape "}) + cells
    lines = [
        r"% needs \usepackage{booktabs,graphicx}",
        rf"\begin{{{kind}}}",
        r"\centering",
        rf"\caption{{{_latex(table.title)}. {_note(table, _latex, LATEX_CODE)}}}",
        rf"\label{{tab:{table.name.replace('_', '-')}}}",
        r"\smallskip",
        rf"{LATEX_FIT}\begin{{tabular}}{{{'l' * first}{'r' * len(table.columns)}}}",
        r"\toprule",
        *_latex_groups(table),
        _latex_row(map(_latex, table.heads)),
        r"\midrule",
    ]
    for rule, row in zip(table.rules, cells.to_numpy().tolist(), strict=True):
        lines += [r"\midrule"] * rule + [_latex_row(row)]
    lines += [r"\bottomrule", r"\end{tabular}}", rf"\end{{{kind}}}"]
    return "\n".join([*lines, ""])


def _latex_groups(table: Table) -> list[str]:
    """The headings above those of the columns, and a rule below each."""
    cells, rules, start = [], [], 1
    for group, members in groupby(_groups(table)):
        number = len(list(members))
        text = _latex(group)
        cells.append(text if number == 1 else rf"\multicolumn{{{number}}}{{c}}{{{text}}}")
        rules += [rf"\cmidrule(lr){{{start}-{start + number - 1}}}"] * bool(group)
        start += number
    return [_latex_row(cells), *rules] if rules else []


def _latex_row(cells: Iterable[str]) -> str:
    return rf"{' & '.join(cells)} \\"


def _groups(table: Table) -> list[str]:
    return [*("" for _ in table.headings), *(column.group for column in table.columns)]


def _pipes(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _note(table: Table, escape: Callable[[str], str], code: str) -> str:
    """The table's note, in which alone `signs` between backticks are code."""
    pieces = re.split("`([^`]*)`", table.note)
    return "".join(
        code.format(escape(piece)) if number % 2 else escape(piece)
        for number, piece in enumerate(pieces)
    )


def _markdown(text: str) -> str:
    """Text in which no sign has a meaning to Markdown."""
    return MARKDOWN_SIGNS.sub(lambda found: re.sub(".", r"\\\g<0>", found[0]), one_line(text))


def _latex(text: str) -> str:
    """Text in which no sign has a meaning to LaTeX."""
    return "".join(LATEX_SIGNS.get(sign, sign) for sign in one_line(text)).replace("--", "-{}-")


def _latex_value(text: str) -> str:
    """A value, or an en dash; a hyphen is no minus."""
    if text == MISSING:
        return "--"
    return re.sub("[+-]", r"$\g<0>$", text).replace("±", r"$\pm$")
