"""Where the metrics of runs are: metrics files, runs' folders and folders of results."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from vatrack.common.errors import InputError
from vatrack.common.numbers_in_names import natural
from vatrack.common.paths import real
from vatrack.common.run_files import CONFIG_FILE
from vatrack.common.similar import unknown
from vatrack.common.text_files import no_such
from vatrack.common.value_files import read_yaml
from vatrack.config import Backbone, Method
from vatrack.runs.folder import RunFolder
from vatrack.runs.results import next_step

A_RUN = (
    "METHOD/BACKBONE[:LABEL]=metrics.json, or a run folder or results folder (also LABEL=FOLDER)"
)


@dataclass(frozen=True)
class Source:
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
        """As --run and --details name it."""
        return self.method, self.backbone, self.label


def find_runs(text: str) -> tuple[list[Source], list[Path]]:
    """The runs that one --run names, and the folders of runs that have no metrics yet.

    Raises:
        InputError: there is no such folder, nothing measured in it, or a config of something else.
    """
    left, equals, right = ("", "", text) if Path(text).is_dir() else text.partition("=")
    if not equals or ("/" not in left and Path(right).is_dir()):
        if not right or not Path(right).is_dir():
            raise InputError(f"--run {text}: {no_such(right or text, 'folder')}; must be {A_RUN}")
        return _in_folder(text, Path(right), _label(left, f"--run {text}") if equals else "")
    method, backbone, label = parse_key(left, f"--run {text}", A_RUN)
    if not right:
        raise InputError(f"--run {text}: not a run; must be {A_RUN}")
    path = Path(right)
    if path.is_dir():
        source = _source_of(text, path, label)
        _agree(text, source, method, backbone)
        return [source], []
    source = Source(text, method, backbone, label, None, path)
    config = RunFolder(path.parent).config
    values = read_yaml(config) if config.is_file() else None
    if isinstance(values, dict) and "method" in values:
        beside = _source_of(text, path.parent, label)
        _agree(text, beside, method, backbone)
        source = replace(source, dataset=beside.dataset)
    return [source], []


def sources_of(folders: Sequence[Path]) -> list[Source]:
    """The runs in these folders, in this order, whose metrics need not be there yet.

    Raises:
        InputError: a folder is given twice, or has no config of a run.
    """
    paths = [real(folder) for folder in folders]
    for number, folder in enumerate(folders):
        if paths[number] in paths[:number]:
            raise InputError(f"{folder}: the run is given twice; give each run folder once")
    sources = labelled([_source_of(str(folder), folder, "") for folder in folders])
    names = Counter((source.key, source.dataset) for source in sources)
    return [  # one may be called by its label as another one is by its place
        source
        if names[source.key, source.dataset] == 1
        else replace(source, label=", ".join(filter(None, [source.label, source.given])))
        for source in sources
    ]


def labelled(sources: Sequence[Source]) -> list[Source]:
    """Completes the labels of runs that only their folders tell apart: what differs in their paths
    comes first, so that a seed stays at the end. A run beside copies of it, in folders with other
    names, keeps its label."""

    def group(source: Source) -> tuple[str, ...]:
        return source.method, source.backbone, source.dataset or "", source.label

    bare = [source for source in sources if source.folder and not source.named]
    labels: dict[int, str] = {}
    for _, members in groupby(sorted(bare, key=group), key=group):
        alike = list(members)
        paths = [real(source.folder) for source in alike if source.folder]
        if len({len(path.parts) for path in paths}) == 1:
            parts = [path.parts for path in paths]
            differ = [n for n, names in enumerate(zip(*parts, strict=True)) if len(set(names)) > 1]
            places = ["/".join(names[n] for n in differ) for names in parts]
        else:
            places = [str(source.folder) for source in alike]
        called = [bool(RunFolder(path).name) for path in paths]
        for source, place, own in zip(alike, places, called, strict=True):
            if len(alike) > 1 and not (own and called.count(True) == 1):
                labels[id(source)] = ", ".join(filter(None, [place, source.label]))
    return [replace(source, label=labels.get(id(source), source.label)) for source in sources]


def in_order(sources: Sequence[Source]) -> list[Source]:
    """By dataset (in the order given), then in the paper's order of methods and backbones."""
    datasets = list(dict.fromkeys(source.dataset for source in sources))
    methods, backbones = list(Method), list(Backbone)

    def place(own: Source) -> tuple[int, ...]:
        indices = methods.index(own.method), backbones.index(own.backbone)
        return (datasets.index(own.dataset), *indices)

    return sorted(sources, key=place)


