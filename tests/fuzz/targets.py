"""What is fuzzed: a command, its sound input, and how its input may be damaged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.mutate import (
    BYTES,
    SAME_JSON,
    SAME_LINES,
    Mutation,
    line_structure,
    structure,
    word_of_line,
    yaml_line,
)
from tests.fuzz.outside import read_sources


@dataclass(frozen=True)
class Target:
    """A command whose input is damaged.

    Attributes:
        command: the words of `vatrack` with {a}, the input folder, {out}, the output folder, and
            {video}, the first raw video; or a function of the two folders.
        needs: folders of sound input (`make_inputs`) that together are the input folder.
        files: of the input folder, that are damaged, one at a time.
        damage: ways to damage them; `same`: ways that must not change the result.
        guarded: the content has a checksum, so a result must be that of the sound input.
        resumes: what was finished stays when the command fails.
        recovers: damage is told in another way than by an error (a rebuild, a list of problems).
        compares: exit code 1 says that two files differ.
        findings: the command lists what is wrong with its data, instead of one message.
    """

    name: str
    command: str | Callable[[Path, Path], None]
    needs: tuple[str, ...]
    files: tuple[str, ...]
    damage: tuple[Mutation, ...] = BYTES
    same: tuple[Mutation, ...] = ()
    guarded: bool = False
    findings: bool = False
    recovers: bool = False
    compares: bool = False
    resumes: bool = False
    weight: int = 1

    def words(self, folder: Path, out: Path) -> list[object]:
        """The words of the command, or the function and its arguments."""
        if not isinstance(self.command, str):
            return [self.command, folder, out]
        video = next((path.parent.name for path in sorted(folder.glob("raw/*/images"))), "")
        return [word.format(a=folder, out=out, video=video) for word in self.command.split()]


def read_form(folder: Path, out: Path) -> None:
    """Reads every object that a training would, and writes what it found."""
    from vatrack.data.frames import AnnotationFile

    file = AnnotationFile(folder / "annotations" / "train" / "joint.json", ("amodal", "visible"))
    found = []
    for number in range(len(file.counts)):
        frame, objects = file.frame(number), file.objects(number)
        masks = [objects.masks(each, frame.height, frame.width) for each in objects.rles]
        boxes = {each: box.tolist() for each, box in objects.boxes.items()}
        areas = [mask.sum(axis=(1, 2)).tolist() for mask in masks]
        found.append([frame.file_name, boxes, objects.labels.tolist(), areas])
    (out / "objects.json").write_text(json.dumps(found))


def read_log(folder: Path, out: Path) -> None:
    """Reads the lines of a metrics.jsonl; what is wrong with them is listed."""
    from vatrack.runs.metrics_log import read_metrics_log

    log = read_metrics_log(folder / "metrics.jsonl")
    points = [[point.step, point.terms] for point in log.training]
    problems = len(log.problems)
    (out / "log.json").write_text(json.dumps({"points": points, "problems": problems}))


EVALUATE = "evaluate --ground-truth {a}/gt.json --predictions {a}/predictions.jsonl"
VALIDATE = (
    "validate --raw {a}/raw --train {a}/raw/train.json --valid {a}/raw/valid.json "
    "--out {out}/report.json"
)
UNPACK = "unpack --out {out}/raw --archive {a}/"
EXPORT = "export --out {out}/o.safetensors --checkpoint {a}/"
PREPARE = (
    "prepare --config {a}/own.yaml --subset train --out {out}/forms "
    "--set dataset.images={a}/frames --set dataset.train_json={a}/train.json "
    "--set dataset.valid_json={a}/valid.json"
)
OWN_VALIDATE = "validate --joint {a}/train.json --images {a}/frames --out {out}/report.json"
IMPORT = "import-dataset --out {out}/joint.json --images {a}/"
LINES = (*BYTES, *(word_of_line,) * 9)
ITEMS = (*BYTES, *(structure,) * 9)
MORE_ITEMS = (*BYTES, *(structure,) * 12)

TARGETS = (
    Target(
        "ground truth",
        f"{EVALUATE} --out {{out}}/metrics.json --details {{out}}/details.json",
        ("evaluate",),
        ("gt.json",),
        MORE_ITEMS,
        SAME_JSON,
        weight=4,
    ),
    Target(
        "predictions",
        f"{EVALUATE} --out {{out}}/metrics.json",
        ("evaluate",),
        ("predictions.jsonl",),
        (*BYTES, *(line_structure,) * 12),
        SAME_LINES,
        weight=4,
    ),
    Target(
        "examples",
        "examples --ground-truth {a}/gt.json --out {out}/examples",
        ("evaluate",),
        ("gt.json",),
        MORE_ITEMS,
        SAME_JSON,
        weight=2,
    ),
    Target(
        "evaluation shards",
        "merge-evaluations {a}/1.npz {a}/2.npz --out {out}/metrics.json --details "
        "{out}/details.json",
        ("shards",),
        ("1.npz",),
        guarded=True,
        weight=2,
    ),
    Target(
        "official, converted",
        "convert --config {a}/config.yaml --official {a}/raw/train.json "
        "--structure {a}/structure.json --out {out}/forms",
        ("data", "config"),
        ("raw/train.json", "structure.json"),
        ITEMS,
        SAME_JSON,
        weight=4,
    ),
    Target(
        "official, validated",
        VALIDATE,
        ("data",),
        ("raw/train.json", "raw/valid.json"),
        ITEMS,
        SAME_JSON,
        findings=True,
        weight=2,
    ),
    Target("frames, validated", VALIDATE, ("data",), ("raw/*/images/000003.bmp",), findings=True),
    Target(
        "index",
        "cuts score --raw {a}/raw --index {a}/index.json --video {video} --out {out}/scores.json",
        ("data",),
        ("index.json", "raw/*/images/000002.bmp"),
        weight=2,
    ),
    Target(
        "scores",
        "cuts structure --config {a}/detect.yaml --index {a}/index.json --scores {a}/scores "
        "--out {out}/structure.json",
        ("data",),
        ("scores/*.json", "index.json"),
        ITEMS,
        weight=2,
    ),
    Target(
        "clips",
        "clips --config {a}/png.yaml --raw {a}/raw --structure {a}/structure.json "
        "--out {out}/clips",
        ("data",),
        ("structure.json", "raw/*/images/000004.bmp"),
        resumes=True,
    ),
    Target(
        "raw masks",
        "annotate --raw {a}/raw --models {a}/models.json --out {out}/official.json",
        ("annotate",),
        ("raw/*/visible/*.npy", "raw/*/*_*/000*.png", "models.json"),
        weight=2,
    ),
    Target(
        "config",
        "config --config {a}/config.yaml --out {out}/config.yaml",
        ("config",),
        ("config.yaml",),
        (*BYTES, *(yaml_line,) * 12),
        (SAME_JSON[0],),
        weight=3,
    ),
    Target("own annotations", PREPARE, ("own",), ("train.json",), MORE_ITEMS, SAME_JSON, weight=4),
    Target(
        "own annotations, validated",
        OWN_VALIDATE,
        ("own",),
        ("train.json",),
        MORE_ITEMS,
        SAME_JSON,
        findings=True,
        weight=2,
    ),
    *(
        Target(
            f"import, {name}",
            f"{IMPORT}{images} --from {name} {{a}}/{source}",
            ("foreign",),
            files,
            damage,
            same,
            weight=2,
        )
        for name, images, source, files, damage, same in (
            ("coco-amodal", "image_2", "kins.json", ("kins.json",), MORE_ITEMS, SAME_JSON),
            ("cocoa", "image_2", "cocoa.json", ("cocoa.json",), MORE_ITEMS, SAME_JSON),
            ("ytvis", "frames", "ytvis.json", ("ytvis.json",), MORE_ITEMS, SAME_JSON),
            ("tao-amodal", "frames", "tao.json", ("tao.json",), MORE_ITEMS, SAME_JSON),
            ("mots", "frames", "mots", ("mots/0001.txt",), LINES, ()),
            ("movi", "movi", "movi", ("movi/*/segmentation_*.png",), BYTES, ()),
            (
                "amodal-synth-drive",
                "drive/images",
                "drive/amodal_instance_seg",
                ("drive/amodal_instance_seg/*/*/*.json", "drive/amodal_instance_seg/*/*/*.png"),
                BYTES,
                (),
            ),
        )
    ),
    Target(
        "track sources",
        read_sources,
        ("video",),
        ("frames.txt", "clip.mp4", "2.png"),
        recovers=True,
        weight=2,
    ),
    Target("tar", UNPACK + "a.tar", ("archives",), ("a.tar",), resumes=True),
    Target("zip", UNPACK + "a.zip", ("archives",), ("a.zip",), resumes=True),
    Target("zstd", UNPACK + "b.tar.zst", ("archives",), ("b.tar.zst",), resumes=True),
    Target(
        "checkpoint",
        EXPORT + "epoch_01.pt",
        ("checkpoint",),
        ("epoch_01.pt",),
        guarded=True,
        weight=3,
    ),
    Target(
        "safetensors",
        EXPORT + "best.safetensors",
        ("safetensors",),
        ("best.safetensors",),
        guarded=True,
        weight=3,
    ),
    Target(
        "foreign weights",
        "import-checkpoint {a}/foreign.pth --method vatrack --partial --backbone resnet18 "
        "--config {a}/config.yaml --out {out}/o.pt",
        ("foreign_weights",),
        ("foreign.pth",),
        guarded=True,
        weight=2,
    ),
    Target(
        "select",
        "select --run {a} --config {a}/detect.yaml --out {out}/best.json",
        ("run",),
        ("training.json", "validation/epoch_01.json", "config.yaml"),
        ITEMS,
    ),
    Target(
        "training form",
        read_form,
        ("data",),
        ("annotations/train/joint.json",),
        MORE_ITEMS,
        SAME_JSON,
        weight=3,
    ),
    Target(
        "store",
        read_form,
        ("data",),
        ("annotations/train/joint.json.store",),
        guarded=True,
        recovers=True,
        weight=2,
    ),
    Target(
        "metrics log",
        read_log,
        ("run",),
        ("metrics.jsonl",),
        (*BYTES, *(line_structure,) * 9),
        (SAME_LINES[0], SAME_LINES[2]),
        recovers=True,
    ),
    Target(
        "two structures",
        "cuts compare {a}/structure.json {a}/second.json",
        ("data",),
        ("structure.json", "second.json"),
        ITEMS,
        SAME_JSON,
        compares=True,
    ),
    Target(
        "tables",
        "tables --run vatrack/resnet18={a}/metrics.json --out {out}/tables",
        ("metrics",),
        ("metrics.json",),
        ITEMS,
        SAME_JSON,
    ),
)


def prepare(target: Target, inputs: Path, folder: Path) -> None:
    """Copies the sound input of a target into an empty folder."""
    for name in target.needs:
        shutil.copytree(inputs / name, folder, dirs_exist_ok=True, symlinks=True)
    (folder / "detect.yaml").write_text("dataset: {clips: {structure: detect}}\n")
    (folder / "png.yaml").write_text("dataset: {clips: {mode: png}}\n")


def tree(folder: Path) -> dict[str, bytes]:
    """The content of every file below a folder; stores are left out, they may be rebuilt."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".store" not in path.name
    }


def uses_numbers(content: dict[str, bytes]) -> list[str]:
    """JSON files whose text is no strict JSON, or holds numbers that are not finite."""

    def refuse(text: str) -> float:
        raise ValueError(text)

    bad = []
    for name, text in content.items():
        if name.endswith(".json"):
            try:
                json.loads(text, parse_constant=refuse)
            except ValueError:
                bad.append(name)
    return bad
