"""The official annotations to the forms that training and evaluation read, and opening those."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmarks.made.official import HEIGHT, WIDTH, write_official
from benchmarks.measure import Case, Subject, Watch, Work


def cases(size: str) -> list[Case]:
    """Growing numbers of annotations: linear work takes the same time for each of them."""
    counts = {"tiny": [40], "small": [1000, 4000], "full": [1000, 4000, 16_000, 64_000]}[size]
    return [
        Case(f"{count:,} annotations", count, ("plain", "fast"), options={"count": count})
        for count in counts
    ]


def make(case: Case, folder: Path) -> None:
    """The official file."""
    write_official(folder, case.options["count"])


def prepare(_: Case, folder: Path, way: str) -> Work:
    """A round reads the file, or makes everything of it that training needs."""

    def read(watch: Watch) -> Sequence[float]:
        with watch.stage("convert"):
            return [len(json.loads((folder / "train.json").read_bytes())["images"])]

    def convert(watch: Watch) -> Sequence[float]:
        from vatrack.config.dataset import DatasetConfig
        from vatrack.data.pairs import PairDataset
        from vatrack.data.store import open_store
        from vatrack.data.store_writer import store_path
        from vatrack.sailvos.convert import convert_files

        out = folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        with watch.stage("convert"):
            convert_files(folder / "train.json", folder / "structure.json", DatasetConfig(), out, 1)
        with watch.stage("open the training set"):
            dataset = PairDataset(
                out / "joint.json",
                folder,
                mask_types=("amodal", "visible"),
                limits=(WIDTH, HEIGHT),
                flip=0.5,
                reach=3,
                seed=0,
            )
        store_path(out / "joint.json").unlink()
        with watch.stage("build a store anew"):
            open_store(out / "joint.json")
        return [len(dataset.file.counts)]

    return read if way == "plain" else convert


SUBJECT = Subject(
    about="The official annotations to the forms that training and evaluation read.",
    unit="annotation",
    plain="json.load of the official file alone, which any script begins with",
    cases=cases,
    prepare=prepare,
    make=make,
)
