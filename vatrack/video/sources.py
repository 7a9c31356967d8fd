"""What a user may name as a video: a file, frames in a folder, a pattern, a list, a camera, a
stream."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from vatrack.common.clutter import is_clutter
from vatrack.common.counted import few
from vatrack.common.errors import InputError
from vatrack.common.frame_folders import frames_below
from vatrack.common.images import ENDINGS, SUFFIXES, is_frame
from vatrack.common.numbers_in_names import natural
from vatrack.common.paths import exists, from_home
from vatrack.common.run_files import CONFIG_FILE, METRICS_LOG_FILE
from vatrack.common.text_files import no_such, read_text

Form = Literal["file", "frames", "camera", "stream"]
Word = str | os.PathLike[str] | int  # what names a source

LIST_SUFFIX = ".txt"
# Images that this package does not read; elsewhere a suffix says nothing, the content decides.
OTHER_IMAGES = (".tif", ".tiff", ".webp", ".heic", ".jp2", ".exr", ".dng")
# Of the usual videos, for advice.
VIDEO_SUFFIXES = (
    ".3gp", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg",
    ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv",
)  # fmt: skip
LONGEST_NAME = 80
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_USER = re.compile(rf"^({_SCHEME.pattern})[^/?#]*@", re.IGNORECASE)  # to the last @, as FFmpeg
_FILE = re.compile("file://(localhost(?=/))?", re.IGNORECASE)
FRAME_FOLDERS = ("images", "frames", "img", "img1")


@dataclass(frozen=True)
class Source:
    """One video.

    Attributes:
        name: of its folder of results; unique among the sources of a command.
        form: "file", "frames", "camera" or "stream".
        address: what FFmpeg opens, or the folder, pattern or list that `files` come from.
        files: the frames in their order, where they are files.
    """

    name: str
    form: Form
    address: str
    files: tuple[Path, ...] = ()

    @property
    def live(self) -> bool:
        """Whether frames come when they are made, so that their number is unknown."""
        return self.form in ("camera", "stream")

    @property
    def shown(self) -> str:
        """The address for people and files: without the user and password of a stream."""
        return _without_user(self.address)


def find_sources(words: Sequence[Word]) -> list[Source]:
    """What the words name, in their order.

    A folder, a pattern or a list of images is one video; a pattern or a list of videos is as many.

    Args:
        words: each a video file, a folder of frames, a pattern (`frames/*.png`), a text file with
            one path a line (relative to it) of images, videos or folders of frames, a camera's
            number (an int is always one), or an address (`rtsp://...`).

    Raises:
        InputError: a word names nothing, or nothing that is read.
    """
    found = [source for word in words for source in _sources(word)]
    if not found:
        raise InputError("no video given; give a file, a folder of frames, or a camera number")
    names: set[str] = set()
    unique = []
    for source in found:
        name, number = source.name, 2
        while name.casefold() in names:
            name, number = f"{source.name}_{number}", number + 1
        names.add(name.casefold())
        unique.append(replace(source, name=name))
    return unique


def natural_order(path: Path) -> tuple[list[tuple[int, str]], str]:
    """A key that sorts frame 2 before frame 10, as FFmpeg numbers them without zeros."""
    return natural(path.name.casefold()), path.name


def _sources(word: Word) -> list[Source]:
    if not isinstance(word, str | os.PathLike):
        return [_camera(int(word))]
    word = _path_of(os.fspath(word))
    if _SCHEME.match(word):
        return [Source(_name(_SCHEME.sub("", _without_user(word))), "stream", word)]
    if not word:
        raise InputError("a source is empty (''); give a video file, or a folder of frames")
    if word.startswith("~"):  # in quotes, or in Python
        word = str(from_home(Path(word)))
    path = Path(word)
    if not exists(path):
        if word.isdecimal():
            return [_camera(int(word))]
        if glob.has_magic(word):
            return _matches(word)
        raise InputError(f"{word}: {no_such(path, 'file or folder')}; check the path")
    if path.is_dir():
        return [_folder(path)]
    if path.suffix.lower() == LIST_SUFFIX:
        return _list(path)
    return _files([path], word, _name(path.stem))


def _path_of(word: str) -> str:
    """The path in the address of a file, as desktops copy it; other words as they are."""
    address = _FILE.match(word)
    return unquote(word[address.end() :]) if address else word


def _without_user(address: str) -> str:
    return _USER.sub(r"\1", address)


def _camera(number: int) -> Source:
    return Source(f"camera{number}", "camera", str(number))


def _folder(path: Path) -> Source:
    if all((path / name).is_file() for name in (CONFIG_FILE, METRICS_LOG_FILE)):
        raise InputError(
            f"{path}: is a run folder, and its images are no frames; give a video or a folder of "
            "frames (a run folder is for --checkpoint)"
        )
    files = [file for file in path.iterdir() if not file.name.startswith(".")]
    frames = _readable(file for file in files if is_frame(file.name))
    _check_form(files, f", or give '{path}/*{frames[0].suffix}'" if frames else "")
    if not frames:
        if below := frames_below(path):
            raise InputError(f"{path}: contains no frames; give {below}")
        others = sorted({file.suffix for file in files if file.is_file() and file.suffix})
        if not others:
            raise InputError(f"{path}: contains no frames; give a folder with {ENDINGS} files")
        fix = "give a folder of frames, or a video"
        if videos := [suffix for suffix in others if suffix.lower() in VIDEO_SUFFIXES]:
            fix = f"for videos, list them: '{path}/*{videos[0]}'"
        raise InputError(
            f"{path}: contains no frames ({ENDINGS}), but files with {few(others, 5)}; {fix}"
        )
    return _frames(frames, str(path), _folder_name(path))


def _folder_name(path: Path) -> str:
    """Folders of frames are often called alike, below one with the video's name."""
    whole = path.resolve()
    return _name((whole.parent if whole.name.casefold() in FRAME_FOLDERS else whole).name)


