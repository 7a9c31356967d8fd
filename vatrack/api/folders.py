"""The folders that tracked videos are written to, and the files in them.

Without torch, so that a wrong folder is told at once.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection
from functools import cache
from itertools import chain
from pathlib import Path

from vatrack.common.errors import InputError
from vatrack.common.files import NOT_A_FOLDER, check_target
from vatrack.common.output_folders import refuse_other_files
from vatrack.common.paths import is_link, real
from vatrack.common.run_files import FRAMES_FILE, SETTINGS_FILE
from vatrack.common.text_files import nearest_existing
from vatrack.video.sources import Source

OVERLAY, PREDICTIONS, TRACKS = "overlay.mp4", "predictions.jsonl", "tracks.csv"
FRAMES, RUN = FRAMES_FILE, "run.yaml"
MASKS, CROPS = "masks", "crops"
NAMES = {OVERLAY, PREDICTIONS, SETTINGS_FILE, TRACKS, FRAMES, RUN, MASKS, CROPS}


def check_folders(sources: Collection[Source], out: Path, *, overwrite: bool) -> None:
    """Refuses to write what must not be written; makes nothing.

    Args:
        sources: each is written to a folder of its name in `out`.
        overwrite: whether earlier results may be replaced.

    Raises:
        InputError: a folder has results or other files, contains a source, or cannot be made.
        PermissionError: it may not be written.
    """
    if out.is_file():
        raise InputError(f"{out}: is a file, not a folder; choose another output folder")
    above = cache(real)
    for source in sources:
        folder = out / source.name
        if not folder.exists():
            _check_place(folder)
            continue
        there = check_target(folder, folder=True, beside=True)
        if any(there.iterdir()) and not overwrite:
            raise InputError(
                f"{folder}: already has results; choose another output folder, or replace "
                "them with --overwrite (in Python overwrite=True)"
            )
        refuse_other_files(folder, lambda path: path.parts[0] in NAMES)
        whole = real(folder)
        for file in chain.from_iterable((Path(each.address), *each.files) for each in sources):
            # Frames of one folder, which may be a million, follow its links together.
            place = real(file).parent if is_link(file) else above(file.parent)
            if whole == place or whole in place.parents:
                raise InputError(f"{file}: is in {folder}, which would be overwritten; move it")


def _check_place(path: Path) -> None:
    """As `check_target` of something that is missing, but makes nothing."""
    place = nearest_existing(path.absolute().parent)
    if not place.is_dir():
        raise InputError(f"{path}: {NOT_A_FOLDER}")
    if not os.access(place, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place))
