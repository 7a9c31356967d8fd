"""Checks of the raw tree (spec 1.1): folders and files by their names."""

from __future__ import annotations

import os
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from vatrack.common.clutter import is_clutter
from vatrack.common.counted import counted
from vatrack.common.errors import BROKEN_LINK
from vatrack.common.frame_folders import lacks_all
from vatrack.common.images import SUFFIXES, is_frame
from vatrack.common.paths import is_link
from vatrack.sailvos.layout import FRAMES_AFTER, FRAMES_BEFORE, folded, is_file, is_folder
from vatrack.validate.findings import Findings
from vatrack.validate.frames import Frame, Size
from vatrack.validate.subset import Subset, file_number, split_suffix

IMAGES = "images"


def check_tree(raw: Path, subsets: Sequence[Subset], findings: Findings) -> tuple[int, list[Frame]]:
    """Compares the folders and files of a raw tree with the annotations; no file is opened.

    Returns:
        The number of video folders of the annotations that are there, and the frames in them.
    """
    folders = _listed(raw, "raw-broken", is_folder, findings)
    if folders is None:
        return 0, []
    folders = [name for name in folders if not is_clutter(name)]
    wanted: dict[str, dict[str, Size | None]] = {}
    for subset in subsets:
        for video, listed in subset.by_video().items():
            wanted.setdefault(video, {}).update(
                {image.file: image.size for image in listed if image.file}
            )
    by_fold = _by_fold(folders)
    if not any(folded(video) in by_fold for video in wanted):
        source = ", ".join(str(subset.path) for subset in subsets)
        if problem := lacks_all(raw, wanted, source):
            findings.add("raw-broken", raw, detail=problem)
            return 0, []
    used: set[str] = set()
    found: list[Frame] = []
    videos = 0
    for video, expected in wanted.items():
        folder = _find_folder(raw, video, by_fold, findings)
        if folder is None:
            continue
        used.add(folder)
        images = _find_images(raw / folder, findings)
        names = _listed(images, "folder-unreadable", is_file, findings) if images else None
        if images and names is not None:
            videos += 1
            found += _check_names(images, names, expected, findings)
    _check_unused(
        raw, [folder for folder in folders if folder not in used], subsets, bool(used), findings
    )
    return videos, found


def _check_unused(
    raw: Path, folders: Sequence[str], subsets: Sequence[Subset], any_used: bool, findings: Findings
) -> None:
    """Folders that the annotations do not name, as far as these are known."""
    extra = [folder for folder in folders if _has_images(raw / folder)]
    if not any_used and not extra:
        findings.add("raw-broken", raw, detail=f"no folder in it contains {IMAGES}/")
    if all(subset.whole for subset in subsets):
        findings.add_all("folder-extra", raw, extra, lambda folder: (folder, ""))
        named = set(extra)
        plain = [name for name in folders if name not in named and not name.startswith(".")]
        findings.add_all("folder-plain", raw, plain, lambda folder: (folder, ""))


def _has_images(folder: Path) -> bool:
    try:
        return (folder / IMAGES).is_dir()
    except OSError:
        return False


def _find_folder(
    raw: Path, video: str, by_fold: Mapping[str, list[str]], findings: Findings
) -> str | None:
    """The folder of a video, or the one whose name differs only by case or form."""
    candidates = by_fold.get(folded(video), [])
    if video in candidates:
        return video
    if candidates:
        findings.add("folder-case", raw / video, detail=f"found: {candidates[0]}")
        return candidates[0]
    findings.add("folder-missing", raw / video, detail=_link(raw / video))
    return None


def _find_images(folder: Path, findings: Findings) -> Path | None:
    names = _listed(folder, "folder-unreadable", is_folder, findings)
    if names is None:
        return None
    if IMAGES in names:
        return folder / IMAGES
    found = [name for name in names if name.casefold() == IMAGES]
    if found:
        findings.add("folder-case", folder / IMAGES, detail=f"found: {found[0]}")
        return folder / found[0]
    findings.add("folder-missing", folder / IMAGES, detail=_link(folder / IMAGES))
    return None


