"""Names of 3-D models, all that raw data says of an object's class, and their categories."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from vatrack.common.errors import InputError
from vatrack.common.json_lists import read_lists
from vatrack.common.json_types import Json
from vatrack.common.text_files import open_text
from vatrack.config.categories import CATEGORIES

# Model id (None: not given) and category id (None: none of the 24).
Known = tuple[int | None, int | None]

PERSON = "person"
PERSON_MARK = "_ped_"
FORMS = (
    "it must be CSV with the columns name, category and optionally id, or an official JSON with "
    "`categories` and `models`"
)


@dataclass(frozen=True)
class GivenModels:
    """What a file says of models.

    Attributes:
        categories: the `categories` list, the 24 in the method's order.
        models: the `models` list of an official JSON, as it is; empty for CSV.
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
        # Where only the case tells two categories apart, the folded name has none.
        if folded.setdefault(name.casefold(), values)[1] != values[1]:
            folded[name.casefold()] = (None, None)
    person = next(category["id"] for category in given.categories if category["name"] == PERSON)
    ids = (number for number, _ in given.known.values() if number is not None)
    next_id = max(ids, default=-1) + 1
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
            listed.add(number)
            models.append({"id": number, "name": name, "category_id": category})
    return ModelTable(given.categories, models, known)


def read_models(path: Path | None) -> GivenModels:
    """Reads the categories of models; None: nothing is given, the categories are numbered 1..24.

    Raises:
        InputError: neither CSV nor an official JSON, a category that is none of the 24, a model
            with two categories, or an id twice.
    """
    if path is None or _is_csv(Path(path)):
        return _read_table(path and Path(path))
    return _read_official(Path(path))


def _is_csv(path: Path) -> bool:
    """Whether a file of models is CSV: by its name, else by its first character."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    if ".csv" in suffixes or ".json" in suffixes:
        return ".csv" in suffixes
    with open_text(path, errors="replace") as stream:
        return stream.read(4096).lstrip()[:1] not in ("[", "{")


def _read_table(path: Path | None) -> GivenModels:
    """Reads models from CSV; checks categories and ids."""
    numbers = {name: number for number, name in enumerate(CATEGORIES, start=1)}
    categories = [{"id": id_, "name": name, "supercategory": name} for name, id_ in numbers.items()]
    given = GivenModels(categories, [], {})
    owners: dict[int, str] = {}
    for name, category, number in _read_csv(path) if path else ():
        if category not in ("", *CATEGORIES):
            raise InputError(
                f"{path}: model {name}: {category!r} is not a category; use one of "
                f"{', '.join(CATEGORIES)}, or leave it empty"
            )
        _add(given, owners, name, (number, numbers.get(category)), path)
    return given


def _add(
    given: GivenModels, owners: dict[int, str], name: str, values: Known, path: Path | None
) -> None:
    """Adds a model to those that are known; `owners`: the name of the model with each id."""
    number, _ = values
    if number is not None and owners.setdefault(number, name) != name:
        raise InputError(
            f"{path}: the id {number} is that of {owners[number]} and of {name}; give each model "
            "its own"
        )
    if given.known.setdefault(name, values)[1] != values[1]:
        raise InputError(f"{path}: model {name} is listed with two categories; keep one of them")


def _read_csv(path: Path) -> Iterator[tuple[str, str, int | None]]:
    """Name, category (may be empty) and id of each model."""
    try:
        with open_text(path, newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            if not {"name", "category"} <= set(reader.fieldnames or ()):
                raise InputError(
                    f"{path}: its first line lacks columns; must contain name, category and "
                    "optionally id"
                )
            for row in reader:
                # A row that is too long has a value under None, a short one None as a value.
                name, category, number = (
                    (row.get(key) or "").strip() for key in ("name", "category", "id")
                )
                if not name or None in row or row["category"] is None:
                    raise InputError(
                        f"{path}: line {reader.line_num}: does not match the columns of "
                        "the first line; correct it"
                    )
                if number and not (number.isascii() and number.isdigit() and len(number) < 19):
                    raise InputError(
                        f"{path}: model {name}: its id is {number!r}; must be an integer from 0, "
                        "or left out"
                    )
                yield name, category, int(number) if number else None
    except csv.Error as error:
        raise InputError(f"{path}: cannot be read as CSV ({error}); {FORMS}") from None


def _read_official(path: Path) -> GivenModels:
    """The models of an official JSON, read only to the end of its lists."""
    lists: dict[str, list[Json]] = {"categories": [], "models": []}
    with open_text(path, errors="replace") as stream:
        is_object = stream.read(4096).lstrip().startswith("{")
    for item in read_lists(path) if is_object else ():
        if item.section in lists:
            lists[item.section].append(item.value)
        elif all(lists.values()):
            break
    if not all(lists.values()):
        raise InputError(f"{path}: has no lists of categories and models; {FORMS}")
    given = GivenModels(lists["categories"], lists["models"], {})
    ids = [category.get("id") for category in given.categories]
    names = [category.get("name") for category in given.categories]
    if names != list(CATEGORIES) or not all(type(number) is int for number in ids):
        raise InputError(
            f"{path}: its categories ({len(names)}) differ from the method's 24 (in this order, "
            f"each with an id): {', '.join(CATEGORIES)}; correct them, or list the models as CSV"
        )
    owners: dict[int, str] = {}
    for model in given.models:
        if not isinstance(model.get("name"), str) or type(model.get("id")) is not int:
            raise InputError(
                f"{path}: models, id {model.get('id')}: is not complete; give it a name, and an "
                "integer as id"
            )
        category = model.get("category_id")
        values = (model["id"], category if category in ids else None)
        _add(given, owners, model["name"], values, path)
    return given
