"""The texts of Snakemake's own report (workflow/report), from dry runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.own_data.own import write_own
from tests.workflow.planned import RANDOM, raw_tree
from tests.workflow.snake import REPOSITORY, Workflow

pytestmark = pytest.mark.filterwarnings("ignore:Argument .writer_name.")  # Snakemake's

RUN = {"methods": ["vatrack"], "backbones": ["resnet18"], **RANDOM}
CURVE = "Below: content change from frame to frame"
CUT = "cut the raw videos into clips and converted the annotations, trained"


def texts(folder: Path, config: dict[str, Any]) -> dict[str, str]:
    """In plain words, by category, "" the page. Every category has one text for all its files."""
    shown = {}
    for category, found in Workflow(folder, config).provenance().items():
        for html in found:
            assert not re.search("system-message|problematic", html), html  # of docutils
        words = {" ".join(re.sub("<[^>]*>", "", html).split()) for html in found}
        (shown[category],) = words
    return shown


def test_the_demo(tmp_path: Path) -> None:
    """One job draws the sheets of all its videos."""
    shown = texts(tmp_path, yaml.safe_load((REPOSITORY / "config/config.yaml").read_text()))
    assert shown.keys() == {"", "Tables", "Curves", "Overlays", "Cuts"}
    assert f"{CUT} the networks" in shown[""]
    assert "Cuts the first frame of every clip." in shown[""]
    assert shown["Cuts"].startswith("First frame, name, frame numbers and length of each clip. ")
    assert f"{CURVE}. A detected cut has a score of at least 27.0 " in shown["Cuts"]
    assert shown["Overlays"].startswith("Predictions of vatrack with resnet18 for a few clips")


@pytest.mark.parametrize("curves", [False, True])
def test_a_raw_set_with_a_clip_dictionary(tmp_path: Path, curves: bool) -> None:
    (tmp_path / "cuts.json").touch()
    clips = {"structure": str(tmp_path / "cuts.json"), "curves": curves}
    dataset = {"raw": str(raw_tree(tmp_path / "raw")), "clips": clips}
    shown = texts(tmp_path / "work", {"dataset": dataset, **RUN})
    assert CUT in shown[""] and "Cuts" in shown
    assert (CURVE in shown["Cuts"]) == curves
    assert shown["Overlays"].startswith("Predictions of vatrack with resnet18 for a few clips")


def test_whole_videos(tmp_path: Path) -> None:
    dataset = {"raw": str(raw_tree(tmp_path / "raw")), "clips": {"structure": "whole"}}
    shown = texts(tmp_path / "work", {"dataset": dataset, **RUN})
    assert "Cuts" not in " ".join([*shown, *shown.values()])
    assert "The workflow converted the annotations, trained" in shown[""]


def test_own_data(tmp_path: Path) -> None:
    own = write_own(tmp_path / "own")
    dataset = {"format": "joint", "images": str(own / "frames")}
    dataset |= {f"{subset}_json": str(own / f"{subset}.json") for subset in ("train", "valid")}
    shown = texts(tmp_path / "work", {"dataset": dataset, **RUN})
    assert shown.keys() == {"", "Tables", "Curves", "Overlays"}
    assert "The workflow completed the annotations, trained the networks" in shown[""]
    assert "Cuts" not in shown[""] and "clips" not in shown[""]
