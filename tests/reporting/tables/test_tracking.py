"""The tracking tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.reporting.tables.made_up import markdown_rows, metrics, read_csv
from vatrack.reporting.tables import write_tables

COLUMNS = ["MOTA", "MOTP", "IDF1", "IDs", "MT", "ML", "HOTA", "DetA", "AssA"]


def tracking(path: Path, values: dict[str, Any], prefix: str = "track/amodal/") -> Path:
    return metrics(
        path, 10, **{prefix.replace("/", "__") + name: value for name, value in values.items()}
    )


def test_figures_and_dashes(tmp_path: Path) -> None:
    path = tracking(
        tmp_path / "a.json",
        {"MOTA": -100 / 3, "MOTP": None, "IDF1": 66.66, "IDs": 1234, "MT": 3, "ML": 0, "FP": 9},
    )
    write_tables([f"vatrack/resnet18={path}"], tmp_path)
    (row,) = read_csv(tmp_path / "track_amodal.csv")
    assert [row[name] for name in COLUMNS] == [
        repr(-100 / 3),
        "-",
        "66.66",
        "1234",
        "3",
        "0",
        "-",
        "-",
        "-",
    ]
    header, shown = markdown_rows(tmp_path / "track_amodal.md")
    assert header[4:] == COLUMNS
    assert shown[3:] == ["masks", "-33.3", "-", "66.7", "1234", "3", "0", "-", "-", "-"]
    assert (
        "masks & $-$33.3 & -- & 66.7 & 1234 & 3 & 0 & -- & -- & --"
        in (tmp_path / "track_amodal.tex").read_text()
    )
    (visible,) = read_csv(tmp_path / "track_visible.csv")
    assert {visible[name] for name in COLUMNS} == {"-"}


def test_few_switches_and_few_lost_are_best(tmp_path: Path) -> None:
    first = tracking(tmp_path / "a.json", {"MOTA": -5, "IDs": 9, "MT": 4, "ML": 2, "HOTA": 40})
    second = tracking(tmp_path / "b.json", {"MOTA": -9, "IDs": 10, "MT": 5, "ML": 1})
    write_tables([f"vatrack/resnet18:a={first}", f"vatrack/resnet18:b={second}"], tmp_path)
    _, one, two = markdown_rows(tmp_path / "track_amodal.md")
    assert one[3:] == ["masks: a", "**-5.0**", "-", "-", "**9**", "4", "2", "**40.0**", "-", "-"]
    assert two[3:] == ["masks: b", "-9.0", "-", "-", "10", "**5**", "**1**", "-", "-", "-"]
    assert r"\bfseries $-$5.0" in (tmp_path / "track_amodal.tex").read_text()


def test_boxes_have_rows_where_they_were_measured(tmp_path: Path) -> None:
    first = tracking(tmp_path / "a.json", {"MOTA": 30.5, "HOTA": 20.5}, "track/amodal_box/")
    second = tracking(tmp_path / "b.json", {"MOTA": 40.5})
    write_tables([f"vatrack/resnet18={first}", f"amodaltrack/resnet18={second}"], tmp_path)
    rows = [
        (row["method"], row["matched_by"], row["MOTA"], row["HOTA"])
        for row in read_csv(tmp_path / "track_amodal.csv")
    ]
    assert rows == [
        ("amodaltrack", "masks", "40.5", "-"),
        ("vatrack", "masks", "-", "-"),
        ("vatrack", "boxes", "30.5", "20.5"),
    ]
    shown = markdown_rows(tmp_path / "track_amodal.md")
    assert (shown[1][4], shown[3][4]) == ("**40.5**", "30.5")  # boxes do not compete with masks
    assert [row["matched_by"] for row in read_csv(tmp_path / "track_visible.csv")] == ["masks"]
