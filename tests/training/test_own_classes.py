"""Classes of one's own from the annotation file to the metrics."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch

import vatrack
from tests.conftest import TinyData, tiny_config
from vatrack.common.errors import InputError
from vatrack.common.files import write_json, write_yaml
from vatrack.common.value_files import read_json, read_yaml
from vatrack.config import SAILVOS, Backbone, ClassList, Method, RunConfig, load_run_config
from vatrack.data.frames import count_classes
from vatrack.evaluation.evaluate import evaluate_inputs
from vatrack.evaluation.file_set import EvaluationInputs
from vatrack.inference.predict import predict_files
from vatrack.training.loop import train
from vatrack.training.start import with_data_classes
from vatrack.weights.checkpoint import load

pytestmark = pytest.mark.usefixtures("narrow_trunk")

FORMS = ("visible", "amodal", "joint", "joint-2bbox", "video_amodal", "video_visible")
# Names that every form of a table must survive.
OWN = {"person": 'a "b", c', "car": "Straße 信号", "motorcycle": "two\nlines"}


def changed(source: Path, out: Path, categories: list[dict[str, Any]]) -> Path:
    """The converted files with other categories.

    Args:
        categories: new ones, each with the `old` id.
    """
    ids = {item["old"]: item["id"] for item in categories}
    listed = [{"id": item["id"], "name": item["name"]} for item in categories]
    for subset in ("train", "valid"):
        (out / subset).mkdir(parents=True)
        for form in FORMS:
            document = read_json(source / subset / f"{form}.json")
            document["categories"] = listed
            for item in document["annotations"]:
                item["category_id"] = ids[item["category_id"]]
            write_json(out / subset / f"{form}.json", document)
    return out


def renumbered() -> list[dict[str, Any]]:
    """SAIL-VOS's names in another order, with ids of their own."""
    return [
        {"old": number, "id": 7 * number, "name": SAILVOS.names[number - 1]}
        for number in range(len(SAILVOS), 0, -1)
    ]


def run_of(folder: Path, classes: Any, class_weights: Any = "auto", **training: Any) -> RunConfig:
    config = tiny_config(folder, epochs=1, validate_from=1, **training)
    return config.model_copy(
        update={
            "dataset": config.dataset.model_copy(update={"classes": classes}),
            "model": config.model.model_copy(update={"class_weights": class_weights}),
        }
    ).for_run(Method.VATRACK, Backbone.RESNET18)


