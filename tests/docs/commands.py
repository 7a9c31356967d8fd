"""Every command of README, CONTRIBUTING and docs/, and how it is tested.

python -m tests.docs.commands prints the list.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
PROGRAMS = "vatrack|snakemake|make|mlflow|python|pip|torchrun|source|uv|export"
COMMAND = re.compile(rf"(?:\.venv/bin/)?(?:{PROGRAMS}|tests/\S+) .+")


RUN = "run"
DRY_RUN = "dry run"  # `snakemake -n`, `make -n`
PARSED = "options checked"
UNTESTED = "neither run nor explained"  # a failure of test_commands.py
FRAGMENT = "names a command without its options"
# Run in this order by test_commands.py, in one folder, in which all files have these names.
RUNS = (
    "vatrack -h",
    "vatrack predict -h",
    "vatrack --version",
    "vatrack doctor",
    "vatrack predict --checkpoint best.pt --frames joint.json --images clips "
    "--out predictions.jsonl.gz",
    "vatrack predict --checkpoint best.pt --set compute.device=cpu --frames joint.json "
    "--images clips --out predictions.jsonl.gz",
    "vatrack predict --checkpoint results/mini/runs/vatrack__resnet18 "
    "--frames results/mini/annotations/valid/joint.json --images results/mini/clips "
    "--out again.jsonl.gz",
    "vatrack evaluate --run results/mini/runs/vatrack__resnet18 --predictions again.jsonl.gz "
    "--out again.json",
    "vatrack evaluate --ground-truth joint.json --predictions theirs.jsonl --out metrics.json",
    "vatrack evaluate --ground-truth joint.json --predictions theirs.jsonl --shard 1/2 --out 1.npz",
    "vatrack evaluate --ground-truth joint.json --predictions theirs.jsonl --shard 2/2 --out 2.npz",
    "vatrack merge-evaluations 1.npz 2.npz --out metrics.json --details details.json",
    "vatrack export-predictions predictions.jsonl --ground-truth valid.json --to ytvis "
    "--out results.json",
    "vatrack import-predictions results.json --ground-truth valid.json --from ytvis "
    "--out other.jsonl",
    "vatrack evaluate --ground-truth valid.json --predictions other.jsonl --out metrics.json",
    "vatrack tables --run results/mini --out tables",
    "vatrack compare results/mini/runs/vatrack__resnet18 "
    "results/mini/runs/vatrack__resnet18__e6 --out compare",
    "vatrack views --ground-truth results/mini/annotations/valid/joint.json "
    "--predictions results/mini/runs/vatrack__resnet18 --images results/mini/clips "
    "--details results/mini/runs/vatrack__resnet18/details.json "
    "--out results/mini/runs/vatrack__resnet18/views",
    "vatrack report --run results/mini --results results/mini --out report.html",
    "vatrack export --checkpoint results/mini/runs/vatrack__resnet18 --out vatrack.safetensors",
    "vatrack track street.mp4 --checkpoint best.pt",
    "vatrack track results/mini/clips/mini_valid_003__26/images "
    "--checkpoint results/mini/runs/vatrack__resnet18",
    "vatrack init-config --train train.json --valid valid.json --images frames --out first.yaml",
    "vatrack import-dataset --from coco-amodal train.json --images frames --out united.json",
    "vatrack config --config first.yaml --set training.epochs=6 --set 'methods=[qdtrack]' "
    "--out full.yaml",
    "vatrack init-config data/mine --out mine.yaml",
    "vatrack validate --config mine.yaml",
    "vatrack config --config FILE --out checked.yaml",
    "vatrack train --config results/mini/runs/vatrack__resnet18 "
    "--annotations results/mini/annotations --images results/mini/clips --out my_run",
    "vatrack doctor --config config/sailvos_cut.yaml",
    "vatrack predict --checkpoint RUN --frames joint.json --images clips --shard $i/4 "
    "--out shards/$i.jsonl.gz",
    "vatrack merge-predictions shards/*.jsonl.gz --out predictions.jsonl.gz",
    "vatrack evaluate --ground-truth GT.json --predictions PRED --out metrics.json",
    "vatrack evaluate --config config/sailvos_cut.yaml "
    "--ground-truth ANNOTATIONS/valid/joint.json "
    "--video-ground-truth-amodal ANNOTATIONS/valid/video_amodal.json "
    "--video-ground-truth-visible ANNOTATIONS/valid/video_visible.json "
    "--predictions published/predictions.jsonl.gz --out published/metrics.json",
    "vatrack compare RUN_A RUN_B --out compare",
    "vatrack export --checkpoint results/sailvos-cut/runs/vatrack__resnet50/best.pt "
    "--out vatrack_resnet50.safetensors",
    "vatrack tables --run results/sailvos-cut --out tables",
    "vatrack tables --run results/a/runs/x --run results/b/runs/y --out tables",
    "vatrack tables --run seed0=results_0/mini --run seed1=results_1/mini --out tables",
    "vatrack tables --run vatrack/resnext101_64x4d=published/metrics.json --dataset sailvos-cut "
    "--out tables",
    "vatrack tables --run vatrack/resnext101_64x4d=published/metrics.json --dataset sailvos-cut "
    "--out published/tables",
    "python docs/_site/seeds.py RUN_FOLDER...",
    "vatrack examples --out examples",
    "vatrack evaluate --ground-truth examples/ground_truth.json.gz "
    "--predictions examples/shifted/predictions.jsonl.gz --out examples/shifted/metrics.json",
    "vatrack mlflow-sync results/mini/runs/*",
    "vatrack mlflow-sync results/*/runs/*",
)
# Run by test_data_commands.py, on small files in the layouts of the datasets.
DATA_RUNS = (
    "vatrack unpack --archive sailvos_a.tar.00 --archive sailvos_a.tar.01 --archive more.zip "
    "--out data/sailvos",
    "vatrack validate --raw data/sailvos --out report.json",
    "vatrack annotate --raw RAW --out train.json --videos train.txt --models models.csv "
    "--processes 8",
    "vatrack cuts compare A B",
    "vatrack import-dataset --from coco-amodal update_train_2020.json "
    "--images kitti/training/image_2 --relative-to kitti --out kins_train.json",
    "vatrack import-dataset --from coco-amodal update_test_2020.json "
    "--images kitti/testing/image_2 --relative-to kitti --out kins_valid.json",
    "vatrack init-config --train kins_train.json --valid kins_valid.json --images kitti "
    "--out kins.yaml",
    "vatrack import-dataset --from cocoa COCO_amodal_val2014.json --images val2014 "
    "--out cocoa.json",
    "vatrack import-dataset --from ytvis annotations_train.json --images train --out ovis.json",
    "vatrack import-dataset --from amodal-synth-drive train/amodal_instance_seg "
    "--images train/images --out asd_train.json",
    "vatrack import-dataset --from mots instances_txt --images training/image_02 --out mots.json",
    "vatrack import-dataset --from tao-amodal validation.json --images frames --out tao.json",
    "vatrack import-dataset --from movi MOVi-D/train --images MOVi-D/train --out movi.json",
)
# Why a command is not run; the first that fits. All are regular expressions.
REASONS = (
    (r"pip |uv |source |export |tests/|torchrun|python ", "changes this machine, or takes long"),
    (r"[a-z]+ \S+$|vatrack cuts \w+$|vatrack \S+ --\w+$", FRAGMENT),
    (r"vatrack predict --processes N$|vatrack tables --no-means$", FRAGMENT),
    (r"vatrack evaluate --out metrics.json --details details.json$", FRAGMENT),
    (r".*(\.\.\.|…|\b[A-Z_]{3,}\b|\bSRC\b| A B$)", "has placeholders"),
    (r".*(profiles/slurm|--profile slurm)", "needs SLURM; tests/slurm runs the same"),
    (r".*(sailvos|\.pth)",
     "needs data or weights that are not ours to hand out; tests use miniatures of them"),
    (r"vatrack mlflow-ui", "tests/experiments runs it with a store of its own"),
    (r"vatrack fetch-weights --config mine\.yaml$",
     "downloads; tests/weights/test_fetch.py runs it on a folder"),
    (r"snakemake (annotations )?--cores 2 --configfile (mine|first)\.yaml( -n)?$",
     "tests/workflow/test_own_data.py runs the workflow on own data"),
    (r"snakemake clips --cores 2$", "tests/workflow/test_end_to_end.py rebuilds lost clips"),
    (r"snakemake --cores 2 --unlock$", "needs a lock that a killed Snakemake left"),
)  # fmt: skip


@dataclass(frozen=True)
class Documented:
    """A command of a page; `in_block`: it stands in a block of code, else between backticks."""

    page: str
    command: str
    in_block: bool


def blocks_of(text: str) -> Iterator[list[str]]:
    """The commands of each block of code of a page, in one line each, without comments."""
    for language, code in FENCE.findall(text):
        if language in ("", "sh"):
            lines = code.replace("\\\n", " ").splitlines()
            words = (" ".join(re.split(r"\s#", line)[0].split()) for line in lines)
            yield list(filter(COMMAND.fullmatch, words))


def commands_of(text: str) -> Iterator[tuple[str, bool]]:
    """The commands of a page, and whether they stand in a block of code."""
    yield from ((command, True) for block in blocks_of(text) for command in block)
    for quoted in re.findall(r"`([^`]+)`", FENCE.sub("", text)):
        words = " ".join(quoted.split())
        if COMMAND.fullmatch(words):
            yield words, False


def documented() -> list[Documented]:
    """All of them, in the order of the pages."""
    return [
        Documented(page.relative_to(ROOT).as_posix(), command, in_block)
        for page in PAGES
        for command, in_block in commands_of(page.read_text(encoding="utf-8"))
    ]


def is_dry(command: str) -> bool:
    """Whether it is shown its plan: every target of make, and Snakemake on the miniature set."""
    if command.startswith("make "):
        return True
    options = r" -n| -p| --cores \d+| --config(?: '[^']+'| \w+=\w+)+| --forcerun \w+"
    options += r"| --resources \w+=\d+| --set-threads \w+=\d+"
    return re.fullmatch(rf"snakemake({options})+", command) is not None


def calls(command: str) -> Iterator[list[str]]:
    """The words that are run for a command: with files for its patterns, and with each of the
    numbers 1 to 4 for `$i`."""
    for number in "1234" if "$i" in command else "1":
        words = [word.replace("$i", number) for word in shlex.split(command)]
        found = (sorted(map(str, Path().glob(word))) if "*" in word else [word] for word in words)
        yield list(chain.from_iterable(found))


def how_tested(command: str) -> tuple[str, str]:
    """`RUN`, `DRY_RUN`, `PARSED` or `UNTESTED`, and why it is not run."""
    if command in (*RUNS, *DATA_RUNS):
        return RUN, ""
    if is_dry(command):
        return DRY_RUN, "takes minutes to hours"
    for pattern, reason in REASONS:
        if re.match(pattern, command):
            return PARSED, reason
    return UNTESTED, "run it in RUNS, or add a reason"


def main() -> None:
    """Prints all commands by page, and how many are tested how."""
    counts: Counter[str] = Counter()
    seen: set[str] = set()
    for item in documented():
        if item.command in seen:
            continue
        seen.add(item.command)
        how, reason = how_tested(item.command)
        counts[how] += 1
        print(f"{how:16}{item.page}: {item.command}" + (f"   [{reason}]" if reason else ""))
    print(", ".join(f"{how}: {count}" for how, count in counts.items()))


if __name__ == "__main__":
    main()
