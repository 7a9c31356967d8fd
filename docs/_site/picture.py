"""Makes docs/images/tracked.webp from a video of `vatrack overlay`; `make picture` calls it."""

from __future__ import annotations

import sys
from pathlib import Path

import av
from PIL import Image

WIDTH = 1280  # pixels
RATE = 5  # frames a second
QUALITY = 82  # of WebP, 0 to 100
LIMIT = 2_000_000  # bytes


def main(video: Path, first: int, last: int, out: Path) -> None:
    """Writes the frames from `first` to `last` (inclusive, from 0) as an animated image."""
    with av.open(str(video)) as container:
        frames = [
            Image.fromarray(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)
        ]
    chosen = [
        frame.resize((WIDTH, round(frame.height * WIDTH / frame.width)), Image.Resampling.LANCZOS)
        for frame in frames[first : last + 1]
    ]
    chosen[0].save(
        out,
        save_all=True,
        append_images=chosen[1:],
        duration=1000 // RATE,
        loop=0,
        quality=QUALITY,
        method=6,
    )
    size = out.stat().st_size
    if size > LIMIT:
        sys.exit(f"{out}: {size:,} bytes; more than {LIMIT:,}, so take fewer frames")
    print(f"{out}: {len(chosen)} of {len(frames)} frames, {size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
