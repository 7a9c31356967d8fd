"""Existing files that a command must not replace: those of another kind than it writes, and those
that belong to a run."""

from __future__ import annotations

from pathlib import Path

from vatrack.common.errors import InputError
from vatrack.data import known_forms as forms
from vatrack.runs.folder import RunFolder

# What a command writes, by function and option.
WRITTEN = {
    "evaluate out": (forms.METRICS, forms.SHARD),
    "evaluate details": (forms.DETAILS,),
    "merge_evaluations out": (forms.METRICS,),
    "merge_evaluations details": (forms.DETAILS,),
    "annotate out": (forms.OFFICIAL,),
    "index out": (forms.INDEX,),
    "import_dataset out": (forms.JOINT,),
    "predict out": (forms.PREDICTIONS,),
    "merge_predictions out": (forms.PREDICTIONS,),
    "import_predictions out": (forms.PREDICTIONS,),
    "export_predictions out": (forms.COCO,),
    "cuts_score out": (forms.SCORES,),
    "cuts_structure out": (forms.STRUCTURE,),
}
# These write one form only, so that any other JSON object is not theirs.
STRICT = ("evaluate", "merge_evaluations")
# Files of a run, as `RunFolder` names them, with the commands that write them by `--out`.
OF_RUN: dict[str, tuple[str, ...]] = {
    "config": (),
    "environment": (),
    "start_weights": (),
    "metrics_log": (),
    "training": (),
    "selection": ("select",),
    "best_checkpoint": (),
    "inference": (),
    "evaluation": (),
    "mlflow": (),
}
NEVER_REPLACES = ("fetch", "init_config")  # they look at an existing file themselves


def refuse_lost_file(command: str, option: str, target: Path) -> None:
    """Keeps a command from replacing a file that no earlier call of it can have written.

    Args:
        command: name of its function.
        target: an existing file.
        option: that names the target.

    Raises:
        InputError: the file has another form, or belongs to the run or to the results that it is
            in.
    """
    if command in NEVER_REPLACES:
        return
    folder = RunFolder(target.parent)
    of_run = folder.config.is_file() and (folder.begun or folder.metrics_log.is_file())
    results = (folder.path / "runs").is_dir()
    for name, commands in OF_RUN.items():
        owned = of_run or (results and name == "config")
        if owned and target.name == getattr(folder, name).name and command not in commands:
            _refuse(option, target, f"belongs to the {'run' if of_run else 'results'} there")
    own = {form.what for form in WRITTEN.get(f"{command} {option}", ())}
    found = forms.form_of(target)
    if found and found.what not in own and (found in forms.DATA or command in STRICT):
        _refuse(option, target, f"is {found.what}")


def _refuse(option: str, target: Path, what: str) -> None:
    raise InputError(
        f"--{option} {target}: {what}, which would be lost; choose another name for the output"
    )
