"""How the files of the stages are called: annotation forms, tables, figures, and runs."""

from __future__ import annotations

from vatrack.config import RunConfig
from vatrack.runs.folder import RunFolder

FORM_FILES = (
    "visible.json",
    "amodal.json",
    "joint.json",
    "joint-2bbox.json",
    "video_amodal.json",
    "video_visible.json",
)
FIGURES = ("losses", "learning_rate", "validation")
TABLES = tuple(
    f"{evaluation}_{masks}"
    for evaluation in ("image", "video", "track")
    for masks in ("amodal", "visible")
)
CLASS_TABLES = tuple(f"classes_{table}" for table in TABLES)
VIDEO_TABLES = tuple(f"videos_{table}" for table in TABLES)
# What the folder and the logs of a run are called. The variant is empty, or a label with its mark.
RUN = "{method}__{backbone}{variant}"


def variant(run: RunConfig) -> str:
    """What follows method and backbone in the run's name."""
    return run.name.removeprefix(RUN.format(method=run.method, backbone=run.backbone, variant=""))


def trunk(folder: str) -> tuple[str, ...]:
    """Method and backbone of a run's folder."""
    return tuple(RunFolder(folder).name or ())[:2]
