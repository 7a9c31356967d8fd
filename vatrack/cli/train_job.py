"""A training as a job: what `vatrack launch` does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vatrack.common.errors import show_warnings_plainly
from vatrack.common.logs import configure
from vatrack.common.paths import real
from vatrack.config import RunConfig
from vatrack.experiments.log import ExperimentLog, uploading
from vatrack.jobs.call import JobResult
from vatrack.jobs.job_file import digest
from vatrack.jobs.launch import run_in_job
from vatrack.jobs.submit import check_device_of_jobs
from vatrack.runs.folder import RunFolder
from vatrack.weights.fetch import require_start

if TYPE_CHECKING:
    from vatrack.training.loop import TrainingResult


def launch(
    run: RunConfig, annotations: Path, images: Path, out: Path
) -> JobResult | TrainingResult:
    """Trains in a job, with `vatrack.training.loop.train`; in none if this very training is
    complete and only training.json is missing.

    Args:
        run: the resolved config; its `launcher` section says where the job runs and with how much.
        annotations: folder with train/ and valid/.
        images: the clip tree.
        out: the run's folder; the job's own files go to `submitit/` in it.

    Returns:
        What the job left, or the training; as a text it is the summary of the training.

    Raises:
        InputError: the training found its input bad, the launcher's settings contradict the
            training's, or a job with other settings still trains into this folder.
        OSError: the disk is full, or the like.
        JobFailed: the job failed, was cancelled or was lost.
    """
    check_device_of_jobs(run.compute.device, run.launcher)
    folder = RunFolder(out)
    folder.refuse_other()  # before the job's files are there
    require_start(run)
    if run.training.weights:  # before a job is queued for it
        from vatrack.training.start import check_start_file

        check_start_file(run)
    if not folder.training.exists() and folder.replaced():
        from vatrack.training.loop import find_complete

        if complete := find_complete(run, annotations, images, out):
            return complete
    with uploading(run, out):
        return run_in_job(
            _train,
            (run, annotations, images, out),
            run.launcher,
            folder.job,
            name=run.name,
            key=_key(run, annotations, images),
            product=folder.training,
        )


def _train(run: RunConfig, annotations: Path, images: Path, out: Path) -> str:
    import torch

    from vatrack.training.loop import train

    # What waits for this job may itself run with one core and hand its OMP_NUM_THREADS on.
    torch.set_num_threads(run.launcher.cpus)
    show_warnings_plainly()
    configure()
    return str(train(run, annotations, images, out, ExperimentLog.start))


def _key(run: RunConfig, annotations: Path, images: Path) -> str:
    """What tells trainings apart: the recipe, and the files that they train on."""
    # Not the stores beside them, which a job may rebuild.
    files = sorted(annotations.glob("*/[!.]*.json"))
    stats = [
        (str(path.relative_to(annotations)), path.stat().st_size, path.stat().st_mtime_ns)
        for path in files
    ]
    return digest(run.recipe(), str(real(annotations)), stats, str(real(images)))
