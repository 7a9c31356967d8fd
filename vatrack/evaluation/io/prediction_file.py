"""The predictions of a file one by one (JSON Lines or one JSON array): numbers and offsets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import orjson

from vatrack.common.counted import counted
from vatrack.common.errors import InputError, advised
from vatrack.common.json_stream import JsonFault, JsonStream, loads
from vatrack.common.mask_types import MASK_TYPES
from vatrack.common.text_files import open_source
from vatrack.common.value_files import check_keys, count_keys
from vatrack.data.known_forms import PREDICTIONS, wanted
from vatrack.evaluation.io.prediction_heads import BLOCK, Heads, heads_of, whole_lines

_FIELDS = frozenset(
    {"image_id", "category_id", "score", "bbox", "bbox_visible", "track_id", *MASK_TYPES}
)
AGAIN = "create the predictions again"
SAME_SUBSET = "give the ground truth of the same subset (train or valid)"
OTHER_TRUTH = f"the predictions belong to another ground truth: {SAME_SUBSET}"
OTHER_CLASSES = "use the category ids of the ground truth"


class PredictionItem(NamedTuple):
    """One prediction: its line, or its item in an array, from 1; the parsed value; where its text
    stands, in bytes (unpacked)."""

    number: int
    value: Any
    offset: int
    length: int


class PredictionError(InputError):
    """Something is wrong with the prediction of that number; among several the first one is to be
    reported."""

    def __init__(self, label: str, number: int, problem: str) -> None:
        super().__init__(label, number, advised(problem, "correct it, or create the file again"))
        self.number = number
        self.misfit = problem.endswith((OTHER_TRUTH, OTHER_CLASSES))

    def __str__(self) -> str:
        label, number, problem = self.args
        return f"{label} {number}: {problem}"


class PredictionReader:
    """The predictions of an open file, in order.

    Attributes:
        label: what a prediction is called in messages, "predictions.jsonl: line".
    """

    def __init__(self, stream: BinaryIO, name: Path | str) -> None:
        """`name` is that of the file as the user knows it."""
        self.stream = stream
        self.name = name
        # An array may be one line, so the form is seen from the first character.
        first = b""
        while not first.strip() and (first := stream.read(BLOCK)):
            pass
        self.array = first.lstrip().startswith(b"[")
        stream.seek(0)
        self.label = f"{name}: {'item' if self.array else 'line'}"

    def __iter__(self) -> Iterator[PredictionItem]:
        """
        Raises:
            PredictionError: a prediction is not JSON.
            InputError: an array goes on behind its end.
        """
        return self._items() if self.array else self._lines(self.stream)

    def heads(self, whole: Callable[[bytes], bool]) -> Iterator[Heads | PredictionItem]:
        """All predictions in order: most of them many at once, with nothing but their `image_id`.

        That is so where it comes first and in digits, and `whole` does not ask for more of these
        lines. Whether they are sound shows when they are parsed.

        Raises:
            PredictionError, InputError: as for the predictions themselves.
        """
        if self.array:
            yield from self._items()
            return
        number, offset = 1, 0
        for text in whole_lines(self.stream):
            found = None if whole(text) else heads_of(text, number, offset)
            if found is None:
                yield from self._lines(BytesIO(text), number, offset)
                number += text.count(b"\n")
            else:
                yield found
                number += len(found.number)
            offset += len(text)

    def _lines(
        self, lines: Iterable[bytes], number: int = 1, offset: int = 0
    ) -> Iterator[PredictionItem]:
        """`number` and `offset` are those of the first line."""
        for line in lines:
            if not line.isspace():
                yield PredictionItem(
                    number, parse_line(line, self.label, number), offset, len(line)
                )
            number, offset = number + 1, offset + len(line)

    def _items(self) -> Iterator[PredictionItem]:
        """Items of an array, so that it is never in memory as a whole."""
        stream, number = JsonStream(self.stream), 0
        try:
            for _ in stream.slots():
                found = stream.objects() if stream.next() == "{" else []
                for value, begin, end in found or [(stream.value(parse), stream.begin, stream.end)]:
                    number += 1
                    yield PredictionItem(number, value, begin, end - begin)
        except JsonFault as fault:
            fix = fault.fix or AGAIN
            raise PredictionError(
                self.label, number + 1, f"not valid JSON, or truncated ({fault.reason}); {fix}"
            ) from None
        if stream.next():
            raise InputError(f"{self.name}: there is text after the end of the JSON array; {AGAIN}")


@contextmanager
def open_predictions(path: Path, name: Path | str | None = None) -> Iterator[PredictionReader]:
    """Opens a file of predictions, unpacked where it is gzip. What the block refuses of another
    form is named as what it is.

    Args:
        path: the file.
        name: what it is called in messages, if it is a copy.

    Raises:
        InputError: the file is missing or cannot be read; also within the block.
    """
    name = name or path
    with (
        wanted((name, PREDICTIONS)),
        open_source(path, name=name, again=AGAIN) as stream,
    ):
        yield PredictionReader(stream, name)


class PredictionLines:
    """Predictions by the texts of their lines, each parsed when it is asked for.

    Args:
        numbers, texts: of the lines; `label`: what a line is called in messages.
    """

    def __init__(self, numbers: Iterable[int], texts: Iterable[bytes], label: str) -> None:
        self._numbers, self._texts, self._label = iter(numbers), iter(texts), label

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        """
        Raises:
            PredictionError: a line is not JSON.
        """
        for number, text in zip(self._numbers, self._texts, strict=True):
            yield number, parse_line(text, self._label, number)

    def batch(self, count: int) -> Batch:
        """The next `count` lines."""
        numbers, texts = list(islice(self._numbers, count)), list(islice(self._texts, count))
        careful = PredictionLines(numbers, texts, self._label)
        return Batch(numbers, _parse_usual(texts), careful)


class Batch(NamedTuple):
    """Some predictions: their numbers; the parsed values, if their texts are as usual and no key is
    in one twice, else None; and numbers with values, which are parsed one by one, with care."""

    numbers: list[int]
    usual: list[Any] | None
    careful: PredictionLines


def _parse_usual(texts: list[bytes]) -> list[Any] | None:
    """The values of sound lines of the usual form, fast; None where they may be something else.

    Quotation marks and braces are counted in all lines together: each line has at least those of
    the keys, strings and objects that are found in it, so one that has more would show.
    """
    try:
        values = list(map(orjson.loads, texts))
        masks = [mask for one in values for key in MASK_TYPES if (mask := one.get(key)) is not None]
        strings = [mask["counts"] for mask in masks]
        known = set().union(*values) <= _FIELDS and {2}.issuperset(map(len, masks))
        keys = sum(map(len, values)) + sum(map(len, masks))
    except (ValueError, TypeError, AttributeError, KeyError, IndexError):
        return None
    data = np.frombuffer(b"".join(texts), np.uint8)
    if (
        known
        and {dict}.issuperset(map(type, values))
        and {dict}.issuperset(map(type, masks))
        and {str}.issuperset(map(type, strings))
        and np.count_nonzero(data == ord("{")) == len(values) + len(masks)
        and np.count_nonzero(data == ord('"')) == 2 * (keys + len(strings))
    ):
        return values
    return None


def parse_line(line: bytes, label: str, number: int) -> Any:
    """The JSON value of a line; `label` and `number` are for messages.

    Raises:
        PredictionError: it is none.
    """
    try:
        return parse(line)
    except ValueError as error:
        cut = "" if line.endswith(b"\n") else ", or the file is truncated here"
        raise PredictionError(label, number, f"not valid JSON ({error}){cut}; {AGAIN}") from None


def parse(text: bytes) -> Any:
    """A JSON value. NaN and infinity, which JSON does not have, are read, so that a check can name
    the field.

    Raises:
        ValueError: it is not JSON.
    """
    try:
        return loads(text)
    except json.JSONDecodeError as error:
        try:
            value = json.loads(text.decode(), object_pairs_hook=check_keys, parse_int=_integer)
            count_keys([value])
            return value
        except UnicodeDecodeError:
            raise ValueError("not UTF-8 text") from None
        except RecursionError:
            raise ValueError("nested too deeply") from None
        except json.JSONDecodeError:
            raise ValueError(error.msg) from None


def _integer(text: str) -> int:
    if len(text) > 300:  # more than a float can be
        raise ValueError(f"an integer of {counted(len(text), 'digit')}")
    return int(text)
