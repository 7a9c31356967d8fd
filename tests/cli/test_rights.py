"""What may not be read or written is bad input in every command: one message, exit code 2."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from tests.cli.test_full_disk import COMMANDS, inputs  # noqa: F401
from tests.command import Command
from vatrack.common.errors import InputError
from vatrack.jobs.call import JobCall


@pytest.mark.parametrize("name", [name for name in COMMANDS if "processes" not in name])
def test_an_output_that_may_not_be_written(
    vatrack: Command,
    inputs: dict[str, Path],  # noqa: F811
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    end, command = COMMANDS[name]
    # Root may write everywhere; asked, the system says here that nobody may.
    out = tmp_path / "out" / end
    monkeypatch.setattr(os, "access", lambda path, *_: tmp_path not in Path(path).parents)
    code, _, errors = vatrack(*command.format(**inputs).split(), "--out", out)
    assert code == 2
    (line,) = (line for line in errors.splitlines() if "error" in line)
    assert "permission denied; correct its permissions" in line and str(out.parent) in line
    assert not [path for path in out.parent.rglob("*") if path.is_file()]


TRUTH = "--ground-truth {0}/joint.json --predictions {0}/predictions.jsonl"
INPUTS = (
    "annotate --raw {0}/raw --out {1}.json",
    "clips --config {0}/c.yaml --raw {0}/raw --structure {0}/clips.json --out {1}",
    "compare {0}/a {0}/b --out {1}",
    "config --config {0}/c.yaml --out {1}.yaml",
    "cuts compare {0}/a.json {0}/b.json",
    f"evaluate {TRUTH} --out {{1}}.json",
    "examples --ground-truth {0}/joint.json --out {1}",
    "export --checkpoint {0}/best.pt --out {1}.safetensors",
    "export-predictions {0}/p.jsonl --ground-truth {0}/joint.json --to coco --out {1}.json",
    "figures --run {0}/run --out {1}",
    "import-checkpoint {0}/x.pth --method vatrack --backbone resnet18 --out {1}.pt",
    "import-dataset {0}/x.json --from coco-amodal --images {0}/images --out {1}.json",
    "import-predictions {0}/x.json --from coco --ground-truth {0}/joint.json --out {1}.jsonl",
    "index --raw {0}/raw --train {0}/train.json --valid {0}/valid.json --out {1}.json",
    "merge-evaluations {0}/1.npz {0}/2.npz --out {1}.json",
    "merge-predictions {0}/1.jsonl {0}/2.jsonl --out {1}.jsonl",
    f"overlay {TRUTH} --images {{0}}/clips --out {{1}}.png",
    "predict --checkpoint {0}/best.pt --frames {0}/joint.json --images {0}/clips --out {1}.jsonl",
    "report --run {0}/run --out {1}.html",
    "select --run {0}/run --out {1}.json",
    "tables --run {0}/run --out {1}",
    "track {0}/street.mp4 --checkpoint {0}/best.pt --out {1}",
    "unpack --archive {0}/x.tar --out {1}",
    "validate --raw {0}/raw --out {1}.json",
    f"views {TRUTH} --images {{0}}/clips --out {{1}}",
)


@pytest.mark.parametrize("command", INPUTS, ids=lambda command: command.split(" -")[0])
def test_an_input_that_may_not_be_read(
    vatrack: Command, command: str, closed: Path, tmp_path: Path
) -> None:
    code, _, errors = vatrack(*command.format(closed, tmp_path / "out").split())
    assert code == 2, errors
    assert "permission denied" in errors.lower() and str(closed) in errors
    assert "Traceback" not in errors


def _forbidden(path: str) -> str:
    raise PermissionError(13, "Permission denied", path)


def _full(path: str) -> str:
    raise OSError(28, "No space left on device", path)


def test_a_job_that_lacks_a_right_found_its_input_bad() -> None:
    result = pickle.loads(pickle.dumps(JobCall(_forbidden, ("a.json",))()))
    assert result.outcome == "bad input"
    with pytest.raises(InputError, match=r"^a\.json: permission denied; correct its permissions"):
        result.check()
    full = JobCall(_full, ("a.json",))()
    assert full.outcome == "failed"
    with pytest.raises(OSError, match="No space"):
        full.check()
