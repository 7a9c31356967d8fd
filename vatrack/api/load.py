"""A predictor from a file of weights: ours, exported, or published with OpenMMLab's names."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from vatrack.api.choices import check_network
from vatrack.api.predictor import Predictor
from vatrack.common.arguments import as_path, check_flag
from vatrack.common.device import allow_tf32, choose_device
from vatrack.common.errors import InputError
from vatrack.config import Backbone, Config, Method
from vatrack.models.prepared import prepare
from vatrack.runs.results import file_of_run
from vatrack.weights.checkpoint import Checkpoint, is_ours, parse, restored
from vatrack.weights.checkpoint import load as load_checkpoint
from vatrack.weights.formats import read_file
from vatrack.weights.networks import recognise_method
from vatrack.weights.openmmlab import WARNING, import_checkpoint

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)


def load(
    checkpoint: str | Path,
    *,
    device: str | torch.device = "auto",
    method: str | None = None,
    backbone: str | None = None,
    key: str | None = None,
    largest_side: int | None = None,
    half: bool = False,
) -> Predictor:
    """A predictor with the weights of a file.

    Args:
        checkpoint: best.pt of a run or the run's folder, an exported safetensors file, or a
            published file with OpenMMLab's names, whose method and backbone are recognised.
        device: "auto" is the first GPU, or the CPU if there is none; also "cpu", "cuda", "cuda:1"
            (the second GPU), or a `torch.device`.
        method: required if a published file does not contain it (`qdtrack` or `amodaltrack`);
            otherwise it must be that of the file.
        backbone: it must be that of the file.
        key: key of the weights, if a file from elsewhere contains several sets.
        largest_side: longer side of the network's input in pixels; None: as in training.
        half: compute in bfloat16 (float16 on GPUs without it): faster, with slightly different
            results.

    Raises:
        InputError: the file is not a checkpoint, or has a different method or backbone, or a
            setting is wrong.

    Example:
        ```python
        predictor = vatrack.load("best.pt", device="cpu", largest_side=640)
        print(predictor.method, predictor.mask_types, list(predictor.classes.values()))
        ```
    """
    path = file_of_run(as_path("checkpoint", checkpoint), "best_checkpoint")
    check_flag("half", half)
    loaded = _read(path, *check_network(method, backbone, largest_side), key)
    run = loaded.run(loaded.settings(path))
    if largest_side is not None:
        limits = {"image_scale": (int(largest_side),) * 2}
        run = run.model_copy(update={"input": run.input.model_copy(update=limits)})
    # A torch.device is as good, but run.yaml cannot be written with it; there is one CPU.
    name = str(device).replace("cpu:0", "cpu")
    compute = {"device": name, "precision": "mixed" if half else run.compute.precision}
    run = run.model_copy(update={"compute": run.compute.model_copy(update=compute)})
    chosen = choose_device(name)
    allow_tf32(run.compute.tf32)
    model = restored(loaded, run, path).to(chosen)
    return Predictor(prepare(model, run.compute, chosen), run, chosen)


def _read(
    path: Path, method: Method | None, backbone: Backbone | None, key: str | None
) -> Checkpoint:
    content = read_file(path, "checkpoint")
    own = parse(content, path) if is_ours(content) else None
    methods, trunk = ((own.method,), own.backbone) if own else recognise_method(content, path, key)
    for name, asked, found in (("method", method, methods), ("backbone", backbone, (trunk,))):
        if asked is not None and asked not in found:
            raise InputError(
                f"{path}: is a checkpoint of {name} {' or '.join(found)}, not {asked}; "
                f"remove --{name} (in Python {name})"
            )
    if own:
        if key is not None:
            raise InputError(
                f"{path}: is a checkpoint of this package, without keys; remove --key "
                "(in Python key)"
            )
        return own
    del content  # the import reads the file for itself
    if method is None and len(methods) > 1:
        shown = " or ".join(f"--method {name}" for name in methods)
        raise InputError(
            f"{path}: this file does not tell {' from '.join(methods)}; choose one: {shown}"
        )
    run = Config().for_run(method or methods[0], backbone or trunk)
    with tempfile.TemporaryDirectory(prefix="vatrack-") as folder:
        out = Path(folder) / "imported.pt"
        for note in import_checkpoint(path, run, out, key=key).notes:
            urgent = note.startswith(WARNING)
            level = logging.WARNING if urgent else logging.INFO
            logger.log(level, "%s: %s", path, note.removeprefix(WARNING))
        return load_checkpoint(out)
