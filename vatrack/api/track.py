"""Videos to files: an overlay, predictions, a table of tracks, and how they were made."""

from __future__ import annotations

import json
import logging
import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np

from vatrack.api.predictor import DEFAULT_SCORE, Cuts, Predictor, check_score
from vatrack.api.results import FrameResult
from vatrack.api.tracks import TrackTable
from vatrack.common.background import WriteBehind, read_ahead
from vatrack.common.errors import InputError
from vatrack.common.files import atomic_directory, check_target, create_text, write_yaml
from vatrack.common.images import write_image
from vatrack.common.progress import counted_progress
from vatrack.reporting.video import DrawSettings, Trails, draw_frame
from vatrack.runs.environment import describe_environment
from vatrack.video.reader import Properties, Reader, Selection, VideoFrame
from vatrack.video.sources import Source, find_sources
from vatrack.video.writer import Encoder, VideoWriter

logger = logging.getLogger(__name__)

OVERLAY, PREDICTIONS, TRACKS = "overlay.mp4", "predictions.jsonl", "tracks.csv"
FRAMES, RUN = "frames.json", "run.yaml"
MASKS, CROPS = "masks", "crops"
DEPTH = 8  # frames that wait between two threads


@dataclass(frozen=True)
class TrackSettings:
    """What is wanted of videos.

    Attributes:
        score: objects below it are not written or drawn; classes: names, None: all.
        selection: start, end and step; rate: frames a second where a source has no times.
        cuts: "detect": a hard cut ends all tracks; "none": a video is one shot.
        overlay: whether a video with the objects is made; draw: what it shows; encoder: how it is
            encoded; sound: whether the sound is copied into it.
        masks, crops: whether masks and cut-out objects are saved as PNG files.
        show: whether frames are shown while they are made.
        overwrite: whether results of an earlier run are replaced.
    """

    score: float = DEFAULT_SCORE
    classes: tuple[str, ...] | None = None
    selection: Selection = field(default_factory=Selection)
    rate: float | None = None
    cuts: Cuts = "detect"
    overlay: bool = True
    draw: DrawSettings = field(default_factory=DrawSettings)
    encoder: Encoder = "openh264"
    sound: bool = True
    masks: bool = False
    crops: bool = False
    show: bool = False
    overwrite: bool = False


@dataclass(frozen=True)
class Tracked:
    """What was found in a video.

    Attributes:
        tracks: number of tracks by class.
        seconds: by step: "decode", "network", "draw", "encode", "write", and "all".
        truncated: the source ended early or was damaged; stopped: somebody stopped the work.
    """

    source: str
    folder: Path
    frames: int
    tracks: Counter[str]
    seconds: dict[str, float]
    notes: tuple[str, ...]
    truncated: bool
    stopped: bool

    def __str__(self) -> str:
        whole = self.seconds["all"]
        found = ", ".join(f"{count} {name}" for name, count in self.tracks.most_common())
        rate = self.frames / whole if whole > 0 else 0.0
        state = ", stopped early" if self.stopped else ""
        return "\n".join(
            [
                f"{self.source}: {self.frames} frames in {whole:.1f} s ({rate:.1f} frames a "
                f"second){state}",
                f"  tracks: {self.tracks.total()}" + (f" ({found})" if found else ""),
                f"  files: {self.folder}",
                *(f"  note: {note}" for note in self.notes),
            ]
        )


def track_videos(
    predictor: Predictor,
    sources: Sequence[str],
    out: Path,
    settings: TrackSettings | None = None,
    *,
    about: dict[str, Any] | None = None,
) -> Iterator[Tracked]:
    """Tracks the objects of videos, one after the other; yields what was found in each.

    Below `out` each video gets a folder of its name with overlay.mp4, predictions.jsonl (contract
    2), frames.json (the frames as contract 3 lists them), tracks.csv and run.yaml, whole or not at
    all. After Ctrl-C or SIGTERM the folder holds what was done until then.

    Args:
        sources: see `vatrack.video.sources.find_sources`.
        about: more values for run.yaml.

    Raises:
        InputError: a source cannot be read, a setting is wrong, or there are results already.
    """
    settings = settings or TrackSettings()
    check_score(settings.score)
    wanted = None if settings.classes is None else predictor.class_ids(settings.classes)
    found = find_sources(sources)
    _check_folders(found, out, settings)
    if settings.show and not _has_display():
        raise InputError("there is no display here to show frames on; leave --show out")
    for source in found:
        yield _Job(predictor, source, out / source.name, settings, wanted, about or {}).run()


