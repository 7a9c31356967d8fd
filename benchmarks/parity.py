"""How closely this machine reproduces the published numbers: method x backbone x part, worst
deviation, bound.

    python -m benchmarks.parity [--device cpu] [--kinds forward losses] [--parts] [--out FILE.md]

Runs every golden case of the network, the tracker, the training and the evaluation
(`VATRACK_GOLDEN`, see tests/parity/golden.py) through the same comparisons as tests/parity, and
prints them as Markdown: a row per kind, method, backbone and stage with the part that comes closest
to its bound, or with `--parts` a row for every part; then every tie, one by one, and the
evaluation's figures case by case. "margin" is how many times the error fits into the bound; exact
parts have bound 0. Ends with 1 where a part is beyond its bound. On a GPU, TF32 is off.
"""

from __future__ import annotations

import argparse
import gc
import platform
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from tests.parity import (
    test_end_to_end,
    test_evaluation,
    test_forward,
    test_losses,
    test_pipeline,
    test_sampler,
    test_schedule,
    test_state_dict,
    test_tracker,
)
from tests.parity.golden import BUNDLED, MORE, Case, cases
from tests.parity.measure import Measure, worst
from tests.parity.networks import golden_network
from vatrack.common.files import write_text
from vatrack.config import ModelConfig

Compare = Callable[[Case, str], list[Measure]]  # of a case on a device
Group = tuple[str, str]  # method, backbone


def _with_network(
    compare: Callable[..., list[Measure]], settings: ModelConfig | None = None
) -> Compare:
    def measure(case: Case, device: str) -> list[Measure]:
        result = compare(case, golden_network(case, settings).to(device))
        gc.collect()
        return result

    return measure


def _with_folder(compare: Callable[[Case, Path], list[Measure]]) -> Compare:
    def measure(case: Case, _: str) -> list[Measure]:
        with tempfile.TemporaryDirectory() as folder:
            return compare(case, Path(folder))

    return measure


