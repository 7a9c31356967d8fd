"""What the rules need to know: the checked config, the paths of all results, lists of them.

Nothing here needs Snakemake, so that it can be tested without.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from functools import reduce
from itertools import chain
from pathlib import Path
from typing import Any

from vatrack.common.counted import few
from vatrack.common.errors import InputError
from vatrack.common.mask_types import MASK_TYPES
from vatrack.common.numbers_in_names import natural
from vatrack.config import Config, RunConfig, parse_config
from vatrack.runs.folder import RunFolder
from vatrack.runs.results import named_runs
from vatrack.weights.fetch import require_start

from .data_plan import DataPlan
from .jobs import Shards
from .names import RUN, own_forms, shared_results, track_file, trunk, variant


class Plan(DataPlan):
    """The paths and lists of one config."""

    def __init__(self, values: Mapping[str, Any], source: str = "config") -> None:
        """Checks the config. Whether the files that it names exist is asked where they are needed.

        Args:
            source: what messages call it.

        Raises:
            InputError: a bad value.
        """
        super().__init__(parse_config(values, source, Config))
        self.plain: dict[str, Any] = self.config.model_dump(mode="json")
        self.runs = {run.name: run for run in self.config.runs()}
        self.run = f"{self.root}/runs/{RUN}"
        self.files = RunFolder(self.run)  # of each run, with the wildcards of `run`
        self.config_file = f"{self.root}/config.yaml"
        self._set_training()

    def _set_training(self) -> None:
        launcher = self.config.launcher
        # A training runs in a job of its own. One that SLURM runs elsewhere takes no more than a
        # core here, to wait for it.
        self.trains_here = launcher.cluster != "slurm"
        self.train_threads = launcher.cpus if self.trains_here else 1
        self.train_memory = round(launcher.memory_gb * 1000) if self.trains_here else 1000
        self.train_gpus = launcher.gpus if self.trains_here else 0
        self.predict_gpus = min(1, launcher.gpus)
        predicted, evaluated = launcher.prediction_shards, launcher.evaluation_shards
        self.prediction = Shards(f"{self.run}/shards_of_{predicted}", predicted)
        self.evaluation = Shards(f"{self.run}/evaluation_shards_of_{evaluated}", evaluated)

    def settings(self, *keys: str) -> dict[str, Any]:
        """The values of the config that a rule depends on, by full name.

        When they change, Snakemake runs the rule again, and no other.
        """
        return {
            key: reduce(lambda value, name: value[name], key.split("."), self.plain) for key in keys
        }

    @property
    def own_classes(self) -> tuple[str, ...]:
        """The key of the classes where they are not SAIL-VOS's.

        Results of older versions, which knew no other classes, so stay as they are.
        """
        return () if self.dataset.classes == "sailvos" else ("dataset.classes",)

    def cut_settings(self) -> dict[str, Any]:
        """`settings` that decide about the cuts."""
        detection = ("dataset.clips.threshold", "dataset.clips.min_frames") if self.detect else ()
        return self.settings("dataset.clips.structure", *detection)

    def run_of(self, wildcards: Any) -> RunConfig:
        """The run that a job is about.

        Raises:
            InputError: the config has no such run.
        """
        method, backbone, variant = wildcards.method, wildcards.backbone, wildcards.variant
        name = RUN.format(method=method, backbone=backbone, variant=variant)
        if name not in self.runs:
            raise InputError(
                f"{name}: no run of this config ({few(self.runs)}); give one of these, or add its "
                "method, backbone or seed"
            )
        return self.runs[name]

    # Of own data only those of the run: another method is no reason to train this one again.

    def annotations(self, wildcards: Any) -> list[str]:
        """The annotation files of one training."""
        forms = own_forms([self.run_of(wildcards).method]) if self.joint else self.forms
        folders = [f"{self.root}/annotations/{subset}" for subset in ("train", "valid")]
        return [f"{folder}/{form}" for folder in folders for form in forms]

    def tracks(self, wildcards: Any) -> dict[str, str]:
        """The video ground truth of each mask type that a run is evaluated with."""
        types = self.run_of(wildcards).method.masks if self.joint else MASK_TYPES
        return {name: f"{self.root}/annotations/valid/{track_file(name)}" for name in types}

    def track_options(self, wildcards: Any) -> str:
        """`tracks` as options of `vatrack evaluate`."""
        found = self.tracks(wildcards).items()
        return " ".join(f"--video-ground-truth-{name} {shlex.quote(file)}" for name, file in found)

    def start_weights(self, wildcards: Any) -> list[str]:
        """The file of weights that a training starts from, if any.

        Asked for where a training is planned, so that the data alone need no weights.

        Raises:
            InputError: it is missing, or the config needs one and names none.
        """
        require_start(run := self.run_of(wildcards))
        return [str(run.training.weights)] if run.training.weights else []

    def training_settings(self, wildcards: Any) -> dict[str, Any]:
        """`settings` of one training: none for another method, nor of how the work is done."""
        return self.run_of(wildcards).recipe()

    # Snakemake does not run a rule again for a value that was made from its resources.

    def launch_options(self, wildcards: Any, resources: Mapping[str, Any]) -> str:
        """Options of `vatrack launch`: what the profile says about a training's place on the
        cluster, and its seed, where the config has several."""
        keys = () if self.trains_here else ("slurm_partition", "slurm_account", "constraint", "qos")
        given = {key.removeprefix("slurm_"): resources.get(key) for key in keys}
        if self.config.seeds is not None:
            given["seed"] = str(self.run_of(wildcards).seed)
        return " ".join(
            f"--{option} {shlex.quote(str(value))}" for option, value in given.items() if value
        )

    def run_options(self, wildcards: Any, resources: Any) -> str:
        """Options that name the folders of the runs of this config, and of those of others that lie
        beside them: shown, but never a reason to run again."""
        return " ".join(shlex.quote(f"--run={folder}") for folder in self.shown())

    def per_run(self, pattern: Path | str) -> list[str]:
        """The pattern for every run of the config, method by method."""
        return [str(pattern).replace(RUN, name) for name in self.runs]

    def begun(self) -> list[str]:
        """The folders of the config's runs whose training has begun."""
        return [run for run in self.per_run(self.run) if RunFolder(run).config.is_file()]

    @property
    def variants(self) -> list[str]:
        """How the names of the config's runs end."""
        return list(dict.fromkeys(map(variant, self.runs.values())))

    def shown(self) -> list[str]:
        """The folders of the runs that tables and plots show: those of the config, and what earlier
        ones have brought to an end beside them, with other labels for example."""
        own = self.per_run(self.run)
        beside = [run for run in named_runs(Path(self.root) / "runs") if run.measured]
        found = dict.fromkeys([*own, *(str(run.path) for run in beside)])
        # Variants of one method next to each other, whichever the config has now.
        order = {name: number for number, name in enumerate(dict.fromkeys(map(trunk, found)))}
        return sorted(found, key=lambda folder: (order[trunk(folder)], natural(folder)))

    @property
    def mean_option(self) -> str:
        """Whether the tables have means over seeds, as an option of `vatrack tables`."""
        return "" if self.config.mean_rows else "--no-means"

    @property
    def results(self) -> list[str]:
        """What the reports show, besides the contact sheets."""
        drawn = (self.files.overlay, self.files.overlay_video, self.files.views)
        return [*shared_results(self.root), *chain.from_iterable(map(self.per_run, drawn))]
