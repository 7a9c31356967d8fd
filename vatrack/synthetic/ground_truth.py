"""A small ground truth for checks of the evaluation, made in seconds from the miniature set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vatrack.common.output_folders import scratch_directory
from vatrack.common.value_files import read_json
from vatrack.config.dataset import ClipsConfig, DatasetConfig, SyntheticConfig

SETTINGS = SyntheticConfig(
    train_videos=1, valid_videos=3, frames=33, width=320, height=200, objects=6, classes=4, shots=1
)
SEED = 0


def make_ground_truth(scratch_beside: Path) -> dict[str, Any]:
    """The joint form of the validation videos, each one clip; the same each time.

    Args:
        scratch_beside: a path in a folder where raw frames can lie for a moment.
    """
    from vatrack.sailvos.convert import convert_files
    from vatrack.sailvos.cuts import write_structure
    from vatrack.sailvos.index import build_index
    from vatrack.synthetic.render import render

    clips = ClipsConfig(structure="whole")
    with scratch_directory(scratch_beside) as folder:
        raw, index, structure = folder / "raw", folder / "index.json", folder / "clips.json"
        render(raw, SETTINGS, SEED)
        build_index(raw, {subset: raw / f"{subset}.json" for subset in ("train", "valid")}, index)
        write_structure(clips, index, None, structure)
        convert_files(raw / "valid.json", structure, DatasetConfig(), folder / "valid")
        return read_json(folder / "valid" / "joint.json")
