"""docs/training.md: the settings that do not restart a training are those outside its recipe."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import BaseModel

from vatrack.config import TECHNICAL_KEYS, Backbone, Config, Method

PAGE = Path(__file__).parents[2] / "docs/training.md"


def test_settings_that_do_not_restart_a_training() -> None:
    run = Config().for_run(Method.VATRACK, Backbone.RESNET18)
    # Data are told apart by the annotations themselves.
    recipe = {*run.recipe(), "dataset"}
    sections = [name for name, value in run if isinstance(value, BaseModel) and name not in recipe]
    (listed,) = re.findall(r"These do not restart it: (.*) \|$", PAGE.read_text(), re.MULTILINE)
    assert re.findall("`(.*?)`", listed) == [
        *sections,
        *(f"training.{key}" for key in TECHNICAL_KEYS),
    ]
