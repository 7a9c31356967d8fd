"""The example predictions and their metrics: against the shipped file, pycocotools, and a search
through all assignments."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import shlex
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tests.command import Command
from tests.evaluation.evaluated import metrics_of
from tests.evaluation.example_metrics import FILE, digest
from tests.evaluation.scenes import document as empty_document
from tests.evaluation.scenes import random_scene
from tests.evaluation.test_hidden import plain_metrics, plain_rows
from vatrack.common.errors import InputError
from vatrack.common.files import write_json
from vatrack.common.mask_types import MASK_TYPES
from vatrack.common.value_files import read_json
from vatrack.evaluation.examples import EXAMPLES, predictions, write_examples
from vatrack.evaluation.perfect import perfect_metrics
from vatrack.synthetic.ground_truth import make_ground_truth

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")  # pycocotools' decode


@pytest.fixture(scope="module")
def ground_truth(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return make_ground_truth(tmp_path_factory.mktemp("examples") / "ground_truth")


@pytest.fixture(scope="module")
def examples(ground_truth: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    return {name: list(predictions(ground_truth, effects)) for name, effects in EXAMPLES.items()}


@pytest.fixture(scope="module")
def shipped(ground_truth: dict[str, Any]) -> dict[str, dict[str, float | None]]:
    document = read_json(FILE)
    assert document["ground_truth_sha256"] == digest(ground_truth), (
        "the miniature set is another one: write the file anew"
    )
    return document["metrics"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_metrics_are_the_shipped_ones(name: str, ground_truth, examples, shipped) -> None:
    metrics = metrics_of(ground_truth, examples[name])
    assert {key: metrics[key] for key in shipped[name]} == pytest.approx(shipped[name], abs=1e-9)


@pytest.mark.parametrize("mask_type", MASK_TYPES)
@pytest.mark.parametrize("name", EXAMPLES)
def test_pycocotools_confirms_the_image_precision(
    name: str, mask_type: str, ground_truth, examples, shipped
) -> None:
    truth, found = COCO(), COCO()
    categories = {"images": ground_truth["images"], "categories": ground_truth["categories"]}
    truth.dataset = categories | {
        "annotations": [
            a | {"segmentation": a[f"{mask_type}_mask"], "area": a[f"area_{mask_type}"]}
            for a in renumbered(ground_truth["annotations"])
        ]
    }
    found.dataset = categories | {
        "annotations": [
            p
            | {
                "id": number,
                "segmentation": p[mask_type],
                "area": p["bbox"][2] * p["bbox"][3],
                "iscrowd": 0,
            }
            for number, p in enumerate(examples[name], 1)
        ]
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        found.createIndex()
        judge = COCOeval(truth, found, "segm")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    names = ("AP", "AP50", "AP75", "AR1", "AR10", "AR100")
    theirs = [100 * judge.stats[number] for number in (0, 1, 2, 6, 7, 8)]
    assert [shipped[name][f"image/{mask_type}/{column}"] for column in names] == pytest.approx(
        theirs, abs=1e-9
    )


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_count_of_pixels_confirms_the_hidden_parts(
    name: str, ground_truth, examples, shipped
) -> None:
    expected = plain_metrics(plain_rows(ground_truth, examples[name]))
    assert {
        column: shipped[name][f"image/hidden/{column}"] for column in expected
    } == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("mask_type", MASK_TYPES)
@pytest.mark.parametrize("name", EXAMPLES)
def test_a_plain_search_confirms_the_tracking_figures(
    name: str, mask_type: str, ground_truth, examples, shipped
) -> None:
    metrics = plain_tracking(ground_truth, examples[name], mask_type)
    assert metrics == pytest.approx(
        {column: shipped[name][f"track/{mask_type}/{column}"] for column in metrics}
    )


def renumbered(annotations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Ids from 1: pycocotools never finds an object with id 0."""
    return [annotation | {"id": number} for number, annotation in enumerate(annotations, 1)]


def plain_tracking(
    joint: dict[str, Any], records: list[dict[str, Any]], mask_type: str
) -> dict[str, float]:
    """MOTA and what it counts, on decoded masks, frame by frame; the assignments are found by
    trying all of them."""
    true, found = (
        by_class_and_frame(joint["annotations"], f"{mask_type}_mask"),
        by_class_and_frame(records, mask_type),
    )
    counts = {"IDs": 0, "FP": 0, "FN": 0}
    for category in {key[0] for key in true.keys() | found.keys()}:
        for video in joint["videos"]:
            frames = sorted(
                (i for i in joint["images"] if i["video_id"] == video["id"]),
                key=lambda image: image["frame_id"],
            )
            last: dict[int, int] = {}
            for image in frames:
                objects, tracks = true[category, image["id"]], found[category, image["id"]]
                pairs = {
                    (i, t): value
                    for i, a in objects.items()
                    for t, b in tracks.items()
                    if (value := overlap(a, b)) >= 0.5
                }
                kept = {i: t for i, t in last.items() if (i, t) in pairs}
                free = {
                    (i, t): v
                    for (i, t), v in pairs.items()
                    if i not in kept and t not in kept.values()
                }
                new = dict(best_assignment(sorted({i for i, _ in free}), free, frozenset())[1])
                counts["IDs"] += sum(i in last and last[i] != t for i, t in new.items())
                counts["FN"] += len(objects) - len(kept) - len(new)
                counts["FP"] += len(tracks) - len(kept) - len(new)
                last |= kept | new
    return counts | {"MOTA": 100 * (1 - sum(counts.values()) / len(joint["annotations"]))}


