"""What tells one training from another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vatrack.common.files import sha256_of
from vatrack.config import RunConfig
from vatrack.data.pairs import PairDataset
from vatrack.runs.fingerprint import VALIDATION_DATA
from vatrack.training.distributed import Processes


def identity_of(
    run: RunConfig, dataset: PairDataset, valid: Path, group: Processes
) -> dict[str, Any]:
    """What tells a training from others (`same_training`), and what epochs are validated with; the
    first process reads the files."""
    contents: dict[str, Any] = {}
    if group.first:
        names = ["joint", *(f"video_{name}" for name in run.method.masks)]
        files = [valid / f"{name}.json" for name in names]
        contents["valid"] = {
            VALIDATION_DATA: [sha256_of(file) for file in files if file.is_file()],
            "inference settings": run.inference.model_dump(mode="json"),
            "evaluation settings": run.evaluation.model_dump(mode="json", exclude={"extended"}),
        }
        weights = run.training.weights
        contents["annotations"] = dataset.file.content()
        contents["weights"] = sha256_of(weights) if weights and weights.is_file() else None
    known = {"recipe": run.recipe(), "data": dataset.file.fingerprint()}
    return known | group.gather(contents)[0]
