"""The profile for SLURM: accepted, refused where there is no SLURM, linked by `make`."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.workflow.command import snakemake
from tests.workflow.planned import RANDOM, raw_tree, start_weights
from tests.workflow.snake import REPOSITORY, SNAKEFILE, Workflow


@pytest.mark.parametrize("profile", ["profiles/slurm", "slurm"])
def test_the_slurm_profile_is_accepted(profile: str, tmp_path: Path) -> None:
    """As a person calls it, from the repository's folder; by its name after `make
    slurm-profile`."""
    environment = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path / "user's config")}
    link = tmp_path / "user's config/snakemake/slurm"
    make = ["make", "--no-print-directory", "slurm-profile"]
    for _ in range(2 if profile == "slurm" else 0):
        subprocess.run(make, cwd=REPOSITORY, env=environment, check=True)
        assert link.resolve() == REPOSITORY / "profiles/slurm"
    overrides = f'dataset={{"raw": "{raw_tree(tmp_path / "raw")}"}}'
    weights = json.dumps({"weights": start_weights(tmp_path)})
    words = ["-n", "--profile", profile, "--nolock"]
    words += [
        "--configfile",
        "config/sailvos.yaml",
        "--config",
        overrides,
        f"training={weights}",
        f"results={tmp_path / 'results'}",
    ]
    ended = snakemake(words, REPOSITORY, environment)
    assert ended.returncode == 0, ended.stderr
    assert re.search(
        rf"Using profiles? .*{profile}", ended.stderr
    )  # its path, or its name where it was linked
    assert re.search(r"train +8\n", ended.stdout + ended.stderr)
    assert "never awaited" not in ended.stderr


def test_without_slurm_nothing_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dry run is no reason to refuse."""
    workflow = Workflow(tmp_path / "work", {"launcher": {"cluster": "slurm"}, **RANDOM})
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert workflow.plan()["train"] == 1
    with pytest.raises(SystemExit, match=r"config\S*: launcher\.cluster: is slurm, but "):
        workflow.run()
    assert not workflow.results.exists()


def test_the_slurm_profile_without_slurm_is_one_message(tmp_path: Path) -> None:
    commands = tmp_path / "bin"
    commands.mkdir()
    for command in ("bash", "which", "sh", "env", "cat", "uname"):
        found = shutil.which(command)
        assert found
        (commands / command).symlink_to(found)
    results = tmp_path / "results"
    profile = str(REPOSITORY / "profiles/slurm")
    words = ["--profile", profile, "-s", str(SNAKEFILE)]
    words += ["-d", str(tmp_path), "--config", f"results={results}"]
    ended = snakemake(words, tmp_path, {**os.environ, "PATH": str(commands)})
    assert ended.returncode == 1
    assert "error: the profile or --executor asks for SLURM, but SLURM is not available: " in (
        ended.stderr
    )
    assert "Traceback" not in ended.stderr
    assert not results.exists()


def test_a_profile_of_that_name_is_not_replaced(tmp_path: Path) -> None:
    other = tmp_path / "snakemake/slurm"
    other.mkdir(parents=True)
    make = ["make", "--no-print-directory", "slurm-profile"]
    environment = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path)}
    ended = subprocess.run(make, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    assert ended.returncode != 0
    assert f"{other} already exists" in ended.stderr
    assert other.is_dir() and not other.is_symlink()
