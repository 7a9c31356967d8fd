"""Metrics of the valid set during a training (spec 4.6)."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from vatrack.common.output_folders import scratch_directory
from vatrack.common.shards import Shard
from vatrack.common.value_files import read_json
from vatrack.config import RunConfig
from vatrack.data.frames import AnnotationFile
from vatrack.evaluation.evaluate import evaluate_inputs
from vatrack.evaluation.file_set import EvaluationInputs
from vatrack.inference.clips import predict_clips
from vatrack.inference.predict import write_predictions
from vatrack.models.detector import Detector
from vatrack.training.distributed import Processes

CLIPS_PER_PROCESS = 32


def validate(
    model: Detector,
    run: RunConfig,
    folder: Path,
    images: Path,
    processes: Processes,
    epoch: int,
    out: Path,
) -> dict[str, Any] | None:
    """Predicts and evaluates the valid set; the metrics are also written to `out`.

    Every process predicts some of the clips; the first one evaluates them all, and it alone gets
    the metrics.

    Args:
        folder: the converted valid set.
        epoch: 1-based, for messages.
    """
    path = folder / "joint.json"
    file = AnnotationFile(path)
    clips = file.clips
    chosen = Shard(processes.rank + 1, processes.count).slice_of([len(clip) for clip in clips])
    own = predict_clips(
        model,
        run,
        clips[chosen],
        images,
        processes.device,
        "validate",
        file.categories.category_ids(run.class_list, "the training"),
    )
    if not processes.first:
        (scratch,) = {name for name in processes.gather("") if name}
        write_predictions(own, _shard(Path(scratch), processes.rank))
        processes.wait()
        processes.wait()
        return None
    # The predictions lie beside the metrics for this time only.
    with scratch_directory(out.with_suffix(".predictions")) as scratch_folder:
        processes.gather(str(scratch_folder))
        predictions = _shard(scratch_folder, 0)
        write_predictions(own, predictions)
        processes.wait()
        with predictions.open("ab") as whole:
            for rank in range(1, processes.count):
                with _shard(scratch_folder, rank).open("rb") as shard:
                    shutil.copyfileobj(shard, whole)
        videos = {name: folder / f"video_{name}.json" for name in run.method.masks}
        # Starting processes is only worth its seconds for many clips.
        workers = max(1, min(run.launcher.cpus, len(clips) // CLIPS_PER_PROCESS))
        inputs = EvaluationInputs(
            path,
            predictions,
            videos,
            run.evaluation,
            run.dataset.video_limit,
            maker=f"epoch {epoch}",
        )
        fewer = f"lower launcher.cpus (now {run.launcher.cpus})"
        evaluate_inputs(inputs, out, workers, fewer=fewer)
    processes.wait()
    return read_json(out)


def _shard(folder: Path, rank: int) -> Path:
    return folder / f"predictions_{rank}.jsonl"
