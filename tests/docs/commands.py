"""Every command of README, CONTRIBUTING and docs/, and how it is tested.

python -m tests.docs.commands prints the list.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
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
# Run in this order by test_commands.py, in one folder.
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
    "vatrack evaluate --ground-truth results/mini/annotations/valid/joint.json "
    "--predictions again.jsonl.gz --out again.json",
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
    "vatrack init-config --train train.json --valid valid.json --images frames --out mine.yaml",
    "vatrack config --config mine.yaml --set training.epochs=6 --set 'methods=[qdtrack]' "
    "--out full.yaml",
    "vatrack init-config data/mine --out mine.yaml",
    "vatrack validate --config mine.yaml",
    "vatrack train --config results/mini/runs/vatrack__resnet18 "
    "--annotations results/mini/annotations --images results/mini/clips --out my_run",
)
# Why a command is not run; the first that fits. All are regular expressions.
REASONS = (
    (r"pip |uv |source |export |tests/|torchrun|python ", "changes this machine, or takes long"),
    (r"[a-z]+ \S+$|vatrack cuts \w+$|vatrack \S+ --\w+$", FRAGMENT),
    (r"vatrack predict --processes N$|vatrack tables --no-means$", FRAGMENT),
    (r"vatrack evaluate --out metrics.json --details details.json$", FRAGMENT),
    (r".*(\.\.\.|…|\b[A-Z_]{3,}\b|\bSRC\b| A B$)", "has placeholders"),
    (r".*(profiles/slurm|--profile slurm)", "needs SLURM; tests/slurm runs the same"),
    (r".*(sailvos|kins|update_train|COCO_|MOVi|mots|tao|amodal-synth-drive|annotations_train|\.pth)",
     "needs data or weights that are not ours to hand out; tests use miniatures of them"),
    (r"vatrack (examples|evaluate --ground-truth examples)", "tests/cli/test_cli.py runs it"),
    (r"vatrack tables --run \S+ --run \S+ --out tables$",
     "tests/reporting runs it on other folders"),
    (r"vatrack mlflow-(sync|ui)", "tests/experiments runs it with a store of its own"),
    (r"vatrack merge-predictions", "tests/inference/test_shards.py runs it on three shards"),
    (r"vatrack fetch-weights --config mine\.yaml$",
     "downloads; tests/weights/test_fetch.py runs it on a folder"),
    (r"snakemake (annotations )?--cores 2 --configfile mine\.yaml( -n)?$",
     "tests/workflow/test_own_data.py runs the workflow on own data"),
    (r"snakemake --cores 64 --set-threads predict=64$", "needs 64 cores"),
    (r"snakemake --resources gpu=4 ", "needs GPUs; tests/workflow/test_plan.py plans the shards"),
    (r"snakemake --cores 2 --unlock$", "needs a lock that a killed Snakemake left"),
)  # fmt: skip


@dataclass(frozen=True)
class Documented:
    """A command of a page; `in_block`: it stands in a block of code, else between backticks."""

    page: str
    command: str
    in_block: bool


def commands_of(text: str) -> Iterator[tuple[str, bool]]:
    """The commands of a page, in one line each, without comments."""
    for language, code in FENCE.findall(text):
        if language in ("", "sh"):
            for line in code.replace("\\\n", " ").splitlines():
                words = " ".join(re.split(r"\s#", line)[0].split())
                if COMMAND.fullmatch(words):
                    yield words, True
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
    plain = re.fullmatch(rf"snakemake({options})+", command)
    return bool(plain) and "launcher" not in command


def how_tested(command: str) -> tuple[str, str]:
    """`RUN`, `DRY_RUN`, `PARSED` or `UNTESTED`, and why it is not run."""
    if command in RUNS:
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
