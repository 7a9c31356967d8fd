import json
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from tests.evaluation.evaluated import evaluate_scene, metrics_of
from tests.evaluation.files import write_inputs
from tests.evaluation.scenes import random_scene, rle
from tests.parity.golden import SHARED_DATA
from vatrack.common.errors import InputError
from vatrack.common.mask_types import MASK_TYPES, MaskType
from vatrack.common.metric_names import (
    AP_COLUMNS,
    AR_COLUMNS,
    HIDDEN_COLUMNS,
    TRACK_COLUMNS,
    TRACK_TYPES,
    metric_names,
)
from vatrack.common.rle import decode
from vatrack.common.value_files import read_json
from vatrack.config import EvaluationConfig
from vatrack.data.video_ground_truth import video_ground_truth
from vatrack.evaluation.evaluate import evaluate_inputs
from vatrack.evaluation.file_set import EvaluationInputs
from vatrack.evaluation.summary import format_metrics

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")  # pycocotools' decode
LEGACY = EvaluationConfig(legacy_gt_id0=True)
SAMPLE = SHARED_DATA / "one_video" / "joint_bbox_amdl.json"
# spec 9.9
ORDER = ("AP", "AP50", "AP75", "AP50_S", "AP50_M", "AP50_L", "AP50_P", "AP50_OM", "AP50_H")
TRACK_IDS = {1: 0, 2: 1, 4: 2, 5: 3}


@pytest.fixture(scope="module")
def sample() -> dict[str, Any]:
    if not SAMPLE.exists():
        pytest.skip(f"{SAMPLE} is missing; set VATRACK_GOLDEN to the folder beside its folder")
    return read_json(SAMPLE)


def rounded(metrics: dict[str, float | None], level: str) -> list[float]:
    """In the order and with the rounding of spec 9.9; -1 where undefined."""
    values = [metrics[f"{level}/{column}"] for column in ORDER]
    return [-1 if value is None else round(value / 100, 3) for value in values]


def perfect(sample: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "image_id": a["image_id"],
            "category_id": a["category_id"],
            "score": 0.9,
            "bbox": a["bbox"],
            "track_id": TRACK_IDS[a["instance_id"]],
            "amodal": a["amodal_mask"],
            "visible": a["visible_mask"],
        }
        for a in sample["annotations"]
    ]


def test_perfect_predictions_with_legacy_ids(sample: dict[str, Any]) -> None:
    detail = evaluate_scene(sample, perfect(sample), None, LEGACY)
    metrics = detail.metrics
    assert rounded(metrics, "image/visible") == [0.990, 0.990, 0.990, -1, 1, 0.970, 0.969, 1, 1]
    assert rounded(metrics, "image/amodal") == [0.990, 0.990, 0.990, -1, 1, 0.980, 0.969, 1, 1]
    assert rounded(metrics, "video/visible") == [1, 1, 1, -1, 1, 1, 1, -1, 1]
    assert rounded(metrics, "video/amodal") == [0.916, 1, 1, -1, 1, 1, 1, -1, 1]
    assert detail.per_class["video/amodal"][1]["AP"] == pytest.approx(83.27, abs=0.005)
    assert detail.per_class["video/amodal"][24]["AP"] == pytest.approx(100)


def test_perfect_predictions_are_perfect_by_default(sample: dict[str, Any]) -> None:
    metrics = metrics_of(sample, perfect(sample))
    for mask_type in ("amodal", "visible"):
        assert rounded(metrics, f"image/{mask_type}") == [1, 1, 1, -1, 1, 1, 1, 1, 1]
        values = [metrics[f"track/{mask_type}/{name}"] for name in TRACK_COLUMNS]
        assert values == [pytest.approx(100)] * 7 + [0, 4, 0, 0, 0]


def test_video_ground_truth_numbered_from_0_with_legacy_ids(sample: dict[str, Any]) -> None:
    video = {mask_type: video_ground_truth(sample, mask_type, 0.75) for mask_type in MASK_TYPES}
    for tracks in video.values():
        for track in tracks["annotations"]:
            track["id"] -= 1
    metrics = metrics_of(sample, perfect(sample), video, LEGACY)
    assert rounded(metrics, "video/visible")[0] == 0.721
    assert rounded(metrics, "video/amodal")[0] == 0.658
    assert metrics_of(sample, perfect(sample), video)["video/visible/AP"] == pytest.approx(100)


