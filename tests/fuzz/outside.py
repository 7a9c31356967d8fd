"""Sound input from outside: own annotations, datasets of other people, videos."""

from __future__ import annotations

import json
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tests.own_data.foreign import HEIGHT, WIDTH, write_kins, write_synth_drive
from tests.own_data.own import rectangle, write_own


def write_outside(root: Path) -> None:
    """Writes `own`, `foreign` and `video` below a folder."""
    from vatrack.common.mask_forms import compress
    from vatrack.video.writer import VideoWriter

    write_own(root / "own", frames=2)
    own = {"format": "joint", "images": "X", "train_json": "X", "valid_json": "X"}
    config = {"dataset": {**own, "classes": "data"}, "methods": ["vatrack"]}
    (root / "own" / "own.yaml").write_text(json.dumps(config))

    foreign = root / "foreign"
    foreign.mkdir()
    document = write_kins(foreign, 2)
    (foreign / "update_train_2020.json").rename(foreign / "kins.json")
    for number in (1, 2):
        folder = foreign / "frames" / "0001"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(foreign / "image_2" / f"{number - 1:06d}.png", folder / f"{number:06d}.png")
    names = [f"0001/{number:06d}.png" for number in (1, 2)]
    categories = document["categories"]
    mask = {"size": [HEIGHT, WIDTH], "counts": [0, HEIGHT * 8, HEIGHT * (WIDTH - 8)]}
    videos = [{"id": 3, "width": WIDTH, "height": HEIGHT, "length": 2, "file_names": names}]
    track: dict[str, Any] = {"id": 31, "video_id": 3, "category_id": 4, "iscrowd": 0}
    track |= {"segmentations": [mask, rectangle(9, 9, 20, 20)], "occlusion": [None, "slight"]}
    ytvis = {"videos": videos, "categories": categories, "annotations": [track]}
    region: dict[str, Any] = {"name": "cup", "order": 1, "isStuff": 0}
    region |= {"segmentation": rectangle(8, 8, 30, 30)[0]}
    other = {**region, "isStuff": 1, "visible_mask": mask, "invisible_mask": None}
    images = document["images"]
    cocoa = [{"id": 1, "image_id": 0, "author": "a", "regions": [region, other]}]
    frames = [
        {**image, "file_name": name, "video_id": 2, "frame_index": place}
        for place, (image, name) in enumerate(zip(images, names, strict=True))
    ]
    box = {"id": 5, "image_id": 0, "category_id": 4, "track_id": 9, "visibility": 0.5}
    tao: dict[str, Any] = {
        "videos": [{"id": 2, "name": "v"}],
        "images": frames,
        "categories": categories,
    }
    tao |= {"annotations": [{**box, "bbox": [3, 3, 9, 9], "amodal_bbox": [-5, 2, 40, 12.5]}]}
    files = {"ytvis": ytvis, "cocoa": {"images": images, "annotations": cocoa}, "tao": tao}
    for name, content in files.items():
        (foreign / f"{name}.json").write_text(json.dumps(content))
    write_synth_drive(foreign / "drive", 2)
    (foreign / "mots").mkdir()
    code = compress(mask, (HEIGHT, WIDTH)).decode()
    lines = [f"{frame} 1004 1 {HEIGHT} {WIDTH} {code}\n" for frame in (1, 2)]
    (foreign / "mots" / "0001.txt").write_text("".join(lines))

    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    ids[9:29, 9:29] = 1
    (foreign / "movi" / "v").mkdir(parents=True)
    for name in ("segmentation_full_1", "segmentation_0_1", "rgba_full_1"):
        assert cv2.imwrite(str(foreign / "movi" / "v" / f"{name}.png"), ids)
    metadata = {"instances": [{"category": "cup"}]}
    (foreign / "movi" / "v" / "metadata.json").write_text(json.dumps(metadata))

    video = root / "video"
    video.mkdir()
    with VideoWriter(video / "clip.mp4", (48, 64), Fraction(10)) as writer:
        for number in range(6):
            writer.write(np.full((48, 64, 3), 40 * number, np.uint8), number / 10)
    for number in range(3):
        shutil.copy(foreign / "image_2" / "000000.png", video / f"{number}.png")
    (video / "frames.txt").write_text("# in this order\n2.png\n0.png\n1.png\n")


def read_sources(folder: Path, out: Path) -> None:
    """Reads all frames of a list and of a video, as `vatrack track` would."""
    from vatrack.common.files import write_json
    from vatrack.video.reader import Reader
    from vatrack.video.sources import find_sources

    found = []
    for source in find_sources([str(folder / "frames.txt"), str(folder / "clip.mp4")]):
        with Reader(source) as reader:
            frames = [(frame.time_s, frame.image.shape) for frame in reader]
            found.append([source.name, frames, reader.properties.truncated])
    write_json(out / "sources.json", found)
