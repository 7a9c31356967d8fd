"""The file of one shard of an evaluation: the results of its videos as NumPy arrays (.npz, which
has checksums), and a record of them as JSON.

Of the objects of one dataclass each field is one array, with the number of its rows in each object.
Arrays that objects of two kinds share are kept once.
"""

from __future__ import annotations

import errno
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field, fields
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.files import atomic_path
from vatrack.common.shards import is_numbered
from vatrack.common.text_files import no_such
from vatrack.evaluation.ap.matching import Matches
from vatrack.evaluation.hidden import HiddenCounts
from vatrack.evaluation.io.box_fit import BoxFit
from vatrack.evaluation.io.gaps import Missing
from vatrack.evaluation.mot.hota import HotaResult
from vatrack.evaluation.mot.measures import TrackCounts
from vatrack.evaluation.one_video import VideoResult

FORM = "vatrack evaluation shard"
VERSION = 3  # of the form, and of what the numbers in it mean
AGAIN = "evaluate the shard again"
RECORD = "record"  # name of the array that holds the record
COUNTS = ("images", "seen", "detections", "left_out", "tracks", "mixed")

Array = NDArray[Any]
Kind = TypeVar("Kind", Matches, HiddenCounts)


def write_shard(path: Path, record: Mapping[str, Any], results: Sequence[VideoResult]) -> None:
    """Writes a shard, whole or not at all; the same results become the same bytes.

    Args:
        record: what `read_record` is to return; JSON.
        results: of its videos, in their order; all were evaluated in the same way.
    """
    columns = _Columns()
    first = results[0] if results else None
    for level in first.matches if first else ():
        columns.add(f"matches/{level}", [result.matches[level] for result in results])
    for name in first.tracking if first else ():
        columns.add_tracking(name, [result.tracking[name] for result in results])
    if first and first.hidden is not None:
        columns.add("hidden", [result.hidden for result in results])
    about = {
        "form": FORM,
        "version": VERSION,
        **record,
        "levels": list(first.matches) if first else [],
        "tracking": list(first.tracking) if first else [],
        "hidden": bool(first and first.hidden is not None),
        "counts": [[getattr(result, name) for name in COUNTS] for result in results],
        "boxes": [astuple(result.boxes) for result in results],
        "missing": [
            {mask_type: astuple(missing) for mask_type, missing in result.missing.items()}
            for result in results
        ],
        "metrics": [result.metrics for result in results],
        "same": columns.same,
    }
    arrays = {RECORD: np.frombuffer(json.dumps(about).encode(), np.uint8), **columns.arrays}
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)


def read_record(path: Path) -> dict[str, Any]:
    """The record of a shard.

    Raises:
        InputError: the file is missing, damaged, no shard, or one of another version.
    """
    with _opened(path) as columns:
        record: dict[str, Any] = json.loads(columns.load(RECORD).tobytes())
        if record["form"] != FORM:
            raise ValueError(f"its form is {record['form']}")
        if record["version"] != VERSION:
            raise InputError(
                f"{path}: written by another version of vatrack (format {record['version']}, "
                f"expected {VERSION}); {AGAIN}"
            )
        if not is_numbered(record):
            raise ValueError("it has no number")
        return record


def read_results(path: Path) -> list[VideoResult]:
    """The results of the videos of a shard, as they were.

    Raises:
        InputError: the file is damaged.
    """
    record = read_record(path)
    with _opened(path) as columns:
        columns.same = record["same"]
        count = len(record["counts"])
        matches = {level: columns.split(f"matches/{level}", Matches) for level in record["levels"]}
        tracking = {name: columns.split_tracking(name) for name in record["tracking"]}
        hidden: Sequence[HiddenCounts | None] = (
            columns.split("hidden", HiddenCounts) if record["hidden"] else [None] * count
        )
        return [
            VideoResult(
                matches={level: several[row] for level, several in matches.items()},
                tracking={name: several[row] for name, several in tracking.items()},
                hidden=hidden[row],
                metrics=record["metrics"][row],
                boxes=BoxFit(*record["boxes"][row]),
                missing={
                    mask_type: Missing(*values)
                    for mask_type, values in record["missing"][row].items()
                },
                **dict(zip(COUNTS, record["counts"][row], strict=True)),
            )
            for row in range(count)
        ]


