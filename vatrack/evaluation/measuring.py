"""All videos of a set evaluated, one by one, in any number of processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vatrack.common.errors import InputError
from vatrack.common.parallel import FEWER, ordered_map
from vatrack.common.progress import progress
from vatrack.evaluation.io.offsets import Files, VideoOffsets
from vatrack.evaluation.io.prediction_file import PredictionError
from vatrack.evaluation.one_video import Protocol, VideoResult, measure_video


def measure_offsets(
    task: tuple[VideoOffsets, bool], shared: tuple[Files, Protocol]
) -> VideoResult | InputError:
    """`measure_video` for a video in files, as `measure_all` calls it."""
    (offsets, check_only), (files, protocol) = task, shared
    return measure_video(offsets.load(files), protocol, check_only)


def measure_all(
    items: Sequence[tuple[int, VideoOffsets]],
    files: Files,
    protocol: Protocol,
    processes: int,
    wrong: PredictionError | None,
    others: Sequence[tuple[int, VideoOffsets]] = (),
    fewer: str = FEWER,
) -> list[VideoResult]:
    """The results of all videos in order.

    Args:
        items: the number of the first prediction of each video, and the video.
        files, protocol: where the videos are read, and how they are evaluated.
        processes: how many work side by side.
        wrong: what is known to be wrong with a prediction.
        others: videos of the same files that are not wanted. Once something is wrong, their
            predictions are checked, too.
        fewer: what lowers `processes`, for the message on one that was killed.

    Raises:
        InputError: the first wrong prediction of `items` and `others`, or else what is wrong with
            the ground truth of the first such video of `items`: the same for any number of
            processes.
    """
    worst: InputError | None = wrong
    results: list[VideoResult] = []

    def tasks(some: Sequence[tuple[int, VideoOffsets]]) -> Iterator[tuple[VideoOffsets, bool]]:
        for first, item in some:
            # Once something is wrong, only wrong predictions further up are still of interest.
            if not isinstance(worst, PredictionError) or first < worst.number:
                yield item, worst is not None

    def measure(some: Sequence[tuple[int, VideoOffsets]], title: str) -> None:
        nonlocal worst
        work = ordered_map(measure_offsets, tasks(some), processes, (files, protocol), fewer)
        for result in progress(work, title, len(some)):
            if isinstance(result, VideoResult):
                results.append(result)
            elif _before(result, worst):
                worst = result

    measure(items, "evaluation, videos")
    if worst is not None:
        if others:
            measure(others, "searching for the first error, videos")
        raise worst
    return results


def _before(error: InputError, worst: InputError | None) -> bool:
    """Whether an error is to be reported rather than the worst so far (of an earlier video)."""
    if worst is None or not isinstance(error, PredictionError):
        return worst is None
    return not isinstance(worst, PredictionError) or error.number < worst.number
