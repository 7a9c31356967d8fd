"""Datasets of other people as joint JSON (contract 3): `import_dataset`.

Each format is a module with `read(settings) -> Dataset`; one writer streams what it reads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.files import check_target, refuse_same_file, require_json
from vatrack.common.foreign import SourceFormat
from vatrack.common.text_files import no_such
from vatrack.importers import amodal_synth_drive, coco_amodal, cocoa, mots, movi, tao_amodal, ytvis
from vatrack.importers.dataset import Dataset, Settings, check_images
from vatrack.importers.writing import Counts, write_joint

_READERS: dict[str, Callable[[Settings], Dataset]] = {
    "coco-amodal": coco_amodal.read,
    "cocoa": cocoa.read,
    "ytvis": ytvis.read,
    "amodal-synth-drive": amodal_synth_drive.read,
    "mots": mots.read,
    "tao-amodal": tao_amodal.read,
    "movi": movi.read,
}


@dataclass(frozen=True)
class Imported:
    """What was written.

    Attributes:
        videos, images, classes: their numbers; `counts`: of annotations.
        notes: what the source lacks, and what was left out or changed, in sentences.
    """

    out: Path
    videos: int
    images: int
    classes: int
    counts: Counts
    notes: tuple[str, ...]

    def __str__(self) -> str:
        first = (
            f"{self.out}: {counted(self.videos, 'video')}, {counted(self.images, 'image')}, "
            f"{counted(self.counts.annotations, 'annotation')} of "
            f"{counted(self.counts.tracks, 'object')}, {counted(self.classes, 'class')}"
        )
        return "\n".join([first, *self.notes])


def import_dataset(
    source_format: SourceFormat,
    sources: Sequence[Path],
    images: Path,
    out: Path,
    relative_to: Path | None = None,
) -> Imported:
    """Writes a dataset in another format as joint JSON, with what can be computed from its masks.

    Args:
        sources: files or folders of annotations, as docs/import-datasets.md says for each format.
        images: the folder that the file names of images in the sources begin in.
        relative_to: that folder or one above it, in which the names that are written begin, so
            that one folder can be named for both subsets; None: `images`.

    Raises:
        InputError: a source is missing or wrong, no image is found, or `images` is not in
            `relative_to`.
    """
    require_json(Path(out), "the dataset is")
    out = check_target(out)
    for path in sources:
        if not path.exists():
            raise InputError(f"{path}: {no_such(path, 'file or folder')}; give the annotations")
        refuse_same_file(out, path)
    above = _path_below(relative_to, images)
    dataset = _READERS[source_format](Settings(tuple(sources), images))
    if not dataset.images:
        raise InputError(f"{sources[0]}: contains no images; give another file or folder")
    if len(dataset.videos) == len(dataset.images):  # as `prepare` takes such a file
        for video in dataset.videos:
            video["tracks"] = False
    unusable = check_images(dataset.images, images)
    for image in dataset.images:
        image["file_name"] = (above / image["file_name"]).as_posix()
    counts = write_joint(dataset, out)
    notes = [f"the source has no {dataset.lacks}"] if dataset.lacks else []
    notes += [*unusable, *dataset.notes]
    masks, hidden = counted(counts.united, "amodal mask"), counted(counts.hidden, "object")
    empty = counted(counts.empty, "object")
    optional = {
        f"{masks} extended, to contain all of the visible masks": counts.united,
        f"{hidden} completely hidden, with an empty visible mask": counts.hidden,
        f"skipped {empty} without a pixel in the image": counts.empty,
    }
    notes += [text for text, count in optional.items() if count]
    return Imported(
        out,
        len(dataset.videos),
        len(dataset.images),
        len(dataset.categories),
        counts,
        tuple(notes),
    )


def _path_below(folder: Path | None, images: Path) -> Path:
    """The way from a folder to that of the images; links are not followed."""
    if folder is None:
        return Path()
    try:
        return Path(os.path.abspath(images)).relative_to(os.path.abspath(folder))  # noqa: PTH100
    except ValueError:
        raise InputError(
            f"{images}: is not in {folder}; give a folder that contains it with --relative-to"
        ) from None
