"""Class lists: their names, how those of files meet them, and the weights of classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vatrack.common.errors import InputError
from vatrack.common.files import write_yaml
from vatrack.config import (
    SAILVOS,
    Backbone,
    ClassList,
    Config,
    FileClasses,
    Method,
    RunConfig,
    load_run_config,
    parse_config,
)
from vatrack.config.classes import PAPER_CLASS_WEIGHTS, parse_class_map, resolve_weights

STRANGE = ("a, b", 'the "c"', "Straßen-Ampel 信号", "two\nlines", "=", "x" * 500)


def config(**sections: Any) -> Config:
    return parse_config(sections, "test.yaml", Config)


def run_of(**sections: Any) -> RunConfig:
    return config(**sections).for_run(Method.VATRACK, Backbone.RESNET18)


def listed(*names: str, first: int = 1) -> list[dict[str, Any]]:
    return [{"id": number, "name": name} for number, name in enumerate(names, first)]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["car", "bus", "car"], "class 'car' is listed twice"),
        (["car", ""], "class 2 has an empty name"),
        (["car", " \t"], "class 2 has an empty name"),
        (["a\nb", "a\nb"], r"class 'a\\nb' is listed twice"),
        ([], "at least one name"),
        ([3], "dataset.classes.0: Input should be a valid string"),
        (["\ud800"], "contains invalid characters"),
        ("dat", "Input should be 'sailvos' or 'data'"),
    ],
)
def test_lists_that_cannot_be_meant_are_refused(names: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        config(dataset={"classes": names})
    assert str(caught.value).startswith("test.yaml: invalid configuration:\n  dataset.cl")
    assert len(str(caught.value).splitlines()) == 2, "one problem is one line"


@pytest.mark.parametrize("count", [1, 1000])
def test_lists_of_any_length(count: int) -> None:
    names = tuple(f"class {number}" for number in range(count))
    run = run_of(dataset={"classes": names})
    assert run.class_list == ClassList(names)
    assert run.class_list.index(names[-1]) == count - 1
    assert run.model.class_weights == (1.0,) * (count + 1)
    assert run.model.classes == count
    assert len(str(run.class_list)) < 700, "messages stay readable"


def test_names_of_any_kind_survive_the_config_of_a_run(tmp_path: Path) -> None:
    run = run_of(dataset={"classes": STRANGE})
    write_yaml(tmp_path / "config.yaml", run.model_dump(mode="json"))
    assert load_run_config(tmp_path / "config.yaml") == run
    assert run.classes == STRANGE
    assert "\n" not in str(run.class_list)


def test_runs_of_older_versions_have_the_classes_of_sailvos(tmp_path: Path) -> None:
    run = run_of()
    values = run.model_dump(mode="json")
    del values["classes"], values["dataset"]["classes"]
    write_yaml(tmp_path / "config.yaml", values)
    assert load_run_config(tmp_path / "config.yaml") == run
    assert run.class_list == SAILVOS
    assert "classes" not in run.recipe(), "so their trainings are still the same"
    assert run.recipe()["model"]["class_weights"] == list(PAPER_CLASS_WEIGHTS)


def test_the_recipe_knows_other_classes() -> None:
    first, second = (run_of(dataset={"classes": names}) for names in (["a", "b"], ["b", "a"]))
    assert first.recipe() != second.recipe()
    assert run_of(dataset={"classes": list(SAILVOS.names)}).recipe() == run_of().recipe()


def test_classes_of_the_data_are_open_until_the_file_is_known() -> None:
    run = run_of(dataset={"classes": "data"}, model={"class_weights": "balanced"})
    assert run.classes is None
    with pytest.raises(InputError, match=r"dataset\.classes is data"):
        _ = run.class_list
    with pytest.raises(ValueError, match="not resolved"):
        _ = run.model.weights
    known = run.with_classes(ClassList(("a", "b", "c")), {"a": 30, "b": 10})
    assert known.classes == ("a", "b", "c")
    # 40 annotations, two classes that occur: 40 / (2 * 30), 40 / (2 * 10)
    assert known.model.class_weights == pytest.approx((2 / 3, 2.0, 1.0, 1.0))


def test_weights() -> None:
    own = ClassList(("stick", "person"))
    assert resolve_weights("auto", SAILVOS) == PAPER_CLASS_WEIGHTS
    assert resolve_weights("auto", own) == resolve_weights("uniform", own) == (1.0, 1.0, 1.0)
    assert resolve_weights("sailvos", own) == (3.3, 0.1, 1.0), "by name"
    assert resolve_weights("balanced", own) == "balanced", "counts are not known yet"
    assert resolve_weights("balanced", own, {}) == (1.0, 1.0, 1.0)
    counts = {"stick": 7, "person": 91}
    weights = resolve_weights("balanced", own, counts)
    mean = (7 * weights[0] + 91 * weights[1]) / 98  # type: ignore[operator]
    assert mean == pytest.approx(1)
    assert resolve_weights((1.0, 2.0, 3.0), own) == (1.0, 2.0, 3.0)
    with pytest.raises(InputError, match="2 weights for 2 classes; give 3"):
        resolve_weights((1.0, 2.0), own)
    with pytest.raises(InputError, match=r"no weight for 1 of 1 classes.*'lamp'"):
        resolve_weights("sailvos", ClassList(("lamp",)))


def test_weights_of_another_number_are_refused_in_the_config() -> None:
    with pytest.raises(InputError, match="3 weights for 24 classes; give 25"):
        config(model={"class_weights": [1, 1, 1]})
    assert run_of(
        dataset={"classes": ["a", "b"]}, model={"class_weights": [1, 2, 3]}
    ).model.weights == (1.0, 2.0, 3.0)


def test_names_say_which_class_is_which() -> None:
    classes = ClassList(("car", "bus", "dog"))
    file = FileClasses.of([{"id": 90, "name": "dog"}, {"id": 0, "name": "car"}], "a.json")
    assert file.labels(classes) == {90: 2, 0: 0}
    assert file.category_ids(classes) == (0, None, 90)
    assert file.classes == ClassList(("dog", "car")), "in the order of the file"
    note = file.note(classes)
    assert note is not None
    assert note.startswith("a.json: lists the classes in another order; they are matched by name")
    assert "1 of 3 do not occur in it: 'bus'" in note
    assert "different ids" in str(FileClasses.of(listed("car", "bus", first=5), "b").note(classes))
    assert FileClasses.of(listed("car", "bus", "dog"), "c").note(classes) is None
    assert FileClasses.of([], "d").labels(classes) == {1: 0, 2: 1, 3: 2}
    assert FileClasses.of([], "d").category_ids(classes) == (1, 2, 3)


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


def test_the_nearest_class_is_named() -> None:
    classes = ClassList(("person", "potted plant", "car"))
    for wrong, meant in (("persn", "person"), ("Potted Plants", "potted plant")):
        with pytest.raises(InputError, match=f"no class '{wrong}'; did you mean {meant}\\?$"):
            classes.index(wrong)
    with pytest.raises(InputError, match="no class 'zebra'; the classes are 'person', "):
        classes.index("zebra")
    file = FileClasses.of([{"id": 4, "name": "pedestrian"}, {"id": 9, "name": "car"}], "gt.json")
    with pytest.raises(InputError, match=r"no class 'pedestrain'; did you mean pedestrian\?$"):
        file.category_ids(classes, class_map={"person": "pedestrain", "potted plant": ""})
