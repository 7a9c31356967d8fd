"""How figures look that matplotlib draws."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib.style

STYLE: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#555555",
    "axes.grid": True,
    "axes.labelcolor": "#222222",
    "axes.labelsize": 9,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.7,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "svg.fonttype": "path",
    "svg.hashsalt": "vatrack",
    "xtick.color": "#555555",
    "xtick.labelcolor": "#222222",
    "xtick.labelsize": 8,
    "ytick.color": "#555555",
    "ytick.labelcolor": "#222222",
    "ytick.labelsize": 8,
}


@contextmanager
def figure_style() -> Iterator[None]:
    """The look of all plots, whatever the user's own matplotlibrc says."""
    with matplotlib.style.context(["default", STYLE]):
        yield
