"""Videos and images of the page: embedded while there is room, else next to it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from vatrack.common.paths import real
from vatrack.reporting.html import data_url
from vatrack.reporting.page.results import RunResults
from vatrack.runs.folder import RunFolder

TYPES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".mp4": "video/mp4"}
MOST_SHEETS = 8  # cut sheets that are shown; to the others there are links


class Media:
    """Sources of files for the page `out`; up to `room` bytes stand in the page itself.

    Attributes:
        beside: how many files the page refers to.
    """

    def __init__(self, out: Path, room: int) -> None:
        self._folder, self._room, self.beside = real(Path(out)).parent, room, 0

    def source(self, path: Path) -> str:
        """What `src` has for a file: its content where there is room, else its place."""
        size = path.stat().st_size
        if size > self._room:
            self.beside += 1
            return self.link(path)
        self._room -= size
        return data_url(path.read_bytes(), TYPES[path.suffix.lower()])

    def link(self, path: Path) -> str:
        """The place of a file, as seen from the page."""
        return quote(Path(os.path.relpath(path.resolve(), self._folder)).as_posix())


def viewer_data(runs: Sequence[RunResults], media: Media) -> dict[str, Any]:
    """The clips of all runs, as the template reads them; runs without clips are left out."""
    found: list[dict[str, Any]] = []
    folders: list[Path] = []
    for run in runs:
        if run.views is None or not run.views.clips or run.folder is None:
            continue
        folders.append(RunFolder(run.folder).views)
        own = asdict(run.views)
        own["images"] = [media.source(folders[-1] / clip["image"]) for clip in own["clips"]]
        short = "vAP50" if run.views.metric.startswith("video/") else "AP50"
        found.append({**own, "colour": run.colour, "name": run.name, "short": short})
    # One clip of every run in turn, so that what is left out is left out everywhere.
    for number in range(max((len(own["clips"]) for own in found), default=0)):
        for own, folder in zip(found, folders, strict=True):
            if number < len(own["clips"]):
                clip = own["clips"][number]
                clip["video"] = media.source(folder / clip["video"])
    return {"runs": found}


def for_script(viewer: dict[str, Any]) -> dict[str, Any]:
    """The clips without their images, which are in the page already."""
    return {
        "runs": [
            {key: value for key, value in own.items() if key != "images"} for own in viewer["runs"]
        ]
    }


@dataclass(frozen=True)
class Sheets:
    """Cut sheets: those that are shown, as (name, source), and links to the others."""

    shown: list[tuple[str, str]]
    linked: list[tuple[str, str]]


def cut_sheets(results: Path, media: Media) -> Sheets | None:
    """The cut sheets of a folder of results, those of validation videos first; None: there is
    none."""
    files = sorted(
        (Path(results) / "cuts" / "sheets").glob("[!.]*.jpg"),  # no leftovers of a killed run
        key=lambda path: ("valid" not in path.stem, path.name),
    )
    if not files:
        return None
    return Sheets(
        [(path.stem, media.source(path)) for path in files[:MOST_SHEETS]],
        [(path.stem, media.link(path)) for path in files[MOST_SHEETS:]],
    )
