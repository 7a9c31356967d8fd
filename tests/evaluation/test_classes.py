"""The classes of predictions against those of the ground truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.evaluation.evaluated import metrics_of
from tests.evaluation.scenes import random_scene
from vatrack.common.errors import InputError
from vatrack.common.files import write_json, write_yaml
from vatrack.common.value_files import read_json
from vatrack.evaluation.evaluate import evaluate_inputs
from vatrack.evaluation.file_set import EvaluationInputs
from vatrack.evaluation.io import classes

NAMES = {1: "car", 2: "bus", 7: "dog"}


def beside(folder: Path, *categories: tuple[int, str]) -> Path:
    """The path of predictions, with what is said of their classes."""
    listed = [{"id": number, "name": name} for number, name in categories]
    path = folder / "predictions.jsonl"
    write_yaml(folder / "inference.yaml", {"predictions": path.name, "categories": listed})
    return path


def category_ids(
    names: dict[int, str], truth: str, path: Path, class_map: dict[str, str] | None = None
) -> dict[int, int | None] | None:
    return classes.category_ids(names, truth, path, classes.notes_beside(path), class_map)


def test_ids_are_mapped_by_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    same = beside(tmp_path, (1, "car"), (2, "bus"), (7, "dog"))
    assert category_ids(NAMES, "gt.json", same) is None
    assert caplog.messages == []
    other = beside(tmp_path, (1, "dog"), (2, "bus"), (3, "car"))
    assert category_ids(NAMES, "gt.json", other) == {1: 7, 3: 1}
    fewer = beside(tmp_path, (4, "dog"))
    assert category_ids(NAMES, "gt.json", fewer) == {4: 7}
    more = beside(tmp_path, (1, "car"), (2, "bus"), (7, "dog"), (9, "cat"))
    assert category_ids(NAMES, "gt.json", more) == {9: None}, "no object of it can count"
    assert [text.partition(": ")[2] for text in caplog.messages] == [
        "2 classes have different ids than in gt.json; matched by name",
        "1 class has a different id than in gt.json; matched by name",
        "1 class left out, not in gt.json: 'cat'",
    ]


def test_lists_that_do_not_fit(tmp_path: Path) -> None:
    path = beside(tmp_path, (1, "car"), (2, "cat"))
    with pytest.raises(InputError) as caught:
        category_ids(NAMES, "gt.json", path)
    assert "inference.yaml: 'car', 'cat'\n" in str(caught.value)
    assert "gt.json: 'car', 'bus', 'dog'\n" in str(caught.value)
    assert category_ids(NAMES, "gt.json", path, {"cat": "dog"}) == {2: 7}
    assert category_ids(NAMES, "gt.json", path, {"cat": ""}) == {2: None}
    with pytest.raises(InputError, match="no class 'cow'"):
        category_ids(NAMES, "gt.json", path, {"cow": "dog"})
    with pytest.raises(InputError, match=r"gt\.json has no class 'cow'"):
        category_ids(NAMES, "gt.json", path, {"cat": "cow"})


def test_predictions_of_other_programs_are_mapped_by_id(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    assert category_ids(NAMES, "gt.json", path) is None
    assert category_ids(NAMES, "gt.json", path, {"5": "dog", "6": ""}) == {5: 7, 6: None}
    with pytest.raises(InputError, match="give the category id"):
        category_ids(NAMES, "gt.json", path, {"hound": "dog"})
    with pytest.raises(InputError, match="no class 'cow'"):
        category_ids(NAMES, "gt.json", path, {"5": "cow"})


@pytest.mark.parametrize("categories", ["car", [3], [{"id": "x", "name": "car"}], [{"name": "a"}]])
def test_damaged_settings_are_refused(tmp_path: Path, categories: Any) -> None:
    settings = {"predictions": "predictions.jsonl", "categories": categories}
    write_yaml(tmp_path / "inference.yaml", settings)
    with pytest.raises(InputError, match=r"inference\.yaml"):
        category_ids(NAMES, "gt.json", tmp_path / "predictions.jsonl")


@pytest.mark.parametrize(
    ("named", "name", "used"),
    [
        ("p.jsonl", "p.jsonl", True),
        ("p.jsonl.gz", "p.jsonl", True),
        ("p.jsonl", "p.jsonl.gz", True),
        ("p.jsonl", "theirs.jsonl", False),
        ("predictions.jsonl.gz", "theirs.jsonl.gz", False),
        (None, "predictions.jsonl.gz", True),  # of an older version
        (None, "theirs.jsonl", False),
    ],
)
def test_settings_are_those_of_the_predictions_that_they_name(
    tmp_path: Path, named: str | None, name: str, used: bool
) -> None:
    listed = [{"id": 1, "name": "dog"}, {"id": 7, "name": "car"}, {"id": 2, "name": "bus"}]
    names = {} if named is None else {"predictions": named}
    write_yaml(tmp_path / "inference.yaml", {**names, "categories": listed})
    found = category_ids(NAMES, "gt.json", tmp_path / name)
    assert found == ({1: 7, 7: 1} if used else None)


def test_a_file_beside_the_named_one_is_no_copy_of_it(tmp_path: Path) -> None:
    path = beside(tmp_path, (1, "dog"), (2, "bus"), (7, "car"))
    path.touch()
    assert category_ids(NAMES, "gt.json", path) == {1: 7, 7: 1}
    assert category_ids(NAMES, "gt.json", path.with_name("predictions.jsonl.gz")) is None


def test_another_trackers_predictions_beside_those_of_a_run(tmp_path: Path) -> None:
    truth, predictions = random_scene(3)
    write_json(tmp_path / "gt.json", truth)
    path = beside(tmp_path, *((item["id"] + 1, item["name"]) for item in truth["categories"]))
    path.touch()
    theirs = tmp_path / "theirs.jsonl"
    theirs.write_text("".join(json.dumps(line) + "\n" for line in predictions))
    evaluate_inputs(EvaluationInputs(tmp_path / "gt.json", theirs), tmp_path / "m.json")
    assert read_json(tmp_path / "m.json") == metrics_of(truth, predictions)


def test_numbers_are_those_of_the_right_ids(tmp_path: Path) -> None:
    """Also where ids change places, and where predictions are left out."""
    truth, predictions = random_scene(3)
    wanted = metrics_of(truth, predictions)
    count = len(truth["categories"])
    moved = {n: 1 + (n + 4) % count for n in range(1, count + 1)}
    lines = [{**line, "category_id": moved[line["category_id"]]} for line in predictions]
    extra = [
        {**line, "category_id": 99, "track_id": line["track_id"] + 10**6, "score": 1.0}
        for line in predictions
    ]
    path = beside(
        tmp_path,
        *((moved[item["id"]], item["name"]) for item in truth["categories"]),
        (99, "something else"),
    )
    path.write_text("".join(json.dumps(line) + "\n" for line in [*extra, *lines]))
    write_json(tmp_path / "gt.json", truth)
    evaluate_inputs(EvaluationInputs(tmp_path / "gt.json", path), tmp_path / "m.json")
    assert read_json(tmp_path / "m.json") == wanted


def test_a_thousand_classes_and_one(tmp_path: Path) -> None:
    """Classes that do not occur change nothing, wherever their ids lie."""
    truth, predictions = random_scene(5)
    wanted = metrics_of(truth, predictions)
    spread = {number: 1 + 7919 * number % 1000 for number in range(1, 25)}
    many = {
        **truth,
        "categories": [{"id": number, "name": f"class {number}"} for number in range(1, 1001)],
        "annotations": [
            {**item, "category_id": spread[item["category_id"]]} for item in truth["annotations"]
        ],
    }
    lines = [{**line, "category_id": spread[line["category_id"]]} for line in predictions]
    assert metrics_of(many, lines) == pytest.approx(wanted, nan_ok=True)

    one = {
        **truth,
        "categories": [{"id": 5, "name": "thing"}],
        "annotations": [{**item, "category_id": 5} for item in truth["annotations"]],
    }
    found = metrics_of(one, [{**line, "category_id": 5} for line in predictions])
    assert found["image/amodal/AP50"] is not None