def _in_folder(text: str, folder: Path, label: str) -> tuple[list[Source], list[Path]]:
    if RunFolder(folder).metrics.is_file():
        return [_source_of(text, folder, label)], []
    places = [
        path
        for pattern in ("runs/*", "*/runs/*")
        for path in sorted(folder.glob(pattern), key=lambda path: natural(str(path)))
    ]
    runs = [path for path in places if RunFolder(path).config.is_file()]
    for path in places:
        if path not in runs and RunFolder(path).metrics.is_file():
            warnings.warn(
                f"{path}: has metrics, but no {CONFIG_FILE}, so it is left out; restore "
                "the file, or give the metrics as METHOD/BACKBONE=metrics.json",
                stacklevel=2,
            )
    finished = [run for run in runs if RunFolder(run).metrics.is_file()]
    if not finished:
        if not runs and RunFolder(folder).config.is_file() and not (folder / "runs").is_dir():
            raise InputError(f"--run {text}: {next_step(folder, 'metrics')}")
        where = (
            f"no metrics.json in it or in run folders below ({folder}/runs/* or {folder}/*/runs/*)"
        )
        fix = f"{runs[0]} {next_step(runs[0], 'metrics')}" if runs else "evaluate the runs first"
        raise InputError(f"--run {text}: {where}; {fix}")
    sources = [_source_of(text, run, "") for run in finished]
    if label:
        sources = [
            replace(source, label=", ".join(filter(None, [label, source.label])), named=True)
            for source in sources
        ]
    return sources, [run for run in runs if run not in finished]


def _source_of(text: str, folder: Path, label: str) -> Source:
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
    method, backbone, _ = parse_key(
        f"{values.get('method')}/{values.get('backbone')}", str(config), ""
    )
    details = RunFolder(folder).details
    name = values["dataset"].get("name")
    called = RunFolder(folder.resolve()).name
    if called and (called.method, called.backbone) == (method, backbone):
        own = called.label
    else:
        own = str(values.get("run_label") or "")
    return Source(
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


def _agree(text: str, source: Source, method: Method, backbone: Backbone) -> None:
    if (source.method, source.backbone) != (method, backbone):
        assert source.folder
        found = f"{RunFolder(source.folder).config} says {source.method}/{source.backbone}"
        raise InputError(f"--run {text}: {found}; give the metrics of {method}/{backbone}")


def parse_key(left: str, where: str, form: str) -> tuple[Method, Backbone, str]:
    """METHOD/BACKBONE[:LABEL]; `where` and `form` are for messages."""
    run, colon, label = left.partition(":")
    method, slash, backbone = run.partition("/")
    if not slash:
        raise InputError(f"{where}: not a run; must be {form}")
    for what, name, names in (("method", method, Method), ("backbone", backbone, Backbone)):
        if name not in list(names):
            raise InputError(f"{where}: {unknown(what, name, names)}")
    return Method(method), Backbone(backbone), _label(label, where) if colon else ""


def run_key(method: Method, backbone: Backbone, label: str) -> str:
    """The other way round: METHOD/BACKBONE[:LABEL]."""
    return f"{method}/{backbone}{f':{label}' if label else ''}"


def _label(label: str, where: str) -> str:
    if not label.strip() or not label.isprintable():
        raise InputError(f"{where}: not a label before '='; must be a short text, such as 'seed 1'")
    return label.strip()
