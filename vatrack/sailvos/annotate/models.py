"""Names of 3-D models, all that raw data says of an object's class, and their categories."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from vatrack.common.errors import InputError
from vatrack.common.files import open_text, read_json
from vatrack.common.json_lists import read_lists
from vatrack.common.json_types import Json
from vatrack.config.categories import CATEGORIES

# Model id (None: not given) and category id (None: none of the 24).
Known = tuple[int | None, int | None]
# Name, category and id of a model as a file has them, not checked.
Listed = tuple[str, object, object]

PERSON = "person"
PERSON_MARK = "_ped_"
FORMS = (
    "it must be CSV with the columns name, category and optionally id; or a JSON list of such "
    'objects; or a JSON object {name: category}; or an official JSON with "categories" and '
    '"models"'
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
            models.append({"id": number, "name": name, "category_id": category})
    return ModelTable(given.categories, models, known)


def read_models(path: Path | None) -> GivenModels:
    """Reads the categories of models; None: nothing is given, the categories are numbered 1..24.

    Raises:
        InputError: not one of the forms, a category that is none of the 24, a model with two
            categories, or an id twice.
    """
    path = path and Path(path)
    official = _read_official(path) if path and not _is_csv(path) else None
    return official or _read_table(path)


def _is_csv(path: Path) -> bool:
    """Whether a file of models is CSV: by its name, else by its first character."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    if ".csv" in suffixes or ".json" in suffixes:
        return ".csv" in suffixes
    with open_text(path, errors="replace") as stream:
        return stream.read(4096).lstrip()[:1] not in ("[", "{")


def _read_table(path: Path | None) -> GivenModels:
    """Reads models from CSV or plain JSON; checks categories and ids."""
    numbers: dict[object, int] = {name: number for number, name in enumerate(CATEGORIES, start=1)}
    categories = [{"id": id_, "name": name, "supercategory": name} for name, id_ in numbers.items()]
    given = GivenModels(categories, [], {})
    if path is None:
        return given
    owners: dict[object, str] = {}
    read = _read_csv if _is_csv(path) else _read_json
    for name, category, number in read(path):
        if category not in ("", None, *CATEGORIES):
            raise InputError(
                f"{path}: model {name}: {category!r} is not a category; use one of "
                f"{', '.join(CATEGORIES)}, or leave it empty"
            )
        if number is not None and (type(number) is not int or number < 0):
            raise InputError(
                f"{path}: model {name}: its id is {number!r}; must be an integer from 0, or "
                "left out"
            )
        if number is not None and owners.setdefault(number, name) != name:
            raise InputError(
                f"{path}: the id {number} is that of {owners[number]} and of {name}; give each "
                f"model its own"
            )
        _add(given, name, (number, numbers.get(category)), path)
    return given


def _add(given: GivenModels, name: str, values: Known, path: Path) -> None:
    if given.known.setdefault(name, values)[1] != values[1]:
        raise InputError(f"{path}: model {name} is listed with two categories; keep one of them")


def _read_csv(path: Path) -> Iterator[Listed]:
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
                whole = number.isascii() and number.isdigit() and len(number) < 19
                yield name, category, int(number) if whole else number or None
    except csv.Error as error:
        raise InputError(f"{path}: cannot be read as CSV ({error}); {FORMS}") from None


def _read_json(path: Path) -> Iterator[Listed]:
    data = read_json(path)
    if isinstance(data, dict):
        data = [
            {"name": name, **(value if isinstance(value, dict) else {"category": value})}
            for name, value in data.items()
        ]
    if not isinstance(data, list):
        raise InputError(f"{path}: is not a list of models; {FORMS}")
    for item in data:
        if (
            not isinstance(item, dict)
            or not isinstance(item.get("name"), str)
            or "category" not in item
        ):
            raise InputError(f"{path}: {item!r:.80} needs a name and a category; {FORMS}")
        yield item["name"], item["category"], item.get("id")


def _read_official(path: Path) -> GivenModels | None:
    """The models of an official JSON, read only to their end; None where it has no such lists."""
    with open_text(path, errors="replace") as stream:
        if stream.read(4096).lstrip()[:1] != "{":
            return None
    lists: dict[str, list[Json]] = {}
    for item in read_lists(path):
        if item.section in ("categories", "models"):
            lists.setdefault(item.section, []).append(item.value)
        elif len(lists) == 2:
            break
    if not lists:
        return None
    given = GivenModels(lists.get("categories", []), lists.get("models", []), {})
    ids = [category.get("id") for category in given.categories]
    names = [category.get("name") for category in given.categories]
    if names != list(CATEGORIES) or not all(type(number) is int for number in ids):
        raise InputError(
            f"{path}: its categories ({len(names)}) differ from the method's 24 (in this order, "
            f"each with an id): {', '.join(CATEGORIES)}; correct them, or list the models as CSV"
        )
    if not given.models:
        raise InputError(f"{path}: its list of models is empty; {FORMS}")
    for model in given.models:
        if not isinstance(model.get("name"), str) or type(model.get("id")) is not int:
            raise InputError(
                f"{path}: models, id {model.get('id')}: is not complete; give it a name, and an "
                "integer as id"
            )
        category = model.get("category_id")
        _add(given, model["name"], (model["id"], category if category in ids else None), path)
    return given
