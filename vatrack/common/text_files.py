"""Text files as users have them, read by content: gzip, byte order marks, JSON, YAML.

Whatever a library raises on bad text becomes one `InputError` with the file and the place in it.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import stat
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, NoReturn, cast

import yaml

from vatrack.common.errors import InputError

AGAIN = "fetch or make it again"
DEEPEST = 100  # levels of lists and mappings in each other; real files have ten
MOST = 100_000  # values of a YAML file, those behind an alias counted each time
GZIP = b"\x1f\x8b"
MARK = b"\xef\xbb\xbf"  # of UTF-8

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_LONG_NUMBER = re.compile(r"[0-9]{4300,}")
_NOT_TEXT = (
    (re.compile(rb"\xff\xfe|\xfe\xff|\x00\x00\xfe\xff"), "UTF-16; save it as UTF-8"),
    (re.compile(rb"[^\0]\0[^\0]\0|\0[^\0]\0[^\0]"), "UTF-16; save it as UTF-8"),
    (re.compile(rb"PK\x03\x04"), "a zip archive; unpack it"),
    (re.compile(rb"\x28\xb5\x2f\xfd"), "packed with zstd; unpack it"),
    (re.compile(rb"BZh[1-9]1AY&SY"), "packed with bzip2; unpack it"),
    (re.compile(rb"\xfd7zXZ\0"), "packed with xz; unpack it"),
    (re.compile(rb"7z\xbc\xaf\x27\x1c"), "a 7z archive; unpack it"),
    (re.compile(rb"version https://git-lfs"), "a Git LFS pointer; get the file by `git lfs pull`"),
    (re.compile(rb"\s*<(!doctype )?html", re.IGNORECASE), "an HTML page; download the file again"),
)


def check_source(path: Path | str, what: str = "a file") -> Path:
    """The path of a file that is to be read.

    Args:
        what: what is needed, for the message on a folder.

    Raises:
        InputError: it is missing, a folder, or a pipe or device: those can be read only once, and
            may never end.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    if stat.S_ISDIR(mode):
        raise InputError(f"{path}: is a folder, {what} is needed")
    if not stat.S_ISREG(mode):
        raise InputError(f"{path}: is a pipe or a device; save what it gives in a file first")
    return path


def is_packed(path: Path) -> bool:
    """Whether a file is gzip, by its first bytes.

    Raises:
        InputError: it is missing, or no file.
    """
    with check_source(path).open("rb") as stream:
        return stream.read(2) == GZIP


@contextmanager
def open_source(
    path: Path | str, *, name: Path | str | None = None, what: str = "a file", again: str = AGAIN
) -> Iterator[BinaryIO]:
    """Opens a text file as bytes, unpacked where it is gzip.

    A byte order mark reads as three spaces, so that offsets in the stream are those in the file.

    Args:
        name: what the file is called in messages, if it is a copy.
        what: what is needed, for the message on a folder.
        again: ends the message on a damaged file.

    Raises:
        InputError: the file is missing, cannot be read, or is plainly no UTF-8; also within the
            block.
    """
    try:
        with _opened(path, name or path, what, again) as (stream, marked):
            yield cast(BinaryIO, io.BufferedReader(_Unmarked(stream))) if marked else stream
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{name or path}: cannot be read ({error}); {again}") from None


@contextmanager
def open_text(
    path: Path | str, *, errors: str = "strict", newline: str | None = None
) -> Iterator[IO[str]]:
    """Opens a UTF-8 text file, unpacked where it is gzip and without its byte order mark.

    Args:
        errors, newline: as for `open`.

    Raises:
        InputError: the file is missing, cannot be read, or is not UTF-8; also within the block.
    """
    try:
        with (
            _opened(path, path, "a text file", AGAIN) as (stream, marked),
            io.TextIOWrapper(stream, "utf-8", errors, newline) as text,
        ):
            stream.seek(len(MARK) if marked else 0)
            yield text
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: cannot be read, it is not UTF-8 text ({error.reason})") from None
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({error}); {AGAIN}") from None


