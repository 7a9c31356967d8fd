"""The runs that the tables show, read from where their metrics are, and told apart by labels."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from vatrack.common.errors import InputError
from vatrack.common.mask_types import MASK_TYPES
from vatrack.common.value_files import read_json, read_yaml
from vatrack.config import Backbone, Method, RunConfig, load_run_config, parse_config
from vatrack.data.known_forms import METRICS, wants
from vatrack.reporting.checks import Metrics, check_metrics
from vatrack.reporting.details import Details, check_details, read_details
from vatrack.reporting.noted import Noted, read_noted
from vatrack.reporting.tables.sources import (
    Source,
    find_runs,
    in_order,
    labelled,
    parse_key,
    run_key,
    sources_of,
)
from vatrack.runs.fingerprint import without_seed_hash
from vatrack.runs.folder import RunFolder
from vatrack.runs.results import outdated_step

DETAILS_FORM = "METHOD/BACKBONE[:LABEL]=details.json"
T = TypeVar("T")


@dataclass(frozen=True)
class Run:
    """One run: what it is, and what was measured.

    `label` tells it from others of the same method and backbone, else it is empty; `dataset` is
    None where nothing says it; `metrics` are those of contract 4, checked (see `check_metrics`);
    metrics and details of masks that the method does not predict are left out (see `predicts`);
    `folder` is the run's, where it was found by it. Where its config can be read, `settings` is
    the fingerprint without the seed (`without_seed_hash`) of the settings that led to the metrics,
    and `seed` the seed; else they are empty and None. `noted`: of the evaluation; `source`: the
    folder, or else the file of the metrics, for messages.
    """

    method: Method
    backbone: Backbone
    label: str
    dataset: str | None
    metrics: Metrics
    details: Details | None
    folder: Path | None = None
    settings: str = ""
    seed: int | None = None
    noted: Noted = field(default_factory=Noted)
    source: Path = Path()

    @property
    def key(self) -> str:
        """As options name it."""
        return run_key(self.method, self.backbone, self.label)


def read_runs(
    given: Sequence[str], details: Sequence[str] = (), dataset: str | None = None
) -> tuple[list[Run], list[Path]]:
    """Reads the metrics of all runs.

    `METHOD/BACKBONE[:LABEL]=FILE` names the metrics alone; the dataset is that of a config.yaml
    beside them, if there is one. A run's folder holds `config.yaml`, `metrics.json` and perhaps
    `details.json`. A folder of results holds such folders as `runs/*` or `*/runs/*`. A run has the
    label in its folder's name (`run_label`); runs in folders that are alike but for their place
    also get the parts of the paths that differ.

    Args:
        given: what the runs are, in these forms.
        details: METHOD/BACKBONE[:LABEL]=details.json for runs that were given as files.
        dataset: the dataset of all runs, whatever their config says.

    Returns:
        The runs, by dataset (in the order given), then in the paper's order of methods and
        backbones; and the folders of runs among the results that have no metrics yet.

    Raises:
        InputError: something is of another form, missing, or there twice; a file holds something
            else.
    """
    sources: list[Source] = []
    unfinished: list[Path] = []
    for text in given:
        found, waiting = find_runs(text)
        sources += found
        unfinished += waiting
    sources = labelled(
        [source if dataset is None else replace(source, dataset=dataset) for source in sources]
    )
    known: set[tuple[Any, ...]] = set()
    for source in sources:
        name = (*source.key, source.dataset)
        if name in known:
            raise InputError(
                f"--run {source.given}: {run_key(*source.key)} is given twice; give the runs "
                "different labels (METHOD/BACKBONE:LABEL=metrics.json or LABEL=FOLDER)"
            )
        known.add(name)
    for text in details:
        sources = _with_details(sources, text)
    runs = [_read(source) for source in in_order(sources)]
    _warn_of_others(runs)
    return runs, unfinished


def read_folders(folders: Sequence[Path]) -> list[Run]:
    """The runs in these folders, in this order; raises as `read_runs` does, and as `sources_of`."""
    return [_read(source) for source in sources_of(folders)]


def evaluated_otherwise(runs: Sequence[Run]) -> list[tuple[Run, Run, str]]:
    """The runs that were evaluated otherwise than most on their dataset, of those that have noted
    how; each with one of those, and what differs."""
    noted = [run for run in runs if run.noted != Noted()]
    found = []
    for dataset in dict.fromkeys(run.dataset for run in noted):
        own = [run for run in noted if run.dataset == dataset]
        other = min(own, key=lambda run: sum(bool(_differing(each, run)) for each in own))
        found += [(run, other, what) for run in own if (what := _differing(run, other))]
    return found


def _differing(run: Run, other: Run) -> str:
    return " and ".join(difference.what for difference in run.noted.differences(other.noted))


def _warn_of_others(runs: Sequence[Run]) -> None:
    for run, other, what in evaluated_otherwise(runs):
        warnings.warn(
            f"{run.source}: evaluated with different {what} than {other.source}, so their metrics "
            "cannot be compared; evaluate both again",
            stacklevel=2,
        )


def _with_details(sources: list[Source], text: str) -> list[Source]:
    left, _, file = text.partition("=")
    if not file:
        raise InputError(f"--details {text}: not details; must be {DETAILS_FORM}")
    key = parse_key(left, f"--details {text}", DETAILS_FORM)
    matching = [source for source in sources if source.key == key]
    if len(matching) != 1:
        number = "no run is" if not matching else "several runs are"
        raise InputError(
            f"--details {text}: {number} given as --run {left}=metrics.json; details must belong "
            "to one run"
        )
    return [
        replace(source, details=Path(file)) if source is matching[0] else source
        for source in sources
    ]


def _read(source: Source) -> Run:
    metrics = _read_metrics(source.metrics)
    details = None
    if source.details:
        details = read_details(source.details)
        check_details(details, source.details, metrics, source.metrics)
        details = replace(
            details,
            per_class=_predicted(source.method, details.per_class),
            per_video=_predicted(source.method, details.per_video),
            curves=_predicted(source.method, details.curves),
        )
    beside = _run_of(source)
    if beside and (text := outdated_step(beside.path, "metrics")):
        warnings.warn(f"{beside.path}: {text}", stacklevel=2)
    settings, seed = _settings(source.folder) if source.folder else ("", None)
    return Run(
        source.method,
        source.backbone,
        source.label,
        source.dataset,
        _predicted(source.method, metrics),
        details,
        source.folder,
        settings,
        seed,
        read_noted(beside, source.method.masks) if beside else Noted(),
        source.folder or source.metrics,
    )


def _run_of(source: Source) -> RunFolder | None:
    """The run that the metrics are of, also where their file was given instead of its folder."""
    folder = RunFolder(source.metrics.parent)
    return folder if folder.metrics.name == source.metrics.name else None


def _predicted(method: Method, by_key: Mapping[str, T]) -> dict[str, T]:
    """What is of masks that the method predicts."""
    return {key: own for key, own in by_key.items() if predicts(method, key)}


def predicts(method: Method, key: str) -> bool:
    """Whether a metric or a level ("image/visible_box") is of masks that the method predicts."""
    masks = [name.removesuffix("_box") for name in key.split("/")][1:2]
    missing = set(MASK_TYPES) - set(method.masks)
    return missing.isdisjoint(masks) and not (missing and masks == ["hidden"])


def _settings(folder: Path) -> tuple[str, int | None]:
    """Fingerprint without the seed, and the seed; nothing where the config cannot be read.

    What stands beside predictions and metrics is newer than the config of the training.
    """
    run = RunFolder(folder)
    try:
        values = load_run_config(run.config).model_dump(mode="json")
        predicted = _mapping(read_yaml(run.inference) if run.inference.is_file() else None)
        evaluated = _mapping(read_yaml(run.evaluation) if run.evaluation.is_file() else None)
        for section in ("inference", "input", "compute"):
            values[section] |= _mapping(predicted.get(section))
        known = values["evaluation"]
        known |= {key: value for key, value in evaluated.items() if key in known}
        config = parse_config(values, str(folder), RunConfig)
    except InputError:
        return "", None
    return without_seed_hash(config), config.seed


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


@wants(path=METRICS)
def _read_metrics(path: Path) -> Metrics:
    values = read_json(path)
    if not isinstance(values, dict) or not values:
        raise InputError(f"{path}: contains no metrics; create the file with `vatrack evaluate`")
    return check_metrics(values, "", path, "create the file with `vatrack evaluate`")
