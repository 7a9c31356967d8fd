"""A small rendered set, and what the data stages make of it, shared by the tests of this folder (read only)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from vatrack.config.dataset import ClipsConfig, SyntheticConfig
from vatrack.data.cuts import score_video_file, write_structure
from vatrack.data.index import build_index
from vatrack.data.sailvos import list_videos
from vatrack.data.synthetic import render


@dataclass(frozen=True)
class Mini:
    """A rendered set with its index, scores and clips."""

    settings: SyntheticConfig
    seed: int
    raw: Path
    index: Path
    scores: Path
    structure: Path

    def official(self, subset: str) -> Path:
        return self.raw / f"{subset}.json"


@pytest.fixture(scope="session")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Mini:
    root = tmp_path_factory.mktemp("mini")
    # Video 2 of two shots has a fade.
    settings = SyntheticConfig(train_videos=3, valid_videos=1, frames=45)
    found = Mini(settings, 5, root / "raw", root / "index.json", root / "scores", root / "structure.json")
    render(found.raw, settings, found.seed)
    build_index(found.raw, {subset: found.official(subset) for subset in ("train", "valid")}, found.index)
    for video in list_videos(found.raw):
        score_video_file(found.raw, found.index, video, found.scores / f"{video}.json")
    write_structure(ClipsConfig(), found.index, found.scores, found.structure)
    return found