KINDS: dict[str, Compare] = {
    "state_dict": lambda case, _: test_state_dict.measure(case),
    "forward": _with_network(test_forward.measure),
    "end_to_end": _with_network(test_end_to_end.measure),
    "losses": _with_network(test_losses.measure, test_losses.golden_settings()),
    "sampler": lambda case, _: test_sampler.measure(case),
    "tracker": lambda case, _: test_tracker.measure(case),
    "pipeline": _with_folder(test_pipeline.measure),
    "schedule": lambda case, _: test_schedule.measure(case),
    "evaluation": _with_folder(test_evaluation.measure),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--parts", action="store_true", help="a row for every part")
    parser.add_argument("--out", type=Path, help="write the table into a file, too")
    chosen = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    name = (
        torch.cuda.get_device_name()
        if chosen.device.startswith("cuda")
        else platform.processor() or platform.machine()
    )
    lines = [f"torch {torch.__version__}, {chosen.device} ({name}), float32", ""]
    lines += [
        "| kind | method | backbone | stage | parts | worst part | error | unit | bound | margin |"
    ]
    lines += ["|---|---|---|---|---:|---|---:|---|---:|---:|"]
    failed, ties = 0, []
    by_case: dict[str, dict[str, list[Measure]]] = {}
    for kind in chosen.kinds:
        groups, by_case[kind] = _compare(kind, chosen.device)
        for (method, backbone), measures in groups.items():
            failed += sum(not m.passes for m in measures)
            ties += [m for m in measures if m.quantity.startswith(TIE)]
            for stage, members in _stages(measures, each=chosen.parts):
                m = max(members, key=lambda m: (m.share, m.error))
                margin = "exact" if not m.error else margin_of(m.share) if m.share else "-"
                lines.append(
                    f"| {kind} | {method} | {backbone} | {stage} | {len(members)} | "
                    f"{m.quantity.removeprefix(TIE)} | {m.error:.2g} "
                    f"| {m.unit} | {m.bound:.2g} | {margin} |"
                )
    if ties:
        lines += ["", f"{len(ties)} ties:", ""]
        lines += [f"- {m.quantity.removeprefix(TIE)}: {m.error:.2g} {m.unit}" for m in ties]
    if "evaluation" in by_case:
        lines += ["", *_by_figure(by_case["evaluation"])]
    text = "\n".join(lines) + "\n"
    print(text)
    if chosen.out:
        write_text(chosen.out, text)
    print(f"{failed} parts beyond their bound")
    sys.exit(bool(failed))


TIE = "tie: "
# Stage by the beginning of a part's name; the first that fits.
STAGES = {
    "input": "input",
    "trunk": r"C\d",
    "pyramid": r"P\d",
    "RPN outputs": "rpn_",
    "RoI features": "RoI",
    "mask heads": r".*mask\w* logits|.*mask_logits",
    "box heads": r".*(logits|deltas)$",
    "embeddings": "embeddings",
    "proposals": "proposals",
    "detections": "detections|visible boxes",
    "tracks": "tracks",
    "ties": TIE,
    "loss terms": "term|total|names",
    "gradients": "gradient|trained",
    "samplers": "sampled",
    "image AP": "image/",
    "video AP": "video/",
    "tracking": "track/",
}


def margin_of(share: float) -> str:
    """How many times an error fits into its bound, whose `share` it is, in two digits."""
    margin = float(f"{1 / share:.2g}")
    if margin > 1e6:
        return "> 1,000,000"
    return f"{margin:,.0f}" if margin >= 10 else f"{margin:g}"


def _stages(measures: list[Measure], *, each: bool) -> list[tuple[str, list[Measure]]]:
    """The measures by stage; `each`: every one alone."""
    named = [(_stage(m.quantity), m) for m in measures]
    if each:
        return [(stage, [m]) for stage, m in named]
    return [
        (stage, [m for name, m in named if name == stage])
        for stage in dict.fromkeys(name for name, _ in named)
    ]


def _stage(quantity: str) -> str:
    return next((stage for stage, pattern in STAGES.items() if re.match(pattern, quantity)), "all")


def _compare(kind: str, device: str) -> tuple[dict[Group, list[Measure]], dict[str, list[Measure]]]:
    """The worst of every part over the cases of each method and backbone, and what was measured in
    every case."""
    groups: dict[Group, list[Measure]] = {}
    by_case: dict[str, list[Measure]] = {}
    for (case,) in (parameter.values for parameter in cases(kind)):
        if case is None:
            sys.exit(f"no golden cases of {kind} in {BUNDLED} or {MORE}; set VATRACK_GOLDEN")
        print(f"{kind}/{case.folder.name} ...", file=sys.stderr, flush=True)
        key = case.info.get("method") or "-", case.info.get("backbone") or "-"
        by_case[case.folder.name] = KINDS[kind](case, device)
        groups[key] = worst([*groups.get(key, []), *by_case[case.folder.name]])
    return groups, by_case


def _by_figure(by_case: dict[str, list[Measure]]) -> list[str]:
    """A row for every case, a column for every figure: its largest difference, over all masks and
    levels and by class, too."""
    named: dict[str, dict[str, list[float]]] = {case: {} for case in by_case}
    for case, measures in by_case.items():
        for m in measures:
            figure = m.quantity.split("/")[-1].split()[0] if m.bound else "counts"
            named[case].setdefault(figure, []).append(m.error)
    figures = list(dict.fromkeys(figure for found in named.values() for figure in found))
    figures = [*(figure for figure in figures if figure != "counts"), "counts"]
    lines = [f"| evaluation, case | {' | '.join(figures)} |", f"|---|{'---:|' * len(figures)}"]
    for case, found in named.items():
        cells = [f"{max(found[figure]):.1g}" if found.get(figure) else "-" for figure in figures]
        lines.append(f"| {case} | {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    main()