def best_assignment(
    objects: list[int], pairs: dict[tuple[int, int], float], used: frozenset[int]
) -> tuple[tuple[int, float], tuple[tuple[int, int], ...]]:
    """The most pairs, among those the highest sum of IoU: ((number, sum), pairs)."""
    if not objects:
        return (0, 0.0), ()
    first, rest = objects[0], objects[1:]
    best = best_assignment(rest, pairs, used)
    for (i, t), value in pairs.items():
        if i == first and t not in used:
            (number, total), chosen = best_assignment(rest, pairs, used | {t})
            best = max(best, ((number + 1, total + value), ((i, t), *chosen)))
    return best


def by_class_and_frame(
    records: list[dict[str, Any]], mask: str
) -> defaultdict[tuple[int, int], dict[int, np.ndarray]]:
    """Bitmaps by (category, image), then identity."""
    result: defaultdict[tuple[int, int], dict[int, np.ndarray]] = defaultdict(dict)
    for record in records:
        bitmap = coco_mask.decode([record[mask]])[:, :, 0].astype(bool)
        identity = record["track_id"] if "track_id" in record else record["instance_id"]
        result[record["category_id"], record["image_id"]][identity] = bitmap
    return result


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    union = (first | second).sum()
    return float((first & second).sum() / union) if union else 0.0


def test_the_spoilt_examples_are_spoilt_as_they_say(ground_truth, examples, shipped) -> None:
    number = len(ground_truth["annotations"])
    sizes = {name: len(records) for name, records in examples.items()}
    assert sizes["perfect"] == sizes["shifted"] == sizes["swapped"] == number
    assert 0.6 * number < sizes["dropped"] < 0.8 * number
    assert number < sizes["false_positives"] <= number + len(ground_truth["images"])
    for mask_type in MASK_TYPES:
        assert (
            shipped["perfect"][f"video/{mask_type}/AP"]
            == shipped["swapped"][f"image/{mask_type}/AP"]
            == pytest.approx(100)
        )
        assert (
            shipped["swapped"][f"video/{mask_type}/AP75"]
            < shipped["swapped"][f"video/{mask_type}/AP50"]
            < 60
        )
        assert (
            shipped["dropped"][f"track/{mask_type}/FP"]
            == shipped["false_positives"][f"track/{mask_type}/FN"]
            == 0
        )
        for name in set(EXAMPLES) - {"perfect"}:
            assert shipped[name][f"track/{mask_type}/MOTA"] < 99, name
            assert shipped[name][f"video/{mask_type}/AP"] < 99, name
    assert any(value is not None and 0 < value < 100 for value in shipped["everything"].values())


@pytest.mark.parametrize("seed", range(4))
def test_what_perfect_predictions_reach_is_known_without_evaluating(
    seed: int, ground_truth
) -> None:
    scene = random_scene(seed)[0]
    seen = [
        annotation
        for annotation in scene["annotations"]
        if annotation["area_visible"] and annotation["occlude_rate"] < 0.25
    ]
    for document in (scene, scene | {"annotations": seen}, ground_truth):
        expected = perfect_metrics(document, "test")
        assert {"image/amodal/AP50_P", "track/amodal/MT"} <= expected.keys()
        assert {"image/amodal/AR1", "image/amodal_box/AP"} <= expected.keys()
        # A perfect prediction of an object that cannot be seen finds nothing.
        seen_all = all(annotation["area_visible"] for annotation in document["annotations"])
        assert ("image/hidden/IoU" in expected) == seen_all
        metrics = metrics_of(document, list(predictions(document, EXAMPLES["perfect"])))
        assert {key: metrics[key] for key in expected} == pytest.approx(expected)
    assert perfect_metrics(scene | {"annotations": seen}, "test")["video/visible/AP50_H"] is None


def test_video_figures_are_left_out_where_tracks_lack_masks(ground_truth) -> None:
    document = json.loads(json.dumps(ground_truth))
    document["annotations"][5]["occlude_rate"] = 0.9
    expected = perfect_metrics(document, "test")
    assert not [key for key in expected if key.startswith("video/")]
    metrics = metrics_of(document, list(predictions(document, EXAMPLES["perfect"])))
    assert {key: metrics[key] for key in expected} == pytest.approx(expected)


