"""The four forms of one annotation, and the numbers of categories."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.sailvos.official import annotation, mask, official
from vatrack.common.errors import InputError
from vatrack.common.files import write_json
from vatrack.config.categories import CATEGORIES
from vatrack.config.classes import ClassList
from vatrack.data.forms import FORMS, form_maker
from vatrack.sailvos.categories import category_numbers, renumber
from vatrack.sailvos.official import Official, read_official

BOX, BOX_VISIBLE = [1.0, 1.0, 5.0, 4.0], [1.0, 1.0, 2.0, 4.0]
AMODAL, VISIBLE = mask(9), mask(10)


def read(folder: Path, **changes: Any) -> Official:
    write_json(folder / "train.json", {**official({"a": 2}), **changes})
    return read_official(folder / "train.json")


def test_forms() -> None:
    item = annotation(3, 7, 4, 0.5)
    before = deepcopy(item)
    made = {form: form_maker(form, "amodal")(item) for form in FORMS}
    assert item == before
    assert tuple(made) == ("visible", "amodal", "joint", "joint-2bbox")
    assert [made[form]["segmentation"] for form in FORMS] == [
        VISIBLE,
        AMODAL,
        [AMODAL, VISIBLE],
        [AMODAL, VISIBLE],
    ]
    assert [made[form]["bbox"] for form in FORMS] == [BOX_VISIBLE, BOX, BOX, [BOX, BOX_VISIBLE]]
    assert [made[form].get("area") for form in FORMS] == [8, 20, None, None]
    assert [made[form].get("area_amodal") for form in FORMS] == [20, None, 20, 20]
    assert [made[form].get("amodal_mask") for form in FORMS] == [AMODAL, None, AMODAL, AMODAL]
    assert [made[form].get("bbox_amodal") for form in FORMS] == [BOX, None, None, BOX]
    assert ["invisible_mask" in made[form] for form in FORMS] == [True, True, False, False]
    # What no form changes (spec 1.5).
    for form in FORMS:
        for key in (
            "visible_mask",
            "bbox_visible",
            "area_visible",
            "occlude_rate",
            "instance_id",
            "image_id",
            "iscrowd",
            "id",
        ):
            assert made[form][key] == item[key]
    assert made["amodal"] == item


def test_the_box_of_the_joint_form_may_be_the_visible_one() -> None:
    """Spec 1.5: an ablation; the other forms have their own boxes."""
    item = annotation(3, 7, 4, 0.5)
    for form in FORMS:
        amodal, visible = form_maker(form, "amodal")(item), form_maker(form, "visible")(item)
        if form == "joint":
            assert visible == {**amodal, "bbox": BOX_VISIBLE, "bbox_amodal": BOX}
        else:
            assert visible == amodal


def test_forms_need_no_invisible_mask() -> None:
    item = annotation(3, 7, 4, 0.5)
    del item["invisible_mask"]
    for form in FORMS:
        assert "invisible_mask" not in form_maker(form, "amodal")(item)


def test_categories_are_numbered_in_list_order(tmp_path: Path) -> None:
    data = read(tmp_path)
    numbers = category_numbers(data)
    assert numbers == {10 * place: place for place in range(1, 25)}
    found = renumber(data.categories, "id", numbers)
    assert [(category["id"], category["name"]) for category in found] == list(
        enumerate(CATEGORIES, start=1)
    )
    assert [category["supercategory"] for category in found] == list(CATEGORIES)
    assert [category["id"] for category in data.categories] == [
        10 * place for place in range(1, 25)
    ]


def test_other_classes_are_numbered_in_the_order_of_their_list(tmp_path: Path) -> None:
    listed = [{"id": 70, "name": "tram"}, {"id": 4, "name": "bus"}]
    data = read(tmp_path, **{**official({"a": 2}), "categories": listed, "annotations": []})
    assert category_numbers(data, None) == {70: 1, 4: 2}, "of the file"
    known = ClassList(("car", "bus", "tram"))
    assert category_numbers(data, known) == {70: 3, 4: 2}, "by name"
    with pytest.raises(InputError, match="'tram'") as caught:
        category_numbers(data, ClassList(("car", "bus")))
    assert "  the config: 'car', 'bus'" in str(caught.value)
    with pytest.raises(InputError, match=r"dataset\.classes"):
        category_numbers(data)
    listed[1]["name"] = "tram"
    twice = read(tmp_path, **{**official({"a": 2}), "categories": listed, "annotations": []})
    with pytest.raises(InputError, match="'tram' is listed twice"):
        category_numbers(twice, None)


def test_models_of_other_categories_are_left_alone(tmp_path: Path) -> None:
    ids: list[Any] = [20, 3, None, "20", [20], {"id": 20}, True, -1]
    models = [{"id": number, "category_id": category} for number, category in enumerate(ids)]
    data = read(tmp_path, models=[*models, {"id": 99}])
    found = renumber(data.models, "category_id", category_numbers(data))
    assert found == [{**models[0], "category_id": 2}, *models[1:], {"id": 99}]
    assert data.models == [*models, {"id": 99}]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda items: items.reverse(),
            r"categories \(24\) differ from the method's 24 .*\(first difference at category 1\)",
        ),
        (
            lambda items: items.pop(),
            r"its categories \(23\) .* \(first difference at category 24\)",
        ),
        (
            lambda items: items.pop(4),
            r"its categories \(23\) .* \(first difference at category 5\)",
        ),
        (
            lambda items: items.append({"id": 250, "name": "cat"}),
            r"its categories \(25\) .* \(first difference at category 25\)",
        ),
        (
            lambda items: items.append({"id": 250, "name": None}),
            r"its categories \(25\) .* \(first difference at category 25\)",
        ),
        (
            lambda items: items.clear(),
            r"its categories \(0\) .* \(first difference at category 1\)",
        ),
        (
            lambda items: items[2].update(name="Motorcycle"),
            r"first difference at category 3\): person, car, motorcycle, truck",
        ),
        (lambda items: items[2].update(name=None), r"first difference at category 3\)"),
    ],
)
def test_other_categories(tmp_path: Path, change: Any, message: str) -> None:
    data = {**official({"a": 2}), "annotations": []}
    change(data["categories"])
    with pytest.raises(InputError, match=message) as caught:
        category_numbers(read(tmp_path, **data))
    assert str(caught.value).startswith(f"{tmp_path / 'train.json'}: ")
