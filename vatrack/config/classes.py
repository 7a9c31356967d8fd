"""Class lists: names in label order, how lists of files meet, and the weights of classes.

A label is a place in the list, from 0; the background follows the last class. Files number their
categories as they like: names alone say which class is which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from vatrack.common.errors import InputError
from vatrack.common.similar import did_you_mean
from vatrack.config.categories import CATEGORIES

SHOWN = 30  # names of a list in a message
WeightPreset = Literal["auto", "sailvos", "uniform", "balanced"]
# SAIL-VOS's 24 classes, then the background (spec 4.4).
PAPER_CLASS_WEIGHTS = (
    0.1, 0.8, 12.5, 7.0, 15.5, 16.0, 9.5, 20.8, 0.9, 0.9, 3.5, 0.8, 1.5, 17.8,
    1.9, 3.4, 104.0, 4.4, 1.8, 1.4, 0.35, 0.8, 1.3, 3.3, 1.0,
)  # fmt: skip


def names_problem(names: Sequence[Any]) -> str | None:
    """What is wrong with the names of a class list; None: nothing."""
    if not names:
        return "a list of classes needs at least one name"
    seen = set()
    for number, name in enumerate(names, 1):
        if not isinstance(name, str):
            return f"class {number} is {name!r:.40}, not a string; write names in quotation marks"
        if not name.strip():
            return f"class {number} has an empty name; give it a name"
        if any("\ud800" <= sign <= "\udfff" for sign in name):
            return f"class {number}, {shown_name(name)}, contains invalid characters; correct it"
        if name in seen:
            return f"class {shown_name(name)} is listed twice; keep one of them"
        seen.add(name)
    return None


def shown_name(name: str) -> str:
    """A name for messages: in one line, and shortened where it is long."""
    text = name if name.isprintable() else repr(name)[1:-1]
    text = text if len(text) <= 60 else f"{text[:57]}..."
    return f"'{text}'"


@dataclass(frozen=True)
class ClassList:
    """The classes of a network or of a file: names in label order.

    Raises:
        InputError: there is no name, one is empty or occurs twice.

    Example: `ClassList(("car", "person")).index("person") == 1`
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if problem := names_problem(self.names):
            raise InputError(f"classes: {problem}")

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """The label of a class.

        Raises:
            InputError: the list does not have it.
        """
        try:
            return self.names.index(name)
        except ValueError:
            hint = did_you_mean(name, self.names) or f"; the classes are {self}"
            raise InputError(f"no class {shown_name(name)}{hint}") from None

    def __str__(self) -> str:
        names = ", ".join(map(shown_name, self.names[:SHOWN]))
        left = len(self) - SHOWN
        return names + (f" and {left} more" if left > 0 else "")

    def missing_in(self, other: ClassList) -> tuple[str, ...]:
        """The names that another list does not have."""
        known = set(other.names)
        return tuple(name for name in self.names if name not in known)

    def same_names(self, other: ClassList) -> bool:
        """Whether another list has the same names, in whatever order."""
        return set(self.names) == set(other.names)

    def renamed(self, class_map: Mapping[str, str]) -> tuple[str, ...]:
        """The names with some replaced; several may get the same one.

        Raises:
            InputError: the list does not have a name that is to be replaced.
        """
        for old in class_map:
            self.index(old)
        return tuple(class_map.get(name, name) for name in self.names)