@contextmanager
def _opened(
    path: Path | str, name: Path | str, what: str, again: str
) -> Iterator[tuple[BinaryIO, bool]]:
    """The stream at its beginning, and whether a byte order mark is there."""
    path = check_source(path, what)
    if path.suffix.lower() == ".gz" and not path.stat().st_size:
        raise InputError(f"{name}: is empty, not even packed; {again}")
    with path.open("rb") as file:
        packed = file.read(2) == GZIP
        file.seek(0)
        stream = cast(BinaryIO, gzip.GzipFile(fileobj=file)) if packed else file
        head = stream.read(64)
        for pattern, found in _NOT_TEXT:
            if pattern.match(head):
                raise InputError(f"{name}: is {found}")
        stream.seek(0)
        yield stream, head.startswith(MARK)


class _Unmarked(io.RawIOBase):
    """A stream whose byte order mark reads as spaces."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def readinto(self, buffer: Any) -> int:
        at = self._stream.tell()
        block = without_mark(self._stream.read(len(buffer)), at)
        buffer[: len(block)] = block
        return len(block)


def without_mark(block: bytes, offset: int) -> bytes:
    """Bytes from `offset` of a file on, with spaces for its byte order mark."""
    mark = MARK[offset:]
    if not mark or not block.startswith(mark[: len(block)]):
        return block
    return b" " * min(len(mark), len(block)) + block[len(mark) :]


def unpacked(path: Path, folder: Path, mend: str = AGAIN) -> Path:
    """The file itself, or, where it is gzip, what is in it as a new file in `folder`.

    Raises:
        InputError: the file is missing or damaged; `mend` ends the message.
    """
    with open_source(path, again=mend):  # says what is wrong with it
        pass
    if not is_packed(path):
        return path
    with tempfile.NamedTemporaryFile(dir=folder, suffix=f"_{path.stem}", delete=False) as plain:
        for block in _blocks(path, mend):
            plain.write(block)
    return Path(plain.name)


def _blocks(path: Path, mend: str) -> Iterator[bytes]:
    with open_source(path, again=mend) as stream:
        while block := stream.read(1 << 20):
            yield block


def read_text(path: Path | str, what: str = "a text file") -> str:
    """The whole text of a UTF-8 file, unpacked where it is gzip, without its byte order mark.

    Raises:
        InputError: the file is missing, cannot be read, or is not UTF-8.
    """
    try:
        with _opened(path, path, what, AGAIN) as (stream, marked):
            content = stream.read()
    except (OSError, EOFError, zlib.error, MemoryError) as error:
        raise InputError(f"{path}: cannot be read ({error}); {AGAIN}") from None
    try:
        return content[len(MARK) if marked else 0 :].decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path}: cannot be read: line {line} is not UTF-8 text ({error.reason}); save it as "
            f"UTF-8"
        ) from None


def read_json(path: Path | str) -> Any:
    """Parses a JSON file (optionally gzip).

    Raises:
        InputError: the file is missing, unreadable, or not valid JSON to its end.
    """
    return parse_json(read_text(path, "a JSON file"), str(path))


def parse_json(text: str, source: str) -> Any:
    """The value of a JSON text.

    Args:
        source: names the text in messages, for example the file's path.

    Raises:
        InputError: it is not JSON, an object has a key twice, it is nested more than `DEEPEST`
            levels deep, or an integer has thousands of digits.
    """
    try:
        value = json.loads(text, object_pairs_hook=check_keys)
        check_depth(value)
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except json.JSONDecodeError as error:
        raise InputError(
            f"{source}: not valid JSON at line {error.lineno}, column {error.colno} ({error.msg}); "
            f"the file may be cut off: {AGAIN}"
        ) from None
    except UnicodeEncodeError:
        problem = "half a surrogate pair (\\ud800 to \\udfff) is no character"
    except RecursionError:
        problem = f"nested more than {DEEPEST} levels deep"
    except (ValueError, OverflowError, MemoryError) as error:
        long = _LONG_NUMBER.search(text)
        line = text.count("\n", 0, long.start()) + 1 if long else 0
        problem = (
            f"line {line} has an integer of {len(long[0])} digits" if long else str(error) or "?"
        )
    raise InputError(f"{source}: not valid JSON: {problem}; correct it")


class TooDeep(ValueError):
    """Lists and mappings are nested too deeply."""


def check_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these pairs.

    Raises:
        ValueError: a key occurs twice.
    """
    value = dict(pairs)
    if len(value) != len(pairs):
        keys = [key for key, _ in pairs]
        key = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"its key `{key}` occurs twice")
    return value


