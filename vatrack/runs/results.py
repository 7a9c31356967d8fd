"""Folders of results, as the workflow lays them out: their runs, and the data of those."""

from __future__ import annotations

from pathlib import Path

from vatrack.common.files import read_yaml
from vatrack.common.numbers_in_names import natural
from vatrack.runs.folder import RunFolder


def run_data(folder: Path) -> tuple[Path, Path]:
    """Where the valid set of a run is, as the workflow lays out its results.

    Returns:
        The joint annotations of the valid set, and the folder of the frames, which the config
        names for own annotations. Whether they exist is not checked.

    Raises:
        InputError: config.yaml is no valid YAML.
    """
    results = Path(folder).resolve().parent.parent
    file = RunFolder(folder).config
    config = read_yaml(file) if file.is_file() else None
    dataset = config.get("dataset") if isinstance(config, dict) else None
    own = dataset.get("images") if isinstance(dataset, dict) else None
    images = Path(own) if isinstance(own, str) and own else results / "clips"
    return results / "annotations" / "valid" / "joint.json", images


def named_runs(folder: Path) -> list[RunFolder]:
    """The runs in a folder that are named as such; seed10 comes after seed9."""
    found = [RunFolder(path) for path in folder.glob("*") if path.is_dir()]
    return sorted((run for run in found if run.name), key=lambda run: natural(run.path.name))
