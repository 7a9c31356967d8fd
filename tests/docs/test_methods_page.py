"""docs/methods.md, quirks.md, published-weights.md: all quirks of the register, keys that exist,
commands that parse, numbers that are right."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

import pytest
import torch

from tests.models.test_parameter_counts import COUNTS
from vatrack.config import Config

DOCS = Path(__file__).parents[2] / "docs"
PAGE = "\n".join(
    (DOCS / name).read_text(encoding="utf-8")
    for name in ("methods.md", "published-weights.md", "quirks.md")
)
REGISTER = {"D": 17, "L": 7, "M": 7, "T": 16, "I": 12, "E": 17, "V": 6}
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if re.match(r"\| [A-Z]\d+ \|", line)
]


def test_every_quirk_has_one_row() -> None:
    assert [row[0] for row in ROWS] == [
        f"{kind}{number + 1}" for kind, count in REGISTER.items() for number in range(count)
    ]
    for row in ROWS:
        assert len(row) == 5, row
        assert row[2].split(":")[0].split(",")[0] in ("reproduced", "fixed", "switch"), row


def test_every_key_exists_and_every_switch_has_one() -> None:
    defaults = Config().model_dump()
    for number, _, here, _, keys in ROWS:
        assert keys or not here.startswith("switch"), number
        for key in filter(None, keys.split(", ")):
            value = defaults
            for part in key.strip("`").split("."):
                assert part in value, f"{number}: {key}"
                value = value[part]


def test_the_defaults_are_named_first() -> None:
    """Each switch of the table stands where the register recommends."""
    config = Config()
    assert config.model.initialisation == "reference"
    assert not config.training.copy_visible_to_amodal
    assert not config.training.deterministic
    assert not config.evaluation.legacy_gt_id0
    assert config.evaluation.detection_area == "box"
    assert (config.dataset.max_occlusion, config.dataset.video_max_occlusion) == (0.75, 0.75)
    switches = {row[0]: row[2] for row in ROWS if row[2].startswith("switch")}
    assert switches.keys() == {"D12", "D13", "M1", "M4", "T16", "E1", "E2"}
    assert switches["M1"] == "switch: `reference`, or `intended`"


def test_the_numbers_of_parameters_are_those_of_the_tests() -> None:
    for (method, backbone), (trainable, total, entries) in COUNTS.items():
        (row,) = [
            line
            for line in PAGE.splitlines()
            if f"`{method}`" in line and f"| `{backbone}` |" in line
        ]
        assert row.endswith(f"| {trainable:,} | {total:,} | {entries} |")


def test_the_python_makes_a_file_of_weights_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    weights = {"conv.weight": torch.ones(2)}
    torch.save({"state_dict": weights, "meta": Path("a value that is no tensor")}, "old.pth")
    (example,) = re.findall(r"^ *```python\n(.*?)^ *```", PAGE, re.MULTILINE | re.DOTALL)
    exec(compile(dedent(example), "methods.md", "exec"), {})
    assert torch.equal(torch.load("new.pth", weights_only=True)["conv.weight"], torch.ones(2))
