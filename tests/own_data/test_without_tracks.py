"""Images that stand alone, without tracks: from the preparation to the tables."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import tiny_config
from tests.models.small import narrow_trunks, small_network
from tests.own_data.own import write_own
from vatrack.common.mask_types import MASK_TYPES, MaskType
from vatrack.common.value_files import read_json
from vatrack.config import Backbone, Method
from vatrack.config.dataset import DatasetConfig, ValidationConfig
from vatrack.data.batches import collate
from vatrack.data.fields import lacks_tracks
from vatrack.data.joint.file import single_videos
from vatrack.data.joint.prepare import prepare_joint
from vatrack.data.pairs import PairDataset
from vatrack.evaluation.evaluate import evaluate_inputs
from vatrack.evaluation.examples import write_examples
from vatrack.evaluation.file_set import EvaluationInputs
from vatrack.reporting.tables import write_tables
from vatrack.runs.select import select_best
from vatrack.training.loop import train
from vatrack.validate import validate_joint
from vatrack.validate.first_config import init_config

Json = dict[str, Any]
DATA = DatasetConfig(classes="data", max_occlusion=1)


def _no_videos(document: Json) -> None:
    del document["videos"]
    for item in (*document["images"], *document["annotations"]):
        for key in ("video_id", "frame_id", "instance_id"):
            item.pop(key, None)


def _no_instances(document: Json) -> None:
    for item in document["annotations"]:
        item["instance_id"] = None


def _one_frame(document: Json) -> None:
    document["videos"] = [
        {"id": image["id"], "name": f"v {image['id']}"} for image in document["images"]
    ]
    for image in document["images"]:
        image.update(video_id=image["id"], frame_id=7)
    for item in document["annotations"]:
        item["video_id"] = item["image_id"]


FORMS = [
    (_no_videos, "no list of videos"),
    (_no_instances, "no annotation has an instance_id"),
    (_one_frame, "no video has two frames"),
]


def _write(folder: Path, change: Callable[[Json], None]) -> Path:
    own = write_own(folder)
    for subset in ("train", "valid"):
        document = read_json(own / f"{subset}.json")
        change(document)
        (own / f"{subset}.json").write_text(json.dumps(document))
        prepare_joint(own / f"{subset}.json", own / "frames", DATA, own / "annotations" / subset)
    return own


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _write(tmp_path_factory.mktemp("alone"), _no_videos)


@pytest.mark.parametrize(("change", "reason"), FORMS)
def test_every_image_becomes_a_video(
    tmp_path: Path, change: Callable[[Json], None], reason: str
) -> None:
    own = _write(tmp_path, change)
    result = prepare_joint(own / "train.json", own / "frames", DATA, tmp_path / "out")
    assert (result.videos, result.frames, result.tracks) == (12, 12, 24)
    assert "masks, 24 objects in " in str(result)
    assert f"{reason}: images are treated independently" in str(result)
    for form in ("visible", "joint", "video_amodal"):
        assert lacks_tracks(read_json(tmp_path / "out" / f"{form}.json")["videos"])
    files = {"train": own / "train.json", "valid": own / "valid.json"}
    report = validate_joint(own / "frames", files, ValidationConfig())
    assert report.findings.counts == {"tracks-unknown": 2}


def test_the_first_config_says_which_file_has_no_tracks(tmp_path: Path) -> None:
    own, alone = write_own(tmp_path / "own"), _write(tmp_path / "alone", _one_frame)
    found = init_config(
        alone / "train.json", own / "valid.json", own / "frames", tmp_path / "c.yaml", 0
    ).found
    (sizes,) = (line for line in found if line.startswith("train: "))
    train, valid = sizes.split("; ")
    assert train == "train: 12 videos, 12 images without tracks (no video has two frames)"
    assert valid.startswith("valid: ") and "tracks" not in valid


def test_videos_with_tracks_are_not_marked(tmp_path: Path) -> None:
    own = _write(tmp_path, lambda document: None)
    document = read_json(own / "annotations" / "train" / "joint.json")
    assert not lacks_tracks(document["videos"])
    assert "tracks" not in document["videos"][0]


def test_names_of_images_that_become_one_stay_apart(tmp_path: Path) -> None:
    own = write_own(tmp_path)
    document = read_json(own / "train.json")
    _no_videos(document)
    first, second = document["images"][:2]
    name = first["file_name"].replace("/", "_")
    (own / "frames" / name).write_bytes((own / "frames" / second["file_name"]).read_bytes())
    second["file_name"] = name
    (own / "train.json").write_text(json.dumps(document))
    assert prepare_joint(own / "train.json", own / "frames", DATA, tmp_path / "out").videos == 12


def test_a_pair_is_an_image_with_itself_and_teaches_no_tracking(alone: Path) -> None:
    dataset = PairDataset(
        alone / "annotations" / "train" / "joint.json",
        alone / "frames",
        mask_types=Method.VATRACK.masks,
        limits=(96, 64),
        flip=0.5,
        reach=3,
        seed=0,
    )
    assert len(dataset) == 12
    pairs = [dataset[index] for index in range(12)]
    assert all(key.image_id == ref.image_id for key, ref in pairs)
    assert {(key.image == ref.image).all() for key, ref in pairs} == {True, False}
    batch = collate(pairs[:2])
    network = small_network(Method.VATRACK)
    terms, _ = network.losses(
        *batch.network_images(slice(None), torch.device("cpu")),
        batch.key_targets,
        batch.ref_targets,
        batch.image_sizes,
    )
    assert float(terms["loss_track"].detach()) == float(terms["loss_track_aux"].detach()) == 0
    total = torch.stack([value for name, value in terms.items() if name[:4] == "loss"]).sum()
    total.backward()
    for parameter in network.roi_head.track_head.parameters():
        assert parameter.grad is not None
        assert not parameter.grad.any()
    masks = network.roi_head.get_submodule("mask_head").parameters()
    assert any(value.grad is not None and value.grad.any() for value in masks)


def test_metrics_of_tracks_are_undefined_with_the_reason(alone: Path, tmp_path: Path) -> None:
    truth = alone / "annotations" / "valid" / "joint.json"
    write_examples(truth, tmp_path / "examples", 0)
    given: dict[MaskType, Path | None] = {
        name: alone / "annotations" / "valid" / f"video_{name}.json" for name in MASK_TYPES
    }
    expected = read_json(tmp_path / "examples" / "perfect" / "expected.json")
    results = [
        evaluate_inputs(
            EvaluationInputs(
                truth, tmp_path / "examples" / "perfect" / "predictions.jsonl.gz", video
            ),
            tmp_path / "run" / "metrics.json",
            details=tmp_path / "run" / "details.json",
        )
        for video in (dict[MaskType, Path | None](), given)
    ]
    for result in results:
        assert {key: result.metrics[key] for key in expected} == pytest.approx(expected)
        assert result.metrics["image/amodal/AP"] == 100
        of_tracks = [key for key in result.metrics if not key.startswith("image/")]
        assert len(of_tracks) == 2 * 12 + 4 * 12
        assert all(result.metrics[key] is None for key in of_tracks)
        assert "metrics are undefined: the ground truth has no tracks" in str(result)
    tables = write_tables(
        ["vatrack/resnet18=" + str(tmp_path / "run" / "metrics.json")],
        tmp_path / "tables",
        details=["vatrack/resnet18=" + str(tmp_path / "run" / "details.json")],
    )
    notes = {table.name: table.note for table in tables.tables + tables.classes + tables.videos}
    told = {name for name, note in notes.items() if "the ground truth has no tracks" in note}
    tracked = {
        name
        for name in notes
        if name.removeprefix("classes_").removeprefix("videos_")[:5] in ("video", "track")
    }
    assert told == tracked | {"extended_amodal", "extended_visible"}
    (row,) = next(table for table in tables.tables if table.name == "track_amodal").rows[:1]
    assert set(row.values) == {None}


def test_training_says_so_once_and_chooses_by_image_ap(
    alone: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = tiny_config(tmp_path, epochs=2, validate_from=1)
    run = config.model_copy(
        update={"dataset": config.dataset.model_copy(update={"classes": "data"})}
    ).for_run(Method.VATRACK, Backbone.RESNET18)
    with caplog.at_level(logging.INFO), narrow_trunks():
        train(run, alone / "annotations", alone / "frames", tmp_path / "run")
    assert caplog.text.count("the tracking losses are 0") == 1
    metrics = read_json(tmp_path / "run" / "validation" / "epoch_01.json")
    assert metrics["image/amodal/AP"] is not None
    assert metrics["video/amodal/AP"] is metrics["track/amodal/FN"] is None
    chosen = select_best(tmp_path / "run", run.selection, tmp_path / "run" / "best.json")
    assert chosen.metric == "image/amodal/AP"


def test_every_image_has_a_video_of_its_own_name() -> None:
    names = ("a_b", "a_b_3", "a/b")
    images = [{"id": number, "file_name": name} for number, name in enumerate(names, 1)]
    assert [(video["id"], video["name"]) for video in single_videos(images)] == [
        (1, "a_b"),
        (2, "a_b_3"),
        (3, "a_b_3_3"),
    ]
