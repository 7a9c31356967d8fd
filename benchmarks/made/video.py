"""A raw video of any number of frames: a textured scene that moves, with noise."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

DIFFERENT = 100  # further frames are links to these


def write_video(folder: Path, frames: int, suffix: str, size: tuple[int, int]) -> None:
    """A raw tree `raw/` with one video ("video"), and its index, `index.json`.

    Args:
        suffix: bmp or png; `size`: width and height.
    """
    width, height = size
    images = folder / "raw" / "video" / "images"
    images.mkdir(parents=True)
    random = np.random.default_rng(0)
    scene: np.ndarray = np.zeros((height + DIFFERENT, width + 2 * DIFFERENT, 3), np.uint8)
    for blur in (2, 8, 32):  # detail of all sizes
        noise = cv2.GaussianBlur(random.integers(0, 256, scene.shape, dtype=np.uint8), (0, 0), blur)
        noise = cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX)  # type: ignore[call-overload]
        scene = cv2.addWeighted(scene, 0.7, noise, 0.5, 0)
    for number in range(frames):
        path = images / f"{number:06d}.{suffix}"
        if number >= DIFFERENT:
            path.hardlink_to(images / f"{number % DIFFERENT:06d}.{suffix}")
            continue
        shown: np.ndarray = scene[number : number + height, 2 * number : 2 * number + width]
        shown = cv2.add(shown, random.integers(0, 6, shown.shape, dtype=np.uint8))
        assert cv2.imwrite(str(path), shown)
    listed = [
        {
            "file": f"{number:06d}.{suffix}",
            "frame_id": number,
            "image_id": number,
            "width": width,
            "height": height,
        }
        for number in range(frames)
    ]
    (folder / "index.json").write_text(json.dumps({"train": [{"name": "video", "frames": listed}]}))