def perturbed(sample: dict[str, Any]) -> list[dict[str, Any]]:
    """The predictions of spec 9.10."""

    def shifted(mask: dict[str, Any], pixels: int) -> dict[str, Any]:
        bitmap = coco_mask.decode([mask])[:, :, 0]
        moved = np.zeros_like(bitmap)
        moved[:, pixels:] = bitmap[:, : bitmap.shape[1] - pixels]
        return rle(moved)

    frame_of = {image["id"]: image["frame_id"] for image in sample["images"]}
    predictions = []
    for a in sample["annotations"]:
        if a["id"] % 11:
            pixels = 4 * (a["id"] % 7)
            x, *rest = a["bbox"]
            predictions.append(
                {
                    "image_id": a["image_id"],
                    "category_id": a["category_id"],
                    "score": float(np.float32(0.05 + ((37 * a["id"]) % 90) / 100)),
                    "bbox": [x + pixels, *rest],
                    "track_id": TRACK_IDS[a["instance_id"]],
                    "amodal": shifted(a["amodal_mask"], pixels),
                    "visible": shifted(a["visible_mask"], pixels),
                }
            )
    square = np.zeros((800, 1280), np.uint8)
    square[100:200, 100:200] = 1
    mask = rle(square)
    predictions += [
        {
            "image_id": image,
            "category_id": 1,
            "score": float(np.float32(0.3)),
            "bbox": [100, 100, 100, 100],
            "track_id": 4,
            "amodal": mask,
            "visible": mask,
        }
        for image, frame in frame_of.items()
        if frame % 5 == 0
    ]
    return predictions


def test_perturbed_predictions(sample: dict[str, Any]) -> None:
    detail = evaluate_scene(sample, perturbed(sample), None, LEGACY)
    assert rounded(detail.metrics, "image/visible") == [
        0.176,
        0.290,
        0.190,
        -1,
        0.312,
        0.558,
        0.588,
        0.011,
        0.044,
    ]
    assert rounded(detail.metrics, "image/amodal") == [
        0.198,
        0.387,
        0.197,
        -1,
        0.248,
        0.658,
        0.656,
        0.213,
        0.237,
    ]
    assert rounded(detail.metrics, "video/visible") == [
        0.095,
        0.500,
        0.056,
        -1,
        0.000,
        1.000,
        1.000,
        -1,
        0.500,
    ]
    assert rounded(detail.metrics, "video/amodal") == [
        0.067,
        0.221,
        0.056,
        -1,
        0.000,
        0.442,
        0.667,
        -1,
        0.000,
    ]
    by_class = {
        level: {c: round(v["AP"] / 100, 4) for c, v in values.items()}
        for level, values in detail.per_class.items()
        if level != "image/hidden"
    }
    assert {c: round(v, 3) for c, v in by_class["image/visible"].items()} == {1: 0.334, 24: 0.019}
    assert {c: round(v, 3) for c, v in by_class["image/amodal"].items()} == {1: 0.359, 24: 0.038}
    assert by_class["video/visible"] == {1: 0.1891, 24: 0}
    assert by_class["video/amodal"] == {1: 0.1333, 24: 0}


def test_given_tracks_are_as_good_as_those_derived(tmp_path: Path) -> None:
    joint, predictions = random_scene(0)
    metrics = metrics_of(joint, predictions)
    assert list(metrics) == metric_names(["amodal", "visible"])
    truth, found = write_inputs(tmp_path, joint, predictions)
    tracks = tmp_path / "video_amodal.json"
    tracks.write_text(json.dumps(video_ground_truth(joint, "amodal", 0.75)))
    out = tmp_path / "new" / "metrics.json"
    text = str(
        evaluate_inputs(EvaluationInputs(truth, found, {"amodal": tracks, "visible": None}), out)
    )
    assert read_json(out) == metrics
    assert 0 < metrics["image/amodal/AP50"] < 100
    assert 0 < metrics["video/amodal/AP50"] < 100
    assert f"wrote {out}" in text
    assert f"{metrics['video/visible/AP50']:.1f}" in text


