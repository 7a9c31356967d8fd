"""Class lists: their names, and the classes of a config."""

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
from vatrack.config.class_weights import PAPER_CLASS_WEIGHTS

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
        ([3], "dataset.classes.0: 3 is not text; put it in quotes"),
        (["\ud800"], "contains invalid characters"),
        ("dat", "'dat' is not allowed; give 'sailvos' or 'data'; did you mean data"),
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
    with pytest.raises(InputError, match=r"dataset\.classes: is data"):
        _ = run.class_list
    with pytest.raises(ValueError, match="not resolved"):
        _ = run.model.weights
    known = run.with_classes(ClassList(("a", "b", "c")), {"a": 30, "b": 10})
    assert known.classes == ("a", "b", "c")
    # 40 annotations, two classes that occur: 40 / (2 * 30), 40 / (2 * 10)
    assert known.model.class_weights == pytest.approx((2 / 3, 2.0, 1.0, 1.0))


def test_the_nearest_class_is_named() -> None:
    classes = ClassList(("person", "potted plant", "car"))
    for wrong, meant in (("persn", "person"), ("Potted Plants", "potted plant")):
        told = f"no class '{wrong}'; did you mean {meant}\\? Otherwise choose from 'person', "
        with pytest.raises(InputError, match=told):
            classes.index(wrong)
    with pytest.raises(InputError, match="no class 'zebra'; choose from 'person', "):
        classes.index("zebra")
    file = FileClasses.of([{"id": 4, "name": "pedestrian"}, {"id": 9, "name": "car"}], "gt.json")
    told = r"no class 'pedestrain'; did you mean pedestrian\? Otherwise choose from 'pedestrian', "
    with pytest.raises(InputError, match=told):
        file.category_ids(classes, class_map={"person": "pedestrain", "potted plant": ""})
    told = r"^--class-map persn=car: a\.pt has no class 'persn'; did you mean person\? Otherwise "
    with pytest.raises(InputError, match=told):
        file.category_ids(classes, "a.pt", {"persn": "car"})
