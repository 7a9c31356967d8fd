"""Which runs the tables show: from metrics files, runs' folders and folders of results to runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from vatrack.common.errors import InputError
from vatrack.common.files import read_json, read_yaml
from vatrack.common.similar import unknown
from vatrack.config import Backbone, Method, load_run_config
from vatrack.reporting.tables.checks import Metrics, check_metrics
from vatrack.reporting.tables.details import Details, read_details
from vatrack.runs.fingerprint import without_seed_hash
from vatrack.runs.folder import RunFolder

FORMS = (
    "METHOD/BACKBONE[:LABEL]=metrics.json, or a run folder or results folder (also LABEL=FOLDER)"
)
DETAILS_FORM = "METHOD/BACKBONE[:LABEL]=details.json"


@dataclass(frozen=True)
class Run:
    """One run: what it is, and what was measured.

    `label` tells it from others of the same method and backbone, else it is empty; `dataset` is
    None where nothing says it; `metrics` are those of contract 4, checked (see `check_metrics`);
    `folder` is the run's, where it was found by it. Where its config can be read, `settings` is
    their fingerprint without the seed (`without_seed_hash`), and `seed` the seed; else they are
    empty and None.
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

    @property
    def key(self) -> str:
        """As options name it."""
        return f"{self.method}/{self.backbone}{f':{self.label}' if self.label else ''}"


@dataclass(frozen=True)
class _Source:
    """Where the metrics of a run are. `folder` only where the run was found by its folder."""

    given: str
    method: Method
    backbone: Backbone
    label: str
    dataset: str | None
    metrics: Path
    folder: Path | None = None
    details: Path | None = None
    named: bool = False  # by who calls, so that the label must tell it from all others

    @property
    def key(self) -> tuple[Method, Backbone, str]:
        return self.method, self.backbone, self.label


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
    sources: list[_Source] = []
    unfinished: list[Path] = []
    for text in given:
        found, waiting = _find(text)
        sources += found
        unfinished += waiting
    sources = _labelled(
        [source if dataset is None else replace(source, dataset=dataset) for source in sources]
    )
    known: set[tuple[Any, ...]] = set()
    for source in sources:
        name = (*source.key, source.dataset)
        if name in known:
            shown = f"{source.method}/{source.backbone}{f':{source.label}' if source.label else ''}"
            fix = (
                "give the runs different labels (METHOD/BACKBONE:LABEL=metrics.json or "
                "LABEL=FOLDER)"
            )
            raise InputError(f"--run {source.given}: {shown} is given twice; {fix}")
        known.add(name)
    for text in details:
        sources = _with_details(sources, text)
    datasets = list(dict.fromkeys(source.dataset for source in sources))
    methods, backbones = list(Method), list(Backbone)
    sources.sort(
        key=lambda s: (
            datasets.index(s.dataset),
            methods.index(s.method),
            backbones.index(s.backbone),
        )
    )
    return [_read(source) for source in sources], unfinished


def _find(text: str) -> tuple[list[_Source], list[Path]]:
    """The runs that one --run names, and the folders of runs that have no metrics yet."""
    left, equals, right = ("", "", text) if Path(text).is_dir() else text.partition("=")
    if not equals or ("/" not in left and Path(right).is_dir()):
        if not right or not Path(right).is_dir():
            raise InputError(f"--run {text}: no such folder; must be {FORMS}")
        return _in_folder(text, Path(right), _label(left, f"--run {text}") if equals else "")
    method, backbone, label = _key(left, f"--run {text}", FORMS)
    if not right:
        raise InputError(f"--run {text}: must be {FORMS}")
    path = Path(right)
    if path.is_dir():
        source = _source_of(text, path, label)
        _agree(text, source, method, backbone)
        return [source], []
    source = _Source(text, method, backbone, label, None, path)
    config = RunFolder(path.parent).config
    values = read_yaml(config) if config.is_file() else None
    if isinstance(values, dict) and "method" in values:
        beside = _source_of(text, path.parent, label)
        _agree(text, beside, method, backbone)
        source = replace(source, dataset=beside.dataset)
    return [source], []


def _in_folder(text: str, folder: Path, label: str) -> tuple[list[_Source], list[Path]]:
    if RunFolder(folder).metrics.is_file():
        return [_source_of(text, folder, label)], []
    runs = [
        path.parent
        for pattern in ("runs/*", "*/runs/*")
        for path in sorted(folder.glob(str(RunFolder(pattern).config)))
    ]
    finished = [run for run in runs if RunFolder(run).metrics.is_file()]
    if not finished:
        where = (
            f"no metrics.json in it or in run folders below ({folder}/runs/* or {folder}/*/runs/*)"
        )
        raise InputError(f"--run {text}: {where}; evaluate the runs first")
    sources = [_source_of(text, run, "") for run in finished]
    if label:
        sources = [
            replace(source, label=", ".join(filter(None, [label, source.label])), named=True)
            for source in sources
        ]
    return sources, [run for run in runs if run not in finished]


