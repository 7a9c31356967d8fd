"""Words of commands that name the files of the fixture `files`."""

from __future__ import annotations

import re

from vatrack.common.file_forms import FileForm

# Names for what commands write; for others a folder.
OUTPUTS = {
    ".npz": r"evaluate .*--shard",
    ".json": r"evaluate|merge-evaluations|index|select|annotate|validate|cuts (structure|compare)"
    r"|cuts score .*--video|export-predictions .*--to (coco|ytvis)|import-dataset",
    ".jsonl": r"predict|merge-predictions|import-predictions",
    ".png": r"overlay|cuts sheet .*--video",
    ".html": "report",
    ".yaml": "init-config|config",
}


def output_of(words: str) -> str:
    """A name that a command may give to what it writes."""
    return "o" + next((end for end, own in OUTPUTS.items() if re.match(own, words)), "")


TRUTH = "--ground-truth joint.json"
FOUND = "--predictions found.jsonl"
RAW = "--raw raw --index index.json"
WEIGHTS = FileForm("PyTorch weights (.pt)")
