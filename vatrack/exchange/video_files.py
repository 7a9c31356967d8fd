"""Forms with a text file a video in a folder, named after the video."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from vatrack.common.errors import InputError
from vatrack.common.files import create_text
from vatrack.common.output_folders import atomic_directory, refuse_other_files
from vatrack.common.text_files import no_such
from vatrack.exchange.listing import Listing, Video, file_stem


def write_files(out: Path, listing: Listing, lines: Mapping[int, Sequence[str]]) -> None:
    """Writes the lines of each video, by its id, into the folder `out`; a video without lines gets
    an empty file.

    Raises:
        InputError: the folder contains other files.
    """
    with atomic_directory(out) as folder:
        for video in listing.videos:
            with create_text(folder / f"{file_stem(video)}.txt") as stream:
                stream.writelines(f"{text}\n" for text in lines.get(video.id, ()))
        refuse_other_files(out, lambda name: (folder / name).exists())


def video_files(source: Path, listing: Listing) -> Iterator[tuple[Path, Video]]:
    """The text files of a folder, each with its video.

    Raises:
        InputError: it is no folder, has no text file, or one that is named after no video.
    """
    if not source.is_dir():
        raise InputError(
            f"{source}: {no_such(source, 'folder')}; this format needs a folder with one text "
            "file per video"
        )
    found = sorted(path for path in source.glob("*.txt") if not path.name.startswith("."))
    if not found:
        raise InputError(f"{source}: contains no .txt files; one per video is needed")
    for path in found:
        yield path, listing.by_name(path.stem, path)


def image_at(listing: Listing, video: Video, frame: int, where: str) -> int:
    """The image id of a frame, counted from 0.

    Raises:
        InputError: the video has no such frame.
    """
    if not 0 <= frame < len(video.rows):
        raise InputError(
            f"{where}: frame {frame} (counted from 0) is not one of the {len(video.rows)} of "
            f"{video.name!r}; check whether this format counts from 0 or 1"
        )
    return int(listing.images.id[video.rows[frame]])