def test_the_page_defines_every_metric() -> None:
    page = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    for section, columns in (
        ("Average precision", AP_COLUMNS),
        ("Average recall", AR_COLUMNS),
        ("Hidden parts", HIDDEN_COLUMNS),
        ("Tracking metrics", TRACK_COLUMNS),
    ):
        text = page.split(f"\n## {section}\n")[1].split("\n## ")[0]
        rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", text, flags=re.MULTILINE)
        assert {name.strip("`") for row in rows for name in row.split(", ")} == set(columns)
    assert all(f"`track/{mask_type}/…`" in page for mask_type in TRACK_TYPES)


def test_the_table_for_a_terminal_has_every_row() -> None:
    joint, predictions = random_scene(1)
    metrics = metrics_of(joint, predictions)
    rows = {
        line.split()[0]: line.split()[1:]
        for line in format_metrics(metrics).splitlines()
        if "/" in line
    }
    assert [row for row in rows if row.startswith("track/")] == [
        f"track/{mask_type}" for mask_type in TRACK_TYPES
    ]
    shown = [f"{metrics[f'track/amodal_box/{column}']:.1f}" for column in TRACK_COLUMNS[:7]]
    assert rows["track/amodal_box"] == shown + [
        str(metrics[f"track/amodal_box/{column}"]) for column in TRACK_COLUMNS[7:]
    ]
    without = {key: value for key, value in metrics.items() if "box" not in key} | {
        "track/visible/LocA": None
    }
    assert [row for row in rows if row.startswith("image/")] == [
        *(f"image/{name}" for name in TRACK_TYPES),
        "image/hidden",
    ]
    recall = [metrics["video/visible/AR100"], metrics["image/hidden/Recall"]]
    assert [rows["video/visible"][11], rows["image/hidden"][4]] == [f"{v:.1f}" for v in recall]
    assert "visible_box" not in format_metrics(without)
    old = {key: value for key, value in metrics.items() if "AR" not in key and "IoU" not in key}
    assert not re.search("AR1|IoU|hidden", format_metrics(old))
    assert format_metrics(without).splitlines()[-1].split()[4] == "-"
    near_zero = format_metrics({"track/amodal/HOTA": 1.0, "track/amodal/MOTA": -0.01})
    assert "0.0" in near_zero and "-0.0" not in near_zero


def test_given_video_ground_truth_is_what_counts() -> None:
    joint, predictions = random_scene(0)
    tracks: dict[MaskType, Any] = {
        "amodal": video_ground_truth(joint, "amodal", 0.75) | {"annotations": []}
    }
    metrics = metrics_of(joint, predictions, tracks)
    assert metrics["video/amodal/AP"] is None
    assert metrics["video/visible/AP"] is not None


def test_a_missing_kind_of_mask_is_absent() -> None:
    joint, predictions = random_scene(1)
    only = [record | {"amodal": None} for record in predictions]
    metrics = metrics_of(joint, only)
    both = metrics_of(joint, predictions)
    assert list(metrics) == metric_names(["visible"])
    assert metrics == {key: value for key, value in both.items() if "/visible" in key}


def test_no_prediction_is_zero() -> None:
    joint, _ = random_scene(1)
    metrics = metrics_of(joint, [])
    assert list(metrics) == metric_names(["amodal", "visible"])
    assert (
        metrics["image/amodal/AP"]
        == metrics["video/visible/AP50"]
        == metrics["track/amodal/MOTA"]
        == 0.0
    )
    video: dict[MaskType, Any] = {"visible": video_ground_truth(joint, "visible", 0.75)}
    assert list(metrics_of(joint, [], video)) == metric_names(["visible"])


