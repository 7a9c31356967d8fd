"""A clean rendered set, and copies of it to spoil."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pycocotools import mask as coco_mask

from tests.evaluation.scenes import rle
from vatrack.common.errors import InputError
from vatrack.common.files import write_json
from vatrack.common.value_files import read_json
from vatrack.config.classes import SAILVOS, ClassList
from vatrack.config.dataset import SyntheticConfig, ValidationConfig
from vatrack.synthetic.render import render
from vatrack.validate import validate

WIDTH, HEIGHT = 64, 40
VIDEO = "mini_train_000"


@dataclass
class Set:
    """A raw tree with annotations that can be changed before they are written."""

    raw: Path
    train: dict[str, Any]
    valid: dict[str, Any]
    texts: dict[str, bytes] = field(default_factory=dict)  # written instead of the annotations
    files: dict[str, Path] | None = None  # checked instead of the annotations

    @property
    def annotation(self) -> dict[str, Any]:
        return self.train["annotations"][0]

    @property
    def images(self) -> Path:
        return self.raw / VIDEO / "images"

    def frame(self, number: int = 5) -> Path:
        """A file of an annotated frame."""
        return self.images / f"{number:06d}.bmp"

    def paths(self) -> dict[str, Path]:
        return self.files or {subset: self.raw / f"{subset}.json" for subset in ("train", "valid")}

    def save(self) -> None:
        for subset, content in (("train", self.train), ("valid", self.valid)):
            path = self.paths()[subset]
            write_json(path, content)
            if subset in self.texts:
                path.write_bytes(self.texts[subset])

    def check(
        self,
        out: Path,
        processes: int = 1,
        classes: ClassList | None = SAILVOS,
        **settings: Any,
    ) -> tuple[str, dict[str, Any]]:
        """The text and the report of a validation."""
        self.save()
        try:
            chosen = ValidationConfig(**settings)
            text = str(validate(self.raw, self.paths(), chosen, out, processes, classes))
        except InputError as error:
            text = str(error)
            assert not read_json(out)["ok"]
        else:
            assert read_json(out)["ok"]
        return text, read_json(out)

    def found(self, folder: Path, **given: Any) -> dict[str, dict[str, Any]]:
        """Its findings by code, worst first."""
        _, report = self.check(folder / "report.json", **given)
        return {finding["code"]: finding for finding in report["findings"]}


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    raw = tmp_path_factory.mktemp("rendered") / "raw"
    render(
        raw,
        SyntheticConfig(
            train_videos=2,
            valid_videos=1,
            frames=16,
            width=WIDTH,
            height=HEIGHT,
            objects=3,
            shots=1,
        ),
        5,
    )
    return raw


@pytest.fixture
def mini_set(rendered: Path, tmp_path: Path) -> Set:
    raw = tmp_path / "raw"
    shutil.copytree(rendered, raw)
    return Set(raw, read_json(raw / "train.json"), read_json(raw / "valid.json"))


def fields(amodal: npt.NDArray[np.bool_], visible: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """The fields of an annotation that follow from its masks."""
    codes = {
        "segmentation": rle(amodal),
        "visible_mask": rle(visible),
        "invisible_mask": rle(amodal & ~visible),
    }
    area, area_visible = int(amodal.sum()), int(visible.sum())
    return {
        **codes,
        "bbox": coco_mask.toBbox(codes["segmentation"]).tolist(),
        "bbox_visible": coco_mask.toBbox(codes["visible_mask"]).tolist(),
        "area": area,
        "area_visible": area_visible,
        "occlude_rate": 1 - area_visible / area if area else 0.0,
    }
