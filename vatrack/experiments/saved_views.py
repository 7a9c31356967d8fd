"""Views of MLflow's table of runs: which columns and charts it shows, under an address of its own.

MLflow keeps them as tags of the experiment, and lists them under *Views*. Versions of MLflow that
know no named views show the table as it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from vatrack.common.mask_types import MASK_TYPES
from vatrack.experiments.names import LOSSES, MAIN, RESULTS, TRAINING, VALIDATIONS

PREFIX = "mlflow.sharedViewState."
MADE = 1_764_000_000_000  # milliseconds since 1970; one that was changed later is somebody's own
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


def views(comparison: str) -> dict[str, str]:
    """The views that a run is shown in, by the experiment's tag for each.

    Args:
        comparison: the tag of the runs that may be compared.
    """
    compared = f"tags.comparison = '{comparison}'"
    return {
        PREFIX + ALL_RUNS: _view("Main metrics of all runs", ""),
        PREFIX + comparison_key(comparison): _view(f"Comparison {comparison}", compared),
    }


def comparison_key(comparison: str) -> str:
    """The key of the view that compares the methods."""
    return f"vatrack-{comparison}"


def missing(wanted: Mapping[str, str], there: Mapping[str, str]) -> dict[str, str]:
    """What to send: views that are not there, and those of an older version that nobody changed."""
    return {
        tag: view
        for tag, view in wanted.items()
        if there.get(tag) != view and (tag not in there or _changed_at(there[tag]) < MADE)
    }


def view_address(server: str, experiment: str, key: str, charts: bool = False) -> str:
    """Where a browser shows a view: the table of runs, or their charts."""
    mode = "&compareRunsMode=CHART" if charts else ""
    return (
        f"{server}/#/experiments/{experiment}/runs?viewStateShareKey={quote(key)}"
        f"&workflowType=machine_learning{mode}"
    )


def _view(name: str, wanted: str) -> str:
    """A view as MLflow keeps it.

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
        "columnOrder": columns,
        "columnWidths": {
            column: round(LETTER * len(name) + AROUND)
            for name, column in zip(MAIN, columns, strict=True)
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


def _changed_at(view: str) -> float:
    try:
        return float(json.loads(view)["updatedAt"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
