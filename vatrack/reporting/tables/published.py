"""The metrics that the method's authors published (spec 6.5), from a file that names its source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

from pydantic import TypeAdapter

from vatrack.config import Backbone, Method


@dataclass(frozen=True)
class Published:
    """What was published: the values of these columns by table (image_amodal, ...) and method, in
    percent."""

    source: str
    dataset: str
    subset: str
    backbone: Backbone
    columns: Sequence[str]
    tables: Mapping[str, Mapping[Method, Sequence[float]]]


def read_published() -> Published:
    """Reads published.json."""
    file = resources.files("vatrack.reporting.tables") / "published.json"
    return TypeAdapter(Published).validate_json(file.read_bytes())
