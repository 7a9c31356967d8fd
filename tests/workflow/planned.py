"""Raw trees and configs for the plans of the workflow: nothing of them is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.workflow.snake import REPOSITORY
from vatrack.config.layers import read_layers

VIDEOS = ("ah_1_ext", "bs_2_int", "mini 3")


def raw_tree(folder: Path) -> Path:
    """SAIL-VOS's layout with empty files."""
    for video in VIDEOS:
        (folder / video / "images").mkdir(parents=True)
        for number in range(12):
            (folder / video / "images" / f"{number:06d}.bmp").touch()
        (folder / video / "visible").mkdir()
    (folder / "depth_of_another_release").mkdir()
    for name in ("train.json", "valid.json"):
        (folder / name).touch()
    return folder


def paper(name: str, raw: Path) -> dict[str, Any]:
    config = read_layers(REPOSITORY / "config" / name)
    config["dataset"]["raw"] = str(raw)
    config["training"]["weights"] = start_weights(raw.parent)
    return config


def start_weights(folder: Path) -> dict[str, str]:
    """An empty file for each of the paper's backbones."""
    found = {name: folder / f"{name}.pth" for name in ("resnet50", "resnext101_64x4d")}
    for file in found.values():
        file.touch()
    return {name: str(file) for name, file in found.items()}


RANDOM = {"training": {"random_start": True}}  # of the defaults' frozen backbone