def _listed(
    folder: Path, code: str, chosen: Callable[[os.DirEntry[str]], bool], findings: Findings
) -> list[str] | None:
    """The names of what is chosen in a folder, sorted; None, and a finding: it cannot be read."""
    try:
        return sorted(item.name for item in os.scandir(folder) if chosen(item))
    except OSError as error:
        findings.add(code, folder, detail=error.strerror or str(error))
        return None


def _link(path: Path) -> str:
    """What is said of a broken link in the place of a folder or a frame; else nothing."""
    return BROKEN_LINK if is_link(path) else ""


def _check_names(
    images: Path, names: list[str], expected: Mapping[str, Size | None], findings: Findings
) -> list[Frame]:
    """Checks the file names of one video against those in the annotations.

    Returns:
        The frames that are there, those of the annotations first.
    """
    by_fold = _by_fold(names)
    present = set(names)
    found: dict[str, Frame] = {}
    for file, size in expected.items():
        # As everywhere: a frame may have been converted, so the other suffix will do.
        twins = [file, *(split_suffix(file)[0] + suffix for suffix in SUFFIXES)]
        name = next((twin for twin in twins if twin in present), None)
        if name is None:
            other = next(
                (by_fold[folded(twin)][0] for twin in twins if folded(twin) in by_fold), None
            )
            if other is None:
                findings.add("frame-missing", images / file, detail=_link(images / file))
                continue
            findings.add("frame-case", images / file, detail=f"found: {other}")
            name = other
        found[name] = Frame(f"{images}/{name}", size, listed=True)
    frames = [name for name in names if is_frame(name)]
    for name in frames:
        found.setdefault(name, Frame(f"{images}/{name}", None, listed=False))
    others = [name for name in names if name not in found]
    findings.add_all("file-extra", images, others, lambda name: (name, ""))
    _check_twins(images, frames, by_fold, findings)
    _check_numbers(images, frames, expected, findings)
    return list(found.values())


def _check_twins(
    images: Path, frames: Iterable[str], by_fold: Mapping[str, list[str]], findings: Findings
) -> None:
    alike = [group for group in by_fold.values() if len(group) > 1]
    findings.add_all("file-case", images, alike, lambda group: (", ".join(group), ""))
    suffixes: dict[str, set[str]] = defaultdict(set)
    for name in frames:
        stem, suffix = split_suffix(name)
        suffixes[stem].add(suffix)
    both = [stem for stem, found in suffixes.items() if len(found) > 1]
    findings.add_all("file-both", images, both, lambda stem: (stem, ""))


def _check_numbers(
    images: Path, frames: Iterable[str], expected: Iterable[str], findings: Findings
) -> None:
    """Numbers have no gaps, and the first and last files have no annotations (spec 1.1)."""
    listed = {number for file in expected if (number := file_number(file)) is not None}
    # Listed frames that are missing are told as such, so they leave no gap.
    numbers = sorted(
        listed | {number for name in frames if (number := file_number(name)) is not None}
    )
    gaps = [(before, after) for before, after in pairwise(numbers) if after - before > 1]
    if gaps:
        before, after = gaps[0]
        findings.add(
            "file-gap",
            images,
            detail=f"{after:06d} follows {before:06d} ({counted(len(gaps), 'gap')})",
        )
    if not listed:
        return
    ends = bisect_left(numbers, min(listed)), len(numbers) - bisect_right(numbers, max(listed))
    if ends != (FRAMES_BEFORE, FRAMES_AFTER):
        findings.add("frame-ends", images, detail=f"{ends[0]} before, {ends[1]} after")


def _by_fold(names: Iterable[str]) -> dict[str, list[str]]:
    """Names by what is left of them without upper and lower case and Unicode form."""
    found: dict[str, list[str]] = defaultdict(list)
    for name in names:
        found[folded(name)].append(name)
    return dict(found)
