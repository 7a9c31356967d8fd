"""The metrics that the method's authors published (spec 6.5), from a file that names its source."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from vatrack.config import Backbone, Method


@dataclass(frozen=True)
class Published:
    """What was published, by table (image_amodal, ...), method and column, in percent."""

    source: str
    dataset: str
    subset: str
    backbone: Backbone
    tables: Mapping[str, Mapping[Method, Mapping[str, float]]]


def read_published() -> Published:
    """Reads published.json."""
    text = (
        resources.files("vatrack.reporting.tables")
        .joinpath("published.json")
        .read_text(encoding="utf-8")
    )
    document = json.loads(text)
    columns = document["columns"]
    return Published(
        document["source"],
        document["dataset"],
        document["subset"],
        Backbone(document["backbone"]),
        {
            name: {
                Method(method): dict(zip(columns, values, strict=True))
                for method, values in rows.items()
            }
            for name, rows in document["tables"].items()
        },
    )