def test_files(tmp_path: Path, ground_truth) -> None:
    text = str(write_examples(None, tmp_path / "a"))
    assert read_json(tmp_path / "a/ground_truth.json.gz") == ground_truth
    assert {path.name for path in (tmp_path / "a").iterdir()} == {*EXAMPLES, "ground_truth.json.gz"}
    assert "vatrack evaluate --ground-truth" in text
    write_examples(tmp_path / "a/ground_truth.json.gz", tmp_path / "b")
    write_examples(tmp_path / "a/ground_truth.json.gz", tmp_path / "c", seed=1)
    assert {path.name for path in (tmp_path / "b").iterdir()} == set(EXAMPLES)
    for name in EXAMPLES:
        first, same, other = (tmp_path / folder / name / "predictions.jsonl.gz" for folder in "abc")
        assert first.read_bytes() == same.read_bytes()
        assert (first.read_bytes() == other.read_bytes()) == (name == "perfect")
        lines = gzip.decompress(first.read_bytes()).decode().splitlines()
        assert [json.loads(line) for line in lines] == list(
            predictions(ground_truth, EXAMPLES[name])
        )
    assert read_json(tmp_path / "b/perfect/expected.json") == perfect_metrics(ground_truth, "test")


def test_masks_of_any_form(tmp_path: Path) -> None:
    """Polygons and lists of runs (contract 3) give what their codes give."""
    truth, _ = random_scene(3)
    (height, width) = (truth["images"][0][key] for key in ("height", "width"))
    square: dict[str, Any] = {"size": [height, width]}
    square |= coco_mask.frPyObjects({**square, "counts": [7, 20, height * width - 27]}, 1, 1)
    square["counts"] = square["counts"].decode()
    corner = [[0, 0, 9, 0, 9, 9, 0, 9]]
    code = coco_mask.frPyObjects(corner, height, width)[0]
    written = {}
    for name, amodal, visible in (
        ("codes", {**code, "counts": code["counts"].decode()}, square),
        ("other", corner, {**square, "counts": [7, 20, height * width - 27]}),
    ):
        for annotation in truth["annotations"]:
            annotation |= {"amodal_mask": amodal, "visible_mask": visible}
        write_json(tmp_path / f"{name}.json", truth)
        files = write_examples(tmp_path / f"{name}.json", tmp_path / name).files
        written[name] = [file.read_bytes() for file in files]
    assert written["other"] == written["codes"]


def test_ids_of_annotations_mean_nothing(ground_truth, examples) -> None:
    """Image and instance tell annotations apart, also where their ids are equal."""
    same = {**ground_truth, "annotations": [{**a, "id": 7} for a in ground_truth["annotations"]]}
    assert list(predictions(same, EXAMPLES["everything"])) == examples["everything"]
    metrics = metrics_of(same, examples["everything"])
    assert metrics == metrics_of(ground_truth, examples["everything"])


def test_bad_ground_truth_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "joint.json").write_text(json.dumps(empty_document([2])))
    with pytest.raises(InputError, match="no annotations; use a ground truth with objects"):
        write_examples(tmp_path / "joint.json", tmp_path / "out")
    with pytest.raises(InputError, match=r"none\.json: no such file"):
        write_examples(tmp_path / "none.json", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_can_be_pasted_and_the_output_is_a_folder(
    vatrack: Command, ground_truth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Rendered once for all tests.
    monkeypatch.setattr("vatrack.synthetic.ground_truth.make_ground_truth", lambda _: ground_truth)
    out = tmp_path / "with space"
    code, shown, _ = vatrack("examples", "--out", out)
    assert code == 0
    command = shlex.split(shown.splitlines()[-1])
    assert command[2::2] == ["--ground-truth", "--predictions", "--out"]
    assert command[-1] == f"{out}/perfect/metrics.json"
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file, not a folder"):
        write_examples(None, tmp_path / "file")


@pytest.mark.parametrize(
    "name",
    ["ground_truth.json.gz", "swapped/predictions.jsonl.gz", "perfect/expected.json"],
)
def test_other_files_are_kept(
    ground_truth, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where only some of its own files lie beside."""
    # Rendered once for all tests.
    monkeypatch.setattr("vatrack.synthetic.ground_truth.make_ground_truth", lambda _: ground_truth)
    for _ in range(2):
        write_examples(None, tmp_path)  # its own files may be there
    other = tmp_path / name
    other.write_bytes(b"{}\n")
    (tmp_path / "shifted" / "predictions.jsonl.gz").unlink()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=rf"{name}: has other content than this example and would"):
        write_examples(None, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    other.unlink()
    write_examples(None, tmp_path)
    assert other.is_file() and (tmp_path / "shifted" / "predictions.jsonl.gz").is_file()


def test_another_seed_replaces_nothing(
    ground_truth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vatrack.synthetic.ground_truth.make_ground_truth", lambda _: ground_truth)
    write_examples(None, tmp_path)
    with pytest.raises(InputError, match=r"predictions\.jsonl\.gz: has other content than this"):
        write_examples(None, tmp_path, seed=1)
