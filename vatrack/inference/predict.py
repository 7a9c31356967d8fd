"""Files of predictions with a checkpoint (contract 2)."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import chain
from numbers import Integral
from pathlib import Path
from typing import Any

import torch

from vatrack.common.allocator import keep_memory
from vatrack.common.arguments import as_path, check_type
from vatrack.common.counted import counted
from vatrack.common.device import allow_tf32, choose_device
from vatrack.common.errors import InputError
from vatrack.common.files import (
    atomic_path,
    check_target,
    create_text,
    refuse_same_file,
    require_lines,
    sha256_of,
)
from vatrack.common.gpus import claimed
from vatrack.common.parallel import available_cores, ordered_streams
from vatrack.common.progress import counted_progress, progress
from vatrack.common.run_files import SETTINGS_FILE
from vatrack.common.shards import Shard
from vatrack.common.text_files import no_such
from vatrack.config import RunConfig
from vatrack.data.frames import AnnotationFile, Frame
from vatrack.data.known_forms import JOINT
from vatrack.inference.clips import CategoryIds, predict_frames
from vatrack.inference.shards import record_path, write_record, write_settings
from vatrack.models.prepared import prepare
from vatrack.weights.checkpoint import Checkpoint, load, restored

logger = logging.getLogger(__name__)


def write_predictions(predictions: Iterable[dict[str, Any]], out: Path) -> int:
    """Writes JSON Lines (gzip by name), whole or not at all; returns the number of lines."""
    return _write_lines(map(_line, predictions), out)[0]


def _line(prediction: dict[str, Any]) -> str:
    return json.dumps(prediction, allow_nan=False) + "\n"


def _write_lines(lines: Iterable[str], out: Path) -> tuple[int, str]:
    """The number of lines, and the SHA-256 of the (unpacked) file."""
    count, digest = 0, hashlib.sha256()
    with atomic_path(out) as temporary, create_text(temporary) as stream:
        for line in lines:
            stream.write(line)
            digest.update(line.encode())
            count += 1
    return count, digest.hexdigest()


@dataclass(frozen=True)
class Predicted:
    """What `predict_files` wrote."""

    out: Path
    predictions: int
    frames: int
    clips: int

    def __str__(self) -> str:
        return (
            f"{self.out}: {counted(self.predictions, 'prediction')} for "
            f"{counted(self.frames, 'frame')} of {counted(self.clips, 'clip')}"
        )


def predict_files(
    run: RunConfig,
    checkpoint: Path | str,
    ground_truth: Path | str,
    images: Path | str,
    out: Path | str,
    processes: int | None = None,
    class_map: Mapping[str, str] | None = None,
    shard: Shard | None = None,
) -> Predicted:
    """Predicts all clips of an annotation file with a checkpoint of this run's method.

    The settings that predictions depend on are left beside them, in inference.yaml (`inference`,
    `input`, and `precision`, `tf32` and `winograd` of `compute`, as in a config file): they may be
    newer than those of the training. `predictions` there is the name of the file, `sha256` the
    checksum of its (unpacked) content, `checkpoint` the epoch and checksum of the checkpoint,
    `categories` are the names and ids of the classes.

    The classes are those of the checkpoint, whatever the config says. Predictions carry the
    category ids that the annotation file has for classes of the same name.

    Args:
        run: settings, such as those of the run that the checkpoint is of.
        checkpoint: best.pt or another checkpoint of ours, or an exported one.
        ground_truth: a joint JSON (contract 3), of which the frames are read, not the masks.
        images: the folder that its file names are relative to.
        out: JSON Lines (contract 2), .jsonl or .jsonl.gz.
        class_map: classes of the checkpoint to classes of the file; an empty name leaves a class
            out.
        processes: each predicts whole clips with one thread (PyTorch rounds otherwise with another
            number of threads), so that any number of them writes the same bytes. 0: one for each
            core; with a GPU one. None: this process alone, with PyTorch's number of threads.
        shard: only its clips are predicted; instead of inference.yaml, its record lies beside
            `out`, for `merge_shards`.

    Raises:
        InputError: `images` is no folder, a frame or the checkpoint is bad, or `out` or
            inference.yaml cannot be written, or is read; or the classes of the checkpoint are not
            those of the file.
        BrokenProcessPool: one of several processes was killed.

    Example:
        ```python
        run = vatrack.load_run_config("run/config.yaml")
        print(vatrack.predict_files(run, "best.pt", "joint.json", "clips", "predictions.jsonl.gz"))
        ```
    """
    check_type("run", run, RunConfig)
    if processes is not None:
        check_type("processes", processes, Integral)
    checkpoint, ground_truth = (
        as_path("checkpoint", checkpoint), as_path("ground_truth", ground_truth)
    )  # fmt: skip
    images, out = as_path("images", images), as_path("out", out)
    require_lines(out)
    settings = out.with_name(SETTINGS_FILE)
    for target in (out, settings):
        refuse_same_file(target, checkpoint, ground_truth)
    device = choose_device(run.compute.device)
    check_target(out)
    if not images.is_dir():
        raise InputError(
            f"{images}: {no_such(images, 'folder')}; create the clips of {ground_truth} there "
            "(`vatrack clips`)"
        )
    file = AnnotationFile(ground_truth)
    everything = file.clips
    if not everything:
        raise InputError(f"{ground_truth}: contains no images; {JOINT.give}")
    clips = everything[shard.slice_of(list(map(len, everything)))] if shard else everything
    if shard:
        record_path(out).unlink(missing_ok=True)  # it says that the shard is complete
    file.require_frames(images)
    weights = load(checkpoint)
    made_from = {"epoch": weights.epoch, "sha256": sha256_of(checkpoint)}
    run = weights.run(run)
    ids = file.categories.category_ids(run.class_list, str(checkpoint), class_map)
    if note := file.categories.note(run.class_list):
        logger.info(note)
    if processes == 0:
        processes = 1 if device.type == "cuda" else available_cores()
    frames = sum(map(len, clips))
    with _own_gpu(device, shard) as device:
        if processes is not None and min(processes, len(clips)) > 1:
            del weights  # each process reads its own
            share = _Share(run, checkpoint, images, min(processes, len(clips)), ids, device)
            lines = _in_processes(share, clips, frames)
        else:
            predicted = _Clips(run, checkpoint, images, device, ids, weights)(clips)
            lines = progress(predicted, "predict", frames)
            del weights  # the network shares their memory or, on a GPU, has a copy
        # Closed here, so that progress and processes end before an error is shown.
        with closing(lines), _threads(None if processes is None else 1):
            count, digest = _write_lines(chain.from_iterable(lines), out)
    used = run.model_dump(
        mode="json",
        include={"inference": True, "input": True, "compute": {"precision", "tf32", "winograd"}},
    )
    used["checkpoint"] = made_from
    # By the names of the file, where it has some.
    names = {number: name for name, number in file.categories.ids.items()}
    names = names or dict(enumerate(run.class_list.names, 1))
    used["categories"] = [{"id": number, "name": name} for number, name in names.items()]
    clip_names = list(file.clip_names.values())
    if clip_names:
        first, last = clip_names[0], clip_names[-1]
        used["clips"] = {"number": len(clip_names), "first": first, "last": last}
    if shard:
        write_record(out, shard, clips, everything, ids, count, used)
    else:
        write_settings(out, used, digest)
    return Predicted(out, count, frames, len(clips))


@contextmanager
def _own_gpu(device: torch.device, shard: Shard | None) -> Iterator[torch.device]:
    """A GPU that no other job of the user has; where all are taken, the one of the shard's number.

    The CPU, and a GPU that was named by its index, stay what they are.
    """
    if device.type != "cuda" or device.index is not None:
        yield device
        return
    with claimed(1, shard.number - 1 if shard else 0) as gpus:
        yield torch.device("cuda", gpus[0].index) if gpus else device


class _Clips:
    """Predicts clips with the model of a checkpoint."""

    def __init__(
        self,
        run: RunConfig,
        checkpoint: Path,
        images: Path,
        device: torch.device,
        category_ids: CategoryIds,
        weights: Checkpoint | None = None,
    ) -> None:
        allow_tf32(run.compute.tf32)
        keep_memory()
        if device.index is not None:
            torch.cuda.set_device(device)
        model = restored(weights or load(checkpoint), run, checkpoint)
        self.model = prepare(model.to(device), run.compute, device)
        self.run, self.images, self.device = run, images, device
        self.category_ids = category_ids

    def __call__(self, clips: list[list[Frame]]) -> Iterator[list[str]]:
        """The lines of each frame."""
        frames = predict_frames(
            self.model, self.run, clips, self.images, self.device, self.category_ids
        )
        return (list(map(_line, predictions)) for predictions in frames)


@dataclass(frozen=True)
class _Share:
    """What each of several processes must know."""

    run: RunConfig
    checkpoint: Path
    images: Path
    processes: int
    category_ids: CategoryIds
    device: torch.device


def _in_processes(
    share: _Share, clips: list[list[Frame]], frames: int
) -> Generator[list[str], None, None]:
    """The lines of each of so many frames, from several processes."""
    with counted_progress("predict", frames) as advance:
        units = [[clip] for clip in clips]
        yield from ordered_streams(_start, share, units, share.processes, advance)


def _start(share: _Share) -> _Clips:
    """In one of several processes, with its share of the machine."""
    torch.set_num_threads(1)
    compute = share.run.compute
    settings = {"workers": compute.workers // share.processes}
    if compute.mask_workers == "auto":
        settings["mask_workers"] = 0
    run = share.run.model_copy(update={"compute": compute.model_copy(update=settings)})
    return _Clips(run, share.checkpoint, share.images, share.device, share.category_ids)


@contextmanager
def _threads(number: int | None) -> Iterator[None]:
    """PyTorch's number of threads inside; None: as it is."""
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
