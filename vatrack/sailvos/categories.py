"""Categories of SAIL-VOS's files under the numbers of the method (spec 1.5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest

from vatrack.common.errors import InputError
from vatrack.common.json_types import Json
from vatrack.config.categories import CATEGORIES
from vatrack.config.classes import SAILVOS, ClassList
from vatrack.config.file_classes import FileClasses
from vatrack.data.fields import is_whole
from vatrack.sailvos.official import Official


def category_numbers(official: Official, classes: ClassList | None = SAILVOS) -> dict[int, int]:
    """Official category ids to 1, 2, ... in the order of the classes (spec 1.5).

    Args:
        classes: those of the method; None: those of the file, in its order.

    Raises:
        InputError: SAIL-VOS's categories are not those of the method in their order; or another
            file has a class that is not in the list, or names that cannot be those of classes.
    """
    names = [category["name"] for category in official.categories]
    if classes != SAILVOS:
        found = FileClasses.of(official.categories, str(official.path))
        labels = found.labels(classes or found.classes)
        return {number: label + 1 for number, label in labels.items()}
    if names != list(CATEGORIES):
        pairs = zip_longest(names, CATEGORIES, fillvalue=...)
        differs = next(n for n, (found, known) in enumerate(pairs) if found != known)
        raise InputError(
            f"{official.path}: its categories ({len(names)}) differ from the method's "
            f"{len(CATEGORIES)} in name or order (first difference at category {differs + 1}): "
            f"{', '.join(CATEGORIES)}; set dataset.classes (data: use those of the file)"
        )
    return {category["id"]: number for number, category in enumerate(official.categories, start=1)}


def renumber(items: Sequence[Json], key: str, numbers: Mapping[int, int]) -> list[Json]:
    """Items with the category under `key` renumbered; other categories, of models, stay."""
    return [
        {**item, key: numbers[item[key]]}
        if is_whole(item.get(key)) and item[key] in numbers
        else item
        for item in items
    ]
