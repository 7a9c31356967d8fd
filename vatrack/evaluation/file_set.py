"""The files of one evaluation, split by video: what is measured, and how."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.files import (
    check_target,
    refuse_same_file,
    require_json,
    same_file,
    scratch_directory,
)
from vatrack.common.json_lists import read_lists
from vatrack.common.mask_types import MASK_TYPES, MaskType
from vatrack.common.shards import Shard
from vatrack.config import EvaluationConfig
from vatrack.data.fields import mask_types_of
from vatrack.evaluation.io.by_video import TruthHead
from vatrack.evaluation.io.classes import category_ids, warn_of_other_clips
from vatrack.evaluation.io.offsets import Files, VideoOffsets, files_by_video
from vatrack.evaluation.io.prediction_file import PredictionError
from vatrack.evaluation.measuring import measure_all, measure_offsets
from vatrack.evaluation.one_video import Protocol, VideoResult


@dataclass(frozen=True)
class FileSet:
    """Files that belong together.

    `head`: the small lists of the ground truth; `videos`: all of them in their order, each after
    the number of its first prediction; `files`: where they are read; `protocol`: how they are
    evaluated; `wrong`: the first prediction that belongs to no video, if there is one.
    """

    head: TruthHead
    videos: list[tuple[int, VideoOffsets]]
    files: Files
    protocol: Protocol
    wrong: PredictionError | None

    def part(self, shard: Shard) -> slice:
        """Which of the videos belong to a shard."""
        return shard.part([len(video.head["images"]) for _, video in self.videos])

    def measure(self, processes: int, part: slice = slice(None)) -> list[VideoResult]:
        """The results of all videos, or of some neighbouring ones.

        Raises:
            InputError: see `measure_all`. The first wrong prediction is that of all videos, also
                where only some are measured.
        """
        start, stop, _ = part.indices(len(self.videos))
        return measure_all(
            self.videos[start:stop],
            measure_offsets,
            (self.files, self.protocol),
            processes,
            self.wrong,
            others=self.videos[:start] + self.videos[stop:],
        )


def check_targets(
    sources: Iterable[Path], out: Path, details: Path | None = None, *, shard: bool = False
) -> None:
    """Makes the folders of what is to be written, before any work; `shard`: `out` is one.

    Raises:
        InputError: it cannot be written there, or would be written over something that is read.
    """
    targets = [check_target(path) for path in (out, details) if path is not None]
    for source in sources:
        for target in targets:
            refuse_same_file(source, target)
    if details is not None and same_file(*targets):
        raise InputError(f"{details}: is also --out; choose another file for --details")
    for target in [] if shard else targets:
        require_json(target, "metrics and details are")


@contextmanager
def open_files(
    ground_truth: Path,
    predictions: Path,
    video: Mapping[MaskType, Path | None],
    switches: EvaluationConfig,
    out: Path,
    video_max_occlusion: float,
    class_map: Mapping[str, str] | None,
    *,
    details: Path | None = None,
    shard: bool = False,
) -> Iterator[FileSet]:
    """The files of an evaluation, split by video; arguments as in `evaluate.evaluate_files`.

    Packed files are unpacked beside `out` for the time that the context is open.

    Args:
        shard: `out` is to be a shard: it holds metrics of single videos, and is removed before
            anything is read, because what stood there may be of other files or settings.

    Raises:
        InputError: a file is missing, damaged or does not belong to the others, or a target
            cannot be written.
    """
    given = {mask_type: Path(path) for mask_type, path in video.items() if path is not None}
    check_targets((ground_truth, predictions, *given.values()), out, details, shard=shard)
    if shard:
        out.unlink(missing_ok=True)
    with scratch_directory(out) as scratch:
        head, videos, found, files = files_by_video(
            Path(ground_truth), Path(predictions), given, scratch
        )
        warn_of_other_clips(head.video_names, str(ground_truth), Path(predictions))
        if not len(found.offsets) and not found.wrong:
            warnings.warn(
                f"{predictions}: contains no predictions, so all objects in "
                f"{counted(len(head.images.id), 'image')} of {counted(len(videos), 'video')} count "
                "as missed; check the file if that is not meant",
                stacklevel=2,
            )
        protocol = Protocol(
            found.mask_types or tuple(given) or _mask_types(files.truth) or MASK_TYPES,
            switches,
            video_max_occlusion,
            str(ground_truth),
            found.label,
            {mask_type: str(path) for mask_type, path in given.items()},
            details=shard or details is not None,
            category_ids=category_ids(
                head.category_names, str(ground_truth), Path(predictions), class_map
            ),
            with_tracks=head.tracks,
        )
        yield FileSet(head, videos, files, protocol, found.wrong)


def _mask_types(truth: Path) -> tuple[MaskType, ...]:
    """Those of a joint ground truth; predictions of nothing do not tell what masks the method
    has."""
    items = read_lists(truth)
    return mask_types_of(item.value for item in items if item.section == "annotations")
