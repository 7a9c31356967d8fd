"""Small inputs of the conversion, and what it writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.sailvos.official import STRUCTURE, official
from vatrack.common.files import write_json
from vatrack.data.forms import FORMS

Json = dict[str, Any]


Change = Callable[[Json], object]


STORES = [f"{form}.json.store" for form in FORMS]
FILES = sorted(
    [*(f"{form}.json" for form in FORMS), *STORES, "video_amodal.json", "video_visible.json"]
)


def write_inputs(folder: Path, change: Change = lambda data: None) -> tuple[Path, Path]:
    data = official({"a": 3, "b": 2})
    change(data)
    write_json(folder / "train.json", data)
    write_json(folder / "structure.json", STRUCTURE)
    return folder / "train.json", folder / "structure.json"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def content(folder: Path, keep: str = "") -> dict[str, bytes]:
    """All files; of stores, which hold a time stamp, only that they are there."""
    files = sorted(folder.iterdir()) if folder.exists() else []
    return {path.name: b"" if path.suffix == ".store" else path.read_bytes() for path in files}


def set_rates(*rates: float) -> Change:
    def change(data: Json) -> None:
        for item, rate in zip(data["annotations"], rates, strict=True):
            item["occlude_rate"] = rate

    return change
