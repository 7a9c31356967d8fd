"""Predictions in the forms of other tools, and back: `export_predictions`, `import_predictions`.

Each form is a module with `write(tracks, listing, mask_type, out)` and, where trackers write it,
`read(source, listing, mask_type)`. What a form cannot hold is said when it is written.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

from vatrack.common.arguments import as_path
from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.files import (
    atomic_path,
    check_target,
    create_text,
    refuse_same_file,
    require_json,
    require_lines,
)
from vatrack.common.foreign import EXCHANGED, Form, SourceForm
from vatrack.common.mask_types import MaskType
from vatrack.common.similar import unknown
from vatrack.common.text_files import read_text
from vatrack.data.known_forms import JOINT, LISTING, PREDICTIONS, form_of, wants
from vatrack.evaluation.io.gaps import empty_warning
from vatrack.evaluation.io.predictions import parse_predictions
from vatrack.exchange import coco, motchallenge, mots, trackeval, ytvis
from vatrack.exchange.listing import read_listing
from vatrack.exchange.tracks import read_tracks

_MODULES: dict[str, ModuleType] = {
    "coco": coco,
    "ytvis": ytvis,
    "mots": mots,
    "mots-challenge": mots,
    "motchallenge": motchallenge,
    "trackeval": trackeval,
}


@dataclass(frozen=True)
class Exchanged:
    """What was written.

    Attributes:
        detections: written, with masks of `mask_type`; `notes`: what the form could not hold, in
            sentences.
    """

    out: Path
    detections: int
    mask_type: MaskType
    notes: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        found = f"{counted(self.detections, 'detection')} ({self.mask_type} masks)"
        return "\n".join([f"{self.out}: {found}", *self.notes])


@wants(ground_truth=(JOINT, LISTING))
def export_predictions(
    predictions: Path | str,
    ground_truth: Path | str,
    form: Form,
    out: Path | str,
    mask_type: MaskType = EXCHANGED,
) -> Exchanged:
    """Writes predictions (contract 2) in another form.

    Args:
        predictions: JSON Lines or a JSON array; may be gzipped.
        ground_truth: the joint JSON (contract 3) that the predictions belong to, or the
            `frames.json` that `vatrack track` leaves: it names videos, frames and classes.
        form: "coco" (results list with track ids), "ytvis" (YouTube-VIS results), "mots" (KITTI
            MOTS text files), "mots-challenge" (frames from 1), "motchallenge" (boxes),
            "trackeval" (a folder that TrackEval evaluates as YouTube-VIS, with the ground truth).
        out: a .json file for "coco" and "ytvis", else a folder, which is replaced unless it
            contains other files.
        mask_type: which masks, and boxes, are written.

    Raises:
        InputError: a file is wrong, the predictions have no such masks, or the form cannot hold
            them.

    Example:
        ```python
        found, truth = "predictions.jsonl.gz", "joint.json"
        print(vatrack.export_predictions(found, truth, "ytvis", "results.json"))
        ```
    """
    form, mask_type = _known("format", form, Form), _known("mask type", mask_type, MaskType)
    predictions, out = as_path("predictions", predictions), as_path("out", out)
    ground_truth = as_path("ground_truth", ground_truth)
    module = _MODULES[form]
    refuse_same_file(out, predictions, ground_truth)
    check_target(out, folder=module.FOLDER)
    if not module.FOLDER:
        require_json(out, "this format is")
    listing = read_listing(ground_truth)
    tracks = read_tracks(predictions, listing, mask_type)
    settings = {"first_frame": 1} if form == "mots-challenge" else {}
    notes = module.write(tracks, listing, mask_type, out, **settings)
    detections = sum(len(track.detections) for track in tracks)
    return Exchanged(out, detections, mask_type, tuple(notes))


@wants(ground_truth=(JOINT, LISTING))
def import_predictions(
    source: Path | str,
    ground_truth: Path | str,
    form: SourceForm,
    out: Path | str,
    mask_type: MaskType = EXCHANGED,
) -> Exchanged:
    """Writes what another tracker wrote as predictions (contract 2), so that it can be evaluated.

    Args:
        source: a file for "coco" and "ytvis", else a folder with a text file a video.
        ground_truth: as for `export_predictions`.
        form: as for `export_predictions`, without "trackeval".
        out: JSON Lines, .jsonl or .jsonl.gz.
        mask_type: what the masks of the source are.

    Raises:
        InputError: a file is wrong, or does not fit the ground truth.

    Example:
        ```python
        print(vatrack.import_predictions("results.json", "joint.json", "ytvis", "theirs.jsonl"))
        ```
    """
    form, mask_type = _known("format", form, SourceForm), _known("mask type", mask_type, MaskType)
    source, out = as_path("source", source), as_path("out", out)
    ground_truth = as_path("ground_truth", ground_truth)
    require_lines(out)
    refuse_same_file(out, source, ground_truth)
    check_target(out)
    listing = read_listing(ground_truth)
    settings = {"first_frame": 1} if form == "mots-challenge" else {}
    try:
        predictions, notes = _MODULES[form].read(source, listing, mask_type, **settings)
    except InputError as error:
        # Lines of objects; other tools' results are lists, also those without masks.
        found = form_of(source) if error.is_about(source) else None
        if found is PREDICTIONS and read_text(source).lstrip().startswith("{"):
            raise InputError(
                f"{source}: is {found.what} already; give it to `vatrack evaluate --predictions`"
            ) from None
        raise
    if not predictions:
        warnings.warn(empty_warning(source, "the file that is written is empty"), stacklevel=2)
    # The checks of every file of predictions, before anything is written.
    parse_predictions(enumerate(predictions, 1), listing.images, f"{source}: detection")
    with atomic_path(out) as temporary, create_text(temporary) as stream:
        for prediction in predictions:
            stream.write(json.dumps(prediction, allow_nan=False) + "\n")
    return Exchanged(out, len(predictions), mask_type, tuple(notes))


def _known(what: str, value: str, values: Any) -> Any:
    if value not in get_args(values):
        raise InputError(unknown(what, value, get_args(values)))
    return value
