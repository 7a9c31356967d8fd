"""What a JSON file is that was given in place of another one, for messages.

A file is looked at only where its reader has refused that very file: so a sound file is never
refused for what it looks like, nor for the fault of another one, and a damaged file keeps the
reader's own message. Which forms there are is not known here (`vatrack.data.known_forms`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from vatrack.common.errors import InputError
from vatrack.common.json_stream import JsonFault, JsonStream
from vatrack.common.text_files import NotText, open_source

LONGEST_LINE = 1 << 20  # bytes that are read of a line
LOOKED_AT = 1000  # items of the list that tells

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class FileForm:
    """A form of files: `what` such a file is, with its article, and what to `give` where it is
    wanted.

    Attributes:
        by_line: its reader looks at single lines.
        vague: anything may look like it; only said where a form that is read `by_line` is wanted.
    """

    what: str
    give: str = ""
    by_line: bool = False
    vague: bool = False


OVER_LINES = FileForm("JSON with objects over several lines", vague=True)


@dataclass(frozen=True)
class Outline:
    """A JSON object in short.

    Attributes:
        first: by name, in the order of the file, the first item of a list (None: it is empty), or
            the value of anything else.
        lists: which names are those of lists.
    """

    first: Mapping[str, Any]
    lists: frozenset[str]


@dataclass(frozen=True)
class FormTable:
    """How forms are told from each other; None where nothing is plain.

    Attributes:
        telling: name of the list whose items tell what an object is.
        of_item: the form of the file by an item of that list.
        of_object: by a whole object.
        of_first: by the first item of a list alone, or by the first of several objects.
    """

    telling: str
    of_item: Callable[[Any], FileForm | None]
    of_object: Callable[[Outline], FileForm | None]
    of_first: Callable[[Any], FileForm | None]

    def wants(
        self, **wanted: FileForm | tuple[FileForm, ...]
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Makes a function that refuses a file say so where that file has another form.

        Args:
            wanted: by parameter the form of its file, the first of several being the one that
                messages name. A parameter may also hold several files, or a mapping to some, or
                None.
        """

        def decorate(function: Callable[P, R]) -> Callable[P, R]:
            @wraps(function)
            def checked(*args: P.args, **kwargs: P.kwargs) -> R:
                given = inspect.signature(function).bind(*args, **kwargs).arguments
                with self.wanted(*((given.get(name), forms) for name, forms in wanted.items())):
                    return function(*args, **kwargs)

            return checked

        return decorate

    @contextmanager
    def wanted(self, *files: tuple[Any, FileForm | tuple[FileForm, ...]]) -> Iterator[None]:
        """The same for a block: files, each with the form that is wanted."""
        try:
            yield
        except InputError as error:
            for paths, forms in files:
                for path in filter(error.is_about, _paths(paths)):
                    self._refuse(path, forms if isinstance(forms, tuple) else (forms,))
            raise

    def _refuse(self, path: Path | str, forms: tuple[FileForm, ...]) -> None:
        found, wanted = self.form_of(Path(path)), forms[0]
        if found is None or found.what in [form.what for form in forms]:
            return
        if wanted.by_line or not found.vague:
            raise InputError(f"{path}: is {found.what}, not {wanted.what}; {wanted.give}") from None

    def form_of(self, path: Path) -> FileForm | None:
        """What a file (JSON, optionally gzip) plainly is; None where it is missing, damaged or
        unknown.

        It is read up to the first items of the list that tells at most.
        """
        if not path.is_file():
            return None
        try:
            with open_source(path) as stream:
                found = self._form(JsonStream(stream))
                stream.seek(0)
                line = stream.readline(LONGEST_LINE)
                over_lines = line.lstrip()[:1] == b"{" and line.count(b"{") > line.count(b"}")
                return OVER_LINES if over_lines and found and found.by_line else found
        except NotText as error:
            return FileForm(error.found)
        except (InputError, JsonFault, OSError):
            return None

    def _form(self, stream: JsonStream) -> FileForm | None:
        if stream.next() == "[":
            return next((self.of_first(stream.value()) for _ in stream.slots()), None)
        first: dict[str, Any] = {}
        lists = set()
        for key in stream.names():
            if stream.next() != "[":
                first[key] = stream.value()
                continue
            lists.add(key)
            first[key] = None
            for number, _ in enumerate(stream.slots()):
                item = stream.value()
                if number == 0:
                    first[key] = item
                if key == self.telling:
                    if found := self.of_item(item):
                        return found
                    if number == LOOKED_AT:
                        return None
        if stream.next() == "{":  # the first of several lines
            return self.of_first(first)
        return self.of_object(Outline(first, frozenset(lists)))


def _paths(value: Any) -> Iterator[Path | str]:
    if isinstance(value, str | Path):
        yield value
    elif isinstance(value, Mapping | Iterable):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _paths(item)
