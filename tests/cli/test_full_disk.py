"""Every command on a disk that is full: one message that names what was to be written, nothing
half-written, nothing left over."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.command import Command
from tests.conftest import Mini, tiny_config
from tests.reporting.test_plots import make_run, training_line
from vatrack.common.files import write_json, write_yaml
from vatrack.config import Backbone, Method
from vatrack.evaluation.examples import write_examples
from vatrack.inference.predict import write_predictions
from vatrack.runs.metrics_log import TrainingPoint, append, read_metrics_log
from vatrack.training.state import save_state

VIDEO = "mini_train_000"
LINE = {"image_id": 1, "category_id": 1, "score": 0.5, "track_id": 1, "bbox": [0, 0, 1, 1]}

# The end of --out, and the command without it; {…}: see `inputs`.
COMMANDS = {
    "config": ("config.yaml", "config"),
    "reference": ("config.md", "config --reference"),
    "synth": ("synth", "synth --train-videos 1 --valid-videos 1 --frames 18"),
    "synth in two processes": (
        "synth", "synth --train-videos 1 --valid-videos 1 --frames 18 --processes 2",
    ),
    "annotate": ("annotations.json", "annotate --raw {raw}"),
    "annotate in two processes": ("annotations.json.gz", "annotate --raw {raw} --processes 2"),
    "validate": (
        "report.json", "validate --raw {raw} --train {raw}/train.json --valid {raw}/valid.json",
    ),
    "index": (
        "index.json", "index --raw {raw} --train {raw}/train.json --valid {raw}/valid.json",
    ),
    "score": ("scores.json", f"cuts score --raw {{raw}} --index {{index}} --video {VIDEO}"),
    "structure": (
        "structure.json",
        "cuts structure --config {config} --index {index} --scores {scores}",
    ),
    "cut sheet": (
        "cuts.png",
        "cuts sheet --raw {raw} --index {index} --structure {structure} "
        f"--video {VIDEO} --scores {{scores}}/{VIDEO}.json",
    ),
    "copied clips": (
        "clips", "clips --config {copy} --raw {raw} --structure {structure}",
    ),
    "clips as PNG": ("clips", "clips --config {png} --raw {raw} --structure {structure}"),
    "clips in two processes": (
        "clips", "clips --config {copy} --raw {raw} --structure {structure} --processes 2",
    ),
    "linked clips": ("clips", "clips --config {config} --raw {raw} --structure {structure}"),
    "convert": (
        "forms",
        "convert --config {config} --official {raw}/train.json --structure {structure}",
    ),
    "examples": ("examples", "examples"),
    "evaluate": (
        "metrics.json",
        "evaluate --ground-truth {examples}/ground_truth.json.gz "
        "--predictions {examples}/perfect/predictions.jsonl.gz",
    ),
    "tables": ("tables", "tables --run {run}"),
    "figures": ("figures", "figures --run {run}"),
}  # fmt: skip


@pytest.fixture(scope="module")
def inputs(mini: Mini, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What the commands read, by name."""
    folder = tmp_path_factory.mktemp("inputs")
    for name in ("copy", "png"):
        write_json(folder / f"{name}.yaml", {"dataset": {"clips": {"mode": name}}})
    write_json(folder / "config.yaml", {})
    write_examples(None, folder / "examples")
    run = make_run(folder / "run", [training_line(step) for step in range(10, 210, 10)])
    config = tiny_config(folder).for_run(Method.VATRACK_2BBOX, Backbone.RESNET18)
    write_yaml(run / "config.yaml", config.model_dump(mode="json"))
    shutil.copy(folder / "examples/perfect/expected.json", run / "metrics.json")
    return {
        "raw": mini.raw, "index": mini.index, "scores": mini.scores, "structure": mini.structure,
        "examples": folder / "examples", "run": run,
        **{name: folder / f"{name}.yaml" for name in ("config", "copy", "png")},
    }  # fmt: skip


def fill(disk: Path, pages: int) -> None:
    """Leaves so many pages (4 KiB) of a disk free."""
    filler = disk / "filler"
    filler.unlink(missing_ok=True)
    found = os.statvfs(disk)
    filler.write_bytes(bytes(found.f_frsize * max(0, found.f_bavail - pages)))


def files(disk: Path) -> list[str]:
    return sorted(str(path.relative_to(disk)) for path in disk.rglob("*"))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_on_a_full_disk(
    small_disk: Path, inputs: dict[str, Path], name: str, vatrack: Command
) -> None:
    end, command = COMMANDS[name]
    out = small_disk / end
    words = command.format(**inputs).split()
    failed = 0
    for pages in (0, 1, 3, 9, 27, 81):
        fill(small_disk, pages)
        code, _, errors = vatrack(*words, "--out", out)
        if code == 0:
            break
        (message,) = (line for line in errors.splitlines() if line.startswith("vatrack: "))
        assert code == 1
        assert "Traceback" not in errors
        assert message.startswith("vatrack: error: [Errno 28] No space left on device: ")
        assert message.split("'")[1].startswith(str(out))
        assert "/." not in message
        left = [path for path in files(small_disk) if path != "filler"]
        assert not [path for path in left if Path(path).name.startswith(".")]
        # Commands that write several files may have finished some of them.
        assert all(path.startswith(end) for path in left)
        assert end in ("tables", "figures", "examples") or left == []
        failed += 1
        shutil.rmtree(out, ignore_errors=True)
    assert failed


def save(folder: Path) -> None:
    save_state(folder, {"model": {"x": torch.zeros(10**6)}})


def predict(out: Path) -> None:
    write_predictions(itertools.repeat(LINE, 100_000), out)


@pytest.mark.parametrize(
    ("write", "name"), [(save, "state_000001.pt"), (predict, "predictions.jsonl")]
)
def test_what_a_training_and_predict_write(
    small_disk: Path, write: Callable[[Path], None], name: str
) -> None:
    with pytest.raises(OSError, match="No space left on device") as caught:
        write(small_disk if write is save else small_disk / name)
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(small_disk / name)
    assert files(small_disk) == []


def test_a_line_of_metrics_is_whole_or_not_there(small_disk: Path) -> None:
    path = small_disk / "metrics.jsonl"
    terms = dict(enumerate(np.random.default_rng(0).random(20).tolist()))
    point = TrainingPoint(1, 1, 1.0, {f"loss_{name}": value for name, value in terms.items()})
    append(path, point)
    fill(small_disk, 1)

    def append_for_ever() -> None:
        while True:
            append(path, point)

    with pytest.raises(OSError, match=rf"No space left on device: '{path}'"):
        append_for_ever()
    assert path.read_text().endswith("}\n")
    assert read_metrics_log(path).problems == []
    fill(small_disk, 10)
    append(path, point)
    assert read_metrics_log(path).problems == []