@pytest.fixture(scope="module")
def own(tiny_data: TinyData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny set with three classes of its own; further ones do not occur."""
    joint = read_json(tiny_data.annotations / "train" / "joint.json")
    used = {item["category_id"] for item in joint["annotations"]}
    valid = read_json(tiny_data.annotations / "valid" / "joint.json")
    used |= {item["category_id"] for item in valid["annotations"]}
    names = list(OWN.values()) + [f"further {number}" for number in range(9)]
    categories = [
        {"old": old, "id": 40 - 3 * place, "name": names[place]}
        for place, old in enumerate(sorted(used))
    ]
    return changed(tiny_data.annotations, tmp_path_factory.mktemp("own"), categories)


@pytest.fixture(scope="module")
def own_run(own: Path, tiny_data: TinyData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    train(run_of(out, "data", "balanced"), own, tiny_data.images, out)
    return out


def names_in(annotations: Path) -> tuple[str, ...]:
    joint = read_json(annotations / "train" / "joint.json")
    return tuple(item["name"] for item in joint["categories"])


def test_the_same_names_with_other_ids_are_the_same_training(
    tiny_data: TinyData, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = changed(tiny_data.annotations, tmp_path / "other", renumbered())
    with caplog.at_level(logging.INFO):
        for name, annotations in (("first", tiny_data.annotations), ("second", other)):
            run = run_of(tmp_path / name, "sailvos")
            train(run, annotations, tiny_data.images, tmp_path / name)
            notes = [m for m in caplog.messages if "matched by name" in m]
            assert len(notes) == (name == "second"), "the valid file has the ids of the other"
    first, second = (
        load(tmp_path / name / "checkpoints" / "epoch_01.pt") for name in ("first", "second")
    )
    for key, value in first.weights.items():
        assert torch.equal(value, second.weights[key]), key
    metrics = [
        read_json(tmp_path / name / "validation" / "epoch_01.json") for name in ("first", "second")
    ]
    assert metrics[0] == metrics[1]


def test_classes_and_weights_come_from_the_data(own: Path, own_run: Path) -> None:
    names = names_in(own)
    run = load_run_config(own_run / "config.yaml")
    assert run.classes == names
    counts = count_classes(own / "train" / "joint.json")
    assert list(counts) == list(names)
    document = read_json(own / "train" / "joint.json")
    assert sum(counts.values()) == len(document["annotations"])
    occurring = [count for count in counts.values() if count]
    mean = sum(occurring) / len(occurring)
    assert run.model.weights == pytest.approx(
        [*(mean / counts[name] if counts[name] else 1.0 for name in names), 1.0]
    )
    checkpoint = load(own_run / "checkpoints" / "epoch_01.pt")
    assert checkpoint.classes == ClassList(names)
    assert len(checkpoint.weights["roi_head.bbox_head.fc_cls.bias"]) == len(names) + 1
    predictor = vatrack.load(own_run / "checkpoints" / "epoch_01.pt", device="cpu")
    assert predictor.classes == dict(enumerate(names, 1))


@pytest.mark.usefixtures("served_workers")
@pytest.mark.parametrize("processes", [None, 2])
def test_predictions_carry_the_ids_of_the_file(
    own: Path, own_run: Path, tiny_data: TinyData, tmp_path: Path, processes: int | None
) -> None:
    run = run_of(tmp_path, "sailvos")  # the checkpoint knows better
    checkpoint, truth = own_run / "checkpoints" / "epoch_01.pt", own / "valid" / "joint.json"
    found = tmp_path / "predictions.jsonl"
    predict_files(run, checkpoint, truth, tiny_data.images, found, processes)
    lines = [json.loads(line) for line in found.read_text().splitlines()]
    listed = read_json(truth)["categories"]
    assert lines
    assert {line["category_id"] for line in lines} <= {item["id"] for item in listed}
    assert read_yaml(tmp_path / "inference.yaml")["categories"] == listed
    metrics, details = tmp_path / "metrics.json", tmp_path / "details.json"
    evaluate_inputs(
        EvaluationInputs(truth, found, switches=run.evaluation), metrics, details=details
    )
    assert read_json(details)["classes"] == [item["name"] for item in listed]

    # Ground truth that numbers the same classes otherwise has the same metrics.
    categories = [
        {"old": item["id"], "id": number, "name": item["name"]}
        for number, item in enumerate(reversed(listed))
    ]
    other = changed(own, tmp_path / "other", categories) / "valid" / "joint.json"
    evaluate_inputs(
        EvaluationInputs(other, found, switches=run.evaluation), tmp_path / "again.json"
    )
    assert read_json(tmp_path / "again.json") == read_json(metrics)


def test_other_classes_are_refused_or_mapped(
    own: Path, own_run: Path, tiny_data: TinyData, tmp_path: Path
) -> None:
    names = names_in(own)
    run = run_of(tmp_path, "data")
    checkpoint = own_run / "checkpoints" / "epoch_01.pt"
    truth = tiny_data.annotations / "valid" / "joint.json"
    found = tmp_path / "predictions.jsonl"
    with pytest.raises(InputError) as caught:
        predict_files(run, checkpoint, truth, tiny_data.images, found)
    assert str(ClassList(names)) in str(caught.value)
    assert str(SAILVOS) in str(caught.value)
    assert not found.exists()
    class_map = dict.fromkeys(names, "") | {names[0]: "bird"}
    predict_files(run, checkpoint, truth, tiny_data.images, found, class_map=class_map)
    ids = {json.loads(line)["category_id"] for line in found.read_text().splitlines()}
    assert ids <= {SAILVOS.index("bird") + 1}

    predict_files(run, checkpoint, own / "valid" / "joint.json", tiny_data.images, found)
    with pytest.raises(InputError, match="--class-map OLD=NEW") as caught:
        evaluate_inputs(
            EvaluationInputs(truth, found, switches=run.evaluation), tmp_path / "m.json"
        )
    assert str(SAILVOS) in str(caught.value)
    assert not (tmp_path / "m.json").exists()
    mapped = {name: SAILVOS.names[place] for place, name in enumerate(names)}
    evaluate_inputs(
        EvaluationInputs(truth, found, switches=run.evaluation, class_map=mapped),
        tmp_path / "m.json",
    )
    assert (tmp_path / "m.json").is_file()


def test_files_of_other_classes_are_refused_before_any_work(
    own: Path, tiny_data: TinyData, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    with pytest.raises(InputError) as caught:
        train(run_of(out, "sailvos"), own, tiny_data.images, out)
    assert str(ClassList(names_in(own))) in str(caught.value)
    assert str(SAILVOS) in str(caught.value)
    assert not (out / "config.yaml").exists()


def test_a_class_that_does_not_occur_and_an_annotation_without_class(
    own: Path, tmp_path: Path
) -> None:
    run = with_data_classes(run_of(tmp_path, (*names_in(own), "never")), own)
    assert run.classes == (*names_in(own), "never")
    document = read_json(own / "train" / "joint.json")
    document["annotations"][0]["category_id"] = 3333
    (tmp_path / "bad" / "train").mkdir(parents=True)
    write_json(tmp_path / "bad" / "train" / "joint.json", document)
    with pytest.raises(InputError, match=r"has category 3333; use one of .*"):
        count_classes(tmp_path / "bad" / "train" / "joint.json")


def test_fine_tuning_to_other_classes(
    own: Path, own_run: Path, tiny_data: TinyData, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    start = own_run / "checkpoints" / "epoch_01.pt"
    names = names_in(own)
    other = changed(
        own,
        tmp_path / "other",
        [
            {"old": item["id"], "id": number, "name": item["name"] if number else "renamed"}
            for number, item in enumerate(read_json(own / "train" / "joint.json")["categories"])
        ],
    )
    out = tmp_path / "run"
    with caplog.at_level(logging.INFO):
        train(run_of(out, "data", weights=start), other, tiny_data.images, out)
    assert "  start fresh (1): 'renamed'" in caplog.text
    assert f"  in the file but not used (1): {ClassList(names[:1])}" in caplog.text
    assert load(out / "checkpoints" / "epoch_01.pt").classes.names == ("renamed", *names[1:])


def test_the_commands_take_names_and_mappings(
    own: Path, own_run: Path, tiny_data: TinyData, tmp_path: Path
) -> None:
    from typer.testing import CliRunner

    from vatrack.cli import app

    config = tmp_path / "config.yaml"
    write_yaml(config, tiny_config(tmp_path).model_dump(mode="json"))
    found, names = tmp_path / "predictions.jsonl", names_in(own)
    predict = [
        "predict", "--config", str(config), "--method", "vatrack", "--backbone", "resnet18",
        "--checkpoint", str(own_run / "checkpoints" / "epoch_01.pt"),
        "--frames", str(tiny_data.annotations / "valid" / "joint.json"),
        "--images", str(tiny_data.images), "--out", str(found),
    ]  # fmt: skip
    refused = CliRunner().invoke(app, predict)
    assert isinstance(refused.exception, InputError)
    done = CliRunner().invoke(app, [*predict, "--class-map", f"{names[1]}=stick"])
    assert done.exit_code == 0, done.output
    truth = own / "valid" / "joint.json"
    evaluate = [
        "evaluate", "--ground-truth", str(truth), "--predictions", str(found),
        "--out", str(tmp_path / "metrics.json"), "--class-map",
    ]  # fmt: skip
    refused = CliRunner().invoke(app, [*evaluate, "sticks=x"])
    assert isinstance(refused.exception, InputError)
    assert str(refused.exception).startswith("--class-map sticks=x: ")
    done = CliRunner().invoke(app, [*evaluate, f"stick={names[1]}"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "metrics.json").is_file()
