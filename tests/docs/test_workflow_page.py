"""docs/workflow.md: its table has every rule, and the command that the rule runs."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/workflow.md").read_text(encoding="utf-8")
# Of a rule: its name, and what stands before the next one.
RULE = re.compile(
    r"^ *(?:use )?rule (?:\w+ as )?(\w+)(?: with)?:(.*?)(?=^ *(?:use )?rule |\Z)", re.M | re.S
)


def test_the_table_has_every_rule_with_its_command() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \|(.*)\|$", PAGE, re.MULTILINE))
    files = sorted((ROOT / "workflow/rules").glob("*.smk"))
    texts = [file.read_text(encoding="utf-8") for file in files]
    rules = list(chain.from_iterable(map(RULE.findall, texts)))
    assert len(rules) > 20
    for name, body in rules:
        shell = re.search(r'"vatrack (cuts \w+|[\w-]+)', body.partition("shell:")[2])
        if not shell:  # it collects, or begins as another one
            assert f"`{name}`" in PAGE, name
        elif name in ("predict", "evaluate"):  # in shards they merge
            assert shell[1].startswith("merge-"), name
        else:
            assert f"`vatrack {shell[1]}" in rows[name], name
