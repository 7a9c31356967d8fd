"""The paper's four tables."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.reporting.tables.made_up import markdown_rows, metrics, read_csv, run_folder
from vatrack.reporting.tables import write_tables
from vatrack.reporting.tables.paper import TITLES as PAPER
from vatrack.reporting.tables.published import read_published

HEADER = ["method", "backbone", "label", "dataset", "source", "AP", "AP50", "P", "H", "L", "M", "S"]
# Spec 6.5, typed from it once more.
PUBLISHED = {
    "image_amodal": {
        "amodaltrack": "17.8 | 27.4 | 29.2 | 18.6 | 34.7 | 26.8 | 11.4",
        "vatrack": "18.3 | 28.6 | 29.7 | 20.1 | 38.1 | 26.9 | 15.7",
        "vatrack-2bbox": "17.9 | 28.6 | 30.3 | 19.9 | 37.2 | 27.3 | 15.7",
    },
    "image_visible": {
        "qdtrack": "17.0 | 27.1 | 27.7 | 18.2 | 37.2 | 26.1 | 12.6",
        "vatrack": "17.3 | 27.9 | 29.1 | 18.3 | 38.6 | 28.9 | 12.7",
        "vatrack-2bbox": "17.8 | 28.5 | 30.0 | 18.7 | 39.0 | 29.3 | 11.3",
    },
    "video_amodal": {
        "amodaltrack": "13.1 | 20.5 | 21.0 | 10.7 | 29.4 | 14.7 | 8.9",
        "vatrack": "14.1 | 22.3 | 22.0 | 12.8 | 32.8 | 15.6 | 8.8",
        "vatrack-2bbox": "13.6 | 21.5 | 22.8 | 11.7 | 32.3 | 16.4 | 9.2",
    },
    "video_visible": {
        "qdtrack": "13.0 | 22.4 | 21.3 | 14.3 | 40.6 | 19.0 | 9.1",
        "vatrack": "14.0 | 23.0 | 21.9 | 14.6 | 36.4 | 21.5 | 8.6",
        "vatrack-2bbox": "13.3 | 22.6 | 23.4 | 13.7 | 37.1 | 22.5 | 9.3",
    },
}


def test_every_table_in_every_form(tmp_path: Path) -> None:
    out = tmp_path / "tables"
    text = write_tables([f"vatrack/resnet18={metrics(tmp_path / 'm.json', 10)}"], out).whole
    names = [*PAPER, "track_amodal", "track_visible"]
    files = [f"{name}.{form}" for name in names for form in ("csv", "md", "tex")]
    assert sorted(path.name for path in out.iterdir()) == sorted([*files, "tables.html"])
    for name in names:
        assert (out / f"{name}.md").read_text().strip() in text
    assert (out / "tables.html").read_text().count("<table ") == 6


def test_csv_has_full_precision_and_the_right_columns(tmp_path: Path) -> None:
    path = metrics(tmp_path / "m=1.json", 10, image__visible__AP50_L=100 / 3)
    write_tables([f"vatrack-2bbox/resnext101_64x4d={path}"], tmp_path)
    values = json.loads(path.read_text())
    for name in PAPER:
        ours, *published = read_csv(tmp_path / f"{name}.csv")
        assert list(ours) == HEADER
        assert [ours[key] for key in HEADER[:5]] == [
            "vatrack-2bbox",
            "resnext101_64x4d",
            "",
            "",
            "this run",
        ]
        prefix = name.replace("_", "/")
        keys = {"AP": "AP", "AP50": "AP50"} | {column: f"AP50_{column}" for column in "PHLMS"}
        assert {column: float(ours[column]) for column in keys} == {
            column: values[f"{prefix}/{key}"] for column, key in keys.items()
        }
        assert {row["source"] for row in published} == {"published"}


def test_the_published_figures_are_those_of_the_specification(tmp_path: Path) -> None:
    text = write_tables([f"vatrack/resnet18={metrics(tmp_path / 'm.json', 50)}"], tmp_path).whole
    for name, methods in PUBLISHED.items():
        rows = [row for row in read_csv(tmp_path / f"{name}.csv") if row["source"] == "published"]
        assert {
            row["method"]: " | ".join(row[column] for column in HEADER[5:]) for row in rows
        } == methods
        assert {(row["backbone"], row["dataset"]) for row in rows} == {
            ("resnext101_64x4d", "sailvos-cut")
        }
        for shown in methods.values():
            assert f"| ResNeXt-101 | SAIL-VOS-cut | *published* | {shown} |" in text
    assert read_published().tables.keys() == PUBLISHED.keys()
    assert f"source: {read_published().source}." in text
    assert "README" in read_published().source


def test_the_difference_to_the_published_figures(tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "video__amodal__AP50_S": None,
        "video__amodal__AP": 14.13,
        "video__amodal__AP50": 22.27,
    }
    folder = run_folder(
        tmp_path / "run", 20, backbone="resnext101_64x4d", dataset="sailvos-cut", **changes
    )
    write_tables([str(folder)], tmp_path)
    ours, difference, *published = read_csv(tmp_path / "video_amodal.csv")
    assert [row["source"] for row in published] == ["published"] * 3
    assert (ours["source"], difference["source"], difference["method"]) == (
        "this run",
        "difference",
        "vatrack",
    )
    theirs = PUBLISHED["video_amodal"]["vatrack"].split(" | ")
    for column, value in zip(HEADER[5:11], theirs, strict=False):
        assert float(difference[column]) == float(ours[column]) - float(value), column
    assert (ours["S"], difference["S"]) == ("-", "-")
    _, _, shown, *_ = markdown_rows(tmp_path / "video_amodal.md")
    assert shown[2:7] == [
        "SAIL-VOS-cut",
        "difference",
        "0.0",
        "0.0",
        "-1.8",
    ]  # +0.03 and -0.03 are both nothing
    assert shown[7].startswith("+7.4")
    tex = (tmp_path / "video_amodal.tex").read_text()
    assert "difference & 0.0 & 0.0 & $-$1.8 & $+$7.4" in tex
    assert "Difference: this run minus published." in (tmp_path / "video_amodal.md").read_text()
    assert "Not comparable" not in (tmp_path / "video_amodal.md").read_text()


@pytest.mark.parametrize(
    ("backbone", "dataset", "reason"),
    [
        ("resnext101_64x4d", "mini", "another dataset (mini)"),
        ("resnext101_64x4d", "sailvos", "another dataset (SAIL-VOS)"),
        ("resnet50", "sailvos-cut", "another backbone (ResNet-50)"),
        ("resnet18", "mini", "another dataset (mini)"),
    ],
)
def test_no_difference_where_it_would_mean_nothing(
    tmp_path: Path, backbone: str, dataset: str, reason: str
) -> None:
    text = str(
        write_tables(
            [str(run_folder(tmp_path / "run", 20, backbone=backbone, dataset=dataset))], tmp_path
        )
    )
    for name in PAPER:
        assert {row["source"] for row in read_csv(tmp_path / f"{name}.csv")} == {
            "this run",
            "published",
        }
        assert (
            f"no difference is given for runs with {reason}."
            in (tmp_path / f"{name}.md").read_text()
        )
    assert "minus published" not in text


def test_runs_without_a_named_dataset_can_be_given_one(tmp_path: Path) -> None:
    runs = [f"vatrack/resnext101_64x4d={metrics(tmp_path / 'm.json', 20)}"]
    text = write_tables(runs, tmp_path).whole
    assert "unknown dataset (name it by a config.yaml beside the metrics)" in text
    assert "difference |" not in text
    write_tables(runs, tmp_path, dataset="sailvos-cut")
    ours, difference = read_csv(tmp_path / "image_amodal.csv")[:2]
    assert (ours["dataset"], difference["source"]) == ("sailvos-cut", "difference")
    assert float(difference["AP"]) == 20 - 18.3


def test_methods_appear_only_where_they_have_the_mask(tmp_path: Path) -> None:
    # Both files have metrics for both masks, as an evaluation of no predictions has.
    runs = [
        f"{method}/resnet50={metrics(tmp_path / f'{method}.json', 5)}"
        for method in ("qdtrack", "amodaltrack", "vatrack")
    ]
    write_tables(runs, tmp_path)
    for name in PAPER:
        ours = [
            row["method"]
            for row in read_csv(tmp_path / f"{name}.csv")
            if row["source"] == "this run"
        ]
        assert ours == (["amodaltrack", "vatrack"] if "amodal" in name else ["qdtrack", "vatrack"])


def test_rows_are_in_the_order_of_the_paper(tmp_path: Path) -> None:
    path = metrics(tmp_path / "m.json", 5)
    runs = [
        "vatrack-2bbox/resnet50",
        "vatrack/resnext101_64x4d",
        "vatrack/resnet50:b",
        "qdtrack/resnet18",
        "vatrack/resnet50:a",
    ]
    write_tables([f"{run}={path}" for run in runs], tmp_path)
    rows = read_csv(tmp_path / "image_visible.csv")[:5]
    ours = [f"{row['method']}/{row['backbone']}:{row['label']}" for row in rows]
    assert ours[:3] == [
        "qdtrack/resnet18:",
        "vatrack/resnet50:b",
        "vatrack/resnet50:a",
    ]  # labels in the order given
    assert ours[3:] == ["vatrack/resnext101_64x4d:", "vatrack-2bbox/resnet50:"]


def test_the_best_is_bold_where_there_are_several_runs(tmp_path: Path) -> None:
    first = metrics(tmp_path / "a.json", 10, image__amodal__AP=30.04, image__amodal__AP50_P=99.9)
    second = metrics(tmp_path / "b.json", 20, image__amodal__AP=29.96)
    write_tables([f"vatrack/resnet18={first}", f"amodaltrack/resnet18={second}"], tmp_path)
    header, amodaltrack, vatrack, *published = markdown_rows(tmp_path / "image_amodal.md")
    assert header == ["Method", "Backbone", "Dataset", "Source", *HEADER[5:]]
    assert (vatrack[4], amodaltrack[4]) == ("30.0", "30.0")  # equal as shown, so none is best
    assert (vatrack[5], amodaltrack[5]) == ("10.0", "**20.0**")
    assert (vatrack[6], amodaltrack[6]) == ("**99.9**", "20.0")
    assert "**" not in json.dumps(published)
    tex = (tmp_path / "image_amodal.tex").read_text()
    assert r"\bfseries 99.9" in tex
    assert r"\bfseries 10.0" not in tex
    assert "**" not in (tmp_path / "image_visible.md").read_text()  # one run only


def test_the_best_is_sought_among_runs_on_one_dataset(tmp_path: Path) -> None:
    folders = [
        run_folder(tmp_path / "a", 60, method="amodaltrack"),
        run_folder(tmp_path / "b", 20, backbone="resnext101_64x4d", dataset="sailvos-cut"),
        run_folder(
            tmp_path / "c",
            10,
            method="amodaltrack",
            backbone="resnext101_64x4d",
            dataset="sailvos-cut",
        ),
    ]
    write_tables(list(map(str, folders)), tmp_path)
    rows = markdown_rows(tmp_path / "image_amodal.md")[1:]
    assert [(row[2], row[3], row[4]) for row in rows[:5]] == [
        ("mini", "this run", "60.0"),
        ("SAIL-VOS-cut", "this run", "10.0"),
        ("SAIL-VOS-cut", "difference", "-7.8"),
        ("SAIL-VOS-cut", "this run", "**20.0**"),
        ("SAIL-VOS-cut", "difference", "+1.7"),
    ]


def test_a_missing_figure_is_a_dash(tmp_path: Path) -> None:
    path = metrics(tmp_path / "m.json", 10, video__amodal__AP50_S=None)
    values = json.loads(path.read_text())
    del values["video/amodal/AP50_L"]
    path.write_text(json.dumps(values))
    other = metrics(tmp_path / "n.json", 5, video__amodal__AP50_S=None)
    write_tables([f"vatrack/resnet18={path}", f"amodaltrack/resnet18={other}"], tmp_path)
    row = read_csv(tmp_path / "video_amodal.csv")[1]
    assert (row["S"], row["L"]) == ("-", "-")
    _, second, first, *_ = markdown_rows(tmp_path / "video_amodal.md")
    assert (first[10], first[8], second[10], second[8]) == ("-", "-", "-", "**5.2**")
    tex = (tmp_path / "video_amodal.tex").read_text()
    assert re.search(r"VATrack & ResNet-18 & - & this run & .* & -- & .* & -- \\\\", tex)


def test_latex_is_a_booktabs_table(tmp_path: Path) -> None:
    write_tables([f"vatrack/resnet18={metrics(tmp_path / 'm.json', 10)}"], tmp_path)
    for name in PAPER:
        tex = (tmp_path / f"{name}.tex").read_text()
        body = [line for line in tex.splitlines() if line.endswith(r"\\")]
        assert len(body) == 1 + 1 + 3
        assert {line.count("&") for line in body} == {len(HEADER) - 2}
        assert all(
            tex.count(rule) == number
            for rule, number in ((r"\toprule", 1), (r"\midrule", 2), (r"\bottomrule", 1))
        )
        assert re.search(r"(?<!\\)%", tex.split("\n", 1)[1]) is None
        assert ("vAP50" in tex) == name.startswith("video")
        assert tex.count("{") == tex.count("}")
        box = r"\\resizebox\{.*\}\{!\}\{\\begin\{tabular\}.*\\end\{tabular\}\}\n"
        assert re.search(box, tex, re.DOTALL), "whatever its font, it fits its page"