def _check_folders(sources: Iterable[Source], out: Path, settings: TrackSettings) -> None:
    for source in sources:
        folder = check_target(out / source.name, folder=True)
        if not folder.exists():
            continue
        files = {file.name for file in folder.iterdir()}
        if files and not settings.overwrite:
            raise InputError(
                f"{folder}: has results already; --overwrite replaces them, another --out keeps "
                f"them"
            )
        if strange := files - {OVERLAY, PREDICTIONS, TRACKS, FRAMES, RUN, MASKS, CROPS}:
            raise InputError(
                f"{folder}: holds {min(strange)}, which is no result of `vatrack track`; choose "
                f"another --out"
            )
        for file in (Path(source.address), *source.files):
            if folder.resolve() in file.resolve().parents:
                raise InputError(f"{file}: lies in {folder}, which would be replaced; move it")


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
        self.frames = 0

    def run(self) -> Tracked:
        """Does all; a stop from outside goes on after the files are whole."""
        stop: BaseException | None = None
        begin = time.perf_counter()
        rate = self.settings.rate
        exact = None if rate is None else Fraction(rate).limit_denominator(10_000)
        with Reader(self.source, self.settings.selection, exact) as reader:
            for note in reader.properties.notes:
                logger.warning("%s", note)
            with atomic_directory(self.folder) as temporary:
                outputs = _Outputs(temporary, self, reader.properties)
                try:
                    with outputs:
                        self._follow(reader, outputs)
                except (KeyboardInterrupt, SystemExit) as error:
                    if not self.frames:
                        raise
                    stop = error
                self.seconds["all"] = time.perf_counter() - begin
                tracked = self._tracked(reader.properties, outputs, stop is not None)
                self._describe(temporary / RUN, reader.properties, tracked)
        if stop is not None:
            logger.warning("%s\nstopped; what was done until then is whole", tracked)
            raise stop
        return tracked

    def _follow(self, reader: Reader, outputs: _Outputs) -> None:
        total = reader.expected()
        with (
            read_ahead(self._timed("decode", reader), DEPTH) as frames,
            WriteBehind(outputs.write, DEPTH) as writer,
            counted_progress(self.source.name, total) as advance,
        ):
            results = self.predictor.follow(frames, cuts=self.settings.cuts)
            for frame, result in self._timed("network", results):
                writer.put((frame, result.select(self.settings.score, self.wanted)))
                self.frames += 1
                advance()
                if self.settings.show and not _show(self.source.name, frame, result):
                    break

    def _timed(self, step: str, items: Iterable[Any]) -> Iterator[Any]:
        """The items, their own time counted; that of a step which waits for another includes it."""
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

    def _tracked(self, found: Properties, outputs: _Outputs, stopped: bool) -> Tracked:
        return Tracked(
            self.source.address,
            self.folder,
            self.frames,
            outputs.table.counts,
            dict(self.seconds),
            tuple(found.notes),
            found.truncated,
            stopped,
        )

    def _describe(self, path: Path, found: Properties, tracked: Tracked) -> None:
        settings = asdict(self.settings)
        settings["draw"]["parts"] = list(self.settings.draw.parts)
        if settings["classes"] is not None:
            settings["classes"] = list(settings["classes"])
        run = self.predictor.run.model_dump(
            mode="json", include={"method", "backbone", "model", "inference", "input", "compute"}
        )
        source = asdict(found) | {"rate": float(found.rate)}
        if self.source.files:
            source["files"] = [str(file) for file in self.source.files[:10_000]]
        write_yaml(
            path,
            {
                **self.about,
                "source": source,
                "settings": settings,
                "frames": tracked.frames,
                "tracks": dict(tracked.tracks),
                "complete": not (tracked.stopped or tracked.truncated),
                "seconds": {key: round(value, 3) for key, value in self.seconds.items()},
                "network": run,
                "environment": describe_environment(self.predictor.device),
            },
        )


