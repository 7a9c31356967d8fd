"""Saved views of MLflow's table of runs: which columns and charts it shows, under an address.

MLflow keeps them as tags of the experiment, and lists them in its menu *Views*. Versions of MLflow
that know no saved views show the table as it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from vatrack.common.mask_types import MASK_TYPES
from vatrack.experiments.names import LOSSES, MAIN, RESULTS, TRAINING, VALIDATIONS

PREFIX = "mlflow.sharedViewState."
MADE = 1_764_000_000_000  # milliseconds since 1970, of all; where it differs, somebody changed one
ALL_RUNS = "vatrack"

# Open from the start, in this order; the others wait folded.
OPEN = (LOSSES, "Model metrics", VALIDATIONS)
FOLDED = (
    *(
        f"{RESULTS} {evaluation} {mask}"
        for mask in MASK_TYPES
        for evaluation in ("image", "video", "track")
    ),
    f"{RESULTS} image hidden",
    *(
        f"{RESULTS} {evaluation} {mask} box"
        for mask in MASK_TYPES
        for evaluation in ("image", "track")
    ),
    TRAINING,
    "System metrics",
)
LETTER, AROUND = 7.5, 20  # pixels, of the width of a column
NAME = "attributes.`Run Name`"
NAME_WIDTH = 250  # pixels; "amodaltrack resnext101 seed 0" is whole


def comparison_key(comparison: str) -> str:
    """The key of the saved view that compares the methods."""
    return f"{ALL_RUNS}-{comparison}"


def outdated_views(comparison: str, there: Mapping[str, str]) -> dict[str, str]:
    """The saved views that a run is shown in, by the experiment's tag for each: those that are
    missing or older, and that nobody has changed.

    Args:
        comparison: the tag of the runs that may be compared.
        there: the tags of the experiment.
    """
    wanted = {
        PREFIX + ALL_RUNS: _saved_view("Main metrics of all runs", ""),
        PREFIX + comparison_key(comparison): _saved_view(
            f"Comparison {comparison}", f"tags.comparison = '{comparison}'"
        ),
    }
    return {
        tag: view
        for tag, view in wanted.items()
        if tag not in there or (there[tag] != view and _untouched(there[tag]))
    }


def view_address(server: str, experiment: str, key: str, charts: bool = False) -> str:
    """Where a browser shows a saved view: the table of runs, or their charts."""
    mode = "&compareRunsMode=CHART" if charts else ""
    return (
        f"{server}/#/experiments/{experiment}/runs?viewStateShareKey={quote(key)}"
        f"&workflowType=machine_learning{mode}"
    )


def _saved_view(name: str, wanted: str) -> str:
    """A saved view as MLflow keeps it.

    Args:
        wanted: filter of the runs.
    """
    columns = [f"metrics.`{metric}`" for metric in MAIN]
    sections = [(name, True) for name in OPEN] + [(name, False) for name in FOLDED]
    state: dict[str, Any] = {
        "searchFilter": wanted,
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "selectedColumns": columns,
        "columnOrder": [NAME, *columns],
        "columnWidths": {
            NAME: NAME_WIDTH,
            **{
                column: round(LETTER * len(name) + AROUND)
                for name, column in zip(MAIN, columns, strict=True)
            },
        },
        "compareRunCharts": [],  # MLflow adds those of the metrics that there are
        "compareRunSections": [
            {"uuid": f"vatrack {number}", "name": name, "display": shown}
            | {"isReordered": False, "deleted": False, "isGenerated": True}
            for number, (name, shown) in enumerate(sections)
        ],
        "isAccordionReordered": True,
    }
    return json.dumps(
        {"name": name, "createdAt": MADE, "updatedAt": MADE, "state": json.dumps(state)}
    )


def _untouched(view: str) -> bool:
    try:
        return bool(json.loads(view)["updatedAt"] == MADE)
    except (ValueError, KeyError, TypeError):
        return False
