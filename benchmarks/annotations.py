"""How conversion and opening the training set grow with the number of annotations.

    python benchmarks/annotations.py 1000 4000 16000 64000 [--processes 2] [--folder DIR] [--keep]

For each size an official annotation file of that many annotations is made (videos of 500 frames
with 17 objects in each, as SAIL-VOS has on average, 1280 x 800, run-length codes as long as the
real ones: about 3.7 kB an annotation). A fresh process each then reads it with `json.load`
(baseline: what any simple script starts with), converts it, and opens the training set. Printed are
seconds, microseconds per annotation, and the peak memory of the process with all its children (MB).
Where work is linear the time per annotation stays the same; where it streams the memory does. A
worker of the data loader: private memory that it adds after it has read 200 samples.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from processes import run as processes_run

FRAMES, OBJECTS = 500, 17
HEIGHT, WIDTH = 800, 1280
# Beyond this size json.load would need more memory than many machines have.
LARGEST_BASELINE = 300_000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "sizes",
        nargs="*",
        type=int,
        default=[1000, 4000, 16000, 64000],
        help="numbers of annotations",
    )
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument(
        "--folder",
        type=Path,
        help="where the files are made (20 kB for each annotation); default: a temporary folder",
    )
    parser.add_argument("--keep", action="store_true", help="leave the files there")
    parser.add_argument("--job", choices=JOBS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        JOBS[options.job](options.folder, options.processes)
        return
    root = Path(tempfile.mkdtemp(dir=options.folder))
    print(
        f"{'annotations':>11} {'JSON':>9} | {'json.load':>22} | {'convert':>29} | {'open':>9} | "
        f"{'build':>9} | worker"
    )
    try:
        for size in options.sizes:
            folder = root / str(size)
            measure(folder, size, options.processes)
            if not options.keep:
                shutil.rmtree(folder)
    finally:
        if not options.keep:
            shutil.rmtree(root)


def measure(folder: Path, size: int, processes: int) -> None:
    write_official(folder, size)
    bytes_in = (folder / "train.json").stat().st_size
    shown = [f"{size:>11,} {bytes_in / 1e6:>6.0f} MB"]
    if size <= LARGEST_BASELINE:
        seconds, memory, _ = run("load", folder, processes)
        shown.append(f"{seconds:>6.1f} s {per(seconds, size)} {memory:>4.0f} MB")
    else:
        shown.append(f"{'(too large)':>22}")
    seconds, memory, _ = run("convert", folder, processes)
    shown.append(f"{seconds:>7.1f} s {per(seconds, size)} {memory:>7.0f} MB")
    _, _, reported = run("open", folder, processes)
    shown.append(f"{reported['seconds'] * 1000:>6.0f} ms")
    _, _, built = run("build", folder, processes)
    shown.append(f"{built['seconds']:>7.1f} s")
    shown.append(f"{reported['worker_mb']:.0f} MB")
    print(" | ".join(shown), flush=True)


def per(seconds: float, size: int) -> str:
    return f"{seconds / size * 1e6:>5.0f} us"


def run(job: str, folder: Path, processes: int) -> tuple[float, float, Any]:
    return processes_run(__file__, ["--job", job, "--folder", folder, "--processes", processes])


def load(folder: Path, _: int) -> None:
    with (folder / "train.json").open() as stream:
        json.load(stream)


def convert(folder: Path, processes: int) -> None:
    from vatrack.config.dataset import DatasetConfig
    from vatrack.sailvos.convert import convert_files

    convert_files(
        folder / "train.json", folder / "structure.json", DatasetConfig(), folder / "out", processes
    )


def open_set(folder: Path, _: int) -> None:
    from vatrack.data.dataset import EpochBatches, PairDataset

    start = time.perf_counter()
    dataset = PairDataset(
        folder / "out" / "joint.json",
        folder,
        mask_types=("amodal", "visible"),
        limits=(WIDTH, HEIGHT),
        flip=0.5,
        reach=3,
        seed=0,
    )
    batches = EpochBatches(dataset, 4, seed=0)
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "worker_mb": worker_memory(dataset, batches)}))


def worker_memory(dataset: Any, batches: Any) -> float:
    """Private memory in MB that a forked reader has after 200 frames, above what it started
    with."""
    read, write = os.pipe()
    if os.fork() == 0:
        before = private()
        order = [index for batch in batches for index in batch][:200]
        for index in order:
            dataset.file.objects(int(dataset.places[index])).masks("amodal", HEIGHT, WIDTH)
        os.write(write, str(private() - before).encode())
        os._exit(0)
    os.wait()
    return float(os.read(read, 100))


def private() -> float:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1000


def build(folder: Path, _: int) -> None:
    from vatrack.data.store import open_store, store_path

    source = folder / "out" / "joint.json"
    store_path(source).unlink()
    start = time.perf_counter()
    open_store(source)
    print(json.dumps({"seconds": time.perf_counter() - start}))


JOBS = {"load": load, "convert": convert, "open": open_set, "build": build}


def write_official(folder: Path, size: int) -> None:
    """An official file and its dictionary of clips (23 frames each, the real median)."""
    from vatrack.config.categories import CATEGORIES

    folder.mkdir(parents=True)
    codes = shapes()
    frames = -(-size // OBJECTS)
    videos = [f"video_{number:04d}" for number in range(-(-frames // FRAMES))]
    structure: dict[str, list[str]] = {}
    with (folder / "train.json").open("w") as stream:
        categories = [
            {"id": 11 + 7 * number, "name": name, "supercategory": name}
            for number, name in enumerate(CATEGORIES)
        ]
        entries = [
            {"id": n, "name": name, "num_frames": FRAMES, "num_objs": OBJECTS}
            for n, name in enumerate(videos)
        ]
        head = {"categories": categories, "models": [], "videos": entries}
        stream.write(json.dumps(head)[:-1] + ', "images": [')
        for number in range(frames):
            video, frame = videos[number // FRAMES], number % FRAMES
            name = f"{frame + 3:06d}.bmp"
            structure.setdefault(f"{video}__{frame // 23}", []).append(name)
            image = {
                "id": number,
                "video_id": number // FRAMES,
                "file_name": f"{video}/images/{name}",
                "frame_id": frame,
            }
            stream.write(
                (", " if number else "") + json.dumps({**image, "width": WIDTH, "height": HEIGHT})
            )
        stream.write('], "annotations": [')
        for number in range(size):
            item = {
                "id": number,
                "image_id": number // OBJECTS,
                "obj_id": number % OBJECTS,
                "model_id": 0,
            }
            item |= codes[number % len(codes)]
            stream.write((", " if number else "") + json.dumps(item))
        stream.write("]}")
    (folder / "structure.json").write_text(json.dumps(structure))


def shapes() -> list[dict[str, Any]]:
    """Made-up objects: an ellipse with a ragged edge, the right part of it hidden."""
    from pycocotools import mask as rle

    random = np.random.default_rng(0)
    found = []
    for number in range(40):
        x, y = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
        centre_x, centre_y = random.integers(200, 1000), random.integers(200, 600)
        width, height = random.integers(100, 190), random.integers(60, 190)
        ragged = random.normal(0, 0.01, (HEIGHT, 1)) + random.normal(0, 0.01, (1, WIDTH))
        amodal = ((x - centre_x) / width) ** 2 + ((y - centre_y) / height) ** 2 + ragged < 1
        visible = amodal & (x < centre_x + width * (0.9 - 1.4 * random.random()))
        codes = rle.encode(
            np.asfortranarray(np.stack([amodal, visible, amodal & ~visible], -1), np.uint8)
        )
        texts = [{"size": [HEIGHT, WIDTH], "counts": code["counts"].decode()} for code in codes]
        area, seen = int(amodal.sum()), int(visible.sum())
        item = {
            "category_id": 11 + 7 * (number % 24),
            "bbox": rle.toBbox(codes[0]).tolist(),
            "bbox_visible": rle.toBbox(codes[1]).tolist(),
        }
        item |= {
            "segmentation": texts[0],
            "visible_mask": texts[1],
            "invisible_mask": texts[2],
            "area": area,
            "area_visible": seen,
        }
        found.append(item | {"iscrowd": 0, "occlu_depth": 0, "occlude_rate": 1 - seen / area})
    return found


if __name__ == "__main__":
    main()
