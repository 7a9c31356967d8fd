"""Checks ids, names, sizes and identities of official annotations in a file and across files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from vatrack.common.errors import InputError
from vatrack.config.categories import CATEGORIES
from vatrack.config.classes import SAILVOS, ClassList, FileClasses
from vatrack.sailvos.layout import FRAMES_AFTER, FRAMES_BEFORE, folded
from vatrack.validate.findings import Findings
from vatrack.validate.rows import changing, find, first_rows, repeated
from vatrack.validate.subset import (
    MASKS,
    NONE,
    Image,
    Subset,
    file_number,
    pack_size,
    split_suffix,
    unpack_size,
)

Ints = npt.NDArray[np.int64]


def check_relations(
    subset: Subset, findings: Findings, classes: ClassList | None = SAILVOS
) -> None:
    """Checks the items of one file with each other.

    What is missing is told only where the file could be read as a whole.

    Args:
        classes: what the categories must be; None: anything.
    """
    _check_categories(subset, findings, classes)
    _check_videos(subset, findings)
    _check_images(subset, findings)
    _check_annotations(subset, findings)


def check_subsets(subsets: Sequence[Subset], findings: Findings) -> None:
    """Checks the names of videos across all files."""
    owner: dict[str, Subset] = {}
    by_fold: dict[str, str] = {}
    for subset in subsets:
        for name in dict.fromkeys(video.name for video in subset.videos):
            other = owner.setdefault(name, subset)
            if other is not subset:
                findings.add("video-in-both", subset.path, f"video {name}", f"also in {other.path}")
            twin = by_fold.setdefault(folded(name), name)
            if twin != name:
                findings.add("video-name-case", subset.path, f"video {name}", f"and {twin}")


def named_classes(subset: Subset) -> ClassList | None:
    """The classes of a file in its order; None where they are not sound."""
    try:
        return _file_classes(subset).classes
    except InputError:
        return None


def _file_classes(subset: Subset) -> FileClasses:
    listed = [{"id": number, "name": name} for number, name in subset.categories]
    return FileClasses.of(listed, str(subset.path))


def _check_categories(subset: Subset, findings: Findings, classes: ClassList | None) -> None:
    names = [name for _, name in subset.categories]
    if classes != SAILVOS:
        try:
            listed = _file_classes(subset)
            listed.labels(classes or listed.classes)
        except InputError as error:
            findings.add("category-list", subset.path, detail=_first_line(error, subset))
    elif names != list(CATEGORIES) and (subset.whole or len(names) > len(CATEGORIES)):
        position = next(
            (
                n
                for n, pair in enumerate(zip(names, CATEGORIES, strict=False))
                if pair[0] != pair[1]
            ),
            len(names),
        )
        wanted = repr(CATEGORIES[position]) if position < len(CATEGORIES) else "no more"
        found = repr(names[position]) if position < len(names) else "no more"
        detail = f"{len(names)} categories; category {position + 1} is {found}, expected {wanted}"
        findings.add("category-list", subset.path, detail=detail)
    _check_twice(
        "id-twice",
        "category",
        (number for number, _ in subset.categories if number is not None),
        subset,
        findings,
    )
    _check_twice("model-twice", "model", subset.models, subset, findings)


def _first_line(error: InputError, subset: Subset) -> str:
    return str(error).splitlines()[0].removeprefix(f"{subset.path}: ")


def _check_videos(subset: Subset, findings: Findings) -> None:
    _check_twice("video-twice", "video", (video.name for video in subset.videos), subset, findings)
    if not subset.whole:
        return
    images = subset.by_video()
    for video in subset.videos:
        count = len(images[video.name])
        if count == 0:
            findings.add("video-empty", subset.path, f"video {video.name}")
        # Whether the official number counts the frames without annotations is not known.
        elif video.num_frames not in (None, count, count + FRAMES_BEFORE + FRAMES_AFTER):
            detail = f"num_frames is {video.num_frames}, but there are {count} images"
            findings.add("num-frames", subset.path, f"video {video.name}", detail)


def _check_images(subset: Subset, findings: Findings) -> None:
    _check_twice("id-twice", "image", (image.id for image in subset.images), subset, findings)
    known = {video.name for video in subset.videos} | subset.unusable
    lost = [
        image for image in subset.images if image.video is not None and image.video not in known
    ]
    if subset.whole:
        findings.add_all(
            "video-unknown",
            subset.path,
            lost,
            lambda image: (f"image {image.id}", f"video {image.video}"),
        )
    numbers = {video.name: video.id for video in subset.videos}
    for video, images in subset.by_video().items():
        number = numbers[video]
        other = [
            image
            for image in images
            if None not in (number, image.video_id) and image.video_id != number
        ]
        findings.add_all(
            "video-id",
            subset.path,
            other,
            lambda image: (f"image {image.id}", f"video_id {image.video_id}"),
        )
        _check_frames(video, images, subset, findings)


def _check_frames(video: str, images: Sequence[Image], subset: Subset, findings: Findings) -> None:
    """Checks the images of one video: files, frame ids, sizes."""
    files: dict[str, Image] = {}
    for image in images:
        # The suffix does not tell frames apart: clips name them without it.
        other = files.setdefault(split_suffix(image.file)[0], image) if image.file else image
        if other is not image:
            findings.add(
                "image-twice",
                subset.path,
                f"image {image.id}",
                f"{video}/images/{image.file}, like image {other.id}",
            )
    frames = Counter(image.frame_id for image in images if image.frame_id is not None)
    twice = [frame for frame, count in frames.items() if count > 1]
    missing = sorted(set(range(len(images))) - frames.keys()) if subset.whole else []
    if twice or missing:
        detail = (
            f"frame_id {twice[0]} is listed more than once"
            if twice
            else f"frame_id {missing[0]} is missing"
        )
        findings.add("frame-id-gap", subset.path, f"video {video}", detail)
    shifts = [(image, _shift(image)) for image in images]
    wrong = [(image, shift) for image, shift in shifts if shift not in (None, FRAMES_BEFORE)]
    if wrong:
        image, shift = wrong[0]
        detail = (
            f"{image.file} is frame_id {image.frame_id}, a shift of {shift} ({len(wrong)} of "
            f"{len(images)} images)"
        )
        findings.add("frame-shift", subset.path, f"video {video}", detail)
    sized = [image for image in images if image.size]
    for image in sized:
        if image.size != sized[0].size:
            detail = f"{_size(image.size)}, but {_size(sized[0].size)} in image {sized[0].id}"
            findings.add("image-size", subset.path, f"image {image.id}", detail)


def _check_annotations(subset: Subset, findings: Findings) -> None:
    table, path = subset.annotations, subset.path
    ids = table["id"]
    _check_twice("id-twice", "annotation", ids, subset, findings)
    images = np.array([image.id for image in subset.images], np.int64)
    videos = {
        name: row for row, name in enumerate(dict.fromkeys(image.video for image in subset.images))
    }
    video_of = np.array([videos[image.video] for image in subset.images], np.int64)
    rows = find(images, table["image_id"])
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
            return f"annotation {ids[row]}", f"{field} is {_size(own)}, its image {_size(image)}"

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
            detail = f"num_objs is {video.num_objs}, {counts[videos[video.name]]} are annotated"
            findings.add("num-objs", subset.path, f"video {video.name}", detail)


def _check_twice(
    code: str, what: str, values: Iterable[int | str] | Ints, subset: Subset, findings: Findings
) -> None:
    """Reports every value that occurs more than once, once."""
    if isinstance(values, np.ndarray):
        found, counts = np.unique(values, return_counts=True)
        twice = list(zip(found[counts > 1].tolist(), counts[counts > 1].tolist(), strict=True))
    else:
        twice = [(value, count) for value, count in Counter(values).items() if count > 1]
    findings.add_all(
        code, subset.path, twice, lambda pair: (f"{what} {pair[0]}", f"{pair[1]} times")
    )


def _shift(image: Image) -> int | None:
    """The number of the file less that of the frame."""
    number = file_number(image.file) if image.file else None
    return number - image.frame_id if number is not None and image.frame_id is not None else None


def _size(size: tuple[int, int] | None) -> str:
    return f"{size[1]} x {size[0]}" if size else "unknown"
