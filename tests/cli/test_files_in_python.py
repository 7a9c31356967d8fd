"""Python names wrong files as the commands do."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import vatrack as vatrack_package
from tests.cli.given import WEIGHTS
from vatrack.common.errors import InputError
from vatrack.common.file_forms import FileForm
from vatrack.common.files import write_json
from vatrack.data import known_forms as forms
from vatrack.evaluation.io.predictions import Predictions
from vatrack.evaluation.io.predictions import read_predictions as read_whole
from vatrack.exchange.listing import read_listing


def read_in_one_go(name: str) -> Predictions:
    truth = read_listing(Path("joint.json"))
    return read_whole(name, truth.images, truth.document, "joint.json")


# What takes a file of predictions in Python.
CALLS: dict[str, Callable[[str], Any]] = {
    "read_predictions": lambda name: list(vatrack_package.read_predictions(name)),
    "evaluate": lambda name: vatrack_package.evaluate("joint.json", name),
    "export_predictions": lambda name: vatrack_package.export_predictions(
        name, "joint.json", "coco", "o.json"
    ),
    "in one go": read_in_one_go,
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("joint.json", forms.JOINT),
        ("tracks.json", forms.TRACKS),
        ("raw/valid.json", forms.OFFICIAL),
        ("index.json", forms.INDEX),
        ("clips.json", forms.STRUCTURE),
        ("metrics.json", forms.METRICS),
        ("details.json", forms.DETAILS),
        ("metrics.jsonl", forms.LOG),
        ("coco.json", forms.COCO),
        ("best.pt", WEIGHTS),
        ("shard.npz", forms.SHARD),
    ],
)
def test_python_names_files_as_the_commands_do(
    files: Path, call: str, name: str, form: FileForm
) -> None:
    item = {"image_id": 40, "category_id": 1, "score": 0.5, "segmentation": {}, "track_id": 1}
    write_json(files / "coco.json", [item])
    told = f"{name}: is {form.what}, not {forms.PREDICTIONS.what}; {forms.PREDICTIONS.give}"
    with pytest.raises(InputError, match=f"^{re.escape(told)}$"):
        CALLS[call](name)


def test_what_python_reads_is_a_prediction(files: Path) -> None:
    lines = (files / "found.jsonl").read_text().splitlines()
    assert len(list(vatrack_package.read_predictions(files / "found.jsonl"))) == len(lines)
    for change, told in (
        ({"score": "high"}, "score is 'high'; "),
        ({"amodal": None, "visible": None}, "has neither an 'amodal' nor a 'visible' mask; add"),
        ({"amodal": {"counts": "x"}}, "the amodal mask "),
    ):
        wrong = json.dumps(json.loads(lines[1]) | change)
        (files / "w.jsonl").write_text("\n".join([lines[0], wrong, *lines[2:]]))
        read = vatrack_package.read_predictions("w.jsonl")
        assert next(read) == json.loads(lines[0])
        with pytest.raises(InputError, match=rf"^w\.jsonl: line 2: {re.escape(told)}"):
            next(read)
