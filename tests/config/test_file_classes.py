"""How the class list of a file meets that of a network."""

from __future__ import annotations

from typing import Any

import pytest

from tests.config.test_classes import listed
from vatrack.common.errors import InputError
from vatrack.config import SAILVOS, ClassList, FileClasses
from vatrack.config.file_classes import parse_class_map


def test_names_say_which_class_is_which() -> None:
    classes = ClassList(("car", "bus", "dog"))
    file = FileClasses.of([{"id": 90, "name": "dog"}, {"id": 0, "name": "car"}], "a.json")
    assert file.labels(classes) == {90: 2, 0: 0}
    assert file.category_ids(classes) == (0, None, 90)
    assert file.classes == ClassList(("dog", "car")), "in the order of the file"
    assert FileClasses.of([], "d").labels(classes) == {1: 0, 2: 1, 3: 2}
    assert FileClasses.of([], "d").category_ids(classes) == (1, 2, 3)


def test_a_note_tells_what_is_left_out_or_has_another_number() -> None:
    classes = ClassList(("car", "bus", "dog"))
    for listing in (listed("car", "bus", "dog", first=5), listed("dog", "car", "bus"), []):
        assert FileClasses.of(listing, "a").note(classes) is None, "a network has no ids"
    fewer = FileClasses.of(listed("car", "dog"), "a")
    assert fewer.note(classes) == "a: 1 of 3 classes not in it: 'bus'"
    assert fewer.note(classes, {"car": 1, "dog": 3}) == (
        "a: 1 class has another id here; matched by name; 1 of 3 classes not in it: 'bus'"
    )
    assert FileClasses.of(listed(*SAILVOS.names), "a").note(SAILVOS) is None
    assert FileClasses.of(listed(*SAILVOS.names, first=0), "a").note(SAILVOS) == (
        "a: 24 classes have other ids here; matched by name"
    )


def test_lists_that_do_not_fit_are_both_shown() -> None:
    classes = ClassList(("car", "bus"))
    file = FileClasses.of(listed("car", "Bus", "lorry"), "a.json")
    with pytest.raises(InputError) as caught:
        file.labels(classes)
    assert str(caught.value).splitlines()[:3] == [
        "a.json: 2 of its 3 classes are not among the 2 of the config: 'Bus', 'lorry'",
        "  a.json: 'car', 'Bus', 'lorry'",
        "  the config: 'car', 'bus'",
    ]
    with pytest.raises(InputError, match="1 of its 2 classes is not among the 2 of the config"):
        FileClasses.of(listed("car", "lorry"), "a.json").labels(classes)
    with pytest.raises(InputError, match="--class-map OLD=NEW") as caught:
        file.category_ids(classes, "best.pt")
    assert "  best.pt: 'car', 'bus'\n  a.json: 'car', 'Bus', 'lorry'" in str(caught.value)
    assert file.category_ids(classes, "best.pt", {"bus": "Bus"}) == (1, 2)
    assert file.category_ids(classes, "best.pt", {"bus": ""}) == (1, None)
    assert file.category_ids(classes, "best.pt", {"car": "lorry"}) == (3, None)
    with pytest.raises(InputError, match="'boat'"):
        file.category_ids(classes, "best.pt", {"bus": "boat"})
    with pytest.raises(InputError, match="no class 'train'"):
        file.category_ids(classes, "best.pt", {"train": "Bus"})


@pytest.mark.parametrize(
    ("categories", "message"),
    [
        (listed("a", "b", "a"), "class 'a' is listed twice"),
        (listed("a", ""), "class 2 has an empty name"),
        ([{"id": 1, "name": "a"}, {"id": 1, "name": "b"}], "category id 1 is listed twice"),
        ([{"id": None, "name": "a"}], "category id None is not a non-negative integer"),
        ([{"id": 2**63, "name": "a"}], "is not a non-negative integer"),
        ([{"id": True, "name": "a"}], "is not a non-negative integer"),
        ([{"name": "a"}], "category id None"),
        ([{"id": 1, "name": ["a"]}], r"class 1 is \['a'\], not a string"),
    ],
)
def test_categories_that_cannot_be_meant_are_refused(categories: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        FileClasses.of(categories, "a.json")
    assert str(caught.value).startswith("a.json: ")


def test_categories_without_names_are_named_by_their_ids() -> None:
    found = FileClasses.of([{"id": 7}, {"id": 3, "name": 12}], "a.json")
    assert found.ids == {"7": 7, "12": 3} or found.ids == {"12": 3, "7": 7}


def test_class_maps() -> None:
    assert parse_class_map(["car=auto", "two words=x=y", "bus="]) == {
        "car": "auto", "two words": "x=y", "bus": "",
    }  # fmt: skip
    for pairs, message in (
        (["car"], "write OLD=NEW"),
        (["=car"], "write OLD=NEW"),
        (["a=b", "a=c"], "two new names"),
    ):
        with pytest.raises(InputError, match=message):
            parse_class_map(pairs)
