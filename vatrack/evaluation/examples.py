"""Example predictions for a ground truth, made from it: perfect ones, whose metrics are known, and
spoilt ones.

With them the evaluator can be checked by itself, without a network. Chance has one seed, and only
draws that Python promises to repeat in every version.
"""

from __future__ import annotations

import filecmp
import json
import shlex
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.files import check_target, create_text, write_json
from vatrack.common.json_types import Json
from vatrack.common.locks import filling
from vatrack.common.mask_types import MASK_TYPES, MaskType
from vatrack.common.output_folders import scratch_directory
from vatrack.common.value_files import read_json
from vatrack.data.fields import read_masks
from vatrack.data.known_forms import JOINT, wants
from vatrack.evaluation.perfect import perfect_metrics


@dataclass(frozen=True)
class Effects:
    """How predictions are spoilt.

    `shift`: masks move by up to this share of their width and height; `drop`: share of the objects
    that are left out; `swap`: after three quarters of a video objects of a class exchange
    identities, a lone one gets a new one; `false`: share of the frames with a rectangle that is no
    object; `scores`: random ones, else 1 for all.
    """

    shift: float = 0.0
    drop: float = 0.0
    swap: bool = False
    false: float = 0.0
    scores: bool = True


EXAMPLES: Mapping[str, Effects] = {
    "perfect": Effects(scores=False),
    "shifted": Effects(shift=0.2),
    "dropped": Effects(drop=0.3),
    "swapped": Effects(swap=True),
    "false_positives": Effects(false=0.8),
    "everything": Effects(shift=0.15, drop=0.15, swap=True, false=0.5),
}


@dataclass(frozen=True)
class Examples:
    """What `write_examples` wrote: files of predictions with their numbers of lines."""

    ground_truth: Path
    frames: int
    objects: int
    files: Mapping[Path, int]
    expected: Path

    def __str__(self) -> str:
        folder = self.expected.parent
        given = shlex.join(
            [
                *("--ground-truth", str(self.ground_truth)),
                *("--predictions", f"{folder}/predictions.jsonl.gz"),
                *("--out", f"{folder}/metrics.json"),
            ]
        )
        return "\n".join(
            [
                f"example predictions for {counted(self.frames, 'frame')} with "
                f"{counted(self.objects, 'masked object')}:",
                *(f"  {file}: {count}" for file, count in self.files.items()),
                f"expected metrics of the perfect predictions: {self.expected}",
                f"vatrack evaluate {given}",
            ]
        )


@wants(ground_truth=JOINT)
def write_examples(ground_truth: Path | None, out: Path, seed: int = 0) -> Examples:
    """Writes `<example>/predictions.jsonl.gz` for each of `EXAMPLES`, and in
    `perfect/expected.json` what those must reach.

    Args:
        ground_truth: joint form; None: a small one is rendered and written to
            `ground_truth.json.gz`.
        out: folder for all of it.
        seed: of the spoilt predictions; those of a seed are the same everywhere.

    Raises:
        InputError: the ground truth is missing, damaged or without objects; or `out` holds a file
            of one of these names with other content.
    """
    out = check_target(out, folder=True)
    if ground_truth is None:
        from vatrack.synthetic.ground_truth import make_ground_truth

        document = make_ground_truth(out / "ground_truth")
        source = out / "ground_truth.json.gz"
    else:
        document, source = read_json(ground_truth), Path(ground_truth)
    expected = perfect_metrics(document, str(source))
    spoilt = _with_codes(document)
    files = {}
    with scratch_directory(out / "examples") as scratch:
        if ground_truth is None:
            write_json(scratch / source.name, document)
        for name, effects in EXAMPLES.items():
            file = Path(name, "predictions.jsonl.gz")
            with create_text(check_target(scratch / file)) as stream:
                files[out / file] = sum(
                    stream.write(json.dumps(prediction) + "\n") > 0
                    for prediction in predictions(spoilt, effects, seed)
                )
        path = Path("perfect", "expected.json")
        write_json(scratch / path, expected, indent=1)
        _add_files(scratch, out)
    return Examples(
        source, len(document["images"]), len(document["annotations"]), files, out / path
    )


def _add_files(made: Path, out: Path) -> None:
    """Moves files into a folder, where each is new or the same as the one there.

    Raises:
        InputError: a file there is another one; nothing is moved.
    """
    new = []
    with filling(out):
        for path in sorted(path for path in made.rglob("*") if path.is_file()):
            target = out / path.relative_to(made)
            if not target.exists():
                new.append((path, target))
            elif target.is_dir() or not filecmp.cmp(path, target, shallow=False):
                raise InputError(
                    f"{target}: has other content than this example and would be lost; choose "
                    "another folder with --out, or delete it"
                )
        for path, target in new:
            shutil.move(path, check_target(target))


def _with_codes(document: Mapping[str, Any]) -> Json:
    """A sound ground truth with its masks, of any form, as canonical codes."""
    size_of = {image["id"]: [image["height"], image["width"]] for image in document["images"]}
    annotations = [dict(annotation) for annotation in document["annotations"]]
    sizes = [size_of[annotation["image_id"]] for annotation in annotations]
    for name in (f"{mask_type}_mask" for mask_type in MASK_TYPES):
        masks = [annotation[name] for annotation in annotations]
        counts, _ = read_masks(masks, sizes, [name] * len(masks))
        for annotation, size, text in zip(annotations, sizes, counts, strict=True):
            annotation[name] = {"size": size, "counts": text.decode("ascii")}
    return {**document, "annotations": annotations}