def check_depth(value: Any) -> None:
    """
    Raises:
        TooDeep: lists and mappings are nested more than `DEEPEST` levels deep.
    """
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [
            item
            for above in level
            if isinstance(above, dict | list)
            for item in (above.values() if isinstance(above, dict) else above)
            if isinstance(item, dict | list)
        ]
        if not level:
            return
    raise TooDeep(f"nested more than {DEEPEST} levels deep")


def read_yaml(path: Path | str) -> Any:
    """Parses a YAML file (optionally gzip); dates stay text.

    Raises:
        InputError: the file is missing or not valid YAML, see `parse_yaml`.
    """
    return parse_yaml(read_text(path, "a YAML file"), str(path))


def parse_yaml(text: str, source: str) -> Any:
    """The value of a YAML text, of plain types; dates stay text.

    Args:
        source: names the text in messages, for example the file's path.

    Raises:
        InputError: it is not YAML, a mapping has a key twice, it is nested more than `DEEPEST`
            levels deep, or its aliases make it too large or endless.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _count(node, 0, {})
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        found = " ".join(f"{error.context or ''} {error.problem or ''}".split())
        raise InputError(f"{source}: not valid YAML{place} ({found})") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise InputError(
            f"{source}: not valid YAML at line {line} (the character #x{error.character:04x} is "
            f"not allowed)"
        ) from None
    except RecursionError:
        problem = f"nested more than {DEEPEST} levels deep"
    except Exception as error:  # the library stumbles in every way that Python knows
        problem = f"{type(error).__name__}: {error}"
    raise InputError(f"{source}: not valid YAML ({problem})")


class _Loader(yaml.SafeLoader):
    """Plain types; what Python raises on a value becomes an error with its place."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [found for found in resolvers if found[0] != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except yaml.YAMLError:
            raise
        except Exception as error:
            value = f"{node.value!r:.60}: " if isinstance(node, yaml.ScalarNode) else ""
            _fail(f"{value}{str(error) or type(error).__name__}", node)


def _fail(problem: str, node: yaml.Node) -> NoReturn:
    raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _count(node: yaml.Node, depth: int, known: dict[int, int]) -> int:
    """The number of values below a node; those behind an alias count each time.

    Args:
        known: results by the node's id; 0 while a node is being counted.
    """
    if depth > DEEPEST:
        _fail(f"nested more than {DEEPEST} levels deep", node)
    if not isinstance(node, yaml.CollectionNode):
        return 1
    if id(node) not in known:
        known[id(node)] = 0
        children: list[yaml.Node] = []
        keys: set[tuple[str, str]] = set()
        for item in node.value:
            if isinstance(node, yaml.SequenceNode):
                children.append(item)
                continue
            key = item[0]
            if isinstance(key, yaml.ScalarNode) and not key.tag.endswith(":merge"):
                if (key.tag, key.value) in keys:
                    _fail(f"its key `{key.value}` occurs twice", key)
                keys.add((key.tag, key.value))
            children.extend(item)
        known[id(node)] = 1 + sum(_count(child, depth + 1, known) for child in children)
    elif not known[id(node)]:
        _fail("it contains itself by an alias", node)
    if known[id(node)] > MOST:
        _fail(f"its aliases make more than {MOST} values", node)
    return known[id(node)]