def _source_of(text: str, folder: Path, label: str) -> _Source:
    """The run in a folder, with this label; where it is empty, with that in the folder's name, or
    in the config where that name has another form.

    Only four keys of its config are read: it may be of another version of this program.
    """
    config = RunFolder(folder).config
    if not config.is_file():
        raise InputError(
            f"--run {text}: {config} is missing; give the metrics as METHOD/BACKBONE=metrics.json"
        )
    values = read_yaml(config)
    if (
        not isinstance(values, dict)
        or not isinstance(values.get("dataset"), dict)
        or not values.get("method")
    ):
        raise InputError(
            f"{config}: not the config of a run; give the metrics as METHOD/BACKBONE=metrics.json"
        )
    method, backbone, _ = _key(f"{values.get('method')}/{values.get('backbone')}", str(config), "")
    details = RunFolder(folder).details
    name = values["dataset"].get("name")
    called = RunFolder(folder.resolve()).name
    if called and (called.method, called.backbone) == (method, backbone):
        own = called.label
    else:
        own = str(values.get("run_label") or "")
    return _Source(
        text,
        method,
        backbone,
        label or own,
        name if isinstance(name, str) else None,
        RunFolder(folder).metrics,
        folder,
        details if details.is_file() else None,
        bool(label),
    )


def _agree(text: str, source: _Source, method: Method, backbone: Backbone) -> None:
    if (source.method, source.backbone) != (method, backbone):
        assert source.folder
        found = f"{RunFolder(source.folder).config} says {source.method}/{source.backbone}"
        raise InputError(f"--run {text}: {found}; give the metrics of {method}/{backbone}")


def _key(left: str, where: str, form: str) -> tuple[Method, Backbone, str]:
    """METHOD/BACKBONE[:LABEL]; `where` and `form` are for messages."""
    run, colon, label = left.partition(":")
    method, slash, backbone = run.partition("/")
    if not slash:
        raise InputError(f"{where}: must be {form}")
    for what, name, names in (("method", method, Method), ("backbone", backbone, Backbone)):
        if name not in list(names):
            raise InputError(f"{where}: {unknown(what, name, names)}")
    return Method(method), Backbone(backbone), _label(label, where) if colon else ""


def _label(label: str, where: str) -> str:
    if not label.strip() or not label.isprintable():
        raise InputError(
            f"{where}: the label before '=' must be a short text, for example 'seed 1'"
        )
    return label.strip()


def _labelled(sources: list[_Source]) -> list[_Source]:
    """Completes the labels of runs that only their folders tell apart."""

    def group(source: _Source) -> tuple[str, ...]:
        return source.method, source.backbone, source.dataset or "", source.label

    bare = [source for source in sources if source.folder and not source.named]
    labels: dict[int, str] = {}
    for _, members in groupby(sorted(bare, key=group), key=group):
        alike = list(members)
        if len(alike) == 1:
            continue
        parts = [source.folder.resolve().parts for source in alike if source.folder]
        if len({len(folders) for folders in parts}) == 1:
            differ = [
                place for place, names in enumerate(zip(*parts, strict=True)) if len(set(names)) > 1
            ]
            labels |= {
                id(s): ", ".join(filter(None, [s.label, "/".join(names[n] for n in differ)]))
                for s, names in zip(alike, parts, strict=True)
            }
        else:
            labels |= {id(s): ", ".join(filter(None, [s.label, str(s.folder)])) for s in alike}
    return [replace(source, label=labels.get(id(source), source.label)) for source in sources]


def _with_details(sources: list[_Source], text: str) -> list[_Source]:
    left, _, file = text.partition("=")
    if not file:
        raise InputError(f"--details {text}: must be {DETAILS_FORM}")
    key = _key(left, f"--details {text}", DETAILS_FORM)
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


def _read(source: _Source) -> Run:
    metrics = _read_metrics(source.metrics)
    details = read_details(source.details, metrics, source.metrics) if source.details else None
    settings, seed = _settings(source.folder) if source.folder else ("", None)
    return Run(
        source.method,
        source.backbone,
        source.label,
        source.dataset,
        metrics,
        details,
        source.folder,
        settings,
        seed,
    )


def _settings(folder: Path) -> tuple[str, int | None]:
    """Fingerprint without the seed, and the seed; nothing where the config cannot be read."""
    try:
        config = load_run_config(RunFolder(folder).config)
    except InputError:
        return "", None
    return without_seed_hash(config), config.seed


def _read_metrics(path: Path) -> Metrics:
    values = read_json(path)
    if isinstance(values, dict) and "per_class" in values:
        raise InputError(
            f"{path}: contains details; give the metrics here, and this file with --details"
        )
    if not isinstance(values, dict):
        raise InputError(f"{path}: not a metrics file; create it with `vatrack evaluate`")
    return check_metrics(values, "", path, "create the file with `vatrack evaluate`")
