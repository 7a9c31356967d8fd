"""Checks ids, names, sizes and identities of official annotations in a file and across files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.config.categories import CATEGORIES
from vatrack.config.classes import SAILVOS, ClassList
from vatrack.config.file_classes import FileClasses
from vatrack.sailvos.layout import FRAMES_AFTER, FRAMES_BEFORE, folded
from vatrack.validate.annotation_relations import check_annotations
from vatrack.validate.findings import Findings
from vatrack.validate.subset import Image, Subset, file_number, shown_size, split_suffix


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
    check_annotations(subset, findings)


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
            detail = error.without(subset.path).splitlines()[0]
            findings.add("category-list", subset.path, detail=detail)
    elif names != list(CATEGORIES) and (subset.whole or len(names) > len(CATEGORIES)):
        pairs = enumerate(zip(names, CATEGORIES, strict=False))
        position = next((n for n, (name, ours) in pairs if name != ours), len(names))
        wanted = repr(CATEGORIES[position]) if position < len(CATEGORIES) else "no more"
        found = repr(names[position]) if position < len(names) else "no more"
        total = counted(len(names), "category")
        detail = f"{total}; category {position + 1} is {found}, expected {wanted}"
        findings.add("category-list", subset.path, detail=detail)
    findings.add_repeated(
        "id-twice",
        subset.path,
        "category",
        (number for number, _ in subset.categories if number is not None),
    )
    findings.add_repeated("model-twice", subset.path, "model", subset.models)


def _check_videos(subset: Subset, findings: Findings) -> None:
    findings.add_repeated(
        "video-twice", subset.path, "video", (video.name for video in subset.videos)
    )
    if not subset.whole:
        return
    images = subset.by_video()
    for video in subset.videos:
        count = len(images[video.name])
        if count == 0:
            findings.add("video-empty", subset.path, f"video {video.name}")
        # Whether the official number counts the frames without annotations is not known.
        elif video.num_frames not in (None, count, count + FRAMES_BEFORE + FRAMES_AFTER):
            detail = f"num_frames is {video.num_frames}, but it has {counted(count, 'image')}"
            findings.add("num-frames", subset.path, f"video {video.name}", detail)


def _check_images(subset: Subset, findings: Findings) -> None:
    findings.add_repeated("id-twice", subset.path, "image", (image.id for image in subset.images))
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
        detail = f"frame_id {missing[0]} is missing" if missing else ""
        if twice:
            detail = f"frame_id {twice[0]} is listed more than once"
        findings.add("frame-id-gap", subset.path, f"video {video}", detail)
    shifts = [(image, _shift(image)) for image in images]
    wrong = [(image, shift) for image, shift in shifts if shift not in (None, FRAMES_BEFORE)]
    if wrong:
        image, shift = wrong[0]
        detail = (
            f"{image.file} is frame_id {image.frame_id}, a shift of {shift} ({len(wrong)} of "
            f"{counted(len(images), 'image')})"
        )
        findings.add("frame-shift", subset.path, f"video {video}", detail)
    sized = [image for image in images if image.size]
    for image in sized:
        if image.size != sized[0].size:
            detail = (
                f"{shown_size(image.size)}, but {shown_size(sized[0].size)} in image {sized[0].id}"
            )
            findings.add("image-size", subset.path, f"image {image.id}", detail)


def _shift(image: Image) -> int | None:
    """The number of the file less that of the frame."""
    number = file_number(image.file) if image.file else None
    return number - image.frame_id if number is not None and image.frame_id is not None else None
