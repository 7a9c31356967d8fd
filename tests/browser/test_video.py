"""Overlays play in a browser."""

from __future__ import annotations

import base64
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.browser.browser import address, page
from tests.video.videos import picture, write_video
from vatrack.video.writer import Encoder, VideoWriter

PLAY = """
async () => {
  const video = document.querySelector("video");
  if (video.readyState < 1)
    await new Promise((good, bad) => { video.onloadedmetadata = good; video.onerror = bad; });
  video.currentTime = 0.5;
  await new Promise(good => { video.onseeked = good; });
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth; canvas.height = video.videoHeight;
  const context = canvas.getContext("2d");
  context.drawImage(video, 0, 0);
  const pixel = context.getImageData(6, 6, 1, 1).data;
  return [video.duration, video.videoWidth, video.videoHeight, ...pixel.slice(0, 3)];
}
"""


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["openh264", "x264", "vp9"])
def test_it_has_a_duration_and_draws_a_frame(tmp_path: Path, encoder: Encoder) -> None:
    source = write_video(tmp_path / "source.mp4", 25, sound=True)
    with VideoWriter(
        tmp_path / "v.mp4", (49, 63), Fraction(25), encoder=encoder, sound=source
    ) as writer:
        for number in range(25):
            writer.write(np.ascontiguousarray(picture(number, (49, 63))), number / 25)
    # Inside the page: pixels of another file may not be read.
    data = base64.b64encode((tmp_path / "v.mp4").read_bytes()).decode("ascii")
    text = f'<video src="data:video/mp4;base64,{data}" muted></video>'
    (tmp_path / "page.html").write_text(text)
    with page() as opened:
        opened.goto(address(tmp_path / "page.html"))
        found: list[Any] = opened.evaluate(PLAY)
    duration, width, height, *colour = found
    assert duration == pytest.approx(1.0, abs=0.15)
    assert (width, height) == (64, 50)
    red, green, blue = colour
    assert red > 200
    assert max(green, blue) < 60
