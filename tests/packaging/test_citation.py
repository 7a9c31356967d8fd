"""CITATION.cff names the version of the package."""

from __future__ import annotations

from pathlib import Path

import yaml

import vatrack


def test_the_cited_version_is_the_packages() -> None:
    text = (Path(__file__).parents[2] / "CITATION.cff").read_text(encoding="utf-8")
    assert yaml.safe_load(text)["version"] == vatrack.__version__
