"""The runs that are compared: read, and refused where their numbers do not belong together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations, zip_longest
from pathlib import Path
from string import ascii_uppercase

from vatrack.common.counted import counted, few
from vatrack.common.errors import InputError
from vatrack.common.files import sha256_of
from vatrack.common.paths import seen
from vatrack.reporting.tables.names import short_names
from vatrack.reporting.tables.runs import Run, read_folders
from vatrack.runs.folder import RunFolder
from vatrack.runs.results import next_step, require_run, run_data

LISTED = 5  # names of classes or clips in a message


@dataclass(frozen=True)
class Side:
    """One of the compared runs.

    Attributes:
        letter: A, B, ... in the order given; `name`: for readers.
        ground_truth: file of the true objects that lies beside the run; None where there is none.
        images: folder of the frames; likewise.
    """

    letter: str
    name: str
    folder: RunFolder
    run: Run
    ground_truth: Path | None
    images: Path | None


def read_sides(folders: Sequence[Path]) -> list[Side]:
    """Reads the runs.

    Raises:
        InputError: fewer than two, one twice, no run's folder, a run without metrics; or classes,
            clips, ground truth or protocol of the evaluations differ.
    """
    if not 2 <= len(folders) <= len(ascii_uppercase):
        raise InputError(
            f"{counted(len(folders), 'run')} given; give 2 to {len(ascii_uppercase)} run folders"
        )
    for folder in folders:
        _check(folder)
    runs = read_folders(folders)
    lettered = zip(ascii_uppercase, short_names(runs), folders, runs, strict=False)
    sides = [_side(*one) for one in lettered]
    digest = cache(sha256_of)
    for first, other in combinations(sides, 2):  # the first one may have noted less than the others
        _check_same(first, other, digest)
    return sides


def _check(folder: Path) -> None:
    require_run(folder)
    if not RunFolder(folder).metrics.is_file():
        raise InputError(f"{folder}: {next_step(folder, 'metrics')}")


def _side(letter: str, name: str, path: Path, run: Run) -> Side:
    ground_truth, images = run_data(path)
    return Side(
        letter,
        name,
        RunFolder(path),
        run,
        ground_truth if seen(ground_truth.is_file) else None,
        images if seen(images.is_dir) else None,
    )


def _check_same(first: Side, other: Side, digest: Callable[[Path], str]) -> None:
    """Whether the metrics of two runs are of one set of objects, by one protocol.

    Args:
        digest: gives the checksum of a file.
    """
    theirs = _facts(other)
    for what, mine in _facts(first).items():
        if mine != (own := theirs.get(what, mine)):
            raise _different(what, first, other, (_listed(mine, own), _listed(own, mine)))
    for what, values in first.run.noted.differences(other.run.noted):
        raise _different(what, first, other, values)
    if first.run.noted.truth and other.run.noted.truth:
        return
    files = first.ground_truth, other.ground_truth
    if files[0] and files[1] and not files[0].samefile(files[1]):
        digests = [digest(file) for file in files if file]
        if digests[0] != digests[1]:
            pairs = zip(files, digests, strict=True)
            shown = [f"{file} (sha256 {found[:10]})" for file, found in pairs]
            raise _different("ground truth", first, other, shown)


def _different(what: str, first: Side, other: Side, values: Sequence[str]) -> InputError:
    shown = "\n".join(
        f"  {side.letter} {side.folder.path}: {value}"
        for side, value in zip((first, other), values, strict=True)
    )
    return InputError(
        f"these runs have different {what}, so their metrics cannot be compared; evaluate both "
        f"with the same ground truth and config:\n{shown}"
    )


def _facts(side: Side) -> dict[str, list[str]]:
    """What must be the same in all runs that say it."""
    facts = {"datasets": [side.run.dataset or "not named"]}
    if details := side.run.details:
        facts["classes"] = list(details.classes)
        facts["clips"] = sorted({name for own in details.per_video.values() for name in own})
        for evaluation, classes in sorted(details.per_class.items()):
            facts[f"classes with ground-truth objects ({evaluation})"] = sorted(classes)
    return facts


def _listed(own: Sequence[str], foreign: Sequence[str]) -> str:
    """The names, or where they are many, those that differ."""
    if len(own) == 1:
        return own[0]
    differ = [name for name in own if name not in foreign]
    if not differ:  # the order differs, or the other has more
        differ = [one for one, two in zip_longest(own, foreign) if one and one != two]
    shown = few(differ, LISTED)
    return f"{len(own)}, different: {shown}" if shown else f"{len(own)}, all in the other"
