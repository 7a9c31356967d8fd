"""The files of one evaluation, split by video: what is measured, and how."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.files import (
    check_target,
    refuse_same_file,
    require_ending,
    require_json,
    sha256_of,
)
from vatrack.common.json_lists import read_lists
from vatrack.common.mask_types import MASK_TYPES, MaskType
from vatrack.common.output_folders import scratch_directory
from vatrack.common.parallel import FEWER
from vatrack.common.paths import same_file
from vatrack.common.run_files import noted_of
from vatrack.common.shards import Shard
from vatrack.config import EvaluationConfig
from vatrack.config.dataset import DatasetConfig
from vatrack.data.fields import mask_types_of
from vatrack.data.known_forms import JOINT, PREDICTIONS, TRACKS, wanted
from vatrack.evaluation.io.classes import category_ids, check_clips, notes_beside
from vatrack.evaluation.io.gaps import empty_warning
from vatrack.evaluation.io.offsets import Files, VideoOffsets, files_by_video
from vatrack.evaluation.io.prediction_file import AGAIN, PredictionError
from vatrack.evaluation.io.tracked_video import check_video
from vatrack.evaluation.io.truth_head import TruthHead
from vatrack.evaluation.measuring import measure_all
from vatrack.evaluation.one_video import Protocol, VideoResult

VIDEO_MAX_OCCLUSION: float = DatasetConfig().video_limit


@dataclass(frozen=True)
class EvaluationInputs:
    """What an evaluation reads and goes by.

    Attributes:
        ground_truth: joint-form JSON, may be gzipped.
        predictions: contract 2.
        video: per-video ground truth by mask type; derived from `ground_truth` where it is None
            or missing.
        switches: protocol switches.
        video_max_occlusion: exclusive limit of a derived per-video ground truth (spec 1.6).
        class_map: classes of the predictions to classes of the ground truth (`io.classes`).
        masks: mask types of the method that predicted, where it is known. `video` of other types is
            left out.
        maker: what has predicted ("epoch 1"), for messages, where `predictions` is temporary.
    """

    ground_truth: Path
    predictions: Path
    video: Mapping[MaskType, Path | None] = field(default_factory=dict)
    switches: EvaluationConfig = field(default_factory=EvaluationConfig)
    video_max_occlusion: float = VIDEO_MAX_OCCLUSION
    class_map: Mapping[str, str] | None = None
    masks: Sequence[MaskType] | None = None
    maker: str = ""

    @property
    def tracks(self) -> dict[MaskType, Path]:
        """What is given of `video`, of the masks that are evaluated."""
        masks = self.masks or MASK_TYPES
        return {name: path for name, path in self.video.items() if path and name in masks}


def noted_settings(
    protocol: Protocol, truth: str, tracks: Mapping[MaskType, str], predictions: Mapping[str, Any]
) -> dict[str, Any]:
    """What stands beside the metrics of a run (`RunFolder.evaluation`).

    Args:
        truth: SHA-256 of the (unpacked) joint ground truth; `tracks`: of given per-video ones. The
            exclusive occlusion limit of derived ones is noted where there are some.
        predictions: what is noted of them.
    """
    noted: dict[str, Any] = {"joint": truth} | {str(name): sha for name, sha in tracks.items()}
    if not tracks.keys() >= set(protocol.mask_types):
        noted["video_max_occlusion"] = protocol.video_max_occlusion
    settings = protocol.switches.model_dump(mode="json")
    return {**settings, "ground_truth": noted, "predictions": dict(predictions)}


@dataclass(frozen=True)
class FileSet:
    """Files that belong together.

    `head`: the small lists of the ground truth; `videos`: all of them in their order, each after
    the number of its first prediction; `files`: where they are read; `protocol`: how they are
    evaluated; `wrong`: the first prediction that belongs to no video, if there is one; `sure`:
    whether the predictions are known to be for these videos; `made_from`: what is noted of them.
    """

    head: TruthHead
    videos: list[tuple[int, VideoOffsets]]
    files: Files
    protocol: Protocol
    wrong: PredictionError | None
    sure: bool
    made_from: Mapping[str, Any]

    def settings(self) -> dict[str, Any]:
        """How the predictions are evaluated (see `noted_settings`); reads the ground truth.

        Raises:
            InputError: a file has changed since it was opened.
        """
        tracks = {name: sha256_of(path) for name, path in self.files.tracks.items()}
        truth = sha256_of(self.files.truth)
        self.files.check()
        return noted_settings(self.protocol, truth, tracks, self.made_from)

    def slice_of(self, shard: Shard) -> slice:
        """Which of the videos belong to a shard."""
        return shard.slice_of([len(video.head["images"]) for _, video in self.videos])

    def measure(
        self, processes: int, chosen: slice = slice(None), fewer: str = FEWER
    ) -> list[VideoResult]:
        """The results of all videos, or of some neighbouring ones; `fewer`: see `measure_all`.

        Raises:
            InputError: see `measure_all`. The first wrong prediction is that of all videos, also
                where only some are measured.
        """
        start, stop, _ = chosen.indices(len(self.videos))
        return measure_all(
            self.videos[start:stop],
            self.files,
            self.protocol,
            processes,
            self.wrong,
            others=self.videos[:start] + self.videos[stop:],
            fewer=fewer,
        )


def check_targets(
    sources: Sequence[Path], out: Path, details: Path | None = None, *, shard: bool = False
) -> None:
    """Makes the folders of what is to be written, before any work; `shard`: `out` is one.

    Raises:
        InputError: it cannot be written there, or would be written over something that is read.
    """
    targets = [path for path in (out, details) if path is not None]
    for target in targets:
        refuse_same_file(target, *sources)
        if shard:
            require_ending(target, "a shard is a NumPy archive", ".npz")
        else:
            require_json(target, "metrics and details are")
        check_target(target)
    if details is not None and same_file(*targets):
        raise InputError(f"{details}: is also --out; choose another file for --details")


@contextmanager
def open_files(
    inputs: EvaluationInputs, out: Path, *, details: Path | None = None, shard: bool = False
) -> Iterator[FileSet]:
    """The files of an evaluation, split by video.

    Packed files are unpacked beside `out` for the time that the context is open.

    Args:
        out, details: as in `evaluate.evaluate_inputs`.
        shard: `out` is to be a shard: it holds metrics of single videos, and is removed before
            anything is read, because what stood there may be of other files or settings.

    Raises:
        InputError: a file is missing, damaged or does not belong to the others, or a target
            cannot be written.
    """
    truth, predictions = inputs.ground_truth, inputs.predictions
    given = inputs.tracks
    with wanted((truth, JOINT), (predictions, PREDICTIONS), (given, TRACKS)):
        check_targets((truth, predictions, *given.values()), out, details, shard=shard)
        if shard:
            out.unlink(missing_ok=True)
        with scratch_directory(out) as scratch:
            head, videos, found, files = files_by_video(truth, predictions, given, scratch)
            if not len(head.images.id):
                raise InputError(f"{truth}: contains no images; {JOINT.give}")
            notes = notes_beside(predictions)
            sure = check_clips(head.video_names, str(truth), predictions, notes)
            check_video(predictions, head.images, head.video_names, str(truth))
            empty = not any(len(video.annotations) for _, video in videos)
            if empty:
                text = (
                    f"{truth}: contains no annotations, so AP is undefined and every prediction "
                    "counts as false positive; give a file with annotations if that is not meant"
                )
                warnings.warn(text, stacklevel=2)
            if not len(found.offsets) and not found.wrong and not empty:
                effect = (
                    f"all objects in {counted(len(head.images.id), 'image')} of "
                    f"{counted(len(videos), 'video')} count as missed"
                )
                if inputs.maker:
                    text = f"{inputs.maker} predicts nothing, so {effect}"
                else:
                    text = empty_warning(predictions, effect)
                warnings.warn(text, stacklevel=2)
            elif not found.wrong:
                _check_mask_types(predictions, found.mask_types, inputs.masks or (), given)
            protocol = Protocol(
                found.mask_types or tuple(given) or _mask_types(files.truth) or MASK_TYPES,
                inputs.switches,
                inputs.video_max_occlusion,
                str(truth),
                found.label,
                {mask_type: str(path) for mask_type, path in given.items()},
                details=shard or details is not None,
                category_ids=category_ids(
                    head.category_names, str(truth), predictions, notes, inputs.class_map
                ),
                with_tracks=head.tracks,
            )
            yield FileSet(head, videos, files, protocol, found.wrong, sure, noted_of(notes))


def _check_mask_types(
    predictions: Path,
    found: Sequence[MaskType],
    masks: Sequence[MaskType],
    given: Mapping[MaskType, Path],
) -> None:
    """Warns where a per-video ground truth is of no use, because no prediction has such a mask.

    Raises:
        InputError: no prediction has a mask of a type that their method predicts.
    """
    for mask_type in (name for name in MASK_TYPES if name not in found):
        if mask_type in masks:
            raise InputError(
                f"{predictions}: no prediction has {mask_type} masks, although the method of the "
                f"run predicts them; {AGAIN}, or evaluate them without --run"
            )
        if mask_type in given:
            warnings.warn(
                f"{predictions}: no prediction has {mask_type} masks, so {given[mask_type]} is not "
                "used; check the file if that is not meant",
                stacklevel=3,
            )


def _mask_types(truth: Path) -> tuple[MaskType, ...]:
    """Those of a joint ground truth; predictions of nothing do not tell what masks the method
    has."""
    items = read_lists(truth)
    return mask_types_of(item.value for item in items if item.section == "annotations")
