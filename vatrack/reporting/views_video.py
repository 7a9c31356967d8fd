"""The clips that the report shows: each as a video whose tiles are the views of one frame.

A tile each for the input, the ground truth and the prediction by mask type. All views of a clip
are in one video, so that a page can switch and compare them without losing step.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vatrack.common.errors import InputError
from vatrack.common.files import atomic_directory, read_json, refuse_other_files, write_json
from vatrack.common.scores import check_score
from vatrack.data.known_forms import DETAILS, JOINT, wants
from vatrack.evaluation.io.ground_truth import Images
from vatrack.reporting.drawing import ImageArray, scale_image
from vatrack.reporting.layers import FrameList, Layer, draw_side, find_owners, read_layers
from vatrack.reporting.overlay_video import check_rate
from vatrack.reporting.sheet import centre, save_image
from vatrack.reporting.views import FILE, ClipView, Views, choose
from vatrack.video.writer import VideoWriter

TILE = (300, 480)  # largest height and width of a view, pixels
COLUMNS = 3  # tiles beside each other
MOST_FRAMES = 60  # of a clip that are shown
EACH = 3  # clips: the worst, the best, and evenly chosen ones
PAPER = (24, 24, 24)


@wants(ground_truth=JOINT, details=DETAILS)
def write_views(
    ground_truth: Path,
    predictions: Path,
    images: Path,
    out: Path,
    *,
    details: Path | None = None,
    score: float = 0.5,
    each: int = EACH,
    rate: float = 8.0,
) -> Views:
    """Draws the worst and the best clips by video AP50, and evenly chosen ones.

    Args:
        ground_truth, predictions, images, score: as for `overlay.write_contact_sheet`.
        out: a folder: a video and an image of each clip, and views.json (see `Views`).
        details: details.json of these predictions; None: no clip is worst or best.
        each: how many clips of each sort.
        rate: frames a second.

    Raises:
        InputError: a file is missing or not in its form, a number is out of range, or the folder
            contains other files.
    """
    if each < 1:
        raise InputError(f"--clips {each}: nothing to draw; must be 1 or more")
    check_rate(rate)
    check_score(score)
    own = re.compile(rf"\d\d+\.(mp4|jpg)|{re.escape(FILE)}")
    refuse_other_files(out, lambda path: bool(own.fullmatch(str(path))))
    listed = FrameList.read(ground_truth, images)
    truth, found = read_layers(listed, predictions, score)
    drawing = _Drawing(listed, truth, found, _tile(listed.images))
    metric = f"video/{truth[0].mask_type}/AP50"
    values = _values(details, metric) if details else {}
    if details and all(value is None for value in values.values()):
        metric = f"image/{truth[0].mask_type}/AP50"  # images that stand alone have no tracks
        values = _values(details, metric)
    chosen = choose(
        [int(video) for video in dict.fromkeys(listed.images.video.tolist())],
        {video: values.get(title) for video, title in listed.titles.items()},
        {int(video) for layer in truth for video in listed.images.video[layer.image]},
        each,
    )
    clips = []
    with atomic_directory(out) as folder:
        for number, (video, why) in enumerate(chosen, 1):
            rows, title = listed.images.rows_of(video), listed.titles[video]
            name = f"{number:02d}"
            fullest = drawing.clip(rows[:MOST_FRAMES], folder / name, rate)
            clips.append(
                ClipView(
                    title,
                    f"{name}.mp4",
                    f"{name}.jpg",
                    min(len(rows), MOST_FRAMES),
                    len(rows),
                    fullest,
                    values.get(title),
                    why,
                )
            )
        height, width = drawing.tile
        views = Views(
            metric,
            drawing.views,
            (width, height),
            COLUMNS,
            rate,
            score,
            len(listed.images.frames),
            tuple(clips),
        )
        write_json(folder / FILE, asdict(views), indent=1)
    return views


def _values(details: Path, metric: str) -> dict[str, float | None]:
    """AP50 of the clips by name."""
    content = read_json(details)
    by_video = content.get("per_video") if isinstance(content, dict) else None
    if not isinstance(by_video, dict):
        raise InputError(
            f"{details}: has no 'per_video'; create it with `vatrack evaluate --details`"
        )
    level, column = metric.rsplit("/", 1)
    return {name: (own.get(level) or {}).get(column) for name, own in by_video.items()}


def _tile(images: Images) -> tuple[int, int]:
    """Height and width of the tiles, by the shape of the first frame; even numbers."""
    height, width = (int(side) for side in images.size[0])
    scale = min(TILE[0] / height, TILE[1] / width)
    return max(2, round(height * scale / 2) * 2), max(2, round(width * scale / 2) * 2)


class _Drawing:
    """Draws clips of one set of predictions."""

    def __init__(
        self,
        listed: FrameList,
        truth: Sequence[Layer],
        found: Sequence[Layer],
        tile: tuple[int, int],
    ) -> None:
        self.tile, self._listed = tile, listed
        self._truth, self._found = truth, found
        self._types = [layer.mask_type for layer in self._truth]
        self.views = (
            "input",
            *(f"truth/{name}" for name in self._types),
            *(f"prediction/{name}" for name in self._types),
        )

    def clip(self, rows: npt.NDArray[np.int64], path: Path, rate: float) -> int:
        """Writes path.mp4, and path.jpg: ground truth and prediction of the fullest frame, whose
        number is returned."""
        owners = find_owners(rows, self._listed.images, self._truth, self._found)
        counts = [len(self._truth[0].rows(row)) for row in rows.tolist()]
        # The middle of the frames with the most objects.
        fullest = np.flatnonzero(np.array(counts) == max(counts))
        shown = int(fullest[len(fullest) // 2])
        exact = Fraction(rate).limit_denominator(1000)
        height, width = self.tile
        down = -(-len(self.views) // COLUMNS)
        with VideoWriter(
            path.with_suffix(".mp4"), (down * height, COLUMNS * width), exact
        ) as writer:
            for number, row in enumerate(rows.tolist()):
                tiles = self._tiles(row, owners)
                blank = [np.full_like(tiles[0], PAPER)] * (down * COLUMNS - len(tiles))
                cells = [*tiles, *blank]
                lines = [np.hstack(cells[n : n + COLUMNS]) for n in range(0, len(cells), COLUMNS)]
                writer.write(np.vstack(lines), float(number / exact))
                if number == shown:
                    pair = [tiles[1], tiles[1 + len(self._types)]]
                    save_image(np.hstack(pair), path.with_suffix(".jpg"))
        return shown

    def _tiles(self, row: int, owners: Mapping[int, int]) -> list[ImageArray]:
        frame = self._listed.frame(row)
        tiles = [self._centred(scale_image(frame, self.tile))]
        for layers, tracks in ((self._truth, None), (self._found, owners)):
            for mask_type in self._types:
                # The amodal view hatches what the visible mask does not have.
                own = [x for x in layers if mask_type in (x.mask_type, "amodal")]
                drawn = draw_side(frame, row, self._listed.images, own, tracks, self.tile)
                tiles.append(self._centred(drawn))
        return tiles

    def _centred(self, frame: ImageArray) -> ImageArray:
        canvas = np.full((*self.tile, 3), PAPER, np.uint8)
        centre(canvas, frame)
        return canvas
