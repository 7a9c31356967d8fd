"""Which clips the report shows, and what `vatrack views` leaves for it in a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.text_files import no_such
from vatrack.common.value_files import read_json
from vatrack.reporting.sheet import evenly

FILE = "views.json"
SAME = 0.05  # percent: what looks the same


@dataclass(frozen=True)
class ClipView:
    """A clip that was drawn.

    Attributes:
        name: of the clip; `video` and `image`: names of its files.
        frames: how many are shown, the first of `of_frames`; the image is the one at `fullest`
            (from 0), in the middle of those with the most objects.
        value: the clip's video AP50 in percent; None where undefined or not known.
        why: some of "worst", "best", "evenly chosen".
    """

    name: str
    video: str
    image: str
    frames: int
    of_frames: int
    fullest: int
    value: float | None
    why: tuple[str, ...]


@dataclass(frozen=True)
class Views:
    """What `write_views` wrote, and what views.json holds.

    Attributes:
        metric: by which clips are worst and best.
        views: what the tiles show, row by row: "input", "truth/amodal", "prediction/amodal", ...
        tile: width and height of a tile; `columns` of them are beside each other.
        rate: frames a second; `score`: predictions below it are not drawn.
        clips: worst first, those without a value last; `of_clips`: of so many.
        predictions: checksum of the drawn ones, where it is noted beside them.
    """

    metric: str
    views: tuple[str, ...]
    tile: tuple[int, int]
    columns: int
    rate: float
    score: float
    of_clips: int
    clips: tuple[ClipView, ...]
    predictions: str = ""

    def __str__(self) -> str:
        frames = sum(clip.frames for clip in self.clips)
        return (
            f"{len(self.clips)} of {counted(self.of_clips, 'clip')}, {counted(frames, 'frame')}, "
            f"{counted(len(self.views), 'view')}"
        )


def read_views(folder: Path) -> Views | None:
    """What `write_views` wrote into a folder; None where there is no views.json.

    Raises:
        InputError: the file holds something else, or a file that it names is missing.
    """
    path = Path(folder) / FILE
    if not path.is_file():
        return None
    try:
        views = TypeAdapter(Views).validate_python(read_json(path))
    except ValidationError:
        raise InputError(
            f"{path}: not written by `vatrack views`; delete it and run `vatrack views` again"
        ) from None
    for file in (path.parent / name for clip in views.clips for name in (clip.video, clip.image)):
        if not file.is_file():
            raise InputError(
                f"{file}: {no_such(file, 'file')}, but {path} lists it; run `vatrack views` again"
            )
    return views


def choose(
    videos: Sequence[int],
    values: Mapping[int, float | None],
    filled: set[int],
    each: int,
) -> list[tuple[int, tuple[str, ...]]]:
    """Which clips are shown, and why: worst first, those without a value last.

    Args:
        videos: ids of all clips, in their order.
        values: AP50 by id; None where undefined.
        filled: the clips with true objects.
        each: how many of each sort.
    """
    ranked = {video: value for video in videos if (value := values.get(video)) is not None}
    known = sorted(ranked, key=lambda video: (ranked[video], videos.index(video)))
    some = [video for video in videos if video in filled] or list(videos)
    # None is both; where there are few, the best go first. One as good as the best is not worst.
    best = known[-each:] if len(known) > each else known[len(known) // 2 :]
    highest = ranked[known[-1]] if known else 0.0
    lower = [video for video in known if ranked[video] < highest - SAME]
    worst = [video for video in lower if video not in best][:each]
    sorts = {
        "worst": worst,
        "best": best,
        "evenly chosen": [some[index] for index in evenly(len(some), each)],
    }
    order = known + [video for video in videos if values.get(video) is None]
    why = {video: tuple(sort for sort in sorts if video in sorts[sort]) for video in order}
    return [(video, reasons) for video, reasons in why.items() if reasons]