def _matches(pattern: str) -> list[Source]:
    paths = [Path(text) for text in glob.glob(pattern, recursive=True)]  # noqa: PTH207
    files = _readable(path for path in paths if not is_clutter(str(path)))
    if not files and any(path.is_dir() for path in paths):
        raise InputError(
            f"{pattern}: matches folders only; give them without quotation marks, or a pattern of "
            f"files such as '{pattern}/*.png'"
        )
    if not files:
        raise InputError(f"{pattern}: no file matches this pattern; check it")
    folder = Path(pattern.split("*")[0].split("?")[0].split("[")[0] + "x").parent
    return _files(sorted(files, key=natural_order), pattern, _folder_name(folder))


def _list(path: Path) -> list[Source]:
    lines = [line.strip() for line in read_text(path, "a list of frames or videos").splitlines()]
    named = []
    for number, line in enumerate(map(_path_of, lines), 1):
        if _SCHEME.match(line):
            raise InputError(
                f"{path}: line {number}: {_without_user(line)}: is an address; give it as "
                "a source of its own"
            )
        if line and not line.startswith("#"):
            named.append((number, path.parent / from_home(Path(line))))
    if not named:
        raise InputError(f"{path}: contains no paths; write one path per line")
    if all(each.is_dir() for _, each in named):
        return [_folder(each) for _, each in named]
    for number, file in named:
        if file.is_dir():
            raise InputError(
                f"{path}: line {number}: {file}: is a folder among files; list folders of frames "
                "alone"
            )
        if not file.is_file():
            raise InputError(
                f"{path}: line {number}: {file}: {no_such(file, 'file')}; correct the line"
            )
    return _files([file for _, file in named], str(path), _name(path.stem), keep_order=True)


def _files(
    files: Sequence[Path], address: str, name: str, keep_order: bool = False
) -> list[Source]:
    """Images make one video, in the given order or that of their numbers; videos are one each."""
    _check_form(files)
    images = [file for file in files if file.suffix.lower() in SUFFIXES]
    if not images:
        return [Source(_name(file.stem), "file", str(file)) for file in files]
    if len(images) < len(files):
        other = next(file for file in files if file not in images)
        raise InputError(
            f"{address}: images and other files are mixed ({images[0].name}, {other.name}); list "
            "frames and videos separately"
        )
    if keep_order:
        return [Source(name, "frames", address, tuple(images))]
    return [_frames(images, address, name)]


def _readable(paths: Iterable[Path]) -> list[Path]:
    """The files among these; raises InputError for what is neither a file nor a folder."""
    found = [path for path in paths if not path.is_dir()]
    for path in found:
        if not path.is_file():
            raise InputError(f"{path}: {no_such(path, 'file')}; replace or remove it")
    return found


def _check_form(files: Iterable[Path], otherwise: str = "") -> None:
    """Raises InputError for an image that is not read; `otherwise`: what else helps."""
    for file in files:
        if file.suffix.lower() in OTHER_IMAGES and not file.is_dir():
            raise InputError(
                f"{file}: unsupported image format; convert it to PNG or JPEG{otherwise}"
            )


def _frames(images: Iterable[Path], address: str, name: str) -> Source:
    ordered = sorted(images, key=natural_order)
    for first, second in pairwise(ordered):
        if first.parent == second.parent and _number(first) == _number(second):
            raise InputError(
                f"{second}: has the same number as {first.name}, so their order is unclear; keep "
                "one, or list the frames in a .txt file with one path per line"
            )
    return Source(name, "frames", address, tuple(ordered))


def _number(path: Path) -> tuple[tuple[int, str], ...]:
    return tuple(natural_order(path.with_suffix(""))[0])


def _name(text: str) -> str:
    """A name that is safe for a folder on every system."""
    safe = re.sub(r"[^\w.+-]+", "_", text).strip("._ ")[:LONGEST_NAME].rstrip("._ ")
    return safe or "video"
