"""The overlay plays in a browser: it tells its length, and draws a frame."""

from __future__ import annotations

import base64
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vatrack.video.writer import Encoder, VideoWriter

SIZE = (90, 121)  # odd, so that it is padded
SECONDS = 2.0
PAGE = """<video id=v muted preload=auto src="{source}"></video>"""
PIXEL = """async () => {
  const video = document.getElementById("v");
  if (video.error) throw new Error(video.error.message);
  if (video.readyState < 2) await new Promise((done, fail) => {
    video.onloadeddata = done;
    video.onerror = () => fail(new Error(video.error.message));
  });
  await new Promise(done => { video.onseeked = done; video.currentTime = 1.5; });
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  const drawn = canvas.getContext("2d");
  drawn.drawImage(video, 0, 0);
  const pixel = (x, y) => Array.from(drawn.getImageData(x, y, 1, 1).data.slice(0, 3));
  await video.play();
  return {
    seconds: video.duration, width: canvas.width, height: canvas.height,
    left: pixel(20, 45), right: pixel(100, 45), paused: video.paused,
  };
}"""


@pytest.mark.parametrize("encoder", ["openh264", "x264", "vp9"])
def test_the_overlay_plays(browser: Any, tmp_path: Path, encoder: Encoder) -> None:
    image = np.zeros((*SIZE, 3), np.uint8)
    with VideoWriter(tmp_path / "overlay.mp4", SIZE, Fraction(25), encoder=encoder) as writer:
        for number in range(round(25 * SECONDS)):
            late = number >= 25  # from second 1 on: red left, blue right
            image[:, :60] = (0, 0, 255) if late else (0, 255, 0)
            image[:, 60:] = (255, 0, 0) if late else (0, 255, 0)
            writer.write(image, number / 25)
    assert writer.encoder == encoder
    # Pixels that come from another file than the page's cannot be read back: the video is in it.
    coded = base64.b64encode((tmp_path / "overlay.mp4").read_bytes()).decode("ascii")
    page = browser.new_page()
    try:
        page.set_content(PAGE.format(source=f"data:video/mp4;base64,{coded}"))
        found = page.evaluate(PIXEL)
    finally:
        page.close()
    assert found["seconds"] == pytest.approx(SECONDS, abs=0.1)
    assert (found["width"], found["height"]) == (122, 90)
    assert not found["paused"], "it plays"
    assert np.abs(np.array(found["left"]) - (255, 0, 0)).max() < 30
    assert np.abs(np.array(found["right"]) - (0, 0, 255)).max() < 30
