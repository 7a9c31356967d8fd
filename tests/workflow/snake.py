"""Runs the workflow inside the test's process: a fraction of a second each, where a new Snakemake
takes many."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from snakemake.api import SnakemakeApi
from snakemake.settings.types import (
    ConfigSettings,
    DAGSettings,
    ExecutionSettings,
    OutputSettings,
    ResourceSettings,
)

REPOSITORY = Path(__file__).parents[2]
SNAKEFILE = REPOSITORY / "workflow" / "Snakefile"


@dataclass
class Workflow:
    """The repository's workflow in a folder of its own, with one config."""

    folder: Path
    config: dict[str, Any] = field(default_factory=dict)
    first_run: Counter[str] = field(default_factory=Counter)

    @property
    def results(self) -> Path:
        return (
            self.folder
            / self.config.get("results", "results")
            / self.config.get("dataset", {}).get("name", "mini")
        )

    @property
    def config_file(self) -> Path:
        """The config as a file, of its own for each config: workflows that share a folder leave
        each other's alone."""
        text = yaml.safe_dump(self.config)
        file = self.folder / f"test_config_{hashlib.sha256(text.encode()).hexdigest()[:8]}.yaml"
        self.folder.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def changed(self, **sections: Any) -> Workflow:
        """The same folder with some keys changed: `changed(training={"epochs": 2})` keeps the
        section's other keys."""
        config = yaml.safe_load(yaml.safe_dump(self.config))
        for name, value in sections.items():
            config[name] = (
                _merged(config.get(name, {}), value) if isinstance(value, dict) else value
            )
        return Workflow(self.folder, config)

    def plan(self, *targets: str, force: tuple[str, ...] = ()) -> Counter[str]:
        """How many jobs of each rule a run would do now."""
        return self._execute("dryrun", targets, force)

    def run(self, *targets: str, force: tuple[str, ...] = ()) -> Counter[str]:
        """Runs what has to be run; returns the jobs done.

        Raises:
            WorkflowError: a job failed.
            SystemExit: the config is bad.
        """
        return self._execute(None, targets, force)

    def _execute(
        self, executor: str | None, targets: tuple[str, ...], force: tuple[str, ...]
    ) -> Counter[str]:
        with (
            _kept_working_directory(),
            SnakemakeApi(OutputSettings(dryrun=executor == "dryrun", show_failed_logs=True)) as api,
        ):
            workflow = api.workflow(
                ResourceSettings(cores=2),
                config_settings=ConfigSettings(configfiles=[self.config_file]),
                snakefile=SNAKEFILE,
                workdir=self.folder,
            )
            dag = workflow.dag(DAGSettings(targets=set(targets), forcerun=set(force)))
            dag.execute_workflow(
                executor="local",
                pseudo_executor=executor,
                execution_settings=ExecutionSettings(lock=executor is None),
            )
            jobs = workflow._workflow.dag.needrun_jobs(exclude_finished=False)
            return Counter(job.rule.name for job in jobs if job.rule.name != "all")


def _merged(old: Any, new: dict[str, Any]) -> dict[str, Any]:
    merged = dict(old) if isinstance(old, dict) else {}
    for key, value in new.items():
        merged[key] = _merged(merged.get(key, {}), value) if isinstance(value, dict) else value
    return merged


@contextlib.contextmanager
def _kept_working_directory() -> Iterator[None]:
    before = Path.cwd()
    try:
        yield
    finally:
        os.chdir(before)
