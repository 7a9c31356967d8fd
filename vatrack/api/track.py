"""Videos to files: an overlay, predictions, a table of tracks, and how they were made."""

from __future__ import annotations

import logging
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import asdict
from numbers import Integral
from pathlib import Path
from typing import Any

from vatrack.api.folders import RUN, check_folders
from vatrack.api.frames import check_rate, exact_rate
from vatrack.api.outputs import Outputs
from vatrack.api.predictor import Predictor
from vatrack.api.settings import Tracked, TrackSettings
from vatrack.api.window import Window, check_display
from vatrack.common.arguments import as_path, check_type, several
from vatrack.common.background import WriteBehind, read_ahead
from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.files import check_target, write_yaml
from vatrack.common.locks import only_run
from vatrack.common.output_folders import atomic_directory
from vatrack.common.progress import counted_progress
from vatrack.common.signals import StopSignals
from vatrack.reporting.video import draw_frame
from vatrack.runs.environment import describe_environment
from vatrack.video.frames import Properties
from vatrack.video.reader import Reader
from vatrack.video.sources import Source, find_sources

logger = logging.getLogger(__name__)

DEPTH = 4  # frames that wait between two threads
MOST_LISTED = 10_000  # frame files in run.yaml


def track_videos(
    predictor: Predictor,
    sources: str | Path | int | Sequence[str | Path | int],
    out: str | Path,
    settings: TrackSettings | None = None,
    *,
    about: dict[str, Any] | None = None,
) -> Iterator[Tracked]:
    """Tracks the objects of videos, one after the other; yields a result for each.

    A video is processed when its result is requested. In `out`, each video gets a folder with its
    name, which contains overlay.mp4, predictions.jsonl (contract 2) and inference.yaml (its
    classes), frames.json (the frames as in contract 3), tracks.csv and run.yaml. It is written
    completely or not at all; after Ctrl-C or SIGTERM it contains the results up to then. If one of
    several videos cannot be read, the others are still processed.

    Args:
        predictor: from `load`.
        sources: video files, folders of frames, patterns, lists (.txt), numbers of cameras or
            addresses of streams; one or several.
        out: gets the folders; it is made if it is missing.
        settings: what is tracked, drawn and written; None: the defaults.
        about: more values for run.yaml.

    Raises:
        InputError: a source cannot be read, a setting is wrong, or results already exist.

    Example:
        ```python
        settings = vatrack.TrackSettings(score=0.3, overwrite=True)
        for video in vatrack.track_videos(predictor, ["street.mp4"], "tracked", settings):
            print(video.folder, video.frames, dict(video.tracks))
        ```
    """
    check_type("predictor", predictor, Predictor)
    settings = settings or TrackSettings()
    check_type("settings", settings, TrackSettings)
    wanted = None if settings.classes is None else predictor.class_ids(settings.classes)
    words = several("sources", sources, str, os.PathLike, Integral)
    found, out = find_sources(words), as_path("out", out)
    check_folders(found, out, overwrite=settings.overwrite)
    check_rate(settings.rate, found)
    if settings.show:
        check_display()
    about = about or {}
    check_type("about", about, Mapping)
    predictor = predictor.with_score(settings.score)
    return _track_all(predictor, found, out, settings, wanted, about)


def _track_all(
    predictor: Predictor,
    sources: Sequence[Source],
    out: Path,
    settings: TrackSettings,
    wanted: set[int] | None,
    about: dict[str, Any],
) -> Iterator[Tracked]:
    errors = []
    for number, source in enumerate(sources, 1):
        try:
            tracked = _Job(predictor, source, out / source.name, settings, wanted, about).run()
        except InputError as error:
            errors.append(str(error))
            continue
        yield tracked
        if tracked.stopped:  # by a key; a signal ends the process
            if left := len(sources) - number:
                logger.warning("stopped; %s not tracked", counted(left, "further source"))
            break
    if errors:
        raise InputError("\n".join(errors))


