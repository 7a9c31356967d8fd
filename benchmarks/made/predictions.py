"""Made-up ground truth and predictions of any number of clips, shaped like SAIL-VOS-cut's valid
set, for `benchmarks.evaluation`.

A clip has about 11 objects a frame that move and partly hide each other, and 85 detections a frame:
one for most objects (a mask of 28 x 28 stretched to the object's size, as a mask head gives it),
the rest false positives of low score, most of them beside an object and of its class, in tracks of
one or two frames. 24 classes, some much more frequent than others. A clip of 27 frames has some
1,300 tracks, of which the 100 best of each class count.

Where the numbers come from:

- 989 clips with 26,873 frames of 1280 x 800, at least 5 in a clip, many short and few long clips:
  the valid set of SAIL-VOS-cut (specification 1.4).
- 100 detections a frame before the tracker: every one with a score above 0.01 counts, up to 100
  (specification 5). 85 after it: it leaves out what overlaps a better detection by more than 0.7
  (specification 5.1), and of 100 keeps 85 with ResNet-50 and 87 with ResNeXt-101 in the golden
  end-to-end cases.
- False tracks last 1.5 frames: every detection that continues no track begins one (specification
  5.1). In the same cases a track lasts 1.2 (ResNeXt-101), 1.5 (ResNet-50) and 1.7 frames (2bbox).
- 100 tracks of a class and video count: the published limit (specification 6.3).
- 11 objects a frame, their sizes, classes and paths are assumed.

The golden cases have random weights. How long false tracks of a trained network last is not known;
its objects are followed here throughout, apart from some changes of identity. What is done for
every pair of tracks becomes slower with more tracks, up to the limit; what is done for every
detection does not.

What makes it fast: outlines come from a pool and are moved by whole pixels, and moving a run-length
mask changes its first and last run only. So a mask of a track has the same outline for some frames;
what reading, checking and comparing it cost is the same as with outlines that are all different.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as rle

from vatrack.common.parallel import ordered_map
from vatrack.config.categories import CATEGORIES

HEIGHT, WIDTH = 800, 1280
CLIPS, FRAMES = 989, 26_873  # of SAIL-VOS-cut's valid set
DETECTIONS, OBJECTS = 85, 11  # a frame
OUTLINES, VARIANTS = 300, 3
FALSE_LENGTH = 1.5  # mean frames of a false track
CLASS_SHARE = np.arange(1, len(CATEGORIES) + 1) ** -1.1
CLASS_SHARE /= CLASS_SHARE.sum()


@dataclass(frozen=True)
class Outline:
    """A mask that can be put anywhere: its box's size and area in pixels, its first and last run,
    and all that is between."""

    width: int
    height: int
    area: int
    first: int
    middle: str
    last: int

    def at(self, x: int, y: int) -> str:
        """The mask, its box's corner at (x, y), as JSON."""
        move = x * HEIGHT + y - 1
        counts = (
            _number(self.first + move)
            + self.middle
            + _number(self.last + (WIDTH - self.width) * HEIGHT - move)
        )
        return f'{{"size":[{HEIGHT},{WIDTH}],"counts":"{_escaped(counts)}"}}'


@dataclass(frozen=True)
class Model:
    """Outlines of one object: whole and visible, its occlusion rate, and how a detector sees both
    (pairs)."""

    amodal: Outline
    visible: Outline
    moved: tuple[int, int]  # the visible box's corner from that of the whole
    rate: float
    seen: list[tuple[Outline, Outline, tuple[int, int]]]


