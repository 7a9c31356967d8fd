"""A tiny trained run that several rooms' tests read."""

from __future__ import annotations

import ctypes
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.built_once import commands_built_once
from vatrack.common import logs
from vatrack.config import Backbone, ComputeConfig, Config, Method, RunConfig
from vatrack.config.dataset import ClipsConfig, SyntheticConfig
from vatrack.sailvos.cuts import score_video_file, write_structure
from vatrack.sailvos.index import build_index
from vatrack.sailvos.layout import list_videos
from vatrack.synthetic.render import render

logs.configure()  # progress is shown as by the command line
# Under nohup it is ignored, and so by every command that a test starts.
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def _commands_built_once() -> Iterator[None]:
    with commands_built_once():
        yield


@pytest.fixture(scope="module", autouse=True)
def _memory_is_given_back() -> Iterator[None]:
    """A training or prediction in this process has it keep what it frees
    (vatrack.common.allocator); with the networks of full size it would grow to 5 GB."""
    yield
    with suppress(AttributeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)


@dataclass(frozen=True)
class TinyData:
    """A rendered set, converted for training."""

    annotations: Path
    images: Path


def tiny_config(folder: Path, **given: object) -> Config:
    """A config that trains in seconds and learns nothing worth reading.

    Args:
        given: keys of `compute` and `training`.
    """
    from tests.models.small import SMALL

    compute = {key: value for key, value in given.items() if key in ComputeConfig.model_fields}
    training = {key: value for key, value in given.items() if key not in compute}
    settings = {
        "epochs": 2,
        "batch_size": 4,
        "optimizer": {"name": "adamw", "learning_rate": 1e-3, "clip_norm": 5.0},
        "schedule": {"name": "onecycle"},
        "log_every": 2,
        "validate_from": 2,
    }
    return Config.model_validate(
        {
            "results": folder,
            "dataset": {"synthetic": TINY_SET},
            "model": SMALL.model_dump(),
            "input": {"image_scale": (96, 64)},
            "compute": {"workers": 0} | compute,
            "training": settings | training,
            "inference": {"max_detections": 10},
            "mlflow": {"enabled": False},
        }
    )


TINY_SET = {
    "train_videos": 1,
    "valid_videos": 1,
    "frames": 18,
    "width": 96,
    "height": 64,
    "objects": 3,
    "classes": 3,
    "shots": 1,
}


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> TinyData:
    return make_tiny_data(tmp_path_factory.mktemp("tiny"))


def make_tiny_data(root: Path, **synthetic: int) -> TinyData:
    """Renders and converts a set; `synthetic`: values other than those of TINY_SET."""
    from vatrack.sailvos.clips import build_clip_tree
    from vatrack.sailvos.convert import convert_files
    from vatrack.sailvos.cuts import write_structure
    from vatrack.sailvos.index import build_index
    from vatrack.synthetic.render import render

    dataset = tiny_config(root).dataset
    dataset = dataset.model_copy(
        update={"synthetic": dataset.synthetic.model_copy(update=synthetic)}
    )
    dataset = dataset.model_copy(
        update={"clips": dataset.clips.model_copy(update={"structure": "whole"})}
    )
    raw, index, structure = root / "raw", root / "index.json", root / "structure.json"
    render(raw, dataset.synthetic, 0)
    build_index(raw, {subset: raw / f"{subset}.json" for subset in ("train", "valid")}, index)
    write_structure(dataset.clips, index, None, structure)
    build_clip_tree(raw, structure, root / "clips", "symlink")
    for subset in ("train", "valid"):
        convert_files(raw / f"{subset}.json", structure, dataset, root / "annotations" / subset)
    return TinyData(root / "annotations", root / "clips")


@pytest.fixture(scope="session")
def tiny_run(
    tmp_path_factory: pytest.TempPathFactory, tiny_data: TinyData
) -> tuple[RunConfig, Path]:
    """A finished training of the method with two box heads."""
    from vatrack.training.loop import train

    out = tmp_path_factory.mktemp("run")
    run = tiny_config(out).for_run(Method.VATRACK_2BBOX, Backbone.RESNET18)
    train(run, tiny_data.annotations, tiny_data.images, out)
    return run, out


@dataclass(frozen=True)
class Mini:
    """A rendered set with its index, scores and clips."""

    settings: SyntheticConfig
    seed: int
    raw: Path
    index: Path
    scores: Path
    structure: Path

    def official(self, subset: str) -> Path:
        return self.raw / f"{subset}.json"


