"""The metrics that the example predictions must give, in example_metrics.json; test_examples.py
confirms them by other means.

After an intended change of the examples: `python -m tests.evaluation.example_metrics` writes the
file anew.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

from tests.evaluation.evaluated import metrics_of
from vatrack.common.files import write_json
from vatrack.evaluation.examples import EXAMPLES, predictions
from vatrack.synthetic.ground_truth import make_ground_truth

FILE = Path(__file__).with_suffix(".json")


def digest(document: dict[str, Any]) -> str:
    """Tells whether a ground truth is the one that the metrics belong to."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        document = make_ground_truth(Path(folder) / "ground_truth")
    metrics = {
        name: metrics_of(document, list(predictions(document, effects)))
        for name, effects in EXAMPLES.items()
    }
    write_json(FILE, {"ground_truth_sha256": digest(document), "metrics": metrics}, indent=1)


if __name__ == "__main__":
    main()
