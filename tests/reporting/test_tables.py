import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from vatrack.errors import InputError
from vatrack.reporting.tables import TABLES, write_tables

HEADER = ["method", "backbone", "AP", "AP50", "P", "H", "L", "M", "S", "source"]


def metrics(path: Path, start: float, **changes: Any) -> Path:
    """A metrics file with different figures everywhere: the n-th is start + n / 100."""
    columns = ("AP", "AP50", "AP75", "AP50_P", "AP50_OM", "AP50_H", "AP50_L", "AP50_M", "AP50_S")
    keys = [f"{level}/{kind}/{column}" for level in ("image", "video") for kind in ("amodal", "visible") for column in columns]
    values: dict[str, Any] = {key: start + number / 100 for number, key in enumerate(keys)} | {"track/visible/MOTA": -3.0}
    path.write_text(json.dumps(values | {key.replace("__", "/"): value for key, value in changes.items()}))
    return path


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open() as stream:
        return list(csv.DictReader(stream))


def markdown_rows(path: Path) -> list[list[str]]:
    lines = [line for line in path.read_text().splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_table_in_every_form(tmp_path: Path) -> None:
    text = write_tables([f"vatrack/resnet18={metrics(tmp_path / 'm.json', 10)}"], tmp_path / "tables")
    assert sorted(path.name for path in (tmp_path / "tables").iterdir()) == sorted(
        f"{name}.{form}" for name in TABLES for form in ("csv", "md", "tex")
    )
    for name in TABLES:
        assert (tmp_path / "tables" / f"{name}.md").read_text().strip() in text


def test_csv_has_full_precision_and_the_right_columns(tmp_path: Path) -> None:
    path = metrics(tmp_path / "m=1.json", 10, image__visible__AP50_L=100 / 3)
    write_tables([f"vatrack-2bbox/resnext101_64x4d={path}"], tmp_path)
    values = json.loads(path.read_text())
    for name in TABLES:
        ours, *published = read_csv(tmp_path / f"{name}.csv")
        assert list(ours) == HEADER
        assert (ours["method"], ours["backbone"], ours["source"]) == ("vatrack-2bbox", "resnext101_64x4d", "this run")
        prefix = name.replace("_", "/")
        keys = {"AP": "AP", "AP50": "AP50"} | {column: f"AP50_{column}" for column in "PHLMS"}
        assert {column: float(ours[column]) for column in keys} == {
            column: values[f"{prefix}/{key}"] for column, key in keys.items()
        }
        assert {row["source"] for row in published} == {"published"}


@pytest.mark.parametrize(
    ("name", "method", "figures"),
    [
        ("image_amodal", "amodaltrack", [17.8, 27.4, 29.2, 18.6, 34.7, 26.8, 11.4]),
        ("image_visible", "vatrack-2bbox", [17.8, 28.5, 30.0, 18.7, 39.0, 29.3, 11.3]),
        ("video_amodal", "vatrack", [14.1, 22.3, 22.0, 12.8, 32.8, 15.6, 8.8]),
        ("video_visible", "qdtrack", [13.0, 22.4, 21.3, 14.3, 40.6, 19.0, 9.1]),
    ],
)
def test_published_figures_are_rows_of_their_own(tmp_path: Path, name: str, method: str, figures: list[float]) -> None:
    text = write_tables([f"vatrack/resnet18={metrics(tmp_path / 'm.json', 50)}"], tmp_path)
    rows = [row for row in read_csv(tmp_path / f"{name}.csv") if row["source"] == "published"]
    assert len(rows) == 3
    (row,) = [row for row in rows if row["method"] == method]
    assert row["backbone"] == "resnext101_64x4d"
    assert [float(row[column]) for column in HEADER[2:9]] == figures
    shown = " | ".join(f"{value:.1f}" for value in figures)
    assert re.search(rf"ResNeXt-101 \| {re.escape(shown)} \| \*published, SAIL-VOS-cut\*", text)


def test_methods_appear_only_where_they_have_the_mask(tmp_path: Path) -> None:
    # Both files have figures for both masks, as an evaluation of no predictions has.
    runs = [f"{method}/resnet50={metrics(tmp_path / f'{method}.json', 5)}" for method in ("qdtrack", "amodaltrack", "vatrack")]
    write_tables(runs, tmp_path)
    for name in TABLES:
        ours = [row["method"] for row in read_csv(tmp_path / f"{name}.csv") if row["source"] == "this run"]
        assert ours == (["amodaltrack", "vatrack"] if "amodal" in name else ["qdtrack", "vatrack"])


def test_rows_are_in_the_order_of_the_paper(tmp_path: Path) -> None:
    path = metrics(tmp_path / "m.json", 5)
    runs = ["vatrack-2bbox/resnet50", "vatrack/resnext101_64x4d", "qdtrack/resnet18", "vatrack/resnet50"]
    write_tables([f"{run}={path}" for run in runs], tmp_path)
    ours = [f"{row['method']}/{row['backbone']}" for row in read_csv(tmp_path / "image_visible.csv")][:4]
    assert ours == ["qdtrack/resnet18", "vatrack/resnet50", "vatrack/resnext101_64x4d", "vatrack-2bbox/resnet50"]


def test_the_best_is_bold_where_there_are_several_runs(tmp_path: Path) -> None:
    first = metrics(tmp_path / "a.json", 10, image__amodal__AP=30.04, image__amodal__AP50_P=99.9)
    second = metrics(tmp_path / "b.json", 20, image__amodal__AP=29.96)
    write_tables([f"vatrack/resnet18={first}", f"amodaltrack/resnet18={second}"], tmp_path)
    header, _, amodaltrack, vatrack, *published = markdown_rows(tmp_path / "image_amodal.md")
    assert header == ["Method", "Backbone", "AP", "AP50", "P", "H", "L", "M", "S", "Source"]
    assert (vatrack[2], amodaltrack[2]) == ("**30.0**", "**30.0**")  # equal as shown
    assert (vatrack[3], amodaltrack[3]) == ("10.0", "**20.0**")
    assert (vatrack[4], amodaltrack[4]) == ("**99.9**", "20.0")
    assert "**" not in json.dumps(published)
    tex = (tmp_path / "image_amodal.tex").read_text()
    assert r"\textbf{99.9}" in tex
    assert r"\textbf{10.0}" not in tex
    assert "**" not in (tmp_path / "image_visible.md").read_text()  # one run only


def test_a_missing_figure_is_a_dash(tmp_path: Path) -> None:
    path = metrics(tmp_path / "m.json", 10, video__amodal__AP50_S=None)
    values = json.loads(path.read_text())
    del values["video/amodal/AP50_L"]
    path.write_text(json.dumps(values))
    other = metrics(tmp_path / "n.json", 5, video__amodal__AP50_S=None)
    write_tables([f"vatrack/resnet18={path}", f"amodaltrack/resnet18={other}"], tmp_path)
    row = read_csv(tmp_path / "video_amodal.csv")[1]
    assert (row["S"], row["L"]) == ("-", "-")
    _, _, second, first, *_ = markdown_rows(tmp_path / "video_amodal.md")
    assert (first[8], first[6], second[8], second[6]) == ("-", "-", "-", "**5.2**")
    tex = (tmp_path / "video_amodal.tex").read_text()
    assert re.search(r"VATrack & ResNet-18 & .* & -- & .* & -- & this run", tex)


def test_latex_is_a_booktabs_table(tmp_path: Path) -> None:
    write_tables([f"vatrack/resnet18={metrics(tmp_path / 'm.json', 10)}"], tmp_path)
    for name in TABLES:
        tex = (tmp_path / f"{name}.tex").read_text()
        body = [line for line in tex.splitlines() if line.endswith(r"\\")]
        assert len(body) == 1 + 1 + 3
        assert {line.count("&") for line in body} == {len(HEADER) - 1}
        assert all(tex.count(rule) == number for rule, number in ((r"\toprule", 1), (r"\midrule", 2), (r"\bottomrule", 1)))
        assert re.search(r"(?<!\\)%", tex.split("\n", 1)[1]) is None
        assert ("vAP50" in tex) == name.startswith("video")
        assert tex.count("{") == tex.count("}")


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ("vatrack=m.json", "must be METHOD/BACKBONE=metrics.json"),
        ("vatrack/resnet18", "must be METHOD/BACKBONE=metrics.json"),
        ("vatrack/resnet18=", "must be METHOD/BACKBONE=metrics.json"),
        ("vatrak/resnet18=m.json", "unknown method 'vatrak'; it is one of qdtrack, amodaltrack, vatrack, vatrack-2bbox"),
        ("vatrack/resnet19=m.json", "unknown backbone 'resnet19'"),
        ("vatrack/resnet18=none.json", "none.json: no such file"),
        ("vatrack/resnet18=list.json", "list.json: not a metrics file"),
        ("vatrack/resnet18=text.json", "'image/amodal/AP' is 'high', not a number"),
        ("vatrack/resnet18=nan.json", "'image/amodal/AP' is nan, not a number"),
        ("vatrack/resnet50=m.json", "vatrack/resnet50 is given twice"),
    ],
)
def test_bad_runs_are_refused_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    metrics(tmp_path / "m.json", 10)
    metrics(tmp_path / "text.json", 10, image__amodal__AP="high")
    metrics(tmp_path / "nan.json", 10, image__amodal__AP=float("nan"))
    (tmp_path / "list.json").write_text("[1, 2]")
    with pytest.raises(InputError, match=re.escape(message)):
        write_tables(["vatrack/resnet50=m.json", run], tmp_path / "tables")
    assert not (tmp_path / "tables").exists()
