"""A small workflow with the terminal output of VATrack."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workflow.command import snakemake
from tests.workflow.snake import REPOSITORY

pytest.importorskip("snakemake_interface_logger_plugins.tests")  # older versions lack it

PROGRAM = [sys.executable, "-m", "snakemake"]


def squeezed(lines: list[str]) -> list[str]:
    return [" ".join(line.split()) for line in lines]


SMALL = """
rule all:
    input: "end.txt"

rule cut:
    output: "cut/{video}.txt"
    message: "measuring {wildcards.video}"
    shell: "touch {output}"

rule train:
    input: expand("cut/{video}.txt", video=["a1", "a2"])
    output: "{method}.txt"
    log: "logs/{method}.log"
    message: "training {wildcards.method}"
    shell: "(echo 'epoch 1/2, iteration 3/8, about 3 min left; loss 1'; {config[work]})"
           " > {log} 2>&1; touch {output}"

rule end:
    input: "vatrack.txt"
    output: "end.txt"
    shell: "touch {output}"
"""


def small(folder: Path, work: str, *options: str) -> list[str]:
    """Words that run a small workflow, with what its training does."""
    (folder / "Snakefile").write_text(SMALL)
    return ["--logger", "vatrack", "-c2", *options, "--config", f"work={work}"]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(REPOSITORY), "COLUMNS": "100"}


def run(folder: Path, work: str, *options: str) -> subprocess.CompletedProcess[str]:
    return snakemake(small(folder, work, *options), folder, environment())
