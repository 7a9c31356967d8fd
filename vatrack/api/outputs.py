"""The files of one tracked video; `Outputs.write` takes frame after frame."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from pycocotools import mask as coco_mask

from vatrack.api.folders import CROPS, FRAMES, MASKS, OVERLAY, PREDICTIONS, TRACKS
from vatrack.api.predictor import Followed, Predictor
from vatrack.api.results import FrameResult
from vatrack.api.settings import TrackSettings
from vatrack.api.tracks import TrackTable
from vatrack.common.files import create_text
from vatrack.common.images import write_image
from vatrack.inference.shards import write_settings
from vatrack.reporting.video import Trails, draw_frame
from vatrack.video.frames import Properties, VideoFrame
from vatrack.video.sources import Source
from vatrack.video.writer import VideoWriter


class Outputs:
    """The files of one video; used by one thread at a time.

    As a context manager it closes them, also after an error; the folder is somebody else's to keep
    or remove.

    Attributes:
        frames: written so far; `last_s`: time of the last one.
        seconds: spent by step: "write", "draw", "encode".
        table: the tracks, whose `counts` are complete after closing.
    """

    def __init__(
        self,
        folder: Path,
        source: Source,
        found: Properties,
        predictor: Predictor,
        settings: TrackSettings,
    ) -> None:
        self.folder, self.source, self.found = folder, source, found
        self.predictor, self.settings = predictor, settings
        self.frames, self.last_s = 0, 0.0
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._stack = ExitStack()

    def __enter__(self) -> Outputs:
        with ExitStack() as stack:
            self.predictions = stack.enter_context(create_text(self.folder / PREDICTIONS))
            tracks = stack.enter_context(create_text(self.folder / TRACKS))
            self.table = TrackTable(tracks, self.predictor.run.inference.tracker.memo_frames)
            classes = self.predictor.classes
            categories = [{"id": number, "name": name} for number, name in classes.items()]
            # Not in frames.json alone, which is for annotating: that may number classes anew.
            write_settings(self.folder / PREDICTIONS, {"categories": categories})
            listed = _frame_list(self.folder / FRAMES, self.source.name, self.found, categories)
            self.frame_list = stack.enter_context(listed)
            self.video = stack.enter_context(self._video()) if self.settings.overlay else None
            stack.callback(self.table.close)
            self._stack = stack.pop_all()
        self.trails = Trails()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def _video(self) -> VideoWriter:
        selection = self.settings.selection
        sound = self.settings.sound and self.source.form == "file"
        writer = VideoWriter(
            self.folder / OVERLAY,
            (self.found.height, self.found.width),
            self.found.rate / selection.step,
            encoder=self.settings.encoder,
            sound=Path(self.source.address) if sound else None,
            start_s=selection.start_s,
            parts=self.found.parts,
            pixel_aspect=self.found.pixel_aspect,
            shown=self.source.shown,
        )
        writer.sound_stop_s = selection.stop_s
        return writer

    def stop_here(self) -> None:
        """No more frames come, though the source has some."""
        if self.video is not None:
            self.video.sound_stop_s = self.last_s

    def write(self, item: Followed) -> None:
        """Writes what is known of the next frame."""
        frame, result = item.frame, item.result
        begin = time.perf_counter()
        for prediction in result.to_predictions():
            self.predictions.write(json.dumps(prediction, allow_nan=False) + "\n")
        self.table.add(result, item.seen)
        self.frame_list.add(frame)
        if self.settings.masks:
            self._save_masks(result)
        if self.settings.crops:
            self._save_crops(frame, result)
        drawing = self._count("write", begin)
        if self.video is not None:
            self.trails.update(result)
            image = draw_frame(frame.image, result, self.settings.draw, self.trails)
            encoding = self._count("draw", drawing)
            self.video.write(image, frame.time_s)
            self._count("encode", encoding)
        self.frames, self.last_s = self.frames + 1, frame.time_s

    def _count(self, step: str, begin: float) -> float:
        now = time.perf_counter()
        self.seconds[step] += now - begin
        return now

    def _save_masks(self, result: FrameResult) -> None:
        for key in result.rles:
            for track, code in zip(result.track_ids.tolist(), result.rles[key], strict=True):
                path = self.folder / MASKS / f"{result.index:06d}_{track:05d}_{key}.png"
                path.parent.mkdir(exist_ok=True)
                write_image(path, coco_mask.decode(code) * np.uint8(255))

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

    def __init__(self, stream: IO[str]) -> None:
        self._stream, self.count = stream, 0
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
    path: Path, name: str, found: Properties, categories: list[dict[str, Any]]
) -> Iterator[_FrameList]:
    with create_text(path) as stream:
        frames = _FrameList(stream)
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
            rest = {"videos": [video], "categories": categories, "annotations": []}
            stream.write("\n],\n" + json.dumps(rest)[1:] + "\n")