def predictions(document: Mapping[str, Any], effects: Effects, seed: int = 0) -> Iterator[Json]:
    """The ground truth's own objects as predictions (contract 2) with both masks, spoilt; in the
    order of the annotations.

    Args:
        document: joint form, its masks as codes; `effects`: what is done to them; `seed`: of all
            chance.
    """
    chance = {name: Random(f"{seed} {name}") for name in ("shift", "drop", "false", "score")}
    identity = _identities(document) if effects.swap else {}
    for annotation in document["annotations"]:
        masks = {mask_type: annotation[f"{mask_type}_mask"] for mask_type in MASK_TYPES}
        dropped = chance["drop"].random() < effects.drop
        moved = [2 * chance["shift"].random() - 1 for _ in range(2)]
        score = _score(chance["score"]) if effects.scores else 1.0
        if dropped:
            continue
        if effects.shift:
            size = coco_mask.toBbox(masks["amodal"])[2:]
            by = [
                round(effects.shift * share * float(length))
                for share, length in zip(moved, size, strict=True)
            ]
            masks = {mask_type: _moved(mask, by[0], by[1]) for mask_type, mask in masks.items()}
        instance = annotation["instance_id"]
        track = identity.get((annotation["image_id"], instance), instance)
        if coco_mask.area(masks["amodal"]):
            yield _prediction(
                annotation["image_id"], annotation["category_id"], score, track, masks
            )
    if not effects.false:
        return
    categories = sorted({annotation["category_id"] for annotation in document["annotations"]})
    free = 2 * _first_free(document)
    for image in document["images"]:
        wanted, category, *shares = (chance["false"].random() for _ in range(6))
        score = _score(chance["score"])
        if wanted < effects.false:
            mask = _rectangle(image["height"], image["width"], shares)
            number = categories[int(category * len(categories))]
            yield _prediction(image["id"], number, score, free, {"amodal": mask, "visible": mask})
            free += 1


def _identities(document: Mapping[str, Any]) -> dict[tuple[int, int], int]:
    """New track ids by image and instance: in a video's last quarter each object has the id of the
    next one of its class."""
    frames: dict[int, list[Json]] = {}
    for image in document["images"]:
        frames.setdefault(image["video_id"], []).append(image)
    late = set()
    for images in frames.values():
        images.sort(key=lambda image: image["frame_id"])
        late |= (
            {image["id"] for image in images[-(len(images) // 4) :]} if len(images) >= 4 else set()
        )
    members: dict[tuple[int, int], set[int]] = {}
    for annotation in document["annotations"]:
        members.setdefault((annotation["video_id"], annotation["category_id"]), set()).add(
            annotation["instance_id"]
        )
    free = _first_free(document)
    following: dict[tuple[int, int, int], int] = {}
    for group, instances in members.items():
        ordered = sorted(instances)
        after = [*ordered[1:], ordered[0]] if len(ordered) > 1 else [free + ordered[0]]
        following |= {(*group, one): other for one, other in zip(ordered, after, strict=True)}
    return {
        (annotation["image_id"], annotation["instance_id"]): following[
            annotation["video_id"], annotation["category_id"], annotation["instance_id"]
        ]
        for annotation in document["annotations"]
        if annotation["image_id"] in late
    }


def _first_free(document: Mapping[str, Any]) -> int:
    """A number above every instance id."""
    return max(annotation["instance_id"] for annotation in document["annotations"]) + 1


def _score(chance: Random) -> float:
    """As a detector's score is, a float32 value."""
    return float(np.float32(0.05 + 0.95 * chance.random()))


def _moved(mask: Json, right: int, down: int) -> Json:
    bitmap = coco_mask.decode([mask])[:, :, 0]
    height, width = bitmap.shape
    moved = np.zeros((height, width), np.uint8, order="F")
    moved[max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)] = bitmap[
        max(-down, 0) : height + min(-down, 0), max(-right, 0) : width + min(-right, 0)
    ]
    return _packed(moved)


def _rectangle(height: int, width: int, shares: list[float]) -> Json:
    """A rectangle of an eighth to half the image's sides; `shares`: four numbers from 0 to 1."""
    bitmap = np.zeros((height, width), np.uint8, order="F")
    tall, wide = (
        max(1, int(side * (0.125 + 0.375 * share)))
        for side, share in zip((height, width), shares[2:], strict=True)
    )
    top, left = int(shares[0] * (height - tall)), int(shares[1] * (width - wide))
    bitmap[top : top + tall, left : left + wide] = 1
    return _packed(bitmap)


def _packed(bitmap: Any) -> Json:
    code = coco_mask.encode(bitmap)
    return {"size": [int(side) for side in code["size"]], "counts": code["counts"].decode("ascii")}


def _prediction(
    image: int, category: int, score: float, track: int, masks: Mapping[MaskType, Json]
) -> Json:
    """As the method with two box heads writes them: a box for each mask."""
    return {
        "image_id": image,
        "category_id": category,
        "score": score,
        "bbox": coco_mask.toBbox(masks["amodal"]).tolist(),
        "bbox_visible": coco_mask.toBbox(masks["visible"]).tolist(),
        "track_id": track,
        "amodal": masks["amodal"],
        "visible": masks["visible"],
    }