def write_set(folder: Path, clips: int, processes: int, outlines: int = OUTLINES) -> dict[str, int]:
    """Writes `joint.json` and `predictions.jsonl.gz`; returns the numbers of frames, objects and
    detections.

    Args:
        outlines: how many objects look different.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lengths = clip_lengths(clips)
    starts = (np.cumsum(lengths) - lengths).tolist()
    items = [
        (clip, start + 1, length)
        for clip, (start, length) in enumerate(zip(starts, lengths.tolist(), strict=True), 1)
    ]
    found = {"frames": int(lengths.sum()), "objects": 0, "detections": 0}
    with (
        (folder / "joint.json").open("w") as truth,
        (folder / "predictions.jsonl.gz").open("wb") as predictions,
    ):
        truth.write(json.dumps(_head(items))[:-1] + ', "annotations": [')
        made = ordered_map(_clip, items, processes, outlines)
        for number, (objects, detections) in enumerate(made):
            texts = [
                f'{{"id":{found["objects"] + index},{text}' for index, text in enumerate(objects, 1)
            ]
            truth.write((",\n" if number else "\n") + ",\n".join(texts))
            predictions.write(detections)  # files of gzip may be joined
            found["objects"] += len(texts)
        truth.write("]}\n")
    found["detections"] = DETECTIONS * found["frames"]
    return found


def clip_lengths(clips: int) -> np.ndarray:
    """Frames of every clip [clips]: many short ones and a few long ones, as many frames in all as
    the real share has."""
    random = np.random.default_rng(1)
    frames = round(FRAMES * clips / CLIPS)
    raw = random.lognormal(0, 0.8, clips)
    lengths = np.maximum(5, np.floor(raw / raw.sum() * frames)).astype(np.int64)
    while lengths.sum() != frames:
        change = np.sign(frames - lengths.sum())
        chosen = int(random.choice(np.flatnonzero(lengths + change >= 5)))
        lengths[chosen] += change
    return lengths


def _head(items: list[tuple[int, int, int]]) -> dict[str, list[dict[str, Any]]]:
    size = {"width": WIDTH, "height": HEIGHT}
    return {
        "categories": [{"id": number, "name": name} for number, name in enumerate(CATEGORIES, 1)],
        "videos": [
            {"id": clip, "name": f"clip__{clip}", "num_frames": length, **size}
            for clip, _, length in items
        ],
        "images": [
            {
                "id": start + frame,
                "video_id": clip,
                "frame_id": frame,
                "file_name": f"clip__{clip}/images/{frame:06d}.png",
                **size,
            }
            for clip, start, length in items
            for frame in range(length)
        ],
    }


def _clip(item: tuple[int, int, int], outlines: int) -> tuple[list[str], bytes]:
    """The annotations of one clip, without ids, and its predictions, packed."""
    clip, image, length = item
    random = np.random.default_rng(100 + clip)
    models = pool(outlines)
    objects = [_path(random, models, length) for _ in range(max(1, random.poisson(OBJECTS * 1.25)))]
    categories = random.choice(len(CATEGORIES), len(objects), p=CLASS_SHARE) + 1
    alive = [sorted(random.integers(-length // 8, length + length // 8, 2)) for _ in objects]
    alive = [[0, length] if random.random() < 0.7 else ends for ends in alive]
    false: list[tuple[int, int, int, np.ndarray, float] | None] = [None] * DETECTIONS
    tracks = iter(range(len(objects), 1_000_000))
    ids = list(range(len(objects)))
    truths, lines = [], []
    for frame in range(length):
        found = []
        for number, (model, corners) in enumerate(objects):
            if not alive[number][0] <= frame < alive[number][1]:
                continue
            thing, (x, y), category = (
                models[model],
                corners[frame].tolist(),
                int(categories[number]),
            )
            truths.append(
                _annotation(image + frame, clip, category, clip * 1000 + number, thing, x, y)
            )
            if random.random() < 0.85:
                if random.random() < 0.03:
                    ids[number] = next(tracks)
                score = np.clip(random.normal(0.9 - 0.5 * thing.rate, 0.15), 0.06, 0.999)
                found.append(
                    _line(image + frame, category, score, ids[number], random, thing, x, y)
                )
        for slot in range(len(found), DETECTIONS):
            last = false[slot]
            if last is None or random.random() < 1 / FALSE_LENGTH:
                last = false[slot] = _false_track(
                    random, next(tracks), models, objects, categories, frame
                )
            track, category, model, corner, score = last
            x, y = (corner + random.integers(-3, 4, 2)).tolist()
            found.append(
                _line(
                    image + frame,
                    category,
                    score + random.uniform(0, 0.02),
                    track,
                    random,
                    models[model],
                    x,
                    y,
                )
            )
        lines += sorted(found, key=lambda pair: -pair[0])
    return truths, gzip.compress("".join(text for _, text in lines).encode(), 1)


def _path(random: np.random.Generator, models: list[Model], length: int) -> tuple[int, np.ndarray]:
    """An object: its model and its corner in every frame [length, 2]."""
    start = random.uniform(0, 1, 2) * (WIDTH, HEIGHT)
    steps = random.normal(0, 6, 2) + random.normal(0, 1.5, (length, 2))
    return int(random.integers(len(models))), np.rint(start + np.cumsum(steps, 0)).astype(np.int64)


def _false_track(
    random: np.random.Generator,
    track: int,
    models: list[Model],
    objects: list[tuple[int, np.ndarray]],
    categories: np.ndarray,
    frame: int,
) -> tuple[int, int, int, np.ndarray, float]:
    score = float(np.clip(random.exponential(0.08) + 0.05, 0.05, 0.6))
    if random.random() < 0.7:
        number = int(random.integers(len(objects)))
        model, corners = objects[number]
        corner = corners[frame] + random.normal(0, 40, 2).astype(np.int64)
        return track, int(categories[number]), model, corner, score
    model = int(random.integers(len(models)))
    corner = random.integers(0, (WIDTH, HEIGHT))
    return track, int(random.choice(len(CATEGORIES), p=CLASS_SHARE)) + 1, model, corner, score


def _inside(outline: Outline, x: int, y: int) -> tuple[int, int]:
    """The nearest corner that keeps the whole outline within the image, one pixel from its upper
    and lower border."""
    return min(max(x, 0), WIDTH - outline.width), min(max(y, 1), HEIGHT - 1 - outline.height)


def _line(
    image: int,
    category: int,
    score: float,
    track: int,
    random: np.random.Generator,
    model: Model,
    x: int,
    y: int,
) -> tuple[float, str]:
    """A detection: its score and its line."""
    amodal, visible, (dx, dy) = model.seen[random.integers(VARIANTS)]
    x, y = _inside(amodal, x, y)
    score = float(np.float32(score))
    return score, (
        f'{{"image_id":{image},"category_id":{category},"score":{score!r},'
        f'"bbox":[{x}.0,{y}.0,{amodal.width}.0,{amodal.height}.0],"track_id":{track},'
        f'"amodal":{amodal.at(x, y)},"visible":{visible.at(x + dx, y + dy)}}}\n'
    )


def _annotation(
    image: int, clip: int, category: int, instance: int, model: Model, x: int, y: int
) -> str:
    """An annotation in the joint form, from behind its id."""
    amodal, visible = model.amodal, model.visible
    x, y = _inside(amodal, x, y)
    u, v = x + model.moved[0], y + model.moved[1]
    masks = amodal.at(x, y), visible.at(u, v)
    return (
        f'"video_id":{clip},"image_id":{image},"category_id":{category},'
        f'"instance_id":{instance},"obj_id":{instance % 1000},'
        f'"model_id":0,"iscrowd":0,"occlu_depth":0,"occlude_rate":{model.rate!r},'
        f'"bbox":[{x},{y},{amodal.width},{amodal.height}],'
        f'"bbox_visible":[{u},{v},{visible.width},{visible.height}],'
        f'"segmentation":[{masks[0]},{masks[1]}],"amodal_mask":{masks[0]},"visible_mask":{masks[1]},'
        f'"area_amodal":{amodal.area},"area_visible":{visible.area}}}'
    )


@cache
def pool(outlines: int) -> list[Model]:
    """The outlines of all objects; the same in every process."""
    random = np.random.default_rng(0)
    return [_model(random) for _ in range(outlines)]


def _model(random: np.random.Generator) -> Model:
    width, height = (
        np.clip(random.lognormal(5.1, 0.7) * random.lognormal(0, 0.3, 2), 10, 700)
        .astype(int)
        .tolist()
    )
    bitmap = np.zeros((height, width), np.uint8)
    for _ in range(int(random.integers(1, 5))):  # limbs
        centre = (random.uniform(0.25, 0.75, 2) * (width, height)).astype(int).tolist()
        axes = np.maximum(2, random.uniform(0.15, 0.5, 2) * (width, height)).astype(int).tolist()
        cv2.ellipse(bitmap, centre, axes, float(random.uniform(0, 180)), 0, 360, 1, -1)
    edge = cv2.dilate(bitmap, np.ones((3, 3))) != cv2.erode(bitmap, np.ones((3, 3)))
    bitmap[edge & (random.random(bitmap.shape) < 0.15)] ^= 1
    shown = bitmap.copy()
    if random.random() < 0.5:
        hidden = random.uniform(0.05, 0.7)
        side = (
            slice(0, int(hidden * width))
            if random.random() < 0.5
            else slice(int((1 - hidden) * width), width)
        )
        shown[:, side] = 0
    if not shown.any() or shown.sum() <= 0.25 * bitmap.sum():
        shown = bitmap.copy()
    seen = []
    for _ in range(VARIANTS):
        noise = cv2.GaussianBlur(random.normal(0, 1, (28, 28)), (0, 0), 4) * random.uniform(
            0.3, 2.0
        )
        pair = [_stretched(mask, noise) for mask in (bitmap, shown)]
        whole, uncovered = (
            mask if mask.any() else other for mask, other in zip(pair, (bitmap, shown), strict=True)
        )
        a, corner_a = outline(whole)
        v, corner_v = outline(uncovered)
        seen.append((a, v, (corner_v[0] - corner_a[0], corner_v[1] - corner_a[1])))
        # The visible part of a noisy mask may stick out of the whole one; then both are the whole.
        if (
            min(seen[-1][2]) < 0
            or seen[-1][2][0] + v.width > a.width
            or seen[-1][2][1] + v.height > a.height
        ):
            seen[-1] = (a, a, (0, 0))
    amodal, first = outline(bitmap)
    visible, second = outline(shown)
    rate = 1 - visible.area / amodal.area
    return Model(amodal, visible, (second[0] - first[0], second[1] - first[1]), rate, seen)


def _stretched(bitmap: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """What a mask head sees: 28 x 28 values, stretched to the box."""
    small = cv2.resize(
        bitmap.astype(np.float32), (28, 28), interpolation=cv2.INTER_AREA
    ) + noise.astype(np.float32)
    return (cv2.resize(small, bitmap.shape[::-1], interpolation=cv2.INTER_LINEAR) >= 0.5).astype(
        np.uint8
    )


def outline(bitmap: np.ndarray) -> tuple[Outline, tuple[int, int]]:
    """The outline of a bitmap, and the corner (x, y) of its box in the bitmap."""
    rows, columns = np.flatnonzero(bitmap.any(1)), np.flatnonzero(bitmap.any(0))
    crop = bitmap[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = crop.shape
    canvas = np.zeros((HEIGHT, width), np.uint8, order="F")
    canvas[1 : 1 + height] = crop
    changes = np.flatnonzero(np.diff(canvas.ravel(order="F"), prepend=0, append=0))
    runs = np.diff(changes, prepend=0, append=canvas.size).tolist()
    codes = [run - (runs[index - 2] if index > 2 else 0) for index, run in enumerate(runs)]
    middle = "".join(map(_number, codes[1:-1]))
    return Outline(width, height, int(crop.sum()), runs[0], middle, codes[-1]), (
        int(columns[0]),
        int(rows[0]),
    )


def _number(value: int) -> str:
    """One number of a compressed mask: 5 bits a character, lowest first, the sixth says that
    another follows."""
    text = ""
    while True:
        low, value = value & 31, value >> 5
        if value == (-1 if low & 16 else 0):
            return text + chr(low + 48)
        text += chr(low + 80)


def _escaped(counts: str) -> str:
    return counts.replace("\\", "\\\\")


def checked(folder: Path) -> Iterator[str]:
    """Whether some masks are what pycocotools makes of their pixels; one line for each that is
    not."""
    for model in pool(50):
        text = json.loads(model.amodal.at(17, 29))
        pixels = rle.decode(text)
        again = rle.encode(np.asfortranarray(pixels))["counts"].decode()
        if again != text["counts"] or int(pixels.sum()) != model.amodal.area:
            yield f"{folder}: a mask of area {model.amodal.area} is written wrongly"
