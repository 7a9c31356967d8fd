"""How the class list of a file meets that of a network.

Files number their categories as they like: names alone say which class is which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from vatrack.common.counted import counted, few
from vatrack.common.errors import InputError
from vatrack.common.similar import meant
from vatrack.config.classes import SAILVOS, ClassList, names_problem, shown_name

SHOWN = 5  # classes in a message
RENAME = "rename them with --class-map OLD=NEW (OLD= drops a class)"


def parse_class_map(pairs: Sequence[str]) -> dict[str, str]:
    """`old=new` pairs of `--class-map` as a mapping; `old=` leaves a class out.

    Raises:
        InputError: a pair has another form, or a class has two new names.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        old, sign, new = pair.partition("=")
        if not sign or not old:
            raise InputError(
                f"--class-map {pair}: not a pair; write OLD=NEW (or OLD= to drop a class), for "
                "each class"
            )
        if found.setdefault(old, new) != new:
            raise InputError(
                f"--class-map: class {shown_name(old)} is given two new names; keep one"
            )
    return found


@dataclass(frozen=True)
class FileClasses:
    """The `categories` list of a file.

    Attributes:
        source: the file, for messages.
        ids: name to category id, in the order of the file.
    """

    source: str
    ids: Mapping[str, int]

    @classmethod
    def of(cls, categories: Sequence[Mapping[str, Any]], source: str) -> FileClasses:
        """From the list itself; a category without a name has its id for one.

        Raises:
            InputError: a name is empty or no text, or a name or an id occurs twice.
        """
        ids: list[Any] = [item.get("id") for item in categories]
        for number in ids:
            if type(number) is not int or not 0 <= number < 2**63:
                raise InputError(
                    f"{source}: category id {number!r:.40} is not a non-negative integer; correct "
                    "it"
                )
        names = [
            str(name) if type(name) is int else name
            for name in (item.get("name", item.get("id")) for item in categories)
        ]
        problem = names_problem(names) if names else None
        if problem is None and len(set(ids)) < len(ids):
            twice = next(number for number in ids if ids.count(number) > 1)
            problem = f"category id {twice} is listed twice; ids must be unique"
        if problem:
            raise InputError(f"{source}: categories: {problem}")
        return cls(source, dict(zip(names, ids, strict=True)))

    @property
    def classes(self) -> ClassList:
        """The classes in the order of the file (spec 1.5).

        Raises:
            InputError: the file lists no category.
        """
        if not self.ids:
            raise InputError(f"{self.source}: lists no categories; add them")
        return ClassList(tuple(self.ids))

    def labels(self, classes: ClassList) -> dict[int, int]:
        """Category ids of the file to labels of the config's class list.

        A file without categories numbers those of the class list from 1.

        Raises:
            InputError: the file has a class that the list lacks.
        """
        if not self.ids:
            return {label + 1: label for label in range(len(classes))}
        if unknown := self.classes.missing_in(classes):
            raise InputError(
                different_classes(self.source, self.classes, "the config", classes, unknown)
                + "; correct dataset.classes (data: use the classes of the training file), or the "
                "names in the file"
            )
        labels = {name: label for label, name in enumerate(classes.names)}
        return {number: labels[name] for name, number in self.ids.items()}

    def category_ids(
        self,
        classes: ClassList,
        owner: str = "the checkpoint",
        class_map: Mapping[str, str] | None = None,
        fix: str = RENAME,
    ) -> tuple[int | None, ...]:
        """The file's category id of every label of a class list; None: left out.

        Lists fit where one has all names of the other: what the file lacks is left out (no object
        of it can count), what the list lacks is never found. A file without categories numbers
        those of the class list from 1.

        Args:
            owner: whose classes they are, for messages.
            class_map: names of the list to names of the file; an empty one leaves the class out.
            fix: what the user can do about lists that do not fit.

        Raises:
            InputError: each of the lists has a class that the other lacks, and no mapping is given;
                or a mapping names a class that is not there.
        """
        for old, new in (class_map or {}).items():
            if old not in classes.names:
                raise no_class(old, new, owner, old, classes)
            if new and self.ids and new not in self.ids:
                raise no_class(old, new, self.source, new, self.classes)
        names = classes.renamed(class_map or {})
        ids = self.ids or {name: number for number, name in enumerate(names, 1) if name}
        unknown = [
            old for old, name in zip(classes.names, names, strict=True) if name and name not in ids
        ]
        if unknown and class_map is None and set(ids) - set(names):
            raise InputError(
                different_classes(owner, classes, self.source, self.classes, unknown) + f"; {fix}"
            )
        return tuple(ids.get(name) for name in names)

    def note(self, classes: ClassList, numbers: Mapping[str, int] | None = None) -> str | None:
        """What a reader should know of a file that lacks classes, or numbers them otherwise; None:
        nothing.

        Args:
            classes: what the file should have.
            numbers: category ids by name that are known elsewhere. None: those of SAIL-VOS for its
                classes, and none for others: the classes of a network have no ids.
        """
        if not self.ids:
            return None
        if numbers is None:
            numbers = dict(zip(classes.names, count(1), strict=False)) if classes == SAILVOS else {}
        said = []
        if moved := sum(numbers.get(name, own) != own for name, own in self.ids.items()):
            differ = "has another id" if moved == 1 else "have other ids"
            said.append(f"{counted(moved, 'class')} {differ} here; matched by name")
        if absent := classes.missing_in(self.classes):
            some = few(map(shown_name, absent), SHOWN)
            said.append(f"{len(absent)} of {counted(len(classes), 'class')} not in it: {some}")
        return f"{self.source}: {'; '.join(said)}" if said else None


def no_class(old: str, new: str, source: str, name: str, classes: ClassList) -> InputError:
    """The error that one of the names of `--class-map old=new` is nowhere.

    Args:
        source, classes: where `name` should be, and what is there.
    """
    pair = f"{shown_name(old)[1:-1]}={shown_name(new)[1:-1]}"
    hint = meant(name, classes.names, f"choose from {classes}")
    return InputError(f"--class-map {pair}: {source} has no class {shown_name(name)}{hint}")


def different_classes(
    source: str, own: ClassList, owner: str, wanted: ClassList, unknown: Sequence[str]
) -> str:
    """That two lists do not fit, with both of them.

    Args:
        source, own: who has the classes `unknown`; `owner`, `wanted`: who lacks them.
    """
    some, verb = few(map(shown_name, unknown), SHOWN), "is" if len(unknown) == 1 else "are"
    return (
        f"{source}: {len(unknown)} of its {counted(len(own), 'class')} {verb} not among the "
        f"{len(wanted)} of {owner}: {some}\n  {source}: {own}\n  {owner}: {wanted}\n  "
        "they do not fit"
    )
