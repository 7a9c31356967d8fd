"""The tables by class and by video."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.evaluation.evaluated import evaluate_scene
from tests.evaluation.scenes import random_scene
from tests.reporting.tables.made_up import FILES, markdown_rows, metrics, read_csv, run_folder
from vatrack.common.errors import InputError
from vatrack.config.categories import CATEGORIES
from vatrack.reporting.tables import write_tables


def details(path: Path, **changes: Any) -> Path:
    """Metrics of two classes and two videos that fit `metrics(…, image__amodal__AP50=50)`."""
    document = {
        "per_class": {
            "image/amodal": {
                "dog": {"AP": 20.0, "AP50": 40.0},
                "person": {"AP": 100 / 3, "AP50": 60.0},
            },
            "track/amodal": {
                "person": {"MOTA": -12.5, "IDF1": None, "IDs": 3, "HOTA": 44.0, "MT": 1}
            },
        },
        "per_video": {
            "ah_1__27": {"image/amodal": {"AP": 7.0, "AP50": 9.0}, "track/amodal": {"MOTA": 5.0}},
            "bs_2__9": {"image/amodal": {"AP": None, "AP50": None}},
        },
    }
    path.write_text(json.dumps(document | changes))
    return path


def test_one_run(tmp_path: Path) -> None:
    run = run_folder(
        tmp_path / "run", 10, method="amodaltrack", image__amodal__AP50=50.0, track__amodal__IDs=3
    )
    details(run / "details.json")
    out = tmp_path / "tables"
    assert "by class and by video" in str(write_tables([str(run)], out))
    assert {f"classes_{name}.{form}" for name in FILES for form in ("csv", "md", "tex")} <= {
        p.name for p in out.iterdir()
    }
    assert {f"videos_{name}.{form}" for name in FILES for form in ("csv", "md")} <= {
        p.name for p in out.iterdir()
    }
    rows = read_csv(out / "classes_image_amodal.csv")
    ap, ap50 = "AP amodaltrack/resnet18", "AP50 amodaltrack/resnet18"
    assert rows == [
        {"class": "person", ap: repr(100 / 3), ap50: "60.0"},
        {"class": "dog", ap: "20.0", ap50: "40.0"},
        {"class": "all", ap: "10.0", ap50: "50.0"},
    ]
    assert markdown_rows(out / "classes_image_amodal.md") == [
        ["Class", "AP", "AP50"],
        ["person", "33.3", "60.0"],
        ["dog", "20.0", "40.0"],
        ["all", "10.0", "50.0"],
    ]
    assert "by class: AmodalTrack\n" in (out / "classes_image_amodal.md").read_text()
    tracks = markdown_rows(out / "classes_track_amodal.md")
    assert tracks == [
        ["Class", "MOTA", "IDF1", "HOTA", "IDs"],
        ["person", "-12.5", "-", "44.0", "3"],
        ["all", "-", "-", "-", "3"],
    ]
    videos = markdown_rows(out / "videos_image_amodal.md")
    assert videos[1:] == [
        ["ah_1__27", "7.0", "9.0"],
        ["bs_2__9", "-", "-"],
        ["all", "10.0", "50.0"],
    ]
    assert read_csv(out / "classes_image_visible.csv") == []
    assert "No run has metrics by class" in (out / "classes_image_visible.md").read_text()
    page = (out / "tables.html").read_text()
    assert "Frame level, amodal masks, by class: AmodalTrack" in page
    assert "by video" not in page
    assert "person & 33.3 & 60.0" in (out / "classes_image_amodal.tex").read_text()


def test_several_runs_have_columns_of_their_own(tmp_path: Path) -> None:
    first = metrics(tmp_path / "a.json", 10, image__amodal__AP50=50.0)
    second = metrics(tmp_path / "b.json", 10, image__amodal__AP50=70.0)
    classes = {
        "image/amodal": {"car": {"AP": 30.0, "AP50": 80.0}, "person": {"AP": 10.0, "AP50": 60.0}}
    }
    write_tables(
        [
            f"vatrack/resnet18:a={first}",
            f"vatrack/resnet18:b={second}",
            f"vatrack/resnet50={first}",
        ],
        tmp_path,
        details=[
            f"vatrack/resnet18:b={details(tmp_path / 'b_details.json', per_class=classes)}",
            f"vatrack/resnet18:a={details(tmp_path / 'a_details.json')}",
        ],
    )
    rows = markdown_rows(tmp_path / "classes_image_amodal.md")
    assert rows == [
        ["Class", "AP VATrack (a)", "AP VATrack (b)", "AP50 VATrack (a)", "AP50 VATrack (b)"],
        ["person", "**33.3**", "10.0", "60.0", "60.0"],
        ["car", "-", "**30.0**", "-", "**80.0**"],
        ["dog", "**20.0**", "-", "**40.0**", "-"],
        ["all", "10.0", "10.0", "50.0", "**70.0**"],
    ]
    header = list(read_csv(tmp_path / "classes_image_amodal.csv")[0])
    assert header == [
        "class",
        *(f"{name} vatrack/resnet18:{label}" for name in ("AP", "AP50") for label in "ab"),
    ]
    tex = (tmp_path / "classes_image_amodal.tex").read_text()
    assert r" & \multicolumn{2}{c}{AP} & \multicolumn{2}{c}{AP50} \\" in tex
    assert "\\cmidrule(lr){2-3}\n\\cmidrule(lr){4-5}\nClass & " in tex
    assert tex.count("{") == tex.count("}")
    assert 'colspan="2" scope="colgroup">AP50</th>' in (tmp_path / "tables.html").read_text()
    # Without details, those tables go; what is not a table stays.
    (tmp_path / "classes_mine.md").touch()
    write_tables([f"vatrack/resnet18={first}"], tmp_path)
    assert [path.name for path in tmp_path.glob("classes_*")] == ["classes_mine.md"]
    assert not list(tmp_path.glob("videos_*"))
    assert (tmp_path / "image_amodal.md").is_file()


def latex_rows(tex: str) -> list[list[list[str]]]:
    """The cells of each tabular as plain text, without rules."""
    plain = re.sub(r"\\bfseries |\$(?=[+-]\$)|(?<=\$[+-])\$", "", tex)
    bodies = re.findall(r"\\begin{tabular}{l+r+}(.*?)\\end{tabular}", plain, re.DOTALL)
    lines = [
        [line.strip() for line in body.splitlines() if line.strip().endswith(r"\\")]
        for body in bodies
    ]
    return [
        [[cell.strip() for cell in line.removesuffix(r"\\").split("&")] for line in part]
        for part in lines
    ]


def test_columns_of_many_runs_are_parted_by_figure_for_a_page(tmp_path: Path) -> None:
    """Whatever the number of runs, no LaTeX table is wider than a page, and none of the metrics is
    lost."""
    for number in range(14):
        run = run_folder(
            tmp_path / f"runs/{number}", number, backbone="resnet50", image__amodal__AP50=50.0
        )
        details(run / "details.json")
    for runs, headings, parts in (
        (2, ["VATrack (seed 0)", "VATrack (seed 1)"], {"image": 1, "track": 4}),
        (7, ["1", "2", "3", "4", "5", "6", "7"], {"image": 2, "track": 4}),
        (14, [str(number) for number in range(1, 13)], {"image": 4, "track": 8}),
    ):
        out = tmp_path / f"tables_{runs}"
        write_tables([f"seed {number}={tmp_path}/runs/{number}" for number in range(runs)], out)
        for level, number in parts.items():
            tex = (out / f"classes_{level}_amodal.tex").read_text()
            found = latex_rows(tex)
            assert len(found) == len(set(re.findall(r"\\label{(.*)}", tex))) == number
            last = "dog" if level == "image" else "person"
            assert [row[0] for row in found[0]][-2:] == [last, "all"]
            head = next(row for row in found[0] if row[0] == "Class")
            assert head[1:] == (headings if number > 1 else headings * 2)
            if head[1] == "1":
                assert "1: VATrack (seed 0); 2: VATrack (seed 1)" in tex
            for part in found:
                rows = [row for row in part if "multicolumn" not in row[1]]
                assert max(sum(len(cell) + 2 for cell in row) for row in rows) <= 110
            ours = [row[1:] for part in found for row in part if row[0] == "person"]
            shown = {row[0]: row[1:] for row in markdown_rows(out / f"classes_{level}_amodal.md")}
            assert [cell.replace("--", "-") for row in ours for cell in row] == [
                cell.strip("*") for cell in shown["person"]
            ]


def test_a_real_evaluation_fits(tmp_path: Path) -> None:
    joint, predictions = random_scene(3)
    result = evaluate_scene(joint, predictions)
    (tmp_path / "metrics.json").write_text(json.dumps(result.metrics))
    per_class = {
        evaluation: {CATEGORIES[category - 1]: values for category, values in classes.items()}
        for evaluation, classes in result.per_class.items()
    }
    path = details(tmp_path / "details.json", per_class=per_class)
    write_tables(
        [f"vatrack/resnet18={tmp_path}/metrics.json"],
        tmp_path,
        details=[f"vatrack/resnet18={path}"],
    )
    for name in FILES[:4]:
        *classes, overall = read_csv(tmp_path / f"classes_{name}.csv")
        key = "AP50 vatrack/resnet18"
        assert len(classes) == len(per_class[name.replace("_", "/")])
        assert sum(float(row[key]) for row in classes) / len(classes) == pytest.approx(
            float(overall[key])
        )


OWN, OTHER = "vatrack/resnet18={file}", {"image/amodal": {"dog": {"AP50": 49.0}}}


@pytest.mark.parametrize(
    ("changes", "option", "message"),
    [
        ({"per_class": []}, OWN, "must be a JSON object with 'per_class' and 'per_video'; create"),
        ({"per_class": {"image/amodal": 3}}, OWN, "'per_class/image/amodal' must be an object"),
        (
            {"per_video": {"v": {"image/amodal": {"AP": "x"}}}},
            OWN,
            "'per_video/v/image/amodal/AP' is 'x', not a number",
        ),
        ({"per_video": {"v": 3}}, OWN, "'per_video/v' must be an object"),
        ({"per_class": {"image": {}}}, OWN, "'image' is not an evaluation such as image/amodal"),
        ({"per_video": {"v": {"x": {}}}}, OWN, "'x' is not an evaluation such as image/amodal"),
        ({"curves": []}, OWN, "'curves' must be an object"),
        (
            {"curves": {"image/amodal": {"IoU50": [0.5]}}},
            OWN,
            "'curves/image/amodal/IoU50' is not a list of 101 numbers",
        ),
        (
            {"per_class": OTHER},
            OWN,
            "belongs to a different evaluation than metrics.json (image/amodal/AP50 differs)",
        ),
        ({}, "vatrack/resnet50={file}", "no run is given as --run vatrack/resnet50=metrics.json"),
        ({}, "vatrack/resnet18:b={file}", "no run is given as --run vatrack/resnet18:b=metrics"),
        ({}, "vatrack/resnet18=", "must be METHOD/BACKBONE[:LABEL]=details.json"),
        ({}, "details.json", "must be METHOD/BACKBONE[:LABEL]=details.json"),
        ({}, "vatrack/resnet18=none.json", "none.json: no such file"),
    ],
)
def test_bad_details_are_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    option: str,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    metrics(tmp_path / "metrics.json", 10, image__amodal__AP50=50.0)
    details(tmp_path / "details.json", **changes)
    option = option.format(file="details.json")
    with pytest.raises(InputError, match=re.escape(message)):
        write_tables(["vatrack/resnet18=metrics.json"], tmp_path / "tables", details=[option])
    assert not (tmp_path / "tables").exists()


def test_classes_of_any_name_have_a_row_in_the_order_of_the_list(tmp_path: Path) -> None:
    names = ["zebra", 'say "a, b"', "Straße 信号", "two\nlines", "a | b & c_d", "never"]
    values = {name: {"AP": 1.0, "AP50": 50.0} for name in reversed(names[:-1])}
    run = run_folder(tmp_path / "run", 3, image__amodal__AP50=50.0)
    details(run / "details.json", per_class={"image/amodal": values}, classes=names)
    write_tables([str(run)], tmp_path / "tables")
    name = tmp_path / "tables" / "classes_image_amodal"
    shown = ["zebra", 'say "a, b"', "Straße 信号", "two lines", "a | b & c_d", "all"]
    assert [row["class"] for row in read_csv(name.with_suffix(".csv"))] == shown
    markdown = name.with_suffix(".md").read_text()
    for text in ["zebra", 'say "a, b"', "Straße 信号", "two lines", r"a \| b & c_d"]:
        assert (
            f"\n| {text} | 1.0 | **50.0** |" in markdown or f"\n| {text} | 1.0 | 50.0 |" in markdown
        )
    tex = name.with_suffix(".tex").read_text()
    rows = [
        "zebra &",
        "say ''a, b'' &",
        "Straße 信号 &",
        "two lines &",
        r"a \textbar{} b \& c\_d &",
    ]
    assert [tex.index(f"\n{row}") for row in rows] == sorted(tex.index(f"\n{row}") for row in rows)
    page = (tmp_path / "tables" / "tables.html").read_text()
    for text in ("say &#34;a, b&#34;", "Straße 信号", "two lines", "a | b &amp; c_d"):
        assert f">{text}</td>" in page


@pytest.mark.parametrize("classes", ["dog", [3], ["dog", "dog"], [""]])
def test_bad_lists_of_classes_are_refused(tmp_path: Path, classes: Any) -> None:
    run = run_folder(tmp_path / "run", 3, image__amodal__AP50=50.0)
    details(run / "details.json", classes=classes)
    with pytest.raises(InputError, match=r"details\.json: 'classes' must be a list of names"):
        write_tables([str(run)], tmp_path / "tables")
