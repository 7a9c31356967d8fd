"""Loading training pairs: from frames and annotations on disk to a batch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2

from benchmarks import plain
from benchmarks.measure import Case, Subject, Watch, Work
from vatrack.common.value_files import read_json
from vatrack.config import Config
from vatrack.data.batches import collate
from vatrack.data.pairs import PairDataset
from vatrack.sailvos.clips import build_clip_tree
from vatrack.sailvos.convert import convert_files
from vatrack.sailvos.cuts import write_structure
from vatrack.sailvos.index import build_index
from vatrack.synthetic.render import render

REACH = 3  # frames to the reference frame, at most


def cases(size: str) -> list[Case]:
    """Rendered videos with about as many objects as the real ones."""
    width, height, pairs, objects = {
        "tiny": (96, 64, 4, 3),
        "small": (640, 400, 12, 12),
        "full": (1280, 800, 40, 12),
    }[size]
    options = {"width": width, "height": height, "pairs": pairs, "objects": objects}
    return [Case("pairs", pairs, ("plain", "fast"), options=options)]


def make(case: Case, folder: Path) -> None:
    """A rendered video, converted."""
    given = case.options
    settings = Config.model_validate(
        {
            "dataset": {
                "synthetic": {
                    "train_videos": 1,
                    "valid_videos": 1,
                    "frames": max(given["pairs"], 7) + 9,  # 9 at the ends have no annotation
                    "width": given["width"],
                    "height": given["height"],
                    "objects": given["objects"],
                    "shots": 1,
                },
                "clips": {"structure": "whole"},
            }
        }
    ).dataset
    raw, index, structure = folder / "raw", folder / "index.json", folder / "structure.json"
    render(raw, settings.synthetic, 0)
    build_index(raw, {subset: raw / f"{subset}.json" for subset in ("train", "valid")}, index)
    write_structure(settings.clips, index, None, structure)
    build_clip_tree(raw, structure, folder / "clips", "symlink")
    convert_files(raw / "train.json", structure, settings, folder / "train")


def prepare(case: Case, folder: Path, way: str) -> Work:
    """A round loads a pair for each frame of the set, one after the other, each as a batch."""
    cv2.setNumThreads(1)
    path, images = folder / "train" / "joint.json", folder / "clips"
    return _plain(path, images) if way == "plain" else _dataset(case, path, images)


def _plain(path: Path, images: Path) -> Work:
    document = read_json(path)
    items: dict[int, list[Any]] = {}
    for item in document["annotations"]:
        items.setdefault(item["image_id"], []).append(item)
    frames = [frame for frame in document["images"] if frame["id"] in items]

    def work(watch: Watch) -> Sequence[float]:
        numbers: list[float] = []
        for key, ref in zip(frames, [*frames[1:], frames[-2]], strict=True):
            (_, amodal, _), _ = (
                plain.load_frame(images / frame["file_name"], items[frame["id"]])
                for frame in (key, ref)
            )
            numbers.append(float(amodal.sum()))
        return numbers

    return work


def _dataset(case: Case, path: Path, images: Path) -> Work:
    dataset = PairDataset(
        path,
        images,
        mask_types=("amodal", "visible"),
        limits=(case.options["width"], case.options["height"]),
        flip=0.5,
        reach=REACH,
        seed=0,
    )

    def work(watch: Watch) -> Sequence[float]:
        numbers: list[float] = []
        for index in range(len(dataset)):
            with watch.stage("read and prepare"):
                pair = dataset[index]
            with watch.stage("collate"):
                batch = collate([pair])
            numbers.append(float(batch.key_targets[0].masks["amodal"].sum()))
        return numbers

    return work


SUBJECT = Subject(
    about="Loading training pairs: from frames and annotations on disk to a batch.",
    unit="pair",
    plain="every frame decoded for every pair, all masks of both frames decoded",
    cases=cases,
    prepare=prepare,
    make=make,
)
