"""Finds the golden cases: numbers that the published implementation produced.

Those with synthetic inputs lie in tests/golden (layout: its README.md). A second folder, named by
the environment variable VATRACK_GOLDEN (default: ../shared/golden, where that exists), is read in
addition; a case that lies in both is run once.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from vatrack.common.value_files import read_json

ROOT = Path(__file__).resolve().parents[2]
BUNDLED = ROOT / "tests" / "golden"
MORE = Path(os.environ.get("VATRACK_GOLDEN", ROOT.parent / "shared" / "golden"))
SHARED_DATA = MORE.parent / "data"


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


def find_cases(kind: str, folders: tuple[Path, ...] = (BUNDLED, MORE)) -> list[Case]:
    """The cases of one kind by name; the first folder that has a name wins."""
    found: dict[str, Path] = {}
    for folder in folders:
        for path in (folder / kind).glob("*/case.json"):
            found.setdefault(path.parent.name, path)
    return [Case(path.parent, read_json(path)) for _, path in sorted(found.items())]


def cases(kind: str, choose: Callable[[list[Case]], list[Case]] = list) -> list[Any]:
    """pytest parameters for the cases of a kind that are chosen; for all where none of those that
    there are is, and one skipped parameter where there is none at all."""
    found = find_cases(kind)
    if not found:
        reason = f"no golden cases of kind {kind} in {BUNDLED} or {MORE}; set VATRACK_GOLDEN"
        return [pytest.param(None, marks=pytest.mark.skip(reason=reason), id="missing")]
    return [pytest.param(case, id=case.folder.name) for case in choose(found) or found]


@cache
def recipe() -> ModuleType:
    """The module recipe.py of the golden cases: deterministic weights and images."""
    path = next((f / "recipe.py" for f in (BUNDLED, MORE) if (f / "recipe.py").exists()), None)
    if path is None:
        raise FileNotFoundError(f"no recipe.py in {BUNDLED} or {MORE}")
    specification = importlib.util.spec_from_file_location("golden_recipe", path)
    assert specification and specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module
