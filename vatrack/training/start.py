"""What a training needs before its first step: a folder of its own, a seed, initial weights."""

from __future__ import annotations

import logging
import os
import random
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import numpy as np
import torch

from vatrack.common.counted import counted
from vatrack.common.errors import FolderBusy, FolderLost, InputError
from vatrack.common.files import check_target
from vatrack.common.locks import locked
from vatrack.common.text_files import no_such
from vatrack.config import SAILVOS, ComputeConfig, RunConfig
from vatrack.data.frames import AnnotationFile, count_classes
from vatrack.models.detector import Detector, build
from vatrack.models.products import use_products
from vatrack.models.winograd import use_winograd
from vatrack.runs.folder import RunFolder
from vatrack.weights.initial import copy_visible_to_amodal, fitted, load_initial
from vatrack.weights.tensors import read_weights
from vatrack.weights.transfer import Transfer

logger = logging.getLogger(__name__)

# An interrupted training may still be saving; a lost machine's lock ends after 90 s (NFS 4)
LOCK_PATIENCE_SECONDS = 180.0


def with_data_classes(run: RunConfig, annotations: Path, *, report: bool = True) -> RunConfig:
    """The run with the classes and weights that the training file decides, where the config says
    so; notes go to the log.

    Args:
        annotations: folder with train/ and valid/.
        report: whether this process tells the notes.

    Raises:
        InputError: a file's classes are not those of the run.
    """
    path = annotations / "train" / f"{run.method.form}.json"
    train = AnnotationFile(path, run.method.masks).categories
    classes = train.classes if run.classes is None else run.class_list
    counts = count_classes(path) if run.model.class_weights == "balanced" else None
    run = run.with_classes(classes, counts)
    train.labels(classes)
    valid = AnnotationFile(annotations / "valid" / "joint.json").categories
    valid.category_ids(classes, "the training")
    for note in (train.note(classes), valid.note(classes, train.ids)):
        if note and report:
            logger.info(note)
    return run


def require_valid(run: RunConfig, folder: Path, images: Path) -> None:
    """Sees that the epochs can be validated, before the first of them is trained.

    Args:
        folder: the converted valid set; `images`: the clip tree.

    Raises:
        InputError: its frames or the ground truth of its tracks are missing.
    """
    if run.training.validate_from > run.training.epochs:
        return
    AnnotationFile(folder / "joint.json").require_frames(images)
    for name in run.method.masks:
        path = folder / f"video_{name}.json"
        if not path.is_file():
            raise InputError(
                f"{path}: {no_such(path, 'file')}; create it with `vatrack convert` (own data: "
                "`vatrack prepare`)"
            )


def load_start(model: Detector, run: RunConfig, sha256: str | None) -> str | None:
    """Takes initial weights from the file that the config names, and logs what went where.

    Args:
        sha256: of the file, for the report.

    Returns:
        A report with it and every tensor that was not taken; None without a file.

    Raises:
        InputError: the file is missing, holds other weights, or lacks a backbone that is needed.
    """
    path = run.training.weights
    if not path:
        return None
    transfer = load_initial(model, path, run.class_list)
    _check_backbone(transfer, run, path)
    logger.info("%s: %s", path, transfer)
    logger.info(transfer.table(initial=True))
    lines = [f"{path}: {transfer}", f"sha256 {sha256}", transfer.table(initial=True)]
    if run.training.copy_visible_to_amodal:
        filled = copy_visible_to_amodal(model, (*transfer.copied, *transfer.by_class))
        lines.append(
            f"amodal heads: {counted(len(filled), 'tensor')} initialized from the visible ones"
        )
        logger.info(lines[-1])
    return "\n".join(filter(None, [*lines, transfer.names()])) + "\n"


def check_start_file(run: RunConfig) -> None:
    """Looks whether the weights that a training shall start from fit, without a network in memory.

    Raises:
        InputError: as `load_start`.
    """
    if path := run.training.weights:
        known = run.to_predict(SAILVOS if run.classes is None else run.class_list)
        with torch.device("meta"):
            own = build(run.method, known.model, run.backbone).state_dict()
        _, transfer = fitted(own, read_weights(path, own).weights, path)
        _check_backbone(transfer, run, path)


def _check_backbone(transfer: Transfer, run: RunConfig, path: Path) -> None:
    if transfer.fills_backbone or run.training.random_start or not run.needs_pretrained:
        return
    raise InputError(
        f"{path}: contains no weights of the backbone, but {run.needs_pretrained} cannot start "
        f"from random ones; set {run.start_choices}"
    )


@contextmanager
def alone_in(out: Path) -> Iterator[Callable[[], None]]:
    """Keeps a second training out of a run's folder, and any out of a folder of something else.

    Yields a check for whoever is about to write there. A machine that loses its network also loses
    its locks, and some file systems have none: the training that began last goes on alone.

    Raises:
        FolderBusy: one is at work there.
        FolderLost: (of the check) another one has begun there since.
        InputError: see `RunFolder.refuse_other`.
    """
    check_target(out, folder=True).mkdir(exist_ok=True)
    RunFolder(out).refuse_other()
    path = RunFolder(out).lock
    with path.open("a+") as lock:
        deadline = time.monotonic() + LOCK_PATIENCE_SECONDS
        told = False

        def wait() -> None:
            nonlocal told
            lock.seek(0)
            what = f"{out}: another training is running in this folder ({lock.read().strip()})"
            if time.monotonic() > deadline:
                raise FolderBusy(f"{what}; wait for it or stop it")
            if not told:
                told = True
                logger.info("%s; waiting up to %.0f s for it to end", what, LOCK_PATIENCE_SECONDS)
            time.sleep(0.5)

        with locked(lock, wait):
            lock.truncate(0)
            job = os.environ.get("SLURM_JOB_ID")
            own = f"{socket.gethostname()}, process {os.getpid()}"
            own += f", SLURM job {job}" if job else ""
            own += f", since {datetime.now():%Y-%m-%d %H:%M:%S.%f}"
            lock.write(f"{own}\n")
            lock.flush()
            os.fsync(lock.fileno())  # other machines shall see it

            def check() -> None:
                # Opened anew, so that a network file system asks its server. What cannot be read
                # (it was removed; some file systems let nobody read what is locked) names nobody.
                found = own
                with suppress(OSError):
                    found = path.read_text(errors="replace").strip()
                if found != own:
                    raise FolderLost(
                        f"{out}: another training has begun in this folder since ({found}), so "
                        "this one ended without saving; wait for the other one or stop it"
                    )

            yield check


def placed(model: Detector, compute: ComputeConfig, device: torch.device) -> Detector:
    """The network on its device, in the form and memory layout that a training computes with.

    Winograd's convolutions leave channels last in memory; then the others save a fifth where they
    find them so.
    """
    model.to(device)
    winograd = compute.winograd and device.type == "cpu"
    if winograd:
        use_winograd(model)
        use_products(model)
    if compute.channels_last or winograd:
        model.to(memory_format=torch.channels_last)
    return model


def seed_everything(seed: int, deterministic: bool) -> None:
    """Seeds all generators; `deterministic`: allow only algorithms that repeat on a GPU, too."""
    if deterministic:  # cuBLAS reads it when it starts
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # RoIAlign's gradient then takes torchvision's slower form, without atomic adds (quirk T16).
    torch.use_deterministic_algorithms(deterministic)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - some libraries still draw from the global generator
    torch.manual_seed(seed)
