"""What readers call methods, backbones, datasets and runs."""

from __future__ import annotations

from collections.abc import Sequence

from vatrack.config import Backbone, Method
from vatrack.evaluation.summary import NO_TRACKS, without_tracks
from vatrack.reporting.tables.runs import Run, evaluated_otherwise
from vatrack.reporting.tables.sources import Source
from vatrack.reporting.tables.table import Row

METHOD_NAMES = {
    Method.QDTRACK: "QDTrack",
    Method.AMODALTRACK: "AmodalTrack",
    Method.VATRACK: "VATrack",
    Method.VATRACK_2BBOX: "VATrack-2bbox",
}
BACKBONE_NAMES = {
    Backbone.RESNET18: "ResNet-18",
    Backbone.RESNET50: "ResNet-50",
    Backbone.RESNEXT101: "ResNeXt-101",
}
# The columns of text in a table with a row for each run (see `table.Table.texts`).
RUN_TEXTS = {"method": "Method", "backbone": "Backbone", "label": "", "dataset": "Dataset"}
DATASET_NAMES = {"sailvos": "SAIL-VOS", "sailvos-cut": "SAIL-VOS-cut"}


def dataset_name(dataset: str | None) -> str:
    """What readers call a dataset; a dash where nothing says which it is."""
    return "-" if dataset is None else DATASET_NAMES.get(dataset, dataset)


def short_names(runs: Sequence[Run | Source]) -> list[str]:
    """Names for readers: the method, and in brackets what differs among the runs."""
    names = []
    for run in runs:
        details = [
            BACKBONE_NAMES[run.backbone] if len({other.backbone for other in runs}) > 1 else "",
            dataset_name(run.dataset)
            if run.dataset and len({other.dataset for other in runs}) > 1
            else "",
            run.label,
        ]
        more = ", ".join(filter(None, details))
        names.append(METHOD_NAMES[run.method] + (f" ({more})" if more else ""))
    return names


def with_warning(note: str, runs: Sequence[Run]) -> str:
    """The note of a table of these runs, with which of them were evaluated otherwise."""
    names = {id(run): name for run, name in zip(runs, short_names(runs), strict=True)}
    alike: dict[tuple[str, str], list[str]] = {}
    for run, other, what in evaluated_otherwise(runs):
        alike.setdefault((names[id(other)], what), []).append(names[id(run)])
    for (most, what), own in alike.items():
        note += f" Not comparable with {most}, because of different {what}: {', '.join(own)}."
    return note


def with_reason(note: str, runs: Sequence[Run]) -> str:
    """The note of a table of tracks, with why some runs have dashes there."""
    alone = any(without_tracks(run.metrics) for run in runs)
    return (
        f"{note} Runs with only dashes: {NO_TRACKS[:1].lower()}{NO_TRACKS[1:]}" if alone else note
    )


def run_row(
    run: Run, source: str, values: Sequence[float | None], block: str, *, signed: bool = False
) -> Row:
    """A run's row; `source` says what its values are, `block` the rows of a dataset it joins."""
    key = run.method.value, run.backbone.value, run.label, run.dataset or "", source
    name = f"{source}: {run.label}" if run.label else source
    names = METHOD_NAMES[run.method], BACKBONE_NAMES[run.backbone], dataset_name(run.dataset), name
    return Row(key, names, values, f"{block} on {run.dataset}", signed=signed)
