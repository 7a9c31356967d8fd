"""The clips that the report shows: each as a video whose tiles are the views of one frame.

A tile each for the input, the ground truth and the prediction by mask type. All views of a clip
are in one video, so that a page can switch and compare them without losing step.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from math import isnan
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vatrack.common.arguments import check_score
from vatrack.common.errors import InputError
from vatrack.common.files import write_json
from vatrack.common.images import ImageArray
from vatrack.common.output_folders import atomic_directory, refuse_other_files
from vatrack.data.known_forms import DETAILS, JOINT, wants
from vatrack.evaluation.io.ground_truth import Images
from vatrack.reporting import sheet
from vatrack.reporting.clip_video import check_rate, draw_tiles, write_video
from vatrack.reporting.details import Details, read_details
from vatrack.reporting.layers import FrameList, Layer, find_owners, read_layers
from vatrack.reporting.views import FILE, ClipView, Views, choose
from vatrack.runs.made_from import predictions_of

TILE = (300, 480)  # largest height and width of a view, pixels
COLUMNS = 3  # tiles beside each other
MOST_FRAMES = 60  # of a clip that are shown
EACH = 3  # clips: the worst, the best, and evenly chosen ones
DARK = (24, 24, 24)  # around frames of another shape


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
        ground_truth, predictions, images, score: as for `overlay.write_overlay`.
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
    tile = _tile(listed.images)
    types = [layer.mask_type for layer in truth]
    metric = f"video/{truth[0].mask_type}/AP50"
    measured = read_details(details) if details else Details({}, {})
    values = _values(measured, metric)
    if details and all(value is None for value in values.values()):
        metric = f"image/{truth[0].mask_type}/AP50"  # images that stand alone have no tracks
        values = _values(measured, metric)
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
            shown = rows[:MOST_FRAMES]
            fullest = _draw_clip(folder / name, shown, listed, truth, found, tile, rate)
            clips.append(
                ClipView(
                    title,
                    f"{name}.mp4",
                    f"{name}.jpg",
                    len(shown),
                    len(rows),
                    fullest,
                    values.get(title),
                    why,
                )
            )
        views = Views(
            metric,
            ("input", *(f"{side}/{name}" for side in ("truth", "prediction") for name in types)),
            (tile[1], tile[0]),
            COLUMNS,
            rate,
            score,
            len(listed.images.frames),
            tuple(clips),
            str(predictions_of(predictions).get("sha256", "")),
        )
        write_json(folder / FILE, asdict(views), indent=1)
    return views


def _values(details: Details, metric: str) -> dict[str, float | None]:
    """AP50 of the clips by name."""
    level, column = metric.rsplit("/", 1)
    values = {name: own.get(column) for name, own in details.per_video.get(level, {}).items()}
    return {
        name: None if value is None or isnan(value) else value for name, value in values.items()
    }


def _tile(images: Images) -> tuple[int, int]:
    """Height and width of the tiles, by the shape of the first frame; even numbers."""
    height, width = (int(side) for side in images.size[0])
    scale = min(TILE[0] / height, TILE[1] / width)
    return max(2, round(height * scale / 2) * 2), max(2, round(width * scale / 2) * 2)


def _draw_clip(
    path: Path,
    rows: npt.NDArray[np.int64],
    listed: FrameList,
    truth: Sequence[Layer],
    found: Sequence[Layer],
    tile: tuple[int, int],
    rate: float,
) -> int:
    """Writes path.mp4, and path.jpg: ground truth and prediction of the fullest frame, whose
    number is returned."""
    objects = np.array([len(truth[0].rows(row)) for row in rows.tolist()])
    # The middle of the frames with the most objects.
    fullest = np.flatnonzero(objects == objects.max())
    shown = int(fullest[len(fullest) // 2])
    owners = find_owners(rows, listed.images, truth, found)
    sides: list[tuple[Sequence[Layer], Mapping[int, int] | None]] = [([], None)]
    # An amodal view hatches what the visible mask does not have.
    sides += [
        (layers if layer.mask_type == "amodal" else [layer], tracks)
        for layers, tracks in ((truth, None), (found, owners))
        for layer in layers
    ]
    lines = -(-len(sides) // COLUMNS)
    blank = [sheet.tile(*tile, paper=DARK)] * (lines * COLUMNS - len(sides))

    def frames() -> Iterator[list[list[ImageArray]]]:
        for number, row in enumerate(rows.tolist()):
            tiles = draw_tiles(listed, row, sides, tile, DARK)
            if number == shown:
                pair = [tiles[1], tiles[1 + len(truth)]]
                sheet.save_image(sheet.grid([pair]), path.with_suffix(".jpg"))
            cells = tiles + blank
            yield [cells[n : n + COLUMNS] for n in range(0, len(cells), COLUMNS)]

    size = lines * tile[0], COLUMNS * tile[1]
    write_video(path.with_suffix(".mp4"), size, frames(), rate)
    return shown
