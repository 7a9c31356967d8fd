"""Finds the golden cases: numbers that the published implementation produced (layout:
golden/README.md beside them)."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from vatrack.common.files import read_json

GOLDEN = Path(
    os.environ.get("VATRACK_GOLDEN", Path(__file__).resolve().parents[2] / "shared" / "golden")
)
SHARED_DATA = GOLDEN.parent / "data"


@dataclass(frozen=True)
class Case:
    """One golden case: its folder and the content of its case.json."""

    folder: Path
    info: dict[str, Any]

    @property
    def parameters(self) -> dict[str, Any]:
        return self.info.get("parameters", {})

    def path(self, name: str) -> Path:
        """The path of a file by its key in case.json "files", or by its plain name."""
        return self.folder / self.info.get("files", {}).get(name, name)

    def json(self, name: str) -> Any:
        return read_json(self.path(name))

    def npz(self, name: str) -> dict[str, np.ndarray]:
        with np.load(self.path(name)) as archive:
            return dict(archive)


def cases(kind: str) -> list[Any]:
    """pytest parameters for every case of a kind; one skipped parameter where the folder is
    missing."""
    found = sorted((GOLDEN / kind).glob("*/case.json"))
    if not found:
        reason = f"no golden cases in {GOLDEN / kind}; set VATRACK_GOLDEN"
        return [pytest.param(None, marks=pytest.mark.skip(reason=reason), id="missing")]
    return [pytest.param(Case(path.parent, read_json(path)), id=path.parent.name) for path in found]


@cache
def recipe() -> ModuleType:
    """The module golden/recipe.py: deterministic weights and pictures."""
    specification = importlib.util.spec_from_file_location("golden_recipe", GOLDEN / "recipe.py")
    assert specification and specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module