class _Outputs:
    """The files of one video; used by one thread at a time."""

    def __init__(self, folder: Path, job: _Job, found: Properties) -> None:
        self.folder, self.job, self.found = folder, job, found
        self._stack = ExitStack()

    def __enter__(self) -> _Outputs:
        job, settings = self.job, self.job.settings
        enter = self._stack.enter_context
        try:
            self.predictions = enter(create_text(self.folder / PREDICTIONS))
            memory = job.predictor.run.inference.tracker.memo_frames
            self.table = TrackTable(enter(create_text(self.folder / TRACKS)), memory)
            self.frames = enter(
                _frame_list(self.folder / FRAMES, job.source.name, self.found, job.predictor)
            )
            self.video = None
            if settings.overlay:
                sound = settings.sound and job.source.form == "file"
                size = (self.found.height, self.found.width)
                rate = self.found.rate / settings.selection.step
                self.video = enter(
                    VideoWriter(
                        self.folder / OVERLAY,
                        size,
                        rate,
                        encoder=settings.encoder,
                        sound=Path(job.source.address) if sound else None,
                        start_s=settings.selection.start_s,
                    )
                )
        except BaseException:
            self._stack.close()
            raise
        self.trails = Trails()
        return self

    def __exit__(self, *error: Any) -> None:
        self.table.close()
        self._stack.__exit__(*error)

    def write(self, item: tuple[VideoFrame, FrameResult]) -> None:
        """Writes what is known of the next frame."""
        frame, result = item
        begin = time.perf_counter()
        for prediction in result.to_predictions():
            self.predictions.write(json.dumps(prediction, allow_nan=False) + "\n")
        self.table.add(result)
        self.frames.add(frame)
        if self.job.settings.masks:
            self._save_masks(result)
        if self.job.settings.crops:
            self._save_crops(frame, result)
        drawing = self._count("write", begin)
        if self.video is None:
            return
        self.trails.update(result)
        image = draw_frame(frame.image, result, self.job.settings.draw, self.trails)
        encoding = self._count("draw", drawing)
        self.video.write(image, frame.time_s)
        self._count("encode", encoding)

    def _count(self, step: str, begin: float) -> float:
        now = time.perf_counter()
        self.job.seconds[step] += now - begin
        return now

    def _save_masks(self, result: FrameResult) -> None:
        for key in result.rles:
            for track, mask in zip(result.track_ids.tolist(), result.masks(key), strict=True):
                path = self.folder / MASKS / f"{result.index:06d}_{track:05d}_{key}.png"
                path.parent.mkdir(exist_ok=True)
                write_image(path, mask.astype(np.uint8) * 255)

    def _save_crops(self, frame: VideoFrame, result: FrameResult) -> None:
        height, width = frame.image.shape[:2]
        for track, box in zip(result.track_ids.tolist(), result.boxes.tolist(), strict=True):
            left, top = (max(0, int(np.floor(value))) for value in box[:2])
            right, bottom = min(width, int(np.ceil(box[2]))), min(height, int(np.ceil(box[3])))
            crop = frame.image[top:bottom, left:right]
            if crop.size:
                path = self.folder / CROPS / f"{track:05d}" / f"{result.index:06d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_image(path, crop)


class _FrameList:
    """The frames as contract 3 lists them, written one by one."""

    def __init__(self, stream: IO[str], found: Properties) -> None:
        self._stream, self._found = stream, found
        self.count = 0
        stream.write('{"images": [')

    def add(self, frame: VideoFrame) -> None:
        """Adds a frame."""
        height, width = frame.image.shape[:2]
        item = {
            "id": frame.index,
            "video_id": 1,
            "frame_id": frame.index,
            "file_name": f"{frame.index:06d}",
            "width": width,
            "height": height,
            "time_s": round(frame.time_s, 6),
        }
        self._stream.write((",\n" if self.count else "\n") + json.dumps(item))
        self.count += 1


@contextmanager
def _frame_list(
    path: Path, name: str, found: Properties, predictor: Predictor
) -> Iterator[_FrameList]:
    with create_text(path) as stream:
        frames = _FrameList(stream, found)
        try:
            yield frames
        finally:
            video = {
                "id": 1,
                "name": name,
                "width": found.width,
                "height": found.height,
                "num_frames": frames.count,
            }
            categories = [
                {"id": number, "name": text} for number, text in predictor.classes.items()
            ]
            rest = {"videos": [video], "categories": categories, "annotations": []}
            stream.write("\n],\n" + json.dumps(rest)[1:] + "\n")


def _has_display() -> bool:
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")) or os.name == "nt"


def _show(name: str, frame: VideoFrame, result: FrameResult) -> bool:
    """Shows a frame; False where the user closes the window or presses q."""
    cv2.imshow(name, draw_frame(frame.image, result))
    return cv2.waitKey(1) & 0xFF not in (ord("q"), 27)
