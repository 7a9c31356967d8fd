"""Reads the frames of a source that are wanted, whether image files or what FFmpeg decodes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vatrack.common.errors import InputError
from vatrack.common.image_headers import Header, read_header
from vatrack.common.images import decode_image, existing_image, read_image
from vatrack.video.decoder import Decoder
from vatrack.video.frames import (
    DEFAULT_RATE,
    Properties,
    Selection,
    VideoFrame,
    check_size,
    comparable,
)
from vatrack.video.sources import Source


class Reader:
    """An open source; iterate over it once, as a context manager.

    Raises:
        InputError: the source cannot be opened, holds no video, or has no frame that is wanted.
            Damage inside is noted in `properties`, and what can be read is given.
    """

    def __init__(
        self, source: Source, selection: Selection | None = None, rate: Fraction | None = None
    ) -> None:
        self.source = source
        self.selection = selection or Selection()
        self._opened: _Files | Decoder = (
            _Files(source, rate) if source.form == "frames" else Decoder(source)
        )
        self.properties = self._opened.properties

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def expected(self) -> int | None:
        """About how many frames will come; None where nobody can know."""
        known = self.properties
        if self.source.live:
            return None
        if known.count_header:
            duration = known.duration_s or float(known.count_header / known.rate)
            rate = known.count_header / duration if duration > 0 else float(known.rate)
        elif known.duration_s:
            duration, rate = known.duration_s, float(known.rate)
        else:
            return None
        stop = duration if self.selection.stop_s is None else min(self.selection.stop_s, duration)
        count = max(0.0, stop - self.selection.start_s) * rate
        return max(1, round(count / self.selection.step))

    def __iter__(self) -> Iterator[VideoFrame]:
        wanted, index, given, whole = self.selection, -1, 0, True
        for time_s, image in self._opened.frames(wanted.start_s):
            place = wanted.place(time_s)
            if place < 0:
                continue
            if place > 0:
                whole = False
                break
            index += 1
            self.properties.count_read += 1
            if index % wanted.step == 0:
                given += 1
                yield VideoFrame(index, time_s, image)
        self._opened.ended(whole)
        if not given:
            where = ""
            if wanted.start_s or wanted.stop_s is not None:
                # Of joined recordings it is the length of one.
                length = self.properties.duration_s if len(self.properties.parts) == 1 else None
                known = f" (it lasts {length:.2f} s)" if length else ""
                where = f" between start and end time{known}; choose other times"
            raise InputError(f"{self.source.shown}: no frames{where or '; give another video'}")


class _Files:
    """Frames that are image files; all have the size of the first one."""

    def __init__(self, source: Source, rate: Fraction | None) -> None:
        self.files = source.files
        first = read_image(self.files[0])
        self._told: set[str] = set()
        rate = rate or DEFAULT_RATE
        self.properties = Properties(
            source.shown,
            source.form,
            first.shape[1],
            first.shape[0],
            rate,
            count_header=len(self.files),
            duration_s=float(len(self.files) / rate),
        )
        if gap := _first_gap(self.files):
            self.properties.notes.append(
                f"{source.shown}: frames may be missing, first between {gap[0].name} and "
                f"{gap[1].name}; those that are there are played one after the other"
            )

    def frames(self, start_s: float) -> Iterator[tuple[float, npt.NDArray[np.uint8]]]:
        size = (self.properties.height, self.properties.width)
        for number, file in enumerate(self.files):
            time_s = float(number / self.properties.rate)
            if comparable(time_s) < comparable(start_s):
                continue
            path = existing_image(file)
            header = read_header(path)
            image = decode_image(path, (header.width, header.height))
            check_size(str(file), image.shape, size)
            self._note(file, header)
            yield time_s, image

    def _note(self, file: Path, header: Header) -> None:
        """Notes what of an image is not used, once for all that have it."""
        for what, found in (
            ("only the upper 8 bits of its colours are used", header.depth > 8),
            ("its alpha channel is ignored", header.alpha),
            ("its orientation flag is ignored, it is used as it is stored", header.turned),
        ):
            if found and what not in self._told:
                self._told.add(what)
                self.properties.notes.append(f"{file}: {what} (the same for further frames)")

    def ended(self, whole: bool) -> None:
        """All files were there."""

    def close(self) -> None:
        """Nothing is open."""


def _first_gap(files: Sequence[Path]) -> tuple[Path, Path] | None:
    """Two frames that follow each other with a larger step than most; None where the numbers that
    end the names have one step, or none that is usual (times, for example)."""
    ends = [re.fullmatch(r"(.*?)([0-9]+)", file.stem) for file in files]
    if not all(ends) or len({end[1] for end in ends if end}) > 1:
        return None
    steps = [int(after[2]) - int(end[2]) for end, after in pairwise(ends) if end and after]
    usual, often = Counter(steps).most_common(1)[0] if steps else (0, 0)
    larger = [number for number, step in enumerate(steps) if step > usual]
    if not larger or min(steps) < usual or 2 * often <= len(steps):
        return None
    return files[larger[0]], files[larger[0] + 1]