@pytest.mark.parametrize("mask_type", MASK_TYPES)
def test_no_prediction_is_measured_by_the_masks_of_the_ground_truth(
    tmp_path: Path, mask_type: MaskType
) -> None:
    joint, predictions = random_scene(1)
    (other,) = {*MASK_TYPES} - {mask_type}
    for annotation in joint["annotations"]:
        for key in (f"{other}_mask", f"area_{other}", "segmentation"):
            del annotation[key]
    assert list(metrics_of(joint, [])) == metric_names([mask_type])
    assert set(evaluate_scene(joint, []).per_class) == {
        f"{level}/{mask_type}{box}" for level in ("image", "video") for box in ("", "_box")
    } - {f"video/{mask_type}_box"}
    truth, found = write_inputs(tmp_path, joint, [])
    details = tmp_path / "details.json"
    out = tmp_path / "metrics.json"
    with pytest.warns(UserWarning, match="contains no predictions"):
        evaluate_inputs(EvaluationInputs(truth, found), out, details=details)
    assert list(read_json(out)) == metric_names([mask_type])
    assert read_json(out)[f"image/{mask_type}/AP"] == 0
    assert not any(other in level for level in read_json(details)["per_class"])
    with pytest.raises(InputError, match=f"has no '{other}_mask'"):
        metrics_of(joint, predictions)  # these have both


def test_nothing_at_all_has_both_mask_types() -> None:
    joint, _ = random_scene(1)
    metrics = metrics_of(joint | {"annotations": []}, [])
    assert list(metrics) == metric_names(["amodal", "visible"])
    assert metrics["image/amodal/AP"] is None


def test_fewer_tracks_may_count() -> None:
    joint, predictions = random_scene(2)
    one = metrics_of(joint, predictions, None, EvaluationConfig(max_tracks=1))
    all_tracks = metrics_of(joint, predictions)
    assert one["video/amodal/AP50"] < all_tracks["video/amodal/AP50"]
    assert one["image/amodal/AP50"] == all_tracks["image/amodal/AP50"]


@pytest.mark.parametrize("offset", [2**61, 2**62 - 200])
def test_ids_of_64_bits_give_the_same_metrics(offset: int) -> None:
    joint, predictions = random_scene(3)
    expected = evaluate_scene(joint, predictions)
    large = json.loads(json.dumps({"joint": joint, "predictions": predictions}))

    def enlarge(item: dict[str, Any], *keys: str) -> None:
        for key in keys:
            item[key] += offset

    for key in ("categories", "videos"):
        for item in large["joint"][key]:
            enlarge(item, "id")
    for item in large["joint"]["images"]:
        enlarge(item, "id", "video_id")
    for item in large["joint"]["annotations"]:
        enlarge(item, "id", "image_id", "video_id", "category_id", "instance_id")
    for item in large["predictions"]:
        enlarge(item, "image_id", "category_id", "track_id")
    found = evaluate_scene(large["joint"], large["predictions"])
    assert found.metrics == expected.metrics
    assert {
        level: {category - offset: metrics for category, metrics in classes.items()}
        for level, classes in found.per_class.items()
    } == expected.per_class


def test_boxes_as_corners_are_told() -> None:
    joint, predictions = random_scene(3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metrics_of(joint, predictions)
    for prediction in predictions:
        x, y, width, height = prediction["bbox"]
        prediction["bbox"] = [x, y, x + width, y + height]
    count = len(predictions)
    with pytest.warns(
        UserWarning, match=rf"of {count} .*do not match their masks.*not two corners"
    ):
        metrics_of(joint, predictions)


def test_empty_runs_on_both_sides_change_nothing() -> None:
    joint, predictions = random_scene(3)
    expected = metrics_of(joint, predictions)

    def spoil(mask: dict[str, Any]) -> None:
        runs = decode(mask["counts"].encode())
        mask["counts"] = [runs[0] - 1, 0, 1, *runs[1:]] if runs[0] else [*runs, 0, 0]

    for item in joint["annotations"]:
        spoil(item["amodal_mask"])
        item["visible_mask"] = dict(item["visible_mask"])
        spoil(item["visible_mask"])
    for item in predictions:
        spoil(item["amodal"])
    assert metrics_of(joint, predictions) == expected