SAILVOS = ClassList(CATEGORIES)


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
                f"--class-map {pair}: write OLD=NEW (or OLD= to drop a class), once for each class"
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

    def labels(self, classes: ClassList, owner: str = "the config") -> dict[int, int]:
        """Category ids of the file to labels of a class list.

        A file without categories numbers those of the class list from 1.

        Args:
            owner: whose classes they are, for messages.

        Raises:
            InputError: the file has a class that the list lacks.
        """
        if not self.ids:
            return {label + 1: label for label in range(len(classes))}
        if unknown := self.classes.missing_in(classes):
            raise InputError(
                different_classes(self.source, self.classes, owner, classes, unknown)
                + "; correct dataset.classes (data: use the classes of the training file), or the "
                "names in the file"
            )
        places = {name: label for label, name in enumerate(classes.names)}
        return {number: places[name] for name, number in self.ids.items()}

    def category_ids(
        self,
        classes: ClassList,
        owner: str = "the checkpoint",
        class_map: Mapping[str, str] | None = None,
    ) -> tuple[int | None, ...]:
        """The file's category id of every label of a class list; None: left out.

        Lists fit where one has all names of the other: what the file lacks is left out (no object
        of it can count), what the list lacks is never found. A file without categories numbers
        those of the class list from 1.

        Args:
            owner: whose classes they are, for messages.
            class_map: names of the list to names of the file; an empty one leaves the class out.

        Raises:
            InputError: each of the lists has a class that the other lacks, and no mapping is given;
                or a mapping names a class that is not there.
        """
        names = classes.renamed(class_map or {})
        ids = self.ids or {name: number for number, name in enumerate(names, 1) if name}
        unknown = [
            old for old, name in zip(classes.names, names, strict=True) if name and name not in ids
        ]
        for old, new in (class_map or {}).items():
            if new and new not in ids:
                hint = did_you_mean(new, ids) or f"; its classes are {self.classes}"
                raise InputError(
                    f"--class-map {shown_name(old)[1:-1]}={shown_name(new)[1:-1]}: "
                    f"{self.source} has no class {shown_name(new)}{hint}"
                )
        if unknown and class_map is None and set(ids) - set(names):
            raise InputError(
                different_classes(owner, classes, self.source, self.classes, unknown)
                + "; rename them with --class-map OLD=NEW (OLD= drops a class)"
            )
        return tuple(ids.get(name) for name in names)

    def note(self, classes: ClassList) -> str | None:
        """What a reader should know of a file that numbers the same classes otherwise."""
        if not self.ids or list(self.ids.items()) == [
            (name, number) for number, name in enumerate(classes.names, 1)
        ]:
            return None
        absent = classes.missing_in(self.classes)
        kept = tuple(name for name in classes.names if name in self.ids)
        order = "in another order" if tuple(self.ids) != kept else "with different ids"
        text = f"{self.source}: lists the classes {order}; they are matched by name"
        if absent:
            some = ", ".join(map(shown_name, absent[:5])) + (", ..." if len(absent) > 5 else "")
            text += f" ({len(absent)} of {len(classes)} do not occur in it: {some})"
        return text


def different_classes(
    source: str, own: ClassList, owner: str, wanted: ClassList, unknown: Sequence[str]
) -> str:
    """That two lists do not fit, with both of them.

    Args:
        source, own: who has the classes `unknown`; `owner`, `wanted`: who lacks them.
    """
    some = ", ".join(map(shown_name, unknown[:5])) + (", ..." if len(unknown) > 5 else "")
    return (
        f"{source}: {len(unknown)} of its {len(own)} classes are not among the {len(wanted)} of "
        f"{owner}: {some}\n"
        f"  {source}: {own}\n"
        f"  {owner}: {wanted}\n"
        f"  they do not fit"
    )


def resolve_weights(
    weights: WeightPreset | tuple[float, ...],
    classes: ClassList,
    counts: Mapping[str, int] | None = None,
) -> WeightPreset | tuple[float, ...]:
    """One weight for each class and one for the background, of the classification loss (spec 4.4).

    auto: `sailvos` for SAIL-VOS's list, else `uniform`. sailvos: the paper's, by name. uniform: 1.
    balanced: N / (C n) for a class with n of the N annotations, C classes having some, so that the
    mean over all annotations is 1; 1 for classes without any and for the background.

    Args:
        counts: annotations by class name; without them `balanced` stays as it is.

    Raises:
        InputError: there are not as many weights as classes, or SAIL-VOS has no such class.
    """
    if weights == "auto":
        weights = "sailvos" if classes == SAILVOS else "uniform"
    if weights == "sailvos":
        if unknown := classes.missing_in(SAILVOS):
            raise InputError(
                f"config: model.class_weights: sailvos has no weight for {len(unknown)} of "
                f"{len(classes)} classes (first: {shown_name(unknown[0])}); use uniform, balanced "
                "or a list"
            )
        own = (PAPER_CLASS_WEIGHTS[SAILVOS.index(name)] for name in classes.names)
        return (*own, PAPER_CLASS_WEIGHTS[-1])
    if weights == "uniform":
        return (1.0,) * (len(classes) + 1)
    if weights == "balanced":
        if counts is None:
            return weights
        given = [counts.get(name, 0) for name in classes.names]
        mean = sum(given) / max(1, sum(map(bool, given)))
        return (*(mean / count if count else 1.0 for count in given), 1.0)
    if len(weights) != len(classes) + 1:
        raise InputError(
            f"config: model.class_weights has {len(weights)} weights for {len(classes)} classes; "
            f"give {len(classes) + 1}: one for each class in their order, then the background"
        )
    return weights
