"""What measuring content changes costs beside merely decoding the frames, and how it grows with
their number.

    python benchmarks/cuts.py [100 400 1600] [--rounds 3] [--threads 2] [--folder DIR]

Frames of 1280 x 800 are made in a temporary folder (a textured scene that moves, with noise; 100
different ones, 0.3 GB, further ones are links to them) and read once, so that the disk does not
count. For each number of frames a fresh process prints milliseconds per frame, the best of some
rounds, for

    decode   OpenCV decodes every frame (`vatrack.sailvos.layout.read_image`), nothing else: the
    measure that the ratios refer to
    read     the reader of the scores: plain BMP files need no decoding, only a copy; all others go
        to OpenCV
    score    `vatrack cuts score` from files to JSON, with one thread and with several

and the peak memory of another fresh process that only scores. Linear work has the same milliseconds
in every row; streaming has the same memory. PNG, slow to decode, is measured with the smallest
number. Run it on an idle machine: the load is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from vatrack.common.images import read_image
from vatrack.sailvos.content import read_images
from vatrack.sailvos.cuts import score_video_file

WIDTH, HEIGHT, DIFFERENT = 1280, 800, 100


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "sizes", nargs="*", type=int, default=[100, 400, 1600], help="numbers of frames"
    )
    parser.add_argument("--rounds", type=int, default=3, help="the best of so many rounds counts")
    parser.add_argument("--threads", type=int, default=2, help="threads of the second score")
    parser.add_argument(
        "--folder", type=Path, help="where the frames are made; default: a temporary folder"
    )
    parser.add_argument("--job", choices=("times", "memory"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job == "times":
        print(json.dumps(times(options.folder, options.rounds, options.threads)))
        return
    if options.job == "memory":
        print(json.dumps(peak_memory(options.folder, options.threads)))
        return
    print(
        f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; milliseconds per frame, ratios "
        f"to decode"
    )
    several = f"score, {options.threads} threads"
    print(
        f"{'frames':>7} {'kind':>4} | {'decode':>7} {'read':>7} {'score, 1 thread':>17} "
        f"{several:>17} | peak memory"
    )
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        for size in sorted(options.sizes):
            for kind in ("bmp", "png") if size == min(options.sizes) else ("bmp",):
                folder = Path(name) / f"{size}{kind}"
                make_video(folder, size, kind, Path(name) / kind)
                decode, read, one, more = job("times", folder, options)
                memory = job("memory", folder, options)
                ratios = " ".join(
                    f"{value:>8.2f} ({value / decode:>5.2f})" for value in (one, more)
                )
                print(
                    f"{size:>7} {kind:>4} | {decode:>7.2f} {read:>7.2f} {ratios} | {memory:>7.0f} "
                    f"MB",
                    flush=True,
                )
    print(f"load {os.getloadavg()[0]:.1f}")


def make_video(folder: Path, frames: int, kind: str, originals: Path) -> None:
    """A raw tree with one video, and its index."""
    images = folder / "raw" / "video" / "images"
    images.mkdir(parents=True)
    originals.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    scene = np.zeros((HEIGHT + DIFFERENT, WIDTH + 2 * DIFFERENT, 3), np.uint8)
    for blur in (2, 8, 32):  # detail of all sizes
        noise = cv2.GaussianBlur(rng.integers(0, 256, scene.shape, dtype=np.uint8), (0, 0), blur)
        scene = cv2.addWeighted(
            scene, 0.7, cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX), 0.5, 0
        )
    for number in range(min(frames, DIFFERENT)):
        original = originals / f"{number:06d}.{kind}"
        if not original.exists():
            picture = scene[number : number + HEIGHT, 2 * number : 2 * number + WIDTH]
            picture = cv2.add(picture, rng.integers(0, 6, picture.shape, dtype=np.uint8))
            assert cv2.imwrite(str(original), picture)
    for number in range(frames):
        (images / f"{number:06d}.{kind}").hardlink_to(
            originals / f"{number % DIFFERENT:06d}.{kind}"
        )
    size = {"width": WIDTH, "height": HEIGHT}
    listed = [
        {"file": f"{number:06d}.{kind}", "frame_id": number, "image_id": number, **size}
        for number in range(frames)
    ]
    (folder / "index.json").write_text(json.dumps({"train": [{"name": "video", "frames": listed}]}))


def job(name: str, folder: Path, options: argparse.Namespace) -> list[float] | float:
    """Runs this file in a process of its own."""
    command = [sys.executable, __file__, "--job", name, "--folder", str(folder)]
    command += ["--rounds", str(options.rounds), "--threads", str(options.threads)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def score(folder: Path, threads: int) -> None:
    score_video_file(
        folder / "raw", folder / "index.json", "video", folder / "scores.json", threads
    )


def times(folder: Path, rounds: int, threads: int) -> list[float]:
    """Milliseconds per frame for decode, read, score with one thread, and score with several."""
    cv2.setNumThreads(1)
    paths = sorted((folder / "raw" / "video" / "images").iterdir())
    work: list[Callable[[], object]] = [
        lambda: exhaust(map(read_image, paths)),
        lambda: exhaust(read_images(paths)),
        lambda: score(folder, 1),
        lambda: score(folder, threads),
    ]
    work[0]()  # fills the page cache
    best = [float("inf")] * len(work)
    for _ in range(rounds):
        # In turns, so that a slow spell of the machine does not hit one of them alone.
        for number, step in enumerate(work):
            start = time.perf_counter()
            step()
            best[number] = min(best[number], 1000 * (time.perf_counter() - start) / len(paths))
    return best


def exhaust(pictures: object) -> None:
    for _ in pictures:  # type: ignore[attr-defined]
        pass


def peak_memory(folder: Path, threads: int) -> float:
    """Megabytes at most in this process, the interpreter and its libraries included."""
    score(folder, threads)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


if __name__ == "__main__":
    main()