@contextmanager
def _opened(path: Path) -> Iterator[_Columns]:
    """The columns of a file; what goes wrong inside is told as damage.

    Raises:
        InputError: the file is missing or damaged.
    """
    if not path.is_file():
        raise InputError(f"{path}: {no_such(path, 'file')}; {AGAIN}")
    if not path.stat().st_size:
        raise InputError(f"{path}: is empty; {AGAIN}")
    with path.open("rb") as stream:
        try:
            with ZipFile(stream) as archive:
                yield _Columns(archive)
        except (InputError, MemoryError):
            raise
        except Exception as error:  # a damaged file may be anything
            # EINVAL: a place before the beginning. All others are the disk's, not the file's.
            if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
                raise
            reason = str(error) or type(error).__name__
            raise InputError(
                f"{path}: damaged, or not an evaluation shard ({reason}); {AGAIN}"
            ) from None


@dataclass
class _Columns:
    """Arrays by name, to be written or in a file; `same`: the names of arrays that are there under
    another name, and which."""

    archive: ZipFile | None = None
    arrays: dict[str, Array] = field(default_factory=dict)
    same: dict[str, str] = field(default_factory=dict)
    _known: dict[tuple[int, ...], str] = field(default_factory=dict)

    def add(self, name: str, several: Sequence[Any]) -> None:
        """Dataclasses of arrays, one for each video."""
        for column in fields(several[0]):
            values = [getattr(one, column.name) for one in several]
            key = f"{name}/{column.name}"
            known = self._known.setdefault(tuple(map(id, values)), key)
            if known != key:
                self.same[key] = known
                continue
            self.arrays[key] = np.concatenate(values)
            self.arrays[f"{key}/rows"] = np.array([len(value) for value in values], np.int64)

    def split(self, name: str, kind: type[Kind]) -> list[Kind]:
        """What `add` was given."""
        columns = []
        for column in fields(kind):
            key = self.same.get(f"{name}/{column.name}", f"{name}/{column.name}")
            columns.append(_cut(self.load(key), self.load(f"{key}/rows")))
        return [kind(*values) for values in zip(*columns, strict=True)]

    def add_tracking(self, name: str, several: Sequence[Sequence[TrackCounts]]) -> None:
        """Rows of counts, some for each video."""
        rows = [row for counts in several for row in counts]
        self.arrays[f"tracking/{name}/rows"] = np.array([len(counts) for counts in several])
        for kind, items in _tracking_columns(rows).items():
            for column, values in items.items():
                self.arrays[f"tracking/{name}/{kind}/{column}"] = np.array(values)

    def split_tracking(self, name: str) -> list[list[TrackCounts]]:
        """What `add_tracking` was given."""
        loaded: dict[str, dict[str, list[Any]]] = {
            kind: {
                column: self.load(f"tracking/{name}/{kind}/{column}").tolist() for column in columns
            }
            for kind, columns in _tracking_columns([]).items()
        }
        rows = [
            TrackCounts(**own, hota=HotaResult(**inner))
            for own, inner in zip(_rows(loaded["counts"]), _rows(loaded["hota"]), strict=True)
        ]
        return [list(some) for some in _cut(rows, self.load(f"tracking/{name}/rows"))]

    def load(self, name: str) -> Array:
        """An array of the file; its checksum is compared."""
        if name not in self.arrays and self.archive is not None:
            text = io.BytesIO(self.archive.read(f"{name}.npy"))
            self.arrays[name] = np.load(text, allow_pickle=False)
        return self.arrays[name]


def _tracking_columns(rows: Sequence[TrackCounts]) -> dict[str, dict[str, list[Any]]]:
    """The fields of counts, and of what TrackEval says, which is their last field."""
    own = [column.name for column in fields(TrackCounts)][:-1]
    inner = [column.name for column in fields(HotaResult)]
    return {
        "counts": {name: [getattr(row, name) for row in rows] for name in own},
        "hota": {name: [getattr(row.hota, name) for row in rows] for name in inner},
    }


def _rows(columns: Mapping[str, list[Any]]) -> Iterator[dict[str, Any]]:
    """Columns as rows; a list in one becomes a tuple."""
    for values in zip(*columns.values(), strict=True):
        cells = (tuple(value) if isinstance(value, list) else value for value in values)
        yield dict(zip(columns, cells, strict=True))


def _cut(values: Any, rows: Array) -> list[Any]:
    """Values cut into parts of so many rows."""
    bounds = [0, *np.cumsum(rows).tolist()]
    if bounds[-1] != len(values):
        raise ValueError(f"{counted(len(values), 'row')}, expected {bounds[-1]}")
    return [values[start:stop] for start, stop in pairwise(bounds)]
