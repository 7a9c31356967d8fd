"""How the files of the stages are called: annotation forms, tables, figures, and runs."""

from __future__ import annotations

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
