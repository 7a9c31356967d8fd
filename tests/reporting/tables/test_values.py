"""Values out of reason, -1 for undefined, and names with signs that mean something somewhere."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.reporting.tables.made_up import markdown_rows, metrics, read_csv, run_folder
from tests.reporting.tables.test_page import found
from vatrack.common.errors import InputError
from vatrack.reporting.tables import write_tables


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("image/amodal/AP", 1e300, "is 1e+300, not a percentage from 0 to 100"),
        ("image/amodal/AP", 10**400, "..., not a percentage from 0 to 100"),
        ("image/amodal/AP50_S", -0.5, "is -0.5, not a percentage from 0 to 100"),
        ("image/amodal/AP", -1.001, "is -1.001, not a percentage from 0 to 100"),
        ("video/visible/AP75", 100.01, "is 100.01, not a percentage from 0 to 100"),
        ("image/amodal/AR100", 100.5, "is 100.5, not a percentage from 0 to 100"),
        ("image/hidden/IoU_H", -0.5, "is -0.5, not a percentage from 0 to 100"),
        ("image/hidden/Recall", 101, "is 101, not a percentage from 0 to 100"),
        ("track/amodal/HOTA", -2, "is -2, not a percentage from 0 to 100"),
        ("track/amodal_box/MOTP", 1234, "is 1234, not a percentage from 0 to 100"),
        ("track/amodal/MOTA", 100.5, "is 100.5, not a percentage of at most 100"),
        ("track/amodal/MOTA", -1e300, "is -1e+300, not a percentage of at most 100"),
        ("track/amodal/IDs", -3, "is -3, not a whole number from 0 to"),
        ("track/amodal/FP", 2.5, "is 2.5, not a whole number from 0 to"),
        ("track/amodal/ML", 1e300, "is 1e+300, not a whole number from 0 to"),
        ("image/amodal/AP", float("nan"), "is nan, not a number or null"),
        ("image/amodal/AP", float("inf"), "is inf, not a percentage"),
        ("track/amodal/MOTA", -float("inf"), "is -inf, not a percentage"),
        ("mine/of/something", float("inf"), "is inf, not a number from"),
        ("image/amodal/AP", True, "is True, not a number or null"),
        ("image/amodal/AP", "12", "is '12', not a number or null"),
        ("image/amodal/AP", [12], "is [12], not a number or null"),
    ],
)
def test_values_out_of_reason_are_refused(
    tmp_path: Path, key: str, value: Any, message: str
) -> None:
    path = metrics(tmp_path / "m.json", 10, **{key.replace("/", "__"): value})
    with pytest.raises(InputError) as refused:
        write_tables([f"vatrack/resnet18={path}"], tmp_path / "tables")
    assert str(refused.value).startswith(f"{path}: '{key}' ")
    assert message in str(refused.value)
    assert not (tmp_path / "tables").exists()


def test_values_in_reason(tmp_path: Path) -> None:
    path = metrics(
        tmp_path / "m.json",
        10,
        image__amodal__AP=100 + 1e-9,
        image__amodal__AP50=-1e-9,
        track__amodal__MOTA=-1,
        track__amodal_box__MOTA=-54321.5,
        track__amodal__IDs=3.0,
        mine=-7,
    )
    write_tables([f"vatrack/resnet18={path}"], tmp_path)
    assert markdown_rows(tmp_path / "image_amodal.md")[1][4:6] == ["100.0", "0.0"]
    _, masks, boxes = markdown_rows(tmp_path / "track_amodal.md")
    assert (masks[4], masks[7], boxes[4]) == ("-1.0", "3", "-54321.5")
    assert read_csv(tmp_path / "image_amodal.csv")[0]["AP"] == repr(100 + 1e-9)
    assert "Undefined values (-1" not in (tmp_path / "tables.html").read_text()


def test_minus_one_is_a_dash_with_a_note(tmp_path: Path) -> None:
    changes: dict[str, Any] = dict.fromkeys(("image__amodal__AP", "track__amodal__IDs"), -1)
    changes["image__amodal__AP50_S"] = -1.0
    run = run_folder(
        tmp_path / "run", 20, backbone="resnext101_64x4d", dataset="sailvos-cut", **changes
    )
    other = run_folder(tmp_path / "other", 5, method="amodaltrack", dataset="sailvos-cut")
    document = {"per_class": {"image/amodal": {"dog": {"AP": 3.0, "AP50": -1}}}, "per_video": {}}
    (run / "details.json").write_text(json.dumps(document))
    out = tmp_path / "tables"
    write_tables([str(run), str(other)], out)
    _, ours, difference, *_ = read_csv(out / "image_amodal.csv")
    assert (
        [ours[key] for key in ("AP", "S")] == [difference[key] for key in ("AP", "S")] == ["-"] * 2
    )
    shown = markdown_rows(out / "image_amodal.md")
    assert (shown[1][4], shown[2][4]) == ("**5.0**", "-")
    assert "& -- &" in (out / "image_amodal.tex").read_text()
    assert markdown_rows(out / "classes_image_amodal.md")[1] == ["dog", "3.0", "-"]
    noted = {path.stem for path in out.glob("*.md") if "Undefined values (-1" in path.read_text()}
    assert noted == {"image_amodal", "track_amodal", "classes_image_amodal"}
    assert {
        path.stem for path in out.glob("*.tex") if "Undefined values (-1" in path.read_text()
    } == noted
    assert (out / "tables.html").read_text().count("Undefined values (-1") == len(noted)


NAME = 'a|b, `c` & 50%_#<b>\n"q"\r\n[x] {0} *y* ~^ \\ _z__ __y &lt; $1\u2028\u00e9\u6f22'
PLAIN = 'a|b, `c` & 50%_#<b> "q" [x] {0} *y* ~^ \\ _z__ __y &lt; $1 \u00e9\u6f22'


def test_names_with_signs_stay_one_line_in_every_form(tmp_path: Path) -> None:
    """As a dataset, a class and a video."""
    values = {"image/amodal": {NAME: {"AP": 1.0, "AP50": 50.0}}}
    videos = {NAME: {"image/amodal": {"AP": 1.0, "AP50": 2.0}}}
    run = run_folder(tmp_path / "run", 3, dataset=NAME, image__amodal__AP50=50.0)
    document = {"per_class": values, "per_video": videos}
    (run / "details.json").write_text(json.dumps(document))
    out = tmp_path / "tables"
    write_tables([str(run)], out)

    with (out / "image_amodal.csv").open() as stream:
        lines = stream.read().splitlines()
    assert [row[3] for row in csv.reader(lines)][1] == PLAIN
    assert len(lines) == 1 + 1 + 3
    for name in ("classes_image_amodal", "videos_image_amodal"):
        assert (out / f"{name}.csv").read_text().splitlines()[1].count(",") == 3
        assert next(csv.reader((out / f"{name}.csv").read_text().splitlines()[1:]))[0] == PLAIN

    escaped = (
        r'a\|b, \`c\` & 50%\_#\<b> "q" \[x\] {0} \*y\* \~^ \\ \_z\_\_ \_\_y \&lt; $1 '
        + "\u00e9\u6f22"
    )
    text = (out / "image_amodal.md").read_text()
    assert f"| VATrack | ResNet-18 | {escaped} | this run |" in text
    assert f"\n| {escaped} | 1.0 | 50.0 |\n" in (out / "classes_image_amodal.md").read_text()
    assert f"\n| {escaped} | 1.0 | 2.0 |\n" in (out / "videos_image_amodal.md").read_text()

    latex = (
        r"a\textbar{}b, \textasciigrave{}c\textasciigrave{} "
        r"\& 50\%\_\#\textless{}b\textgreater{} ''q'' {[}x] \{0\} {*}y{*} "
        r"\textasciitilde{}\textasciicircum{} \textbackslash{} \_z\_\_ \_\_y \&lt; \$1 "
    ) + "\u00e9\u6f22"
    assert (
        f"VATrack & ResNet-18 & {latex} & this run & 3.0 &"
        in (out / "image_amodal.tex").read_text()
    )
    assert f"\n{latex} & 1.0 & 50.0 \\\\\n" in (out / "classes_image_amodal.tex").read_text()

    cells = found((out / "tables.html").read_text(), "td")
    assert [text for _, text in cells].count(PLAIN) == 6 + 1
