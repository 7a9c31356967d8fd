"""The overall progress of a run counts every rule of the workflow by what its jobs take."""

from __future__ import annotations

import re

from snakemake_logger_plugin_vatrack.weights import WEIGHTS
from tests.workflow.snake import REPOSITORY


def test_every_rule_has_a_weight_and_every_weight_a_rule() -> None:
    files = [*(REPOSITORY / "workflow").rglob("*.smk"), REPOSITORY / "workflow/Snakefile"]
    text = "\n".join(file.read_text() for file in files)
    rules = set(re.findall(r"^ *(?:rule|checkpoint) (\w+):", text, re.MULTILINE))
    assert {"train", "predict_shard", "unpack", "prepare", "all"} <= rules
    assert set(WEIGHTS) == rules