@pytest.fixture(scope="session")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Mini:
    root = tmp_path_factory.mktemp("mini")
    # Video 2 of two shots has a fade.
    settings = SyntheticConfig(train_videos=3, valid_videos=1, frames=45)
    found = Mini(
        settings, 5, root / "raw", root / "index.json", root / "scores", root / "structure.json"
    )
    render(found.raw, settings, found.seed)
    build_index(
        found.raw, {subset: found.official(subset) for subset in ("train", "valid")}, found.index
    )
    for video in list_videos(found.raw):
        score_video_file(found.raw, found.index, video, found.scores / f"{video}.json")
    write_structure(ClipsConfig(), found.index, found.scores, found.structure)
    return found


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder with a file system of 1 MB of its own, to be filled to the brim."""
    folder = tmp_path / "small_disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0777", "vatrack-test", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no tmpfs can be mounted here ({error})")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


# These share what is slow to make (the cluster; the workflow that ran to its end, in
# tests/workflow/conftest.py), so one worker gets all files of a group.
CLUSTER = "tests/slurm/"
FINISHED = (
    "tests/workflow/test_end_to_end.py",
    "tests/workflow/test_logger.py",
    "tests/workflow/test_shards.py",
    "tests/workflow/test_variants.py",
)
# What takes longest goes first, or one worker would be left with it in the end.
FIRST = (
    CLUSTER,
    *FINISHED,
    "tests/workflow/test_own_data.py",
    "tests/training/test_resume.py",
    "tests/cli/test_loading.py",
    "tests/training/test_distributed.py",
    "tests/training/test_kills.py",
    # These three share their weights.
    "tests/parity/test_losses.py",
    "tests/parity/test_forward.py",
    "tests/parity/test_end_to_end.py",
)


# What takes more than about two seconds of a processor: whole files, or single tests of them.
SLOW = (
    "tests/api/test_track.py::test_the_command_can_be_stopped",
    "tests/benchmarks/test_benchmarks.py::test_a_benchmark_runs_and_its_ways_agree",
    "tests/benchmarks/test_benchmarks.py::test_every_switch_is_one_of_the_config_and_is_measured",
    "tests/benchmarks/test_benchmarks.py::test_the_plain_way_runs_alone",
    "tests/cli/test_cli.py::test_examples_are_evaluated_as_they_say",
    "tests/cli/test_full_disk.py",
    "tests/cli/test_loading.py",
    "tests/cli/test_run_options.py::test_a_checkpoint_says_how_it_predicts",
    "tests/cli/test_run_options.py::test_metrics_overlay_choice_and_export_of_a_run",
    "tests/common/test_json_lists.py::test_items_are_those_of_json_and_can_be_read_again_by_their_offset",
    "tests/evaluation/io/test_shard_file.py::test_no_damage_changes_a_number",
    "tests/experiments/test_log.py::test_a_server_goes_and_comes_back",
    "tests/experiments/test_pages.py::test_the_server_runs_without_telemetry_and_ends_with_the_command",
    "tests/experiments/test_sync.py::test_killed_at_any_moment",
    "tests/fuzz/test_fuzz.py",
    "tests/jobs/test_interrupt.py",
    "tests/jobs/test_launch.py",
    "tests/models/test_losses.py::test_gradients_do_not_depend_on_how_python_hashes_texts",
    "tests/packaging/test_dependencies.py::test_arrays_are_tracked_without_any_extra",
    "tests/parity/test_end_to_end.py",
    "tests/parity/test_forward.py",
    "tests/parity/test_losses.py",
    "tests/parity/test_published_checkpoints.py::test_an_imported_checkpoint_computes_the_golden_numbers",
    "tests/reporting/test_overlay.py::test_the_number_of_clips_and_equal_files",
    "tests/training/test_distributed.py",
    "tests/training/test_faults.py::test_lines_are_complete_where_the_last_batch_of_an_epoch_is_left_out",
    "tests/training/test_faults.py::test_rollback_undoes_what_led_to_the_fault",
    "tests/training/test_faults.py::test_skip_leaves_the_batch_out",
    "tests/training/test_faults.py::test_stop_names_the_images_and_saves_the_state_before",
    "tests/training/test_kills.py",
    "tests/training/test_loop.py",
    "tests/training/test_own_classes.py",
    "tests/training/test_resume.py",
    "tests/training/test_step.py::test_a_compiled_trunk_computes_the_same_and_keeps_its_names",
    "tests/training/test_step.py::test_a_continued_updater_makes_the_same_steps",
    "tests/training/test_step.py::test_a_scale_that_is_too_high_is_lowered_without_an_update",
    "tests/training/test_step.py::test_mixed_precision_gives_nearly_the_same_loss",
    "tests/training/test_step.py::test_steps_reduce_the_loss_of_a_fixed_batch",
    "tests/workflow/test_cut_rules.py",
    "tests/workflow/test_data_stages.py",
    "tests/workflow/test_end_to_end.py",
    "tests/workflow/test_variants.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.nodeid.split("[")[0].startswith(SLOW):
            item.add_marker(pytest.mark.slow)

    def place(item: pytest.Item) -> int:
        """The long groups, then what else is slow, then the rest, which fills the gaps."""
        for number, start in enumerate(FIRST):
            if item.nodeid.startswith(start):
                return number
        return len(FIRST) + (item.get_closest_marker("slow") is None)

    items.sort(key=place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """How `pytest -n` shares tests out: a file stays together, because its tests share what is slow
    to make, and so do the groups above; a golden case is independent. (xdist's own marker for
    groups has no effect with pytest 9.)"""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            if nodeid.startswith(CLUSTER):
                return CLUSTER
            if nodeid.startswith(FINISHED):
                return FINISHED[0]
            return nodeid if nodeid.startswith("tests/parity/") else nodeid.split("::")[0]

    config.option.loadscopereorder = False  # in the order of the collection, not by number of tests
    return Scheduling(config, log)
