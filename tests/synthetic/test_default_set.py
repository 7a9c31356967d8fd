"""The set that the default config renders fills every column of the tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vatrack.common.value_files import read_json
from vatrack.config import load_config
from vatrack.synthetic.render import render

CONFIG = Path(__file__).parents[2] / "config" / "config.yaml"


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """The valid.json of the default config; its videos do not depend on how many are trained on."""
    config = load_config(CONFIG)
    raw = tmp_path_factory.mktemp("default") / "raw"
    render(raw, config.dataset.synthetic.model_copy(update={"train_videos": 1}), config.seed)
    return read_json(raw / "valid.json")


def test_every_size_and_occlusion_column_is_populated(valid: dict) -> None:
    area = np.array([annotation["area"] for annotation in valid["annotations"]])
    rate = np.array([annotation["occlude_rate"] for annotation in valid["annotations"]])
    shares = {
        "S": (area <= 32**2).mean(),
        "M": ((area >= 32**2) & (area <= 96**2)).mean(),
        "L": (area >= 96**2).mean(),
        "P": (rate <= 0.25).mean(),
        "H": ((rate >= 0.25) & (rate <= 0.75)).mean(),
    }
    assert min(shares.values()) > 0.05, shares


def test_every_class_of_the_set_is_held_out(valid: dict) -> None:
    classes = load_config(CONFIG).dataset.synthetic.classes
    assert len({annotation["category_id"] for annotation in valid["annotations"]}) == classes
