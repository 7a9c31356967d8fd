"""`vatrack init-config`: a first config for own annotations, from what is in them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import yaml

from vatrack.common.errors import InputError
from vatrack.common.files import check_target, write_text
from vatrack.config.methods import Method
from vatrack.data.joint import read_joint

PAPER_BATCH, PAPER_RATE = 8, 0.005  # of ResNet-50, one card with 40 GB
PAPER_PIXELS, PAPER_MEMORY = 1280 * 800, 40.0
ITERATIONS = 90_000
BEST_FIRST = (Method.VATRACK, Method.AMODALTRACK, Method.QDTRACK)


@dataclass(frozen=True)
class FirstConfig:
    """What `init_config` has written, and what it found."""

    out: Path
    found: tuple[str, ...]
    first: tuple[str, ...] = ()

    def __str__(self) -> str:
        steps = (
            *self.first,
            f"vatrack validate --config {self.out}",
            f"snakemake --cores 2 --configfile {self.out} -n    # what would run",
            f"snakemake --cores 2 --configfile {self.out}",
        )
        return "\n".join([f"wrote {self.out}", *self.found, "next:", *(f"  {s}" for s in steps)])


def batch_size(memory: float, pixels: int) -> int:
    """Pairs of frames that fit: the paper's 8, by memory in GB and pixels of the input; 1 to 16."""
    fitting = PAPER_BATCH * memory / PAPER_MEMORY * PAPER_PIXELS / pixels
    return max(1, min(16, int(fitting)))


def init_config(train: Path, valid: Path, images: Path, out: Path, memory: float) -> FirstConfig:
    """Writes a commented config.

    Args:
        memory: of the GPU, GB; 0: there is none.

    Raises:
        InputError: see `read_joint`; or there is no image.
    """
    out = check_target(out)
    data, other = read_joint(train), read_joint(valid)
    if not data.images:
        raise InputError(f"{train}: lists no image; name the training file")
    sizes = Counter((image["width"], image["height"]) for image in data.images)
    width, height = max(w for w, _ in sizes), max(h for _, h in sizes)
    shrink = min(1.0, 1280 / max(width, height), 800 / min(width, height))
    scale = [max(1, round(max(width, height) * shrink)), max(1, round(min(width, height) * shrink))]
    batch = batch_size(memory, scale[0] * scale[1]) if memory else 2
    rate = PAPER_RATE * batch / PAPER_BATCH
    epochs = max(1, min(100, round(ITERATIONS * batch / len(data.images) / PAPER_BATCH)))
    epochs = min(epochs, 12) if len(data.images) > 1000 else epochs
    method = next(each for each in BEST_FIRST if each in data.methods and each in other.methods)
    steps = sorted({int(epochs * 2 / 3), int(epochs * 11 / 12)} - {0, epochs})
    allowed = ", ".join(each.value for each in data.methods)
    classes = yaml.safe_dump(
        list(data.counts), allow_unicode=True, default_flow_style=True, width=1e9
    )
    small = "  norm: group  # learns without pretrained weights\n  frozen_stages: 0\n"
    start = "\n  weights: {resnet50: data/weights/resnet50-0676ba61.pth}  # trained on ImageNet"
    counts = ", ".join(f"{name!r} {count}" for name, count in list(data.counts.items())[:30])
    found = (
        f"{len(data.counts)} classes; annotations: {counts}",
        f"train: {len(data.videos)} videos, {len(data.images)} images; "
        f"valid: {len(other.videos)}, {len(other.images)}",
        "sizes: " + ", ".join(f"{w} x {h} ({n})" for (w, h), n in sizes.most_common(5)),
        f"masks: {' and '.join(data.mask_types)}; methods: {allowed}",
    )

    def quoted(path: Path) -> str:
        return yaml.safe_dump(str(path), width=1e9, allow_unicode=True).splitlines()[0]

    comments = "\n".join(f"# {line}" for line in found)
    write_text(
        out,
        f"""# Own annotations, see docs/own-data.md. Every key: docs/config.md.
{comments}

methods: [{method.value}]  # allowed by the masks: {allowed}
backbones: [{"resnet50" if memory else "resnet18"}]

dataset:
  name: own  # results go to results/own
  format: joint
  images: {quoted(images)}
  train_json: {quoted(train)}
  valid_json: {quoted(valid)}
  classes: {classes.strip()}

input:
  image_scale: {scale}  # largest long and short side of the network's input

model:
  class_weights: uniform  # balanced: rare classes count more
{"" if memory else small}
training:{start if memory else ""}
  epochs: {epochs}
  batch_size: {batch}  # pairs of frames; by the GPU's memory ({memory:g} GB)
  optimizer:
    learning_rate: {rate:g}  # the paper's 0.005 for a batch of 8, scaled linearly
    clip_norm: 5
  schedule:
    steps: {steps}
    warmup_iterations: {min(2000, max(1, len(data.images) * epochs // batch // 10))}

launcher:
  cluster: local  # slurm: one job for each training
""",
    )
    return FirstConfig(out, found, (f"vatrack fetch-weights --config {out}",) * bool(memory))
