"""Checks the annotations of a file with its images, videos and categories, and with each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from vatrack.common.counted import counted
from vatrack.common.rle import Ints
from vatrack.data.columns import rows_of_ids
from vatrack.validate.findings import Findings
from vatrack.validate.rows import changing, first_rows, repeated
from vatrack.validate.subset import MASKS, NONE, Subset, pack_size, shown_size, unpack_size


def check_annotations(subset: Subset, findings: Findings) -> None:
    """Checks what annotations name, the sizes of their masks, and their identities in a video.

    What is missing is told only where the file could be read as a whole.
    """
    table, path = subset.annotations, subset.path
    ids = table["id"]
    findings.add_repeated("id-twice", path, "annotation", ids)
    images = np.array([image.id for image in subset.images], np.int64)
    videos = {
        name: row for row, name in enumerate(dict.fromkeys(image.video for image in subset.images))
    }
    video_of = np.array([videos[image.video] for image in subset.images], np.int64)
    rows = rows_of_ids(images, table["image_id"])
    listed = rows >= 0

    def report(code: str, found: Ints, field: str, text: str) -> None:
        values = table[field]
        findings.add_all(
            code,
            path,
            found.tolist(),
            lambda row: (f"annotation {ids[row]}", text.format(values[row])),
        )

    def sizes_of(field: str) -> Callable[[int], tuple[str, str]]:
        def describe(row: int) -> tuple[str, str]:
            own, image = unpack_size(int(table[field][row])), subset.images[rows[row]].size
            return (
                f"annotation {ids[row]}",
                f"{field} is {shown_size(own)}, its image {shown_size(image)}",
            )

        return describe

    if subset.whole:
        report("image-unknown", np.flatnonzero(~listed), "image_id", "image {}")
        categories = np.array(
            [number for number, _ in subset.categories if number is not None], np.int64
        )
        unknown = np.flatnonzero(~np.isin(table["category_id"], categories))
        report("category-unknown", unknown, "category_id", "category {}")
        models = np.array(subset.models, np.int64)
        given = (table["model_id"] != NONE) & (len(models) > 0)
        report(
            "model-unknown",
            np.flatnonzero(given & ~np.isin(table["model_id"], models)),
            "model_id",
            "model {}",
        )
        seen = np.zeros(len(images), bool)
        seen[rows[listed]] = True
        empty = np.flatnonzero(~seen).tolist()
        findings.add_all(
            "image-empty",
            path,
            empty,
            lambda row: (f"image {images[row]}", subset.images[row].path),
        )
        _check_counts(subset, video_of[rows[listed]], table["obj_id"][listed], videos, findings)

    sizes = np.array(
        [pack_size(*image.size) if image.size else NONE for image in subset.images], np.int64
    )
    for field in MASKS:
        own, needed = table[field][listed], sizes[rows[listed]]
        wrong = np.flatnonzero(listed)[(own != needed) & (own != NONE) & (needed != NONE)]
        findings.add_all("rle-size", path, wrong.tolist(), sizes_of(field))

    kept = np.flatnonzero(listed)
    for field in ("obj_id", "instance_id"):
        if field == "instance_id" and np.array_equal(table["instance_id"], table["obj_id"]):
            continue
        report(
            "object-twice",
            kept[repeated(rows[kept], table[field][kept])],
            field,
            field + " {} is already in this image",
        )
        changed = kept[
            changing(video_of[rows[kept]], table[field][kept], table["category_id"][kept])
        ]
        report("object-category", changed, field, field + " {} had a different category before")

    # In cut clips `instance_id` tells objects apart, in whole videos `obj_id` (quirk D11). Where
    # two objects exchange their numbers, each has a further one.
    of_video = video_of[rows[kept]]
    objects, instances = table["obj_id"][kept], table["instance_id"][kept]
    several = kept[changing(of_video, objects, instances)]
    shared = np.setdiff1d(kept[changing(of_video, instances, objects)], several)
    text = "obj_id {} had a different instance_id before"
    report("object-instance", several, "obj_id", text)
    text = "instance_id {} belonged to a different obj_id before"
    report("object-instance", shared, "instance_id", text)


def _check_counts(
    subset: Subset,
    of_video: Ints,
    objects: Ints,
    videos: Mapping[str | None, int],
    findings: Findings,
) -> None:
    """Compares `num_objs` of the videos with the objects that are annotated."""
    counts = np.bincount(of_video[first_rows(objects, of_video)], minlength=len(videos))
    for video in subset.videos:
        if video.name in videos and video.num_objs not in (None, counts[videos[video.name]]):
            annotated = counted(int(counts[videos[video.name]]), "object")
            detail = f"num_objs is {video.num_objs}, but it has {annotated}"
            findings.add("num-objs", subset.path, f"video {video.name}", detail)
