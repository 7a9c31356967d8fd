"""What each switch that changes numbers does to the metrics: predict and evaluate with each.

    python -m benchmarks.switches --config config/config.yaml \\
        --ground-truth results/mini/annotations/valid/joint.json --images results/mini/clips \\
        results/seed0/best.pt results/seed1/best.pt results/seed2/best.pt

Each checkpoint (one for each seed) is used with the settings of the config, then once with each
switch. The table says the metric with the config's settings, and how far each switch moves it: the
mean over the checkpoints, and the largest change of any of them. It goes to
benchmarks/results/switches.json.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Annotated, Any

import torch
import typer

from benchmarks import machine
from benchmarks.table import RESULTS, switch_rows
from vatrack.common.files import write_json
from vatrack.common.value_files import read_json
from vatrack.config import Backbone, ComputeConfig, Method, RunConfig, load_config
from vatrack.evaluation.evaluate import evaluate_inputs
from vatrack.evaluation.file_set import EvaluationInputs
from vatrack.inference.predict import predict_files

AS_CONFIGURED = "as configured"
SWITCHES: dict[str, dict[str, Any]] = {
    "compute.precision: bfloat16": {"precision": "bfloat16"},
    "compute.winograd: false": {"winograd": False},
    "compute.tf32: true": {"tf32": True},
}
GPU_ONLY = ("compute.tf32: true",)
METRICS = [
    f"{level}/{mask_type}/{column}"
    for level, column in (("image", "AP"), ("image", "AP50"), ("video", "AP"), ("track", "IDF1"))
    for mask_type in ("amodal", "visible")
]


def measured(
    run: RunConfig,
    switches: Mapping[str, Mapping[str, Any]],
    checkpoint: Path,
    truth: Path,
    images: Path,
) -> Iterator[tuple[str, dict[str, float | None]]]:
    """The metrics of a checkpoint with each switch, the settings of `run` first."""
    for name, change in {AS_CONFIGURED: {}, **switches}.items():
        compute = ComputeConfig.model_validate(run.compute.model_dump() | dict(change))
        changed = run.model_copy(update={"compute": compute})
        with tempfile.TemporaryDirectory() as folder:
            predictions, out = Path(folder) / "predictions.jsonl.gz", Path(folder) / "metrics.json"
            predict_files(changed, checkpoint, truth, images, predictions)
            evaluate_inputs(EvaluationInputs(truth, predictions, switches=run.evaluation), out)
            metrics = read_json(out)
        yield name, {metric: metrics.get(metric) for metric in METRICS}


def moves(found: Sequence[Mapping[str, Mapping[str, float | None]]]) -> list[dict[str, Any]]:
    """How far each switch moves each metric, over all checkpoints; undefined metrics are left out.

    Args:
        found: by checkpoint, the metrics by switch.
    """
    rows = []
    for switch in (name for name in found[0] if name != AS_CONFIGURED):
        for metric in found[0][switch]:
            pairs = [(one[AS_CONFIGURED][metric], one[switch][metric]) for one in found]
            known = [(before, after) for before, after in pairs if None not in (before, after)]
            if known:
                steps = [float(after or 0) - float(before or 0) for before, after in known]
                rows.append(
                    {
                        "switch": switch,
                        "metric": metric,
                        "as_configured": mean(float(before or 0) for before, _ in known),
                        "mean_move": mean(steps),
                        "largest_move": max(steps, key=abs),
                    }
                )
    return rows


def main(
    checkpoints: Annotated[list[Path], typer.Argument(help="One for each seed.")],
    config: Annotated[Path, typer.Option(help="YAML config file of the runs.")],
    ground_truth: Annotated[Path, typer.Option(help="Joint-form JSON.")],
    images: Annotated[Path, typer.Option(help="The clip tree.")],
    method: Annotated[Method, typer.Option()] = Method.VATRACK,
    backbone: Annotated[Backbone, typer.Option()] = Backbone.RESNET18,
    out: Annotated[Path, typer.Option(help="JSON file to write.")] = RESULTS / "switches.json",
) -> None:
    """Measure what each switch does to the metrics."""
    run = load_config(config).for_run(method, backbone)
    gpu = torch.cuda.is_available()
    switches = {name: change for name, change in SWITCHES.items() if gpu or name not in GPU_ONLY}
    found = [
        dict(measured(run, switches, checkpoint, ground_truth, images))
        for checkpoint in checkpoints
    ]
    rows = moves(found)
    typer.echo("\n".join(switch_rows(rows)))
    result = {
        "name": "switches",
        "method": str(method),
        "backbone": str(backbone),
        "checkpoints": len(checkpoints),
        "not_measured": [name for name in SWITCHES if name not in switches],
        "machine": machine.describe(rates=False),
        "rows": rows,
    }
    write_json(out, result, indent=1)


if __name__ == "__main__":
    typer.run(main)
