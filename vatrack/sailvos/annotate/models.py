"""Names of 3-D models, all that the raw data says of an object's class, and the categories that are
given for them."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vatrack.common.errors import InputError
from vatrack.common.files import open_text, read_json
from vatrack.common.json_lists import read_lists
from vatrack.config.categories import CATEGORIES

Json = dict[str, Any]
Known = tuple[
    int | None, int | None
]  # model id (None: not given), category id (None: none of the 24)

PERSON = "person"
PERSON_MARK = "_ped_"
FORMS = (
    "it must be CSV with the columns name, category and perhaps id; or a JSON list of such "
    "objects; "
    'or a JSON object {name: category}; or an official JSON with "categories" and "models"'
)


@dataclass(frozen=True)
class GivenModels:
    """What a file says of models.

    Attributes:
        categories: the `categories` list, the 24 in the method's order.
        models: the `models` list of an official JSON, as it is; empty for other files.
        known: by model name.
    """

    categories: list[Json]
    models: list[Json]
    known: dict[str, Known]


@dataclass(frozen=True)
class ModelTable:
    """What the models of a raw tree are.

    Attributes:
        categories, models: the lists of the annotation file.
        known: model name to model id and category id; models without a category are not in it.
    """

    categories: list[Json]
    models: list[Json]
    known: dict[str, tuple[int, int]]


def resolve_models(names: Iterable[str], given: GivenModels) -> ModelTable:
    """Gives the models of a raw tree their ids and categories.

    A name is looked up as it is, then without regard to case, which is mixed in the raw data. A
    model that is not in the file is a person where its name says so (`_Ped_`). Models without an id
    are numbered after the given ones in the order of their names.

    Args:
        names: the models of the whole raw tree, so that the subsets made from it number them alike.
        given: from `read_models`.
    """
    folded: dict[str, Known] = {}
    for name, values in given.known.items():
        if (
            folded.setdefault(name.casefold(), values)[1] != values[1]
        ):  # only the case tells them apart
            folded[name.casefold()] = (None, None)
    person = next(category["id"] for category in given.categories if category["name"] == PERSON)
    next_id = (
        max((number for number, _ in given.known.values() if number is not None), default=-1) + 1
    )
    listed = {model["id"] for model in given.models}
    known: dict[str, tuple[int, int]] = {}
    models = list(given.models)
    for name in sorted(set(names)):
        unnamed = (None, person if PERSON_MARK in f"_{name}".casefold() else None)
        number, category = given.known.get(name) or folded.get(name.casefold()) or unnamed
        if number is None:
            number, next_id = next_id, next_id + 1
        if category is None:
            continue
        known[name] = (number, category)
        if number not in listed:
            models.append({"id": number, "name": name, "category_id": category})
    return ModelTable(given.categories, models, known)


def read_models(path: Path | None) -> GivenModels:
    """Reads the categories of models; None: nothing is given, the categories are numbered 1..24.

    Raises:
        InputError: not one of the forms, a category that is none of the 24, a model with two
            categories, or an id twice.
    """
    if path is None:
        return GivenModels(_categories(), [], {})
    path = Path(path)
    if path.suffix.lower() == ".csv":
        return _given(path, _read_csv(path))
    official = _read_official(path)
    return official if official else _given(path, _read_mapping(path))


def _categories() -> list[Json]:
    return [
        {"id": number, "name": name, "supercategory": name}
        for number, name in enumerate(CATEGORIES, start=1)
    ]


def _given(path: Path, entries: Iterator[tuple[str, object, object]]) -> GivenModels:
    """Checks names, category names and ids of models."""
    numbers = {name: number for number, name in enumerate(CATEGORIES, start=1)}
    known: dict[str, Known] = {}
    owners: dict[int, str] = {}
    for name, category, number in entries:
        if category in ("", None):
            category_id = None
        elif isinstance(category, str) and category in numbers:
            category_id = numbers[category]
        else:
            legal = ", ".join(CATEGORIES)
            raise InputError(
                f"{path}: model {name}: {category!r} is no category; use one of {legal}, or leave "
                f"it empty"
            )
        if number is not None and (type(number) is not int or number < 0):
            raise InputError(
                f"{path}: model {name}: its id is {number!r}, a whole number from 0 on is needed"
            )
        if isinstance(number, int) and owners.setdefault(number, name) != name:
            raise InputError(
                f"{path}: the id {number} is that of {owners[number]} and of {name}; give each "
                f"model its own"
            )
        _add(known, name, (number, category_id), path)
    return GivenModels(_categories(), [], known)


def _add(known: dict[str, Known], name: str, values: Known, path: Path) -> None:
    if known.setdefault(name, values)[1] != values[1]:
        raise InputError(f"{path}: model {name} is listed with two categories; keep one of them")


def _read_csv(path: Path) -> Iterator[tuple[str, object, object]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            if not {"name", "category"} <= set(reader.fieldnames or ()):
                raise InputError(
                    f"{path}: its first line must name the columns name, category and perhaps id"
                )
            for row in reader:
                name, category, number = (
                    str(row.get(key) or "").strip() for key in ("name", "category", "id")
                )
                if not name or None in row or row["category"] is None:
                    raise InputError(
                        f"{path}: line {reader.line_num}: does not have the columns of the first "
                        f"line"
                    )
                yield name, category, _whole(number)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as CSV ({error}); {FORMS}") from None


def _whole(text: str) -> int | str | None:
    if not text:
        return None
    return int(text) if text.isascii() and text.isdigit() else text


def _read_mapping(path: Path) -> Iterator[tuple[str, object, object]]:
    data = read_json(path)
    if isinstance(data, dict):
        entries: Iterable[object] = (
            {"name": name, **value}
            if isinstance(value, dict)
            else {"name": name, "category": value}
            for name, value in data.items()
        )
    elif isinstance(data, list):
        entries = data
    else:
        raise InputError(f"{path}: is not a list of models; {FORMS}")
    for entry in entries:
        if (
            not isinstance(entry, dict)
            or not isinstance(entry.get("name"), str)
            or "category" not in entry
        ):
            raise InputError(f"{path}: {entry!r:.80} has no name and category; {FORMS}")
        yield entry["name"], entry["category"], entry.get("id")


def _read_official(path: Path) -> GivenModels | None:
    """The models of an official JSON, read only as far as needed; None where it has no such
    lists."""
    try:
        with open_text(path) as stream:
            if stream.read(4096).lstrip()[:1] != "{":
                return None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError):
        return None  # `read_json` says what is wrong
    lists: dict[str, list[Json]] = {}
    for entry in read_lists(path):
        if entry.section not in ("categories", "models"):
            if len(lists) == 2:
                break
            continue
        lists.setdefault(entry.section, []).append(entry.value)
    if not lists:
        return None
    categories, models = lists.get("categories", []), lists.get("models", [])
    names = [category.get("name") for category in categories]
    if names != list(CATEGORIES) or not all(
        type(category.get("id")) is int for category in categories
    ):
        raise InputError(
            f"{path}: its {len(names)} categories are not the 24 of the method in their order, "
            f"each with an id"
        )
    if not models:
        raise InputError(
            f"{path}: its list of models is empty, so it says nothing of the raw data's models; "
            f"{FORMS}"
        )
    used = {category["id"] for category in categories}
    known: dict[str, Known] = {}
    for model in models:
        if not isinstance(model.get("name"), str) or type(model.get("id")) is not int:
            raise InputError(
                f"{path}: models, id {model.get('id')}: a name and a whole number as id are needed"
            )
        category = model.get("category_id")
        _add(known, model["name"], (model["id"], category if category in used else None), path)
    return GivenModels(categories, models, known)
