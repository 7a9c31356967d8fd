"""Predictions in the forms of other tools, read back by us and by the tools that own the forms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from typer.testing import CliRunner

from tests.evaluation.scenes import (
    add_object,
    detection,
    document,
    rectangle,
)
from tests.exchange.exchanged import load, metrics, overlapping, write
from vatrack.cli import app
from vatrack.common.errors import InputError
from vatrack.common.files import write_yaml
from vatrack.evaluation.evaluate import evaluate_inputs
from vatrack.evaluation.file_set import EvaluationInputs
from vatrack.exchange import export_predictions, import_predictions


@pytest.mark.parametrize("mask_type", ["amodal", "visible"])
def test_coco_and_back_is_the_same(
    scene: tuple[Path, Path], tmp_path: Path, mask_type: Any
) -> None:
    truth, lines = scene
    export_predictions(lines, truth, "coco", tmp_path / "coco.json", mask_type)
    result = import_predictions(
        tmp_path / "coco.json", truth, "coco", tmp_path / "back.jsonl", mask_type
    )
    keys = ("image_id", "category_id", "score", "track_id", mask_type)

    def plain(path: Path) -> list[str]:
        return sorted(json.dumps({key: item[key] for key in keys}) for item in load(path))

    assert plain(tmp_path / "back.jsonl") == plain(lines)
    assert result.detections == len(load(lines))
    assert result.notes == ()


def test_pycocotools_reads_its_results(scene: tuple[Path, Path], tmp_path: Path) -> None:
    truth, lines = scene
    export_predictions(lines, truth, "coco", tmp_path / "coco.json", "visible")
    coco = COCO()
    coco.dataset = json.loads(truth.read_text())
    coco.createIndex()
    found = coco.loadRes(str(tmp_path / "coco.json")).anns.values()
    assert len(found) == len(load(lines))
    areas = [int(coco_mask.area(item["visible"])) for item in load(lines)]
    assert sorted(int(item["area"]) for item in found) == sorted(areas)


@pytest.mark.parametrize("mask_type", ["amodal", "visible"])
def test_ytvis_and_back_gives_the_same_video_metrics(
    scene: tuple[Path, Path], tmp_path: Path, mask_type: Any
) -> None:
    truth, lines = scene
    export_predictions(lines, truth, "ytvis", tmp_path / "r.json", mask_type)
    for item in json.loads((tmp_path / "r.json").read_text()):
        assert len(item["segmentations"]) == {1: 6, 2: 1, 3: 4}[item["video_id"]]
    import_predictions(tmp_path / "r.json", truth, "ytvis", tmp_path / "back.jsonl", mask_type)
    before = metrics(truth, lines, tmp_path / "before.json")
    after = metrics(truth, tmp_path / "back.jsonl", tmp_path / "after.json")
    wanted = [key for key in before if key.startswith((f"video/{mask_type}/", "track/"))]
    compared = [key for key in wanted if key in after and mask_type in key and "box" not in key]
    assert len(compared) > 10
    for key in compared:
        assert after[key] == pytest.approx(before[key], abs=1e-4), key


def beside(predictions: Path, names: dict[int, str], **notes: Any) -> None:
    """Writes what `vatrack predict` says of the classes of predictions."""
    categories = [{"id": number, "name": name} for number, name in names.items()]
    named = {"predictions": predictions.name, "categories": categories}
    write_yaml(predictions.with_name("inference.yaml"), named | notes)


def test_classes_are_matched_by_name(tmp_path: Path) -> None:
    """As `evaluate` does it (contract 2)."""
    joint = document([1])
    joint["categories"] = [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}]
    shape = rectangle(0, 0, 9, 9)
    found = [detection(1, number, 0.9, number, shape, shape) for number in (1, 2, 3)]
    truth, lines = write(tmp_path, joint, found)
    out = tmp_path / "coco.json"
    with pytest.raises(InputError, match="line 3: unknown category_id 3"):
        export_predictions(lines, truth, "coco", out)
    beside(lines, {1: "cat", 2: "dog", 3: "cow"})
    told = "predictions.jsonl: 1 prediction left out, of classes that the ground truth does not"
    with pytest.warns(UserWarning, match=told):
        export_predictions(lines, truth, "coco", out)
    classes = {item["track_id"]: item["category_id"] for item in json.loads(out.read_text())}
    assert classes == {1: 2, 2: 1}
    beside(lines, {1: "cat", 2: "hound", 3: "cow"})
    told = "2 predictions left out, .* other names for them, correct the names of its `categories`"
    with pytest.warns(UserWarning, match=told):
        export_predictions(lines, truth, "coco", out)
    classes = {item["track_id"]: item["category_id"] for item in json.loads(out.read_text())}
    assert classes == {1: 2}
    beside(lines, {1: "kitten", 2: "hound", 3: "cow"})
    with pytest.raises(InputError, match="correct the names of its `categories`") as caught:
        export_predictions(lines, truth, "coco", out)
    assert "--class-map" not in str(caught.value)
    beside(lines, {1: "cat"}, clips={"number": 2, "first": "a", "last": "b"})
    with pytest.raises(InputError, match="neither the first nor the last"):
        export_predictions(lines, truth, "coco", out)


@pytest.mark.parametrize("perfect", [True, False])
def test_trackeval_reads_its_folder(
    scene: tuple[Path, Path], tmp_path: Path, perfect: bool
) -> None:
    import trackeval

    truth, lines = scene
    if perfect:
        joint = json.loads(truth.read_text())
        found = [
            {key: item[key] for key in ("image_id", "category_id", "bbox")}
            | {"score": 0.9, "track_id": item["instance_id"]}
            | {"amodal": item["amodal_mask"], "visible": None}
            for item in joint["annotations"]
        ]
        truth, lines = write(tmp_path, joint, found)
    export_predictions(lines, truth, "trackeval", tmp_path / "te", "amodal")
    base = trackeval.Evaluator.get_default_eval_config() | {
        "PRINT_RESULTS": False, "PRINT_CONFIG": False, "TIME_PROGRESS": False,
        "OUTPUT_SUMMARY": False, "OUTPUT_DETAILED": False, "PLOT_CURVES": False,
        "OUTPUT_EMPTY_CLASSES": False, "BREAK_ON_ERROR": True, "LOG_ON_ERROR": None,
    }  # fmt: skip
    settings = trackeval.datasets.YouTubeVIS.get_default_dataset_config() | {
        "GT_FOLDER": f"{tmp_path}/te/gt/youtube_vis/",
        "TRACKERS_FOLDER": f"{tmp_path}/te/trackers/youtube_vis/",
        "SPLIT_TO_EVAL": "val",
        "PRINT_CONFIG": False,
    }
    dataset = trackeval.datasets.YouTubeVIS(settings)
    evaluator = trackeval.Evaluator(base)
    results, _ = evaluator.evaluate([dataset], [trackeval.metrics.HOTA({"PRINT_CONFIG": False})])
    combined = results["YouTubeVIS"]["vatrack"]["COMBINED_SEQ"]["cls_comb_det_av"]["HOTA"]
    hota = float(np.mean(combined["HOTA"])) * 100
    own = metrics(truth, lines, tmp_path / "own.json")
    if perfect:
        assert hota == pytest.approx(100)
    else:
        assert 5 < hota < 95
    assert own["track/amodal/HOTA"] == pytest.approx(hota, abs=1e-9)


@pytest.mark.parametrize("form", ["coco", "ytvis", "mots", "motchallenge", "trackeval"])
def test_only_trackeval_needs_one_size_per_video(tmp_path: Path, form: Any) -> None:
    joint = document([2])
    joint["images"][1] |= {"width": 50, "height": 40}
    masks = rectangle(0, 0, 9, 9), rectangle(0, 0, 9, 9)[:40, :50]
    for image, mask in enumerate(masks, 1):
        add_object(joint, image, 1, 1, mask)
    found = [detection(image, 1, 1.0, 1, mask, mask) for image, mask in enumerate(masks, 1)]
    truth, lines = write(tmp_path, joint, found)
    out = tmp_path / ("o.json" if form in ("coco", "ytvis") else "o")
    if form == "trackeval":
        with pytest.raises(InputError, match="TrackEval needs one size per video"):
            export_predictions(lines, truth, form, out)
        return
    export_predictions(lines, truth, form, out)
    import_predictions(out, truth, form, tmp_path / "back.jsonl")
    back = [item["visible"] for item in load(tmp_path / "back.jsonl")]
    assert back == [item["visible"] for item in found]


def test_masks_that_are_not_there(tmp_path: Path) -> None:
    joint = document([1])
    truth, lines = write(tmp_path, joint, [detection(1, 1, 0.5, 1, rectangle(0, 0, 9, 9))])
    with pytest.raises(InputError, match="no prediction has visible masks"):
        export_predictions(lines, truth, "coco", tmp_path / "c.json", "visible")
    with pytest.raises(InputError, match="has no annotations, which TrackEval needs"):
        export_predictions(lines, truth, "trackeval", tmp_path / "te", "amodal")
    with pytest.raises(InputError, match="unknown format 'yolo'; choose from coco, ytvis"):
        export_predictions(lines, truth, "yolo", tmp_path / "te")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["a/b", "..", "con:1", "Ünï cödé"])
def test_names_of_videos_become_names_of_files(tmp_path: Path, name: str) -> None:
    joint = document([1])
    joint["videos"][0]["name"] = name
    spot = rectangle(0, 0, 9, 9)
    truth, lines = write(tmp_path, joint, [detection(1, 1, 0.5, 1, spot, spot)])
    export_predictions(lines, truth, "mots", tmp_path / "mots", "visible")
    (file,) = (tmp_path / "mots").iterdir()
    import_predictions(tmp_path / "mots", truth, "mots", tmp_path / "back.jsonl")
    assert len(load(tmp_path / "back.jsonl")) == 1
    assert file.parent == tmp_path / "mots"


def test_the_commands(tmp_path: Path) -> None:
    truth, lines = overlapping(tmp_path)
    common = ["--ground-truth", str(truth)]
    out = tmp_path / "v.json"
    words = ["export-predictions", str(lines), *common, "--to", "ytvis", "--out", str(out)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert f"{out}: 6 detections (visible masks)\n" in result.output
    back = tmp_path / "back.jsonl"
    words = ["import-predictions", str(out), *common, "--from", "ytvis", "--out", str(back)]
    result = CliRunner().invoke(app, words)
    assert result.output == f"{back}: 6 detections (visible masks)\n"

    # Without the option, masks come back as what they were.
    def masks(path: Path, mask_type: str) -> list[Any]:
        return sorted((item["image_id"], str(item[mask_type])) for item in load(path))

    assert masks(back, "visible") == masks(lines, "visible")
    assert {item["amodal"] for item in load(back)} == {None}
    result = CliRunner().invoke(app, [*words, "--mask-type", "amodal"])
    assert result.output == f"{back}: 6 detections (amodal masks)\n"
    assert masks(back, "amodal") == masks(lines, "visible")


@pytest.mark.parametrize(
    ("form", "out", "lost"),
    [
        ("coco", "o.json", "boxes are not written"),
        ("ytvis", "o.json", "boxes and scores of single frames are not written"),
        ("trackeval", "o", "boxes and scores of single frames are not written"),
        ("mots", "o", "scores are not written"),
        ("motchallenge", "o", "only boxes are written (of the amodal masks)"),
    ],
)
def test_what_a_format_cannot_contain_is_said(
    scene: tuple[Path, Path], tmp_path: Path, form: Any, out: str, lost: str
) -> None:
    truth, lines = scene
    shown = str(export_predictions(lines, truth, form, tmp_path / out, "amodal"))
    assert any(line.startswith(lost) for line in shown.splitlines()[1:]), shown


@pytest.mark.parametrize("form", ["mots", "motchallenge", "trackeval"])
def test_a_folder_with_other_files_is_not_replaced(
    scene: tuple[Path, Path], tmp_path: Path, form: Any
) -> None:
    truth, predictions = scene
    out = tmp_path / "out"
    for _ in range(2):  # what it wrote itself is replaced
        export_predictions(predictions, truth, form, out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    (out / "gt").mkdir(exist_ok=True)
    other = out / "gt" / "thesis.txt"
    other.write_text("years of work")
    with pytest.raises(InputError, match=r"out: contains gt/thesis\.txt, which would be lost; "):
        export_predictions(predictions, truth, form, out)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before | {
        other: b"years of work"
    }


def test_the_working_folder_is_not_replaced(
    scene: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth, predictions = scene
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(InputError, match="is the working folder; choose a new folder"):
        export_predictions(predictions, truth, "mots", Path())


def test_a_file_of_another_ending_is_not_written_over(
    scene: tuple[Path, Path], tmp_path: Path
) -> None:
    truth, predictions = scene
    best = tmp_path / "best.pt"
    best.write_bytes(b"weights")
    with pytest.raises(InputError, match=r"best\.pt: .* its name must end in \.json"):
        export_predictions(predictions, truth, "coco", best)
    with pytest.raises(InputError, match=r"best\.pt: metrics and details are JSON; "):
        evaluate_inputs(EvaluationInputs(truth, predictions), best)
    assert best.read_bytes() == b"weights"


FORMS = ["coco", "ytvis", "mots", "mots-challenge", "motchallenge", "trackeval"]


@pytest.mark.parametrize("form", FORMS)
def test_predictions_that_are_not_there_are_warned_of(tmp_path: Path, form: Any) -> None:
    truth, lines = overlapping(tmp_path)
    items = load(lines)
    items[1]["visible"] = None
    write(tmp_path, json.loads(truth.read_text()), items)
    out = tmp_path / ("x.json" if form in ("coco", "ytvis") else "x")
    with pytest.warns(UserWarning, match="has no visible mask") as said:
        assert export_predictions(lines, truth, form, out, "visible").detections == 5
    assert [str(one.message) for one in said if one.category is UserWarning] == [
        f"{lines}: line 2: has no visible mask (1 of 6 predictions without); they are left out; "
        "create the predictions again if that is not meant"
    ]
    lines.write_text("")
    with pytest.warns(UserWarning, match="contains no predictions") as said:
        assert export_predictions(lines, truth, form, out, "visible").detections == 0
    empty = "contains no predictions, so nothing is exported; check the file if that is not meant"
    assert [str(one.message) for one in said if one.category is UserWarning] == [
        f"{lines}: {empty}"
    ]
