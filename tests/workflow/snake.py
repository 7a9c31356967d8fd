"""Runs the workflow inside the test's process: a fraction of a second each, where a new Snakemake
takes many."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import jinja2
import yaml
from snakemake.api import SnakemakeApi
from snakemake.io import is_flagged
from snakemake.report import auto_report
from snakemake.settings.types import (
    ConfigSettings,
    DAGSettings,
    ExecutionSettings,
    GlobalReportSettings,
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

    def touch(self, *targets: str, force: tuple[str, ...] = ()) -> None:
        """Marks what is there as up to date."""
        with self._executed("touch", targets, force):
            pass

    def provenance(self) -> dict[str, set[str]]:
        """The texts of Snakemake's own report as HTML: of the page (""), and of each category.

        The results are put there as empty files. Snakemake takes a name that is not defined for an
        empty one; here it is an error.
        """
        texts: dict[str, set[str]] = {}

        def collect(*given: Any, **_: Any) -> Any:
            results, page = given[1], given[-1]
            texts[""] = {page}
            for category, parts in results.items():
                texts[category.name] = {file.caption for part in parts.values() for file in part}
            return SimpleNamespace(render=lambda: None)

        strict = partial(jinja2.Environment, undefined=jinja2.StrictUndefined)
        with self._executed("dryrun") as workflow, patch("jinja2.Environment", strict):
            for file in (file for job in workflow.dag.jobs for file in job.output):
                if is_flagged(file, "report"):
                    Path(file).parent.mkdir(parents=True, exist_ok=True)
                    Path(file).touch()
            workflow.iocache.deactivate()
            plugin, settings = SimpleNamespace(reporter=collect), GlobalReportSettings()
            workflow.async_run(auto_report(workflow.dag, plugin, None, settings))
        return texts

    def _execute(
        self, executor: str | None, targets: tuple[str, ...], force: tuple[str, ...]
    ) -> Counter[str]:
        with self._executed(executor, targets, force) as workflow:
            jobs = workflow.dag.needrun_jobs(exclude_finished=False)
            return Counter(job.rule.name for job in jobs if job.rule.name != "all")

    @contextlib.contextmanager
    def _executed(
        self,
        executor: str | None,
        targets: tuple[str, ...] = (),
        force: tuple[str, ...] = (),
    ) -> Iterator[Any]:
        """Snakemake's workflow after a run, in its folder."""
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
            yield workflow._workflow


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
