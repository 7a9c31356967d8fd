"""All metrics of a set of predictions: image AP, video AP and tracking, by mask type (contract 4).

Every video is evaluated by itself (`vatrack.evaluation.one_video`), in any number of processes
(`measuring`) and jobs (`shards`); what comes out is joined in the order of the videos and ranked
over all of them (`joining`), so that the numbers do not depend on how the work was divided.
docs/evaluation.md defines the tracking metrics and says what evaluation costs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vatrack.common.files import write_json
from vatrack.common.parallel import FEWER
from vatrack.evaluation.details import detail_document, unique_names
from vatrack.evaluation.file_set import EvaluationInputs, open_files
from vatrack.evaluation.joining import join_results
from vatrack.evaluation.one_video import Protocol, VideoResult
from vatrack.evaluation.summary import Evaluated


def evaluate_inputs(
    inputs: EvaluationInputs,
    out: Path,
    processes: int = 1,
    details: Path | None = None,
    fewer: str = FEWER,
    *,
    noted: bool = False,
) -> Evaluated:
    """Evaluates a file of predictions and writes the flat metrics (contract 4).

    Neither file is ever in memory as a whole: each is read once as a stream, then a video at a
    time. Packed files are unpacked beside `out` for that time. Mask types that the predictions do
    not have are left out. Where there is no prediction at all, those of `video` are evaluated, or
    else those of the ground truth.

    Args:
        inputs: the files, and how they are evaluated.
        out: the metrics file.
        processes: processes that work side by side; the results are the same for any number.
        details: a JSON file for the metrics of every class and every video (see
            `details.detail_document`).
        fewer: what lowers `processes`, for the message on one that was killed.
        noted: whether the result has the settings of the evaluation (`Evaluated.settings`).

    Raises:
        InputError: the classes of the predictions are not those of the ground truth; a file is
            missing, damaged or does not belong to the others. Of several wrong
            predictions the first is named, with its line.
        BrokenProcessPool: one of several processes was killed.
    """
    with open_files(inputs, out, details=details) as split:
        # Before the work: names that are there twice would spoil it.
        named = (
            None
            if details is None
            else Names.of(split.head.category_names, split.head.video_names, split.protocol.truth)
        )
        results = split.measure(processes, fewer=fewer)
        settings = split.settings() if noted else {}
    videos = {video: split.head.video_names.get(video, video) for video in split.head.heads}
    evaluated = write_metrics(results, videos, split.protocol, named, out, details)
    return replace(evaluated, sure=split.sure, settings=settings)


@dataclass(frozen=True)
class Names:
    """The names of the details: `categories`, `videos` by id, in the order of the ground truth."""

    categories: Mapping[int, str]
    videos: Mapping[int, str]

    @classmethod
    def of(cls, categories: Mapping[int, Any], videos: Mapping[int, Any], source: str) -> Names:
        """Checks names.

        Raises:
            InputError: see `unique_names`.
        """
        return cls(
            unique_names(categories, "categories", source), unique_names(videos, "videos", source)
        )


def write_metrics(
    results: Sequence[VideoResult],
    videos: Mapping[int, Any],
    protocol: Protocol,
    names: Names | None,
    out: Path,
    details: Path | None,
) -> Evaluated:
    """Joins the results of a whole set and writes its metrics.

    Args:
        results: of all videos, in their order.
        videos: their names by id.
        names: for the details, where these are wanted.
        out, details: as in `evaluate_inputs`.
    """
    evaluation = join_results(results, protocol)
    if details is not None and names is not None:
        document = detail_document(
            evaluation.per_class,
            evaluation.tracking,
            {video: one.metrics for video, one in zip(videos, results, strict=True)},
            names.categories,
            names.videos,
            evaluation.curves,
        )
        write_json(details, document, indent=1)
    write_json(out, evaluation.metrics, indent=1)
    return Evaluated.of(out, evaluation.metrics, results, list(videos.values()))
