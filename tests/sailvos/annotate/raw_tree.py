"""A raw tree of one tiny video with masks, made by hand for tests of `vatrack annotate`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from vatrack.common.errors import InputError
from vatrack.common.value_files import read_json
from vatrack.sailvos.annotate import annotate_files

WIDTH, HEIGHT, FRAMES = 12, 8, 12
PED, CAR = "4_Ped_A", "7_Car_B"


def small_map(ped: int = 4, car: int = 7) -> np.ndarray:
    """A person of 6 pixels in front of a car of which 8 are seen."""
    ids = np.zeros((HEIGHT, WIDTH), np.int16)
    ids[2:5, 3:8] = car
    ids[2:6, 2:4] = ped
    ids[5, 2:4] = 0
    return ids


def small_masks() -> dict[str, np.ndarray]:
    ped, car = np.zeros((2, HEIGHT, WIDTH), np.uint8)
    ped[2:5, 2:4] = 255
    car[2:5, 3:8] = 255
    return {PED: ped, CAR: car}


def write_small(root: Path, video: str = "one", frames: int = FRAMES) -> Path:
    """A video of two objects with the same masks in every frame; returns its folder."""
    folder = root / video
    for name in ("images", "visible", PED, CAR):
        (folder / name).mkdir(parents=True)
    for number in range(frames):
        write_image(folder / "images" / f"{number:06d}.bmp", np.zeros((HEIGHT, WIDTH, 3), np.uint8))
        np.save(folder / "visible" / f"{number:06d}.npy", small_map())
        for name, mask in small_masks().items():
            write_image(folder / name / f"{number:06d}.png", mask)
    return folder


def write_image(path: Path, image: np.ndarray) -> None:
    assert cv2.imwrite(str(path), image)


def write_models(folder: Path, models: Mapping[str, str] | None = None) -> None:
    """Writes `models.csv`, from category (and id, after a comma) by name."""
    rows = {"Ped_A": "person", "Car_B": "car"} if models is None else models
    lines = [f"{name},{category}\n" for name, category in rows.items()]
    (folder / "models.csv").write_text("".join(["name,category,id\n", *lines]))


def make_small(folder: Path) -> Path:
    """The folder of a video `one` of 12 frames, of which 3 are annotated, in `raw`, beside a file
    of models."""
    write_models(folder)
    return write_small(folder / "raw")


def run(folder: Path, models: bool = True, **options: Any) -> tuple[dict[str, Any], str]:
    """Annotates the tree of a small video: the file's content and the summary."""
    out = folder.parents[1] / "out.json"
    shown = annotate_files(
        folder.parent, out, models=folder.parents[1] / "models.csv" if models else None, **options
    )
    return read_json(out), str(shown)


def refused(folder: Path, **options: Any) -> str:
    """The message of bad input; nothing is left behind."""
    before = sorted(folder.parents[1].iterdir())
    with pytest.raises(InputError) as caught:
        run(folder, **options)
    assert sorted(folder.parents[1].iterdir()) == before
    return str(caught.value)


def by_object(data: dict[str, Any], frame: int = 0) -> dict[int, dict[str, Any]]:
    return {item["obj_id"]: item for item in data["annotations"] if item["image_id"] == frame}
