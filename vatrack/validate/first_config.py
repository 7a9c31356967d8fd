"""`vatrack init-config`: a first config for own annotations, from what is in them."""

from __future__ import annotations

import re
import shlex
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import yaml

import vatrack
from vatrack.common.counted import counted, few
from vatrack.common.errors import InputError
from vatrack.common.files import check_target, require_ending, write_text
from vatrack.common.frame_folders import require_frames
from vatrack.common.text_files import check_source, no_such
from vatrack.config.methods import Method
from vatrack.data.joint.file import JointFile, read_joint
from vatrack.data.known_forms import AMODAL, JOINT, OFFICIAL, form_of

PAPER_BATCH, PAPER_RATE = 8, 0.005  # of ResNet-50, one card with 40 GB
PAPER_SCALE, PAPER_MEMORY = (1280, 800), 40.0
PAIRS = 90_000
BEST_FIRST = (Method.VATRACK, Method.AMODALTRACK, Method.QDTRACK)
# Without a GPU: what config/config.yaml has for its miniature set.
SMALL_SCALE, SMALL_PAIRS = (256, 160), 3000
SMALL_MODEL = """\
  # No GPU found: a narrow network with random initial weights, for a first try.
  norm: group
  norm_groups: 16
  frozen_stages: 0
  fpn_channels: 64
  box_head_channels: 256
  mask_head_channels: 64
  mask_head_convs: 2
  track_head_channels: 64
  track_head_convs: 2
  track_head_fc: 256
  embedding_channels: 64
  anchor_scale: 6  # finer than the paper's 8, because the images are small
  train_proposals: {pre_nms: 400, post_nms: 200}
  test_proposals: {pre_nms: 400, post_nms: 200}
  rpn_sampler: {number: 128, positive_fraction: 0.5}
  roi_sampler: {number: 64, positive_fraction: 0.25}
  track_sampler: {number: 32, positive_fraction: 0.5}
  initialisation: intended

compute:
  workers: 0
"""
SMALL_TRAINING = """\
  batch_size: 2  # pairs of frames
  optimizer:
    name: adamw
    learning_rate: 0.0015
    clip_norm: 5
  schedule:
    name: onecycle
  log_every: 25

inference:
  # After such a short training, objects have duplicate detections, which would split their tracks.
  score_threshold: 0.3
  nms_iou: 0.4
  tracker: {nms_class_iou: 0.4, match_score: 0.3}
"""


@dataclass(frozen=True)
class FirstConfig:
    """What `init_config` has written, and what it found."""

    out: Path
    found: tuple[str, ...]
    first: tuple[str, ...] = ()

    def __str__(self) -> str:
        config = shlex.quote(str(self.out))
        run = f"snakemake{_snakefile()} --cores 2 --configfile {config}"
        steps = (
            *self.first,
            f"vatrack validate --config {config}",
            f"{run} -n    # dry run",
            run,
        )
        return "\n".join([f"wrote {self.out}", *self.found, "next:", *(f"  {s}" for s in steps)])


def _snakefile() -> str:
    """The option that Snakemake needs outside a checkout."""
    if Path("workflow/Snakefile").is_file():
        return ""
    own = Path(vatrack.__file__).parents[1] / "workflow" / "Snakefile"
    return (
        f" --snakefile {shlex.quote(str(own)) if own.is_file() else 'CHECKOUT/workflow/Snakefile'}"
    )


def batch_size(memory: float, pixels: int) -> int:
    """Pairs of frames that fit: the paper's 8, by memory in GB and pixels of the input; 1 to 16."""
    paper = PAPER_SCALE[0] * PAPER_SCALE[1]
    return max(1, min(16, int(PAPER_BATCH * memory / PAPER_MEMORY * paper / pixels)))


def init_config(train: Path, valid: Path, images: Path, out: Path, memory: float) -> FirstConfig:
    """Writes a commented config.

    Args:
        memory: of the GPU, GB; 0: there is none.

    Raises:
        InputError: `out` exists; see `read_joint`; a file is SAIL-VOS's own, of which only the
            visible masks would be used; the folder of the images is missing or contains no frames
            of a file; or the masks of both files fit no method.
    """
    _check_paths(train, valid, images, out)
    data, other = read_joint(train), read_joint(valid)
    for path in (train, valid):
        _check_form(path)
    for file in (data, other):
        require_frames(images, (image["file_name"] for image in file.images), file.path)
    known = {image["file_name"] for image in data.images}
    if twice := sum(image["file_name"] in known for image in other.images):
        warnings.warn(
            f"{valid}: {counted(twice, 'image')} of {len(other.images)} also in {train}; keep each "
            "video in one subset, otherwise validation metrics are meaningless",
            stacklevel=2,
        )
    method = next((m for m in BEST_FIRST if m in data.methods and m in other.methods), None)
    if method is None:
        raise InputError(
            f"{valid}: has only {other.mask_types[0]} masks, and {train} only {data.mask_types[0]} "
            "ones; both files need masks of the same type"
        )
    allowed = ", ".join(each.value for each in data.methods if each in other.methods)
    found = _found(data, other, allowed)
    comments = "\n".join(f"# {line}" for line in found)
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", out.stem).lstrip("._-") or "own"
    names = list(data.counts)
    classes = yaml.safe_dump(names, allow_unicode=True, default_flow_style=True, width=1e9)
    write_text(
        out,
        f"""# Config for your own annotations, see docs/own-data.md. All keys: docs/config.md.
{comments}

methods: [{method.value}]  # possible with these masks: {allowed}
backbones: [{"resnet50" if memory else "resnet18"}]

dataset:
  name: "{name}"  # results are in results/{name}
  format: joint
  images: {_quoted(images)}
  train_json: {_quoted(train)}
  valid_json: {_quoted(valid)}
  classes: {classes.strip()}

input:
  image_scale: {list(_scale(data, memory))}  # maximum long and short side of the network input

model:
  class_weights: uniform  # balanced: larger weights for rare classes
{"" if memory else SMALL_MODEL}
{_training(data, memory)}
launcher:
  cluster: local  # slurm: one job for each training
""",
    )
    return FirstConfig(
        out, found, (f"vatrack fetch-weights --config {shlex.quote(str(out))}",) * bool(memory)
    )


