"""The tables of boxes, recall and hidden parts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.evaluation.evaluated import metrics_of
from tests.evaluation.scenes import random_scene
from tests.reporting.tables.made_up import markdown_rows, metrics, read_csv
from vatrack.reporting.tables import write_tables

HEADS = [
    *(f"boxes {metric}" for metric in ("AP", "AP50", "AP75")),
    *(f"{group} AR{limit}" for group in ("frames", "tracks") for limit in (1, 10, 100)),
]


def evaluated(path: Path) -> dict[str, Any]:
    values = metrics_of(*random_scene(3))
    path.write_text(json.dumps(values))
    return values


def test_of_an_evaluation(tmp_path: Path) -> None:
    values = evaluated(tmp_path / "m.json")
    text = write_tables([f"vatrack/resnet18={tmp_path}/m.json"], tmp_path).whole
    for masks in ("amodal", "visible"):
        (row,) = read_csv(tmp_path / f"extended_{masks}.csv")
        names = {
            "boxes": f"image/{masks}_box",
            "frames": f"image/{masks}",
            "tracks": f"video/{masks}",
        }
        expected = {head: values[f"{names[head.split()[0]]}/{head.split()[1]}"] for head in HEADS}
        assert {head: float(row[head]) for head in HEADS} == expected
        head, shown = markdown_rows(tmp_path / f"extended_{masks}.md")
        assert head[4:6] == ["Boxes AP", "Boxes AP50"]
        assert shown[-1] == f"{values[f'video/{masks}/AR100']:.1f}"
        assert "\\multicolumn{3}{r}{Tracks}" in (
            tmp_path / f"extended_{masks}.tex"
        ).read_text().replace("{c}", "{r}")
    (row,) = read_csv(tmp_path / "extended_hidden.csv")
    keys = {"IoU": "IoU", "P": "IoU_P", "OM": "IoU_OM", "H": "IoU_H", "Recall": "Recall"}
    assert {column: float(row[column]) for column in keys} == {
        column: values[f"image/hidden/{key}"] for column, key in keys.items()
    }
    assert "### Hidden parts" in text
    assert (tmp_path / "tables.html").read_text().count("<table ") == 9
    assert not [head for head in read_csv(tmp_path / "image_amodal.csv")[0] if "AR" in head]


def test_runs_and_methods_without_these_metrics(tmp_path: Path) -> None:
    evaluated(tmp_path / "m.json")
    runs = [
        f"qdtrack/resnet18={tmp_path}/m.json",
        f"vatrack/resnet18={metrics(tmp_path / 'old.json', 10)}",
    ]
    write_tables(runs, tmp_path / "out")
    found = {path.stem for path in (tmp_path / "out").glob("extended*.csv")}
    assert found == {"extended_visible"}
    (row,) = read_csv(tmp_path / "out" / "extended_visible.csv")
    assert row["method"] == "qdtrack"


def test_an_undefined_metric_is_a_dash(tmp_path: Path) -> None:
    values = evaluated(tmp_path / "m.json") | {"image/hidden/IoU_OM": None}
    (tmp_path / "m.json").write_text(json.dumps(values))
    write_tables([f"vatrack/resnet18={tmp_path}/m.json"], tmp_path)
    (row,) = read_csv(tmp_path / "extended_hidden.csv")
    assert row["OM"] == "-"
