"""Sound inputs of all targets, which the cases then damage."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import zipfile
from pathlib import Path

import torch
import zstandard

from tests.evaluation.scenes import random_scene
from tests.fuzz.outside import write_outside

REPOSITORY = Path(__file__).parents[2]


def make_inputs(root: Path) -> None:
    """Writes the inputs of all targets below a folder, a folder for each. The networks are those
    of `narrow_trunks`: every case copies its checkpoint and reads it twice."""
    _write_raw_data(root)
    _write_evaluation(root)
    _write_checkpoints_and_run(root)
    _write_archives(root / "archives")
    (root / "config").mkdir()
    shutil.copy(REPOSITORY / "config" / "config.yaml", root / "config" / "config.yaml")
    write_outside(root)


def _write_raw_data(root: Path) -> None:
    from tests.conftest import make_tiny_data
    from vatrack.sailvos.cuts import score_video_file
    from vatrack.sailvos.layout import list_videos

    data = root / "data"
    make_tiny_data(data)
    raw = data / "raw"
    video = list_videos(raw)[0]
    (data / "scores").mkdir()
    for name in list_videos(raw):
        score_video_file(raw, data / "index.json", name, data / "scores" / f"{name}.json")
    shutil.copy(data / "structure.json", data / "second.json")
    shutil.copytree(raw / video, root / "annotate" / "raw" / video)
    shutil.copy(raw / "train.json", root / "annotate" / "models.json")


def _write_evaluation(root: Path) -> None:
    """A ground truth with predictions, their shards, and metrics."""
    from vatrack.common.shards import Shard
    from vatrack.evaluation.file_set import EvaluationInputs
    from vatrack.evaluation.shards import evaluate_shard

    for name in ("evaluate", "shards", "metrics"):
        (root / name).mkdir()
    truth, predictions = root / "evaluate" / "gt.json", root / "evaluate" / "predictions.jsonl"
    joint, found = random_scene(3)
    truth.write_text(json.dumps(joint))
    predictions.write_text("".join(json.dumps(row) + "\n" for row in found))
    for number in (1, 2):
        out = root / "shards" / f"{number}.npz"
        evaluate_shard(EvaluationInputs(truth, predictions), out, Shard(number, 2))
    values = {"image/amodal/AP": 40.5, "image/amodal/AP50": None, "video/amodal/AP": 12.25}
    metrics = values | {"track/amodal/MOTA": -3.5}
    (root / "metrics" / "metrics.json").write_text(json.dumps(metrics))


def _write_checkpoints_and_run(root: Path) -> None:
    """Weights as a checkpoint, exported, and of another program; a run with the checkpoint."""
    from tests.conftest import tiny_config
    from tests.models.small import narrow_trunks, small_network
    from vatrack.common.files import write_json, write_yaml
    from vatrack.config import Backbone, Method
    from vatrack.runs.folder import RunFolder
    from vatrack.runs.metrics_log import TrainingPoint, append
    from vatrack.weights.checkpoint import save
    from vatrack.weights.export import export

    folders = (root / name for name in ("checkpoint", "safetensors", "foreign_weights"))
    checkpoint, exported, other = folders
    for path in (checkpoint, exported, other):
        path.mkdir()
    run = tiny_config(other).for_run(Method.VATRACK, Backbone.RESNET18)
    with narrow_trunks():
        network = small_network(Method.VATRACK)
    save(checkpoint / "epoch_01.pt", network, run, 1)
    export(checkpoint / "epoch_01.pt", exported / "best.safetensors")
    values = {f"module.{name}": value for name, value in network.state_dict().items()}
    torch.save({"state_dict": values}, other / "foreign.pth")
    write_yaml(other / "config.yaml", tiny_config(other).model_dump(mode="json"))

    folder = RunFolder(root / "run")
    folder.checkpoint(1).parent.mkdir(parents=True)
    shutil.copy(checkpoint / "epoch_01.pt", folder.checkpoint(1))
    write_yaml(folder.config, run.model_dump(mode="json"))
    write_json(folder.training, {"epochs": 1, "iterations": 2, "seconds": 1.0, "pairs": 4})
    folder.validation(1).parent.mkdir()
    write_json(folder.validation(1), {"video/amodal/AP": 12.5, "image/amodal/AP": None})
    for step in (1, 2, 3):
        append(folder.metrics_log, TrainingPoint(step, 1, float(step), {"loss": 0.5 * step}))


def _write_archives(archives: Path) -> None:
    archives.mkdir()
    files = {f"one/images/{number:06d}.bmp": bytes([number]) * 300 for number in range(1, 4)}
    with (
        tarfile.open(archives / "a.tar", "w") as tar,
        zipfile.ZipFile(archives / "a.zip", "w") as z,
    ):
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
            z.writestr(name, content, zipfile.ZIP_DEFLATED)
    content = (archives / "a.tar").read_bytes()
    (archives / "b.tar.zst").write_bytes(zstandard.compress(content))
