"""Predictions in the forms of other tools, read back by us and by the tools that own the forms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import motmetrics
import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from typer.testing import CliRunner

from tests.evaluation.scenes import (
    add_object,
    detection,
    document,
    random_scene,
    rectangle,
    write_scene,
)
from vatrack.cli import app
from vatrack.common.errors import InputError
from vatrack.common.files import write_yaml
from vatrack.evaluation.evaluate import evaluate_inputs
from vatrack.evaluation.file_set import EvaluationInputs
from vatrack.exchange import export_predictions, import_predictions


@pytest.fixture
def scene(tmp_path: Path) -> tuple[Path, Path]:
    """A ground truth and predictions whose tracks keep their classes."""
    joint, predictions = random_scene(11)
    first: dict[Any, int] = {}
    video = {image["id"]: image["video_id"] for image in joint["images"]}
    kept = []
    for item in predictions:
        key = (video[item["image_id"]], item["track_id"])
        if first.setdefault(key, item["category_id"]) == item["category_id"]:
            kept.append(item)
    return write(tmp_path, joint, kept)


def write(
    folder: Path, joint: dict[str, Any], predictions: list[dict[str, Any]]
) -> tuple[Path, Path]:
    files = write_scene(folder, joint, predictions)
    return files["ground_truth"], files["predictions"]


def load(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def metrics(truth: Path, predictions: Path, out: Path) -> dict[str, float]:
    evaluate_inputs(EvaluationInputs(truth, predictions), out)
    return json.loads(out.read_text())


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


def overlapping(tmp_path: Path) -> tuple[Path, Path]:
    joint = document([2])
    predictions = []
    for image in (1, 2):
        add_object(joint, image, 1, 1, rectangle(0, 0, 40, 40))
        add_object(joint, image, 3, 2, rectangle(60, 0, 40, 40))
        predictions += [
            detection(image, 1, 0.4, 1, rectangle(0, 0, 40, 40), rectangle(0, 0, 40, 40)),
            detection(image, 3, 0.9, 2, rectangle(30, 0, 70, 40), rectangle(30, 0, 70, 40)),
            detection(image, 3, 0.2, 3, rectangle(50, 5, 9, 9), rectangle(50, 5, 9, 9)),
        ]
    return write(tmp_path, joint, predictions)


@pytest.mark.parametrize(("form", "first"), [("mots", 0), ("mots-challenge", 1)])
def test_mots_has_no_overlap(tmp_path: Path, form: Any, first: int) -> None:
    truth, lines = overlapping(tmp_path)
    result = export_predictions(lines, truth, form, tmp_path / "mots", "visible")
    rows = [line.split(" ") for line in (tmp_path / "mots/clip__1.txt").read_text().splitlines()]
    assert [row[:5] for row in rows] == [
        [str(first + frame), name, category, "120", "160"]
        for frame in (0, 1)
        for name, category in (("1001", "1"), ("3001", "3"))
    ]
    masks = [coco_mask.decode({"size": [120, 160], "counts": row[5]}) for row in rows[:2]]
    assert np.array_equal(masks[0], rectangle(0, 0, 30, 40))  # the lower score gives way
    assert np.array_equal(masks[1], rectangle(30, 0, 70, 40))
    assert result.notes[0] == (
        "4 masks cut where others overlap (MOTS allows no overlap); 2 completely hidden ones were "
        "skipped"
    )

    import_predictions(tmp_path / "mots", truth, form, tmp_path / "back.jsonl", "visible")
    back = load(tmp_path / "back.jsonl")
    assert [item["image_id"] for item in back] == [1, 1, 2, 2]
    assert [item["category_id"] for item in back] == [1, 3, 1, 3]
    assert all(item["amodal"] is None and item["score"] == 1.0 for item in back)
    assert np.array_equal(coco_mask.decode(back[0]["visible"]), masks[0])


# motmetrics 1.4 subtracts a tuple from a table, as pandas 4 no longer allows.
@pytest.mark.filterwarnings("ignore:Operation with tuple is deprecated")
def test_motmetrics_reads_boxes(scene: tuple[Path, Path], tmp_path: Path) -> None:
    truth, lines = scene
    export_predictions(lines, truth, "motchallenge", tmp_path / "mot", "amodal")
    table = motmetrics.io.loadtxt(str(tmp_path / "mot/clip__1.txt"), fmt="mot15-2D")
    own = [item for item in load(lines) if item["image_id"] < 46]
    assert len(table) == len(own)
    frames = table.index.get_level_values("FrameId")
    assert sorted(frames) == sorted(item["image_id"] - 39 for item in own)
    left, width = table[["X", "Width"]].to_numpy().T
    assert sorted(left.tolist()) == pytest.approx(sorted(item["bbox"][0] for item in own))
    assert sorted(width.tolist()) == pytest.approx(sorted(item["bbox"][2] for item in own))

    result = import_predictions(
        tmp_path / "mot", truth, "motchallenge", tmp_path / "back.jsonl", "amodal"
    )
    back = load(tmp_path / "back.jsonl")
    assert result.detections == len(back) == len(load(lines))
    assert "boxes are used as masks" in result.notes[0]
    boxes = {(item["image_id"], tuple(np.round(item["bbox"], 2))) for item in back}
    assert boxes == {(item["image_id"], tuple(np.round(item["bbox"], 2))) for item in load(lines)}
    assert int(coco_mask.area(back[0]["amodal"])) == round(back[0]["bbox"][2] * back[0]["bbox"][3])


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


BOX = {"image_id": 1, "category_id": 1, "score": 1, "bbox": [0, 0, 2, 2]}
TRACK = {"video_id": 1, "category_id": 1, "score": 1, "segmentations": [None]}
NO_MOTS = "line 1: not a line of MOTS; write `frame id class height width mask`"
NO_MOTCHALLENGE = "line 1: not a line of MOTChallenge; write `frame, id, left"


@pytest.mark.parametrize(
    ("form", "content", "message"),
    [
        ("coco", {"a": 1}, "not a list of detections"),
        ("coco", [17], "item 1: not a JSON object; write each detection"),
        ("coco", [{"image_id": 1}], "item 1: has no 'category_id'"),
        ("coco", [BOX | {"image_id": 99}], "item 1: image_id 99 is not in"),
        ("coco", [BOX | {"category_id": 77}], r"item 1: class 77 .*: 1 .*, \.\.\.\); cor"),
        ("coco", [BOX | {"bbox": None}], "neither a mask nor a box"),
        ("coco", [BOX | {"score": "x"}], "score is 'x'"),
        ("ytvis", {"a": 1}, "not a list of tracks"),
        ("ytvis", [TRACK], "has 1 segmentation, but its video 'clip__1' has 2 frames"),
        ("ytvis", [TRACK | {"video_id": 9}], "video_id 9 is not in"),
        ("mots", "0 1001 1 120 160", NO_MOTS),
        ("mots", "5 1001 1 120 160 0", r"line 1: frame 5 \(counted from 0\) is not one of the 2"),
        ("mots", "0 1001 1 12 16 0", r"line 1: its mask has size \[12, 16\]"),
        ("mots", "0 1001 1 120 160 ~~", "line 1: its mask is damaged"),
        ("motchallenge", "1,1,5", NO_MOTCHALLENGE),
        ("motchallenge", "1,1,5,5,9,9,1,-1,-1,-1", "line 1: has no class"),
        ("motchallenge", "1,1,5,5,9,nan,1,1,-1,-1", r"line 1: bbox is \["),
        ("motchallenge", "1,1,5,5,9,9,1,inf,-1,-1", NO_MOTCHALLENGE),
        ("motchallenge", "1,1,5,5,9,9,1,1.5,-1,-1", NO_MOTCHALLENGE),
        ("motchallenge", "1.5,1,5,5,9,9,1,1,-1,-1", NO_MOTCHALLENGE),
    ],
)
def test_bad_sources(tmp_path: Path, form: Any, content: Any, message: str) -> None:
    truth, _ = overlapping(tmp_path)
    if isinstance(content, str):
        source = tmp_path / "source"
        source.mkdir()
        (source / "clip__1.txt").write_text(content + "\n")
    else:
        source = tmp_path / "source.json"
        source.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        import_predictions(source, truth, form, tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


def test_few_classes_are_all_said(tmp_path: Path) -> None:
    truth, _ = overlapping(tmp_path)
    document = json.loads(truth.read_text())
    document["categories"] = [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}]
    truth.write_text(json.dumps(document))
    (tmp_path / "source.json").write_text(json.dumps([BOX | {"category_id": 77}]))
    with pytest.raises(InputError, match=r"\(classes: 1 dog, 2 cat\); correct it"):
        import_predictions(tmp_path / "source.json", truth, "coco", tmp_path / "out.jsonl")


def test_a_box_outside_of_its_image_has_an_empty_mask(tmp_path: Path) -> None:
    truth, _ = overlapping(tmp_path)
    (tmp_path / "source").mkdir()
    (tmp_path / "source/clip__1.txt").write_text("1,1,10,-30,20,10,1,1\n2,1,300,5,9,9,1,1\n")
    import_predictions(tmp_path / "source", truth, "motchallenge", tmp_path / "out.jsonl")
    areas = [int(coco_mask.area(item["visible"])) for item in load(tmp_path / "out.jsonl")]
    assert areas == [0, 0]


def test_a_file_of_a_video_that_is_not_listed(tmp_path: Path) -> None:
    truth, _ = overlapping(tmp_path)
    (tmp_path / "source").mkdir()
    (tmp_path / "source/other.txt").write_text("0 1001 1 120 160 0\n")
    with pytest.raises(InputError, match=r"has no video 'other'; name the file after .*: clip__1"):
        import_predictions(tmp_path / "source", truth, "mots", tmp_path / "out.jsonl")
    with pytest.raises(InputError, match="no such folder; this format needs a folder"):
        import_predictions(tmp_path / "none", truth, "mots", tmp_path / "out.jsonl")


def test_what_mots_cannot_hold(tmp_path: Path) -> None:
    joint = document([1])
    add_object(joint, 1, 1, 1, rectangle(0, 0, 40, 40))
    spot = rectangle(0, 0, 1, 1)
    many = [detection(1, 1, 0.5, track, spot, spot) for track in range(1000)]
    truth, lines = write(tmp_path, joint, many)
    with pytest.raises(InputError, match="1000 tracks of class 1; MOTS has room for 999"):
        export_predictions(lines, truth, "mots", tmp_path / "mots", "visible")


def test_what_mots_says_of_classes(tmp_path: Path) -> None:
    """Its class 10 marks regions that do not count, and a track has one class."""
    joint = document([2])
    name = next(item["name"] for item in joint["categories"] if item["id"] == 10)
    spot = rectangle(0, 0, 9, 9)
    found = [detection(image, 10, 0.5, 1, spot, spot) for image in (1, 2)]
    found += [detection(image, 2 + image, 0.5, 2, spot, spot) for image in (1, 2)]
    truth, lines = write(tmp_path, joint, found)
    notes = export_predictions(lines, truth, "mots", tmp_path / "mots", "visible").notes
    assert (
        f"class 10 ({name}) has the number of MOTS's ignore regions: tools that read MOTS do not "
        "count its 2 masks" in notes
    )
    assert "1 track of several classes; the most frequent class is used" in notes
    truth, lines = write(tmp_path, joint, found[2:3])
    notes = export_predictions(lines, truth, "mots", tmp_path / "mots", "visible").notes
    assert notes == ("scores are not written: MOTS has none",)


def test_detections_without_a_track_are_not_joined(tmp_path: Path) -> None:
    """By id -1, or by the number of their item, which is the id of another one."""
    truth, _ = write(tmp_path, document([3]), [])
    boxes, back = tmp_path / "boxes", tmp_path / "back.jsonl"
    boxes.mkdir()
    lines = [f"{frame},{track},5,5,9,9,1,1" for frame, track in ((1, -1), (2, -1), (1, 7), (3, 7))]
    (boxes / "clip__1.txt").write_text("\n".join(lines))
    notes = import_predictions(boxes, truth, "motchallenge", back).notes
    assert "detections with id -1 become tracks of one frame" in notes
    assert [item["track_id"] for item in load(back)] == [-1, -2, 7, 7]
    mask = detection(1, 1, 0.5, 1, rectangle(0, 0, 9, 9))["amodal"]
    items: list[dict[str, Any]] = [
        {"video_id": 1, "category_id": 1, "score": 1, "segmentations": [None] * 3} for _ in "ab"
    ]
    for place, item in enumerate(items):
        item["segmentations"] = [None] * place + [mask] + [None] * (2 - place)
    for ids, wanted in (({}, [1, 2]), ({"track_id": 1}, [-1, 1])):
        (tmp_path / "r.json").write_text(json.dumps([items[0], items[1] | ids]))
        import_predictions(tmp_path / "r.json", truth, "ytvis", back)
        assert [item["track_id"] for item in load(back)] == wanted


def test_class_0_of_motchallenge_is_a_class(tmp_path: Path) -> None:
    joint = document([1])
    joint["categories"] = [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}]
    spot = rectangle(0, 0, 9, 9)
    truth, lines = write(tmp_path, joint, [detection(1, 0, 0.5, 1, spot, spot)])
    export_predictions(lines, truth, "motchallenge", tmp_path / "boxes", "visible")
    import_predictions(tmp_path / "boxes", truth, "motchallenge", tmp_path / "back.jsonl")
    assert [item["category_id"] for item in load(tmp_path / "back.jsonl")] == [0]


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


@pytest.mark.parametrize(("form", "other"), [("coco", "ytvis"), ("ytvis", "coco")])
def test_a_source_of_another_form_is_named(
    scene: tuple[Path, Path], tmp_path: Path, form: Any, other: Any
) -> None:
    truth, lines = scene
    out, source = tmp_path / "out.jsonl", tmp_path / "r.json"
    export_predictions(lines, truth, form, source)
    with pytest.raises(InputError, match=f"item 1: looks like a .*; use --from {form}"):
        import_predictions(source, truth, other, out)
    with pytest.raises(InputError, match="is a file of predictions already; give it to"):
        import_predictions(lines, truth, form, out)


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


@pytest.mark.parametrize("form", ["coco", "ytvis", "mots", "mots-challenge"])
def test_results_of_nothing_are_warned_of(tmp_path: Path, form: Any) -> None:
    truth, _ = overlapping(tmp_path)
    source = tmp_path / "theirs"
    if form in ("coco", "ytvis"):
        source.write_text("[]")
    else:
        source.mkdir()
        (source / "clip__1.txt").write_text("")
    with pytest.warns(UserWarning, match="contains no predictions") as said:
        assert import_predictions(source, truth, form, tmp_path / "o.jsonl").detections == 0
    assert [str(one.message) for one in said if one.category is UserWarning] == [
        f"{source}: contains no predictions, so the file that is written is empty; check the file "
        "if that is not meant"
    ]
