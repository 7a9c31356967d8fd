"""Annotation files that are spoiled in every way, each with the codes that are found."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.evaluation.scenes import rle
from tests.validate.conftest import HEIGHT, VIDEO, WIDTH, Set, fields

Spoil = Callable[[Set], object]
SPOILS: list[Any] = []


def spoils(*codes: str) -> Callable[[Spoil], Spoil]:
    """The decorated function makes exactly these findings."""

    def register(spoil: Spoil) -> Spoil:
        SPOILS.append(pytest.param(spoil, set(codes), id=spoil.__name__))
        return spoil

    return register


def box(left: int, right: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[4:20, left:right] = True
    return mask


def rename(s: Set, name: str) -> None:
    """Gives the first video another name in the annotations."""
    s.train["videos"][0].update(name=name, vid_name=name)
    for image in s.train["images"]:
        image["file_name"] = image["file_name"].replace(f"{VIDEO}/", f"{name}/")


# What is one step, with what is found then.
STEPS: dict[str, tuple[str, Spoil]] = {
    "no categories": ("list-missing", lambda s: s.train.pop("categories")),
    "no area": ("field-missing", lambda s: s.annotation.pop("area")),
    "category without name": (
        "field-missing category-list",
        lambda s: s.train["categories"][3].pop("name"),
    ),
    "categories in another order": ("category-list", lambda s: s.train["categories"].reverse()),
    "one category more": (
        "category-list",
        lambda s: s.train["categories"].append({"id": 999, "name": "boat"}),
    ),
    "unsafe place": ("video-name image-place folder-extra", lambda s: rename(s, "..")),
    "clip mark": ("video-name folder-extra", lambda s: rename(s, "a__b")),
    "video twice": ("video-twice", lambda s: s.train["videos"].append(s.train["videos"][0])),
    "video in both subsets": (
        "video-in-both video-empty",
        lambda s: s.valid["videos"].append(s.train["videos"][0]),
    ),
    "video without images": (
        "video-empty folder-missing",
        lambda s: s.train["videos"].append({"id": 9, "name": "empty"}),
    ),
    "model twice": ("model-twice", lambda s: s.train["models"].append(s.train["models"][0])),
    "nothing visible": (
        "visible-empty",
        lambda s: s.annotation.update(fields(box(3, 9), box(0, 0))),
    ),
    "visible outside": (
        "visible-outside",
        lambda s: s.annotation.update(fields(box(3, 9), box(8, 11))),
    ),
    "video missing": ("folder-missing", lambda s: shutil.rmtree(s.raw / VIDEO)),
    "images missing": ("folder-missing", lambda s: shutil.rmtree(s.images)),
    "video in other case": ("folder-case", lambda s: (s.raw / VIDEO).rename(s.raw / VIDEO.upper())),
    "another video": ("folder-extra", lambda s: (s.raw / "other" / "images").mkdir(parents=True)),
    "another folder": ("folder-plain", lambda s: (s.raw / "other").mkdir()),
    "frame missing": ("frame-missing", lambda s: s.frame().unlink()),
    "frame in other case": ("frame-case", lambda s: s.frame().rename(s.images / "000005.BMP")),
    "unused frame broken": ("file-broken", lambda s: s.frame(0).write_bytes(b"")),
    "names alike": ("file-case", lambda s: shutil.copy(s.frame(), s.images / "000005.BMP")),
    "gap at the end": ("file-gap frame-ends", lambda s: s.frame(12).unlink()),
    "too few files": ("frame-ends", lambda s: s.frame(15).unlink()),
    "another file": ("file-extra", lambda s: (s.images / "Thumbs.db").touch()),
    "enormous number": (
        "file-gap frame-ends",
        lambda s: shutil.copy(s.frame(), s.images / "99999999999999.bmp"),
    ),
}
for what, (codes, step) in STEPS.items():
    SPOILS.append(pytest.param(step, set(codes.split()), id=what))


# The annotation files as such.


@spoils("json-broken")
def cut_off_at_the_end(s: Set) -> None:
    s.texts["train"] = s.paths()["train"].read_bytes()[:-3]


@spoils("json-broken")
def not_a_number(s: Set) -> None:
    text = s.paths()["train"].read_text()
    s.texts["train"] = text.replace('"occlu_depth": 0', '"occlu_depth": NaN').encode()


@spoils("list-missing")
def empty_list(s: Set) -> None:
    s.train["annotations"] = []


# Fields and numbers.

# List of the training file, number of the item, its field, what is written there, what is found.
WRITTEN: list[tuple[str, int, str, Any, str]] = [
    ("annotations", 0, "id", "0", "number-bad"),
    ("annotations", 0, "image_id", 1000, "image-unknown"),
    ("annotations", 0, "model_id", 5000, "model-unknown"),
    ("annotations", 0, "iscrowd", 1, "crowd"),
    ("annotations", 0, "iscrowd", "0", "number-bad"),
    ("annotations", 0, "area", "20", "number-bad"),
    ("annotations", 0, "area", 10**30, "number-bad"),  # beyond 64 bits
    ("annotations", 0, "area_visible", -1, "number-bad"),
    ("annotations", 0, "occlude_rate", -0.02, "number-bad"),
    ("annotations", 0, "occlude_rate", 1.5, "number-bad"),
    ("annotations", 0, "bbox", [1, 1, -2, 3], "box-bad"),
    ("annotations", 0, "bbox", [0, 0, WIDTH, HEIGHT + 1], "box-outside"),
    ("annotations", 0, "bbox", [-1, 0, 2, 2], "box-outside"),
    ("annotations", 0, "bbox_visible", [1, 1, 2], "box-bad"),
    ("annotations", 0, "segmentation", [[1, 1, 9e5, 1, 9, 9]], "rle-bad"),
    ("annotations", 0, "segmentation", rle(np.ones((HEIGHT, WIDTH // 2), bool)),
     "rle-size area-wrong box-wrong rate-wrong"),
    ("annotations", 0, "invisible_mask", [[1, 2, 3, 4]], "invisible-wrong"),
    ("images", 0, "height", 0, "number-bad"),
    ("images", 0, "video_id", 77, "video-id"),
    ("images", 6, "frame_id", 8, "frame-id-gap frame-shift"),
    ("images", 6, "frame_id", 5, "frame-id-gap frame-shift"),  # twice
    ("videos", 0, "num_frames", 1, "num-frames"),
    ("videos", 0, "num_objs", 1000, "num-objs"),
]  # fmt: skip


def write(section: str, number: int, name: str, value: Any) -> Spoil:
    return lambda s: s.train[section][number].update({name: value})


for section, number, key, written, codes in WRITTEN:
    spoil = write(section, number, key, written)
    name = f"{section}-{key}-{written!r:.40}"
    SPOILS.append(pytest.param(spoil, set(codes.split()), id=name))


@spoils("json-broken")
def infinite_rate(s: Set) -> None:
    s.save()
    rate = '"occlude_rate": '
    head, tail = s.paths()["train"].read_text().split(rate, 1)
    s.texts["train"] = (head + rate + "1e999" + tail[tail.index("}") :]).encode()


@spoils("rle-bad")
def runs_that_do_not_fill_the_mask(s: Set) -> None:
    s.annotation["segmentation"]["counts"] = [3, 4]


@spoils("rle-bad")
def garbage_mask(s: Set) -> None:
    s.annotation["segmentation"]["counts"] = "gärbage~"


@spoils("rle-bad")
def mask_cut_off(s: Set) -> None:
    code = s.annotation["visible_mask"]
    code["counts"] = code["counts"][:-2]


# Entries among each other.


@spoils("id-twice")
def annotation_id_twice(s: Set) -> None:
    s.train["annotations"][1]["id"] = s.annotation["id"]


@spoils("id-twice")
def category_id_twice(s: Set) -> None:
    used = {annotation["category_id"] for annotation in s.train["annotations"]}
    spare = [category for category in s.train["categories"] if category["id"] not in used]
    spare[0]["id"] = spare[1]["id"]


@spoils("category-unknown")
def annotation_outside_the_categories(s: Set) -> None:
    for annotation in s.train["annotations"]:
        if (
            annotation["obj_id"] == s.annotation["obj_id"]
            and annotation["instance_id"] == s.annotation["instance_id"]
        ):
            annotation["category_id"] = 3


@spoils("video-unknown", "folder-extra")
def images_without_video(s: Set) -> None:
    s.train["videos"] = [video for video in s.train["videos"] if video["name"] != VIDEO]


@spoils("video-name", "folder-extra", "video-unknown")
def no_video_name(s: Set) -> None:
    del s.train["videos"][0]["name"], s.train["videos"][0]["vid_name"]


@spoils("video-name-case")
def video_names_alike(s: Set) -> None:
    rename(s, "MINI_TRAIN_001")
    (s.raw / VIDEO).rename(s.raw / "MINI_TRAIN_001")


@spoils("image-place", "folder-extra")
def image_outside(s: Set) -> None:
    for image in s.train["images"]:
        image["file_name"] = image["file_name"].replace(f"{VIDEO}/images", f"{VIDEO}/images/..")
    s.train["videos"] = s.train["videos"][1:]


@spoils("image-place", "file-broken")
def image_of_another_format(s: Set) -> None:
    s.train["images"][2]["file_name"] = s.train["images"][2]["file_name"].replace(".bmp", ".gif")
    s.frame(5).write_bytes(b"x")


@spoils("image-twice", "frame-shift")
def image_twice(s: Set) -> None:
    s.train["images"][3]["file_name"] = s.train["images"][2]["file_name"]
    s.train["images"][3]["file_name"] = s.train["images"][3]["file_name"].replace(".bmp", ".png")


@spoils("id-twice", "image-empty")
def image_id_twice(s: Set) -> None:
    s.train["images"][3]["id"] = s.train["images"][2]["id"]
    s.train["annotations"] = [a for a in s.train["annotations"] if a["image_id"] != 3]


@spoils("frame-shift")
def frames_in_another_order(s: Set) -> None:
    first, second = s.train["images"][:2]
    first["frame_id"], second["frame_id"] = second["frame_id"], first["frame_id"]


@spoils("image-size", "rle-size", "frame-size")
def size_changes(s: Set) -> None:
    s.train["images"][0]["width"] += 1


@spoils("object-twice", "num-objs")
def object_twice(s: Set) -> None:
    for annotation in s.train["annotations"]:
        annotation["instance_id"] = annotation["obj_id"]
    first = s.annotation
    same = [a for a in s.train["annotations"] if a["image_id"] == first["image_id"]]
    assert len(same) > 1
    replaced = same[1]["obj_id"]
    for annotation in s.train["annotations"]:
        if annotation["obj_id"] == replaced and annotation["image_id"] == first["image_id"]:
            annotation.update({key: first[key] for key in ("obj_id", "instance_id", "category_id")})
    for video in s.train["videos"]:
        video["num_objs"] += 100


@spoils("object-instance")
def instance_changes_in_mid_video(s: Set) -> None:
    own = [a for a in s.train["annotations"] if a["obj_id"] == s.annotation["obj_id"]]
    for annotation in own[len(own) // 2 :]:
        annotation["instance_id"] += 1000


@spoils("object-instance")
def two_objects_exchange_their_instances(s: Set) -> None:
    same = [a for a in s.train["annotations"] if a["image_id"] == s.annotation["image_id"]]
    for annotation in s.train["annotations"]:
        annotation["category_id"] = s.annotation["category_id"]
    same[0]["instance_id"], same[1]["instance_id"] = same[1]["instance_id"], same[0]["instance_id"]


@spoils("object-twice", "object-instance")
def instance_twice(s: Set) -> None:
    same = [a for a in s.train["annotations"] if a["image_id"] == s.annotation["image_id"]]
    for annotation in s.train["annotations"]:
        annotation["category_id"] = s.annotation["category_id"]
    same[1]["instance_id"] = same[0]["instance_id"]


@spoils("object-category")
def object_changes_its_category(s: Set) -> None:
    s.annotation["category_id"] = next(
        c["id"] for c in s.train["categories"] if c["id"] != s.annotation["category_id"]
    )


@spoils("image-empty")
def image_without_annotations(s: Set) -> None:
    s.train["annotations"] = [a for a in s.train["annotations"] if a["image_id"] != 4]


# Fields against masks.


@spoils("mask-empty", "visible-empty")
def empty_masks(s: Set) -> None:
    nothing = box(0, 0)
    s.annotation.update(fields(nothing, nothing))


@spoils("area-wrong")
def wrong_area(s: Set) -> None:
    s.annotation["area"] += 1


@spoils("box-wrong")
def wrong_box(s: Set) -> None:
    s.annotation.update(fields(box(3, 9), box(3, 6)))
    s.annotation["bbox_visible"] = [3, 4, 4, 16]


@spoils("invisible-wrong")
def wrong_invisible_mask(s: Set) -> None:
    s.annotation.update(fields(box(3, 9), box(3, 6)))
    s.annotation["invisible_mask"] = rle(box(7, 10))


@spoils("invisible-wrong")
def garbage_invisible_mask(s: Set) -> None:
    s.annotation["invisible_mask"]["counts"] = "~~~"


@spoils("rate-wrong")
def wrong_rate(s: Set) -> None:
    s.annotation["occlude_rate"] += 2e-6
