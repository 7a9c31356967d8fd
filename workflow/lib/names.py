"""How the files of the stages are called: annotation forms, tables, figures, and runs."""

from __future__ import annotations

from collections.abc import Sequence

from vatrack.common.mask_types import MASK_TYPES, MaskType
from vatrack.config import Method, RunConfig
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


def shared_results(root: str) -> list[str]:
    """The tables and plots of all runs."""
    tables, figures = f"{root}/tables", f"{root}/figures"
    return [
        f"{tables}/tables.html",
        *(
            f"{tables}/{name}.{end}"
            for name in TABLES + CLASS_TABLES
            for end in ("csv", "md", "tex")
        ),
        *(f"{tables}/{name}.{end}" for name in VIDEO_TABLES for end in ("csv", "md")),
        *(f"{figures}/{name}.svg" for name in FIGURES),
    ]


def track_file(masks: MaskType) -> str:
    """The video ground truth of a mask type."""
    return f"video_{masks}.json"


def own_forms(methods: Sequence[Method]) -> list[str]:
    """The forms of own annotations that these methods need, which may lack a mask type."""
    types = {name for method in methods for name in method.masks}
    forms = dict.fromkeys(["joint.json", *(f"{method.form}.json" for method in methods)])
    return [*forms, *(track_file(name) for name in MASK_TYPES if name in types)]


def variant(run: RunConfig) -> str:
    """What follows method and backbone in the run's name."""
    return run.name.removeprefix(RUN.format(method=run.method, backbone=run.backbone, variant=""))


def trunk(folder: str) -> tuple[str, ...]:
    """Method and backbone of a run's folder."""
    return tuple(RunFolder(folder).name or ())[:2]
