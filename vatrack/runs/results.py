"""Folders of results, as the workflow lays them out: their runs, and the data of those; a run's
folder in place of a file in it; and what makes a file that a run lacks."""

from __future__ import annotations

import shlex
from pathlib import Path

from vatrack.common.errors import InputError
from vatrack.common.locks import held
from vatrack.common.mask_types import MaskType
from vatrack.common.numbers_in_names import natural
from vatrack.common.text_files import no_such
from vatrack.common.value_files import read_yaml
from vatrack.config import load_run_config
from vatrack.runs.folder import RunFolder
from vatrack.runs.made_from import Outdating, outdated

# What makes the files of a run, in this order; their names are those of `RunFolder`.
STEPS = {
    "training": "resume it",
    "best_checkpoint": "choose the best checkpoint",
    "predictions": "predict the validation set",
    "metrics": "evaluate the predictions",
}


def file_of_run(path: Path, name: str) -> Path:
    """The file itself, or, where `path` is the folder of a run or a tracked video, a file in it.

    Args:
        name: that of the file in `RunFolder`: `config`, `best_checkpoint`, `predictions`, ...

    Raises:
        InputError: a folder without that file; or a run whose predictions are outdated.
    """
    if not path.is_dir():
        return path
    if name == "predictions" and outdated(path, "predictions"):
        raise InputError(f"{path}: {outdated_step(path, 'predictions')}")
    found: Path = getattr(RunFolder(path), name)
    for file in (found, found.with_name(found.name.removesuffix(".gz"))):  # of `track`: unpacked
        if file.is_file():
            return file
    if RunFolder(path).config.is_file() and not (path / "runs").is_dir() and name in STEPS:
        raise InputError(f"{path}: {next_step(path, name)}")
    fix = f"give a file, or a run folder that contains {found.name}"
    if (path / "runs").is_dir():
        fix = f"this is a results folder; give one of the folders in {path / 'runs'}"
    raise InputError(f"{path}: folder without {found.name}; {fix}")


def outdated_step(folder: Path, name: Outdating) -> str:
    """What is said of outdated predictions or metrics: why, and the next command; else empty."""
    text = outdated(folder, name)
    if not text:
        return ""
    step = "predictions" if name == "predictions" or outdated(folder, "predictions") else "metrics"
    return f"{text}; {STEPS[step]} again: {commands_of(folder)[step]}"


def require_run(folder: Path, name: str | None = "config", option: str = "") -> None:
    """Refuses what is not the folder of a run.

    Args:
        name: of a file that must be in it, as for `file_of_run`; None: none need be.
        option: that named the folder, with a space behind it, for messages.

    Raises:
        InputError: it is missing, a file, a folder of results, or one without that file.
    """
    said = f"{option}{folder}"
    if not folder.is_dir():
        raise InputError(f"{said}: {no_such(folder, 'folder')}; give a run folder")
    if (folder / "runs").is_dir():
        raise InputError(f"{said}: a results folder; give one of the folders in {folder / 'runs'}")
    if name is None:
        return
    file: Path = getattr(RunFolder(folder), name)
    if not file.is_file():
        other = ", or give --config" if option and name == "config" else ""
        raise InputError(
            f"{said}: not a run folder (no {file.name}); give one such as "
            f"results/mini/runs/vatrack__resnet18{other}"
        )


def commands_of(folder: Path) -> dict[str, str]:
    """The commands that make the files of a run by hand, by the names of `STEPS`.

    Raises:
        InputError: config.yaml is no valid YAML.
    """
    valid, images = run_data(folder)
    run, frames, truth, data = (
        shlex.quote(str(_from_here(path))) for path in (folder, images, valid, valid.parent.parent)
    )
    files = RunFolder(run)
    return {
        "training": f"vatrack train --config {run} --annotations {data} --images {frames} "
        f"--out {run}",
        "best_checkpoint": f"vatrack select --run {run} --out {files.selection}",
        "predictions": f"vatrack predict --checkpoint {run} --frames {truth} --images {frames} "
        f"--out {files.predictions} --processes 0",  # the same bytes as the workflow's
        "metrics": f"vatrack evaluate --run {run} --out {files.metrics} --details {files.details}",
    }


def _from_here(path: Path) -> Path:
    """The path as seen from the current folder, where it is below it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def next_step(folder: Path, name: str) -> str:
    """What is said of a file of `STEPS` that a run lacks: the next command on the way to it, or
    that its training is still at work.

    Example: "has no best.pt; choose the best checkpoint: vatrack select --run R --out R/best.json"
    """
    run, steps, step = RunFolder(folder), list(STEPS), name
    for before in reversed(steps[: steps.index(name)]):
        if getattr(run, before).exists():
            break
        step = before
    lacking = f"has no {getattr(run, name).name}"
    if step == "training":
        if held(run.lock):
            return f"{lacking}: its training is still running; wait until it ends"
        lacking += ": its training is not complete"
    return f"{lacking}; {STEPS[step]}: {commands_of(folder)[step]}"


def masks_of_run(folder: Path) -> tuple[MaskType, ...] | None:
    """The mask types that the method of a run predicts; None where the folder has no config.

    Raises:
        InputError: config.yaml is not the config of a run.
    """
    config = RunFolder(folder).config
    return load_run_config(config).method.masks if config.is_file() else None


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