def _check_paths(train: Path, valid: Path, images: Path, out: Path) -> None:
    """Raises one InputError with everything that is wrong with the paths."""
    problems = []
    for file in (train, valid):
        try:
            check_source(file, "your annotations")
        except InputError as error:
            problems.append(str(error))
    if not images.is_dir():
        problems.append(f"{images}: {no_such(images, 'folder')}; give the folder of the images")
    try:
        require_ending(out, "the config is YAML", ".yaml", ".yml")
        if check_target(out).exists():
            problems.append(f"{out}: already exists; choose another file with --out, or remove it")
    except InputError as error:
        problems.append(str(error))
    if problems:
        raise InputError("\n".join(problems))


def _check_form(path: Path) -> None:
    """Raises an InputError for files that are sound as own data, but whose amodal masks are in
    `segmentation`."""
    found = form_of(path)
    if found is OFFICIAL:
        fix = "use config/sailvos.yaml with dataset.raw set to the folder of the download"
    elif found is AMODAL:
        fix = JOINT.give
    else:
        return
    raise InputError(f"{path}: is {found.what}, not {JOINT.what}; {fix}")


def _found(data: JointFile, other: JointFile, allowed: str) -> tuple[str, ...]:
    counts = [f"{name!r} {count}" for name, count in data.counts.items()]
    more = f" and {len(counts) - 30} more" if len(counts) > 30 else ""
    sizes = Counter((image["width"], image["height"]) for image in data.images)
    shown = few((f"{w} x {h} ({counted(n, 'image')})" for (w, h), n in sizes.most_common()), 5)
    masks = [each for each in data.mask_types if each in other.mask_types]
    return (
        f"{counted(len(counts), 'class')}; annotations: {', '.join(counts[:30])}{more}",
        f"train: {_size(data)}; valid: {_size(other)}",
        f"image sizes in pixels: {shown}",
        f"masks: {' and '.join(masks)}; methods: {allowed}",
    )


def _size(data: JointFile) -> str:
    tracks = f" without tracks ({data.trackless})" if data.trackless else ""
    return f"{counted(len(data.videos), 'video')}, {counted(len(data.images), 'image')}{tracks}"


def _scale(data: JointFile, memory: float) -> tuple[int, int]:
    """The largest long and short side of all images, shrunk to what the machine can do."""
    sizes = [(image["width"], image["height"]) for image in data.images]
    long, short = max(map(max, sizes)), max(map(min, sizes))
    limits = PAPER_SCALE if memory else SMALL_SCALE
    shrink = min(1.0, limits[0] / long, limits[1] / short)
    return max(1, round(long * shrink)), max(1, round(short * shrink))


def _training(data: JointFile, memory: float) -> str:
    epochs = max(1, min(100, round((PAIRS if memory else SMALL_PAIRS) / len(data.images))))
    if not memory:
        return f"training:\n  epochs: {epochs}\n{SMALL_TRAINING}"
    long, short = _scale(data, memory)
    batch = batch_size(memory, long * short)
    steps = sorted({int(epochs * 2 / 3), int(epochs * 11 / 12)} - {0, epochs})
    return f"""\
training:
  weights: {{resnet50: data/weights/resnet50-0676ba61.pth}}  # trained on ImageNet
  epochs: {epochs}
  batch_size: {batch}  # pairs of frames; chosen for {memory:g} GB of GPU memory
  optimizer:
    learning_rate: {PAPER_RATE * batch / PAPER_BATCH:g}  # the paper's 0.005 for 8 pairs, scaled
    clip_norm: 5
  schedule:
    steps: {steps}
    warmup_iterations: {min(2000, max(1, len(data.images) * epochs // batch // 10))}
"""


def _quoted(path: Path) -> str:
    return yaml.safe_dump(str(path), width=1e9, allow_unicode=True).splitlines()[0]
