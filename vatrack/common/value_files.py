"""JSON and YAML as users write them.

Whatever a library raises on bad text becomes one `InputError` with the file and the place in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn

import yaml

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.text_files import AGAIN, read_text

DEEPEST = 100  # levels of lists and mappings in each other; real files have ten
MOST = 100_000  # values of a YAML file, those behind an alias counted each time

# What to do about some of the library's complaints.
_YAML_FIXES = {
    r"found character '\t'": "use spaces instead of the tab",
    "mapping values are not": "correct the indentation, and put a space behind each colon",
}

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_LONG_NUMBER = re.compile(r"[0-9]{4300,}")


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
    if not text.strip():
        raise InputError(f"{source}: is empty; {AGAIN}")
    try:
        value = json.loads(text, object_pairs_hook=check_keys)
        count_keys([value])
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except json.JSONDecodeError as error:
        raise InputError(
            f"{source}: not valid JSON at line {error.lineno}, column {error.colno} ({error.msg}); "
            f"the file may be truncated: {AGAIN}"
        ) from None
    except UnicodeEncodeError:
        problem = "a single surrogate (\\ud800 to \\udfff) is not a character"
    except RecursionError:
        problem = f"nested more than {DEEPEST} levels deep"
    except (ValueError, OverflowError, MemoryError) as error:
        long = _LONG_NUMBER.search(text)
        line = text.count("\n", 0, long.start()) + 1 if long else 0
        problem = (
            f"line {line} has an integer of {counted(len(long[0]), 'digit')}"
            if long
            else str(error) or "?"
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


def count_keys(values: list[Any]) -> int:
    """The number of keys in all objects of some values.

    Raises:
        TooDeep: one is nested more than `DEEPEST` levels deep.
    """
    found = 0
    for _ in range(DEEPEST + 1):
        objects = [value for value in values if type(value) is dict]
        lists = [value for value in values if type(value) is list]
        found += sum(map(len, objects))
        inner: Iterable[Any] = chain(chain.from_iterable(map(dict.values, objects)), *lists)
        values = [value for value in inner if type(value) is dict or type(value) is list]
        if not values:
            return found
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
        fix = next((fix for said, fix in _YAML_FIXES.items() if said in found), "correct it")
        raise InputError(f"{source}: not valid YAML{place} ({found}); {fix}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise InputError(
            f"{source}: not valid YAML at line {line} (the character #x{error.character:04x} is "
            f"not allowed); remove it"
        ) from None
    except RecursionError:
        problem = f"nested more than {DEEPEST} levels deep"
    except Exception as error:  # the library stumbles in every way that Python knows
        problem = f"{type(error).__name__}: {error}"
    raise InputError(f"{source}: not valid YAML ({problem}); correct it")


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
        children = node.value
        if isinstance(node, yaml.MappingNode):
            keys: set[tuple[str, str]] = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and not key.tag.endswith(":merge"):
                    if (key.tag, key.value) in keys:
                        _fail(f"its key `{key.value}` occurs twice", key)
                    keys.add((key.tag, key.value))
            children = [child for pair in node.value for child in pair]
        known[id(node)] = 1 + sum(_count(child, depth + 1, known) for child in children)
    elif not known[id(node)]:
        _fail("it contains itself through an alias", node)
    if known[id(node)] > MOST:
        _fail(f"its aliases expand to more than {MOST} values", node)
    return known[id(node)]