class _Job:
    """One video."""

    def __init__(
        self,
        predictor: Predictor,
        source: Source,
        folder: Path,
        settings: TrackSettings,
        wanted: set[int] | None,
        about: dict[str, Any],
    ) -> None:
        self.predictor, self.source, self.folder = predictor, source, folder
        self.settings, self.wanted, self.about = settings, wanted, about
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._environment = describe_environment(predictor.device)
        self._warned = 0

    def run(self) -> Tracked:
        """Does all; a signal is obeyed when the files are whole."""
        begin = time.perf_counter()
        with (
            StopSignals("completing the results up to this frame") as stop,
            Reader(self.source, self.settings.selection, exact_rate(self.settings.rate)) as reader,
            self._alone(),
        ):
            self._warn(reader.properties)
            with atomic_directory(self.folder) as temporary:
                outputs = Outputs(
                    temporary, self.source, reader.properties, self.predictor, self.settings
                )
                with outputs:
                    # What cannot be written is told before the work, not after it.
                    begun = self._tracked(reader.properties, outputs, stopped=True)
                    self._describe(temporary / RUN, reader.properties, begun)
                    stopped = self._follow(reader, outputs, stop)
                    if stopped:
                        outputs.stop_here()
                if not outputs.frames:  # stopped before the first one
                    stop.obey(stop.requested)
                self.seconds["network"] -= self.seconds.pop("wait", 0.0)
                self.seconds |= outputs.seconds
                self.seconds["all"] = time.perf_counter() - begin
                tracked = self._tracked(reader.properties, outputs, stopped)
                self._describe(temporary / RUN, reader.properties, tracked)
            self._warn(reader.properties)
        if stop.requested:
            logger.warning("%s\nstopped; results so far are complete", tracked)
            stop.obey(stop.requested)
        return tracked

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else writes this folder meanwhile, or has done so since it was looked at."""
        lock = self.folder.with_name(f".{self.folder.name}.lock")
        check_target(self.folder, folder=True, beside=True)
        with only_run(lock, self.folder, "tracking"):
            try:
                check_folders([self.source], self.folder.parent, overwrite=self.settings.overwrite)
                yield
            finally:
                with suppress(OSError):  # somebody has tidied up
                    lock.rmdir()

    def _warn(self, found: Properties) -> None:
        """Logs the notes that are new."""
        for note in found.notes[self._warned :]:
            logger.warning("%s", note)
        self._warned = len(found.notes)

    def _follow(self, reader: Reader, outputs: Outputs, stop: StopSignals) -> bool:
        """Decodes, tracks and writes in three threads; returns whether it was stopped."""
        with ExitStack() as stack:
            decoded = self._timed("decode", reader)
            frames = stack.enter_context(
                read_ahead(decoded, DEPTH, cancelled=lambda: bool(stop.requested))
            )
            writer = stack.enter_context(WriteBehind(outputs.write, DEPTH))
            advance = stack.enter_context(self._progress(reader.expected()))
            window = stack.enter_context(Window(self.source.name)) if self.settings.show else None
            followed = self.predictor.follow(
                self._timed("wait", frames),
                cuts=self.settings.cuts,
                score=self.settings.lowest_score,
                class_ids=self.wanted,
            )
            for item in self._timed("network", followed):
                writer.put(item)
                advance()
                if stop.requested:
                    break
                if window is not None:
                    drawn = draw_frame(item.frame.image, item.result, self.settings.draw)
                    if not window.show(drawn):
                        return True
        return bool(stop.requested)

    def _progress(self, total: int | None) -> AbstractContextManager[Callable[[], None]]:
        if logger.isEnabledFor(logging.INFO):
            return counted_progress(self.source.name, total)
        return nullcontext(lambda: None)

    def _timed(self, step: str, items: Iterable[Any]) -> Iterator[Any]:
        """The items, with the time counted that it takes to get them."""
        iterator = iter(items)
        while True:
            begin = time.perf_counter()
            try:
                item = next(iterator)
            except StopIteration:
                return
            finally:
                self.seconds[step] += time.perf_counter() - begin
            yield item

    def _tracked(self, found: Properties, outputs: Outputs, stopped: bool) -> Tracked:
        return Tracked(
            self.source.shown,
            self.folder,
            outputs.frames,
            outputs.table.counts,
            dict(self.seconds),
            tuple(found.notes),
            found.truncated,
            stopped,
        )

    def _describe(self, path: Path, found: Properties, tracked: Tracked) -> None:
        run = self.predictor.run.model_dump(
            mode="json", include={"method", "backbone", "model", "inference", "input", "compute"}
        )
        source = asdict(found)
        source |= {key: float(source[key]) for key in ("rate", "pixel_aspect")}
        if self.source.files:
            source["files"] = [str(file) for file in self.source.files[:MOST_LISTED]]
        write_yaml(
            path,
            {
                **self.about,
                "source": source,
                "settings": asdict(self.settings) | {"score": self.settings.lowest_score},
                "frames": tracked.frames,
                "tracks": dict(tracked.tracks),
                "complete": not (tracked.stopped or tracked.truncated),
                "seconds": {key: round(value, 3) for key, value in self.seconds.items()},
                "network": run,
                "environment": self._environment,
            },
        )
