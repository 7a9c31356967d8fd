"""The files of one evaluation, split by video: what is measured, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vatrack.common.json_lists import read_lists
from vatrack.common.mask_types import MASK_TYPES, MaskType
from vatrack.common.shards import Shard
from vatrack.config import EvaluationConfig
from vatrack.data.fields import mask_types_of
from vatrack.evaluation.io.by_video import TruthHead
from vatrack.evaluation.io.classes import category_ids
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


def split_files(
    ground_truth: Path,
    predictions: Path,
    video: Mapping[MaskType, Path | None],
    switches: EvaluationConfig,
    video_max_occlusion: float,
    class_map: Mapping[str, str] | None,
    scratch: Path,
    *,
    details: bool,
) -> FileSet:
    """Splits the files of an evaluation; arguments as in `evaluate.evaluate_files`.

    Args:
        scratch: a folder where packed files are unpacked; what is returned needs it.
        details: whether metrics of single videos are wanted.

    Raises:
        InputError: a file is missing, damaged or does not belong to the others.
    """
    given = {mask_type: Path(path) for mask_type, path in video.items() if path is not None}
    head, videos, found, files = files_by_video(
        Path(ground_truth), Path(predictions), given, scratch
    )
    protocol = Protocol(
        found.mask_types or tuple(given) or _mask_types(files.truth) or MASK_TYPES,
        switches,
        video_max_occlusion,
        str(ground_truth),
        found.label,
        {mask_type: str(path) for mask_type, path in given.items()},
        details=details,
        category_ids=category_ids(
            head.category_names, str(ground_truth), Path(predictions), class_map
        ),
        with_tracks=head.tracks,
    )
    return FileSet(head, videos, files, protocol, found.wrong)


def _mask_types(truth: Path) -> tuple[MaskType, ...]:
    """Those of a joint ground truth; predictions of nothing do not tell what masks the method
    has."""
    items = read_lists(truth)
    return mask_types_of(item.value for item in items if item.section == "annotations")
