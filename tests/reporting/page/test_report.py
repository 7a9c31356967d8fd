"""What the report holds."""

from __future__ import annotations

import json
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.reporting.page.results import EVIL, LEVELS, QUOTED, add_views, results_folder
from tests.reporting.tables.made_up import metrics
from vatrack.common.errors import InputError
from vatrack.common.mask_types import MASK_TYPES
from vatrack.reporting.page import write_report
from vatrack.reporting.page.charts import bar_charts
from vatrack.reporting.page.results import collect
from vatrack.reporting.page.sections import MOST_ROWS
from vatrack.reporting.tables.runs import read_runs


class Reader(HTMLParser):
    """Collects tags, sources, and the texts of the cells and code of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.cells: list[str] = []
        self._inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attributes if name in ("src", "href")]
        self._inside = tag == "td"
        if self._inside:
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "td"

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.cells[-1] += data


def test_key_metrics_tables_and_reasons(tmp_path: Path) -> None:
    root = results_folder(tmp_path / "mini", methods=["qdtrack", "vatrack"])
    written = write_report([str(root)], root / "report.html", results=root)
    assert (written.runs, written.clips, written.size) == (
        2,
        0,
        (root / "report.html").stat().st_size,
    )
    text = (root / "report.html").read_text()
    page = Reader(text)
    assert "Chosen: the highest video/amodal/AP, 9.96 above epoch 1." in text
    assert '<a href="#key-metrics">Key metrics</a>' in text and "ey figures" not in text
    assert "1 d 2 h" in text  # the training's time
    assert "<dt>vAP50, visible</dt><dd>20.3<" in text
    assert "The best value of all runs on a dataset is marked." in text
    assert "vAP50: AP of tracks at IoU 0.5." in text and "Hidden part: mean" not in text
    assert "3 stages<" in text
    assert "2 h 1 min" in page.cells and "1.5 GB" in page.cells  # the training's job
    assert text.count("<section ") == 7  # all but the clips
    # Columns of tracks are called alike in all tables.
    assert text.count('colgroup">vAP50</th>') == text.count('colgroup">AP50</th>') == 2
    assert "evaluated" in text and "vatrack predict" in text and "torch" in text


@pytest.mark.filterwarnings("ignore:.* evaluated with different ground truth")
def test_key_metrics_say_which_runs_are_not_comparable(tmp_path: Path) -> None:
    root = results_folder(tmp_path / "mini", methods=["qdtrack", "vatrack"])
    for method in ("qdtrack", "vatrack"):
        noted = root / f"runs/{method}__resnet18/evaluation.yaml"
        noted.write_text(yaml.safe_dump({"ground_truth": {"joint": method}}))
    write_report([str(root)], root / "report.html")
    above, _, tables = (root / "report.html").read_text().partition('<section id="tables"')
    told = "Not comparable with QDTrack, because of different ground truth: VATrack."
    assert told in above and told in tables


def test_what_is_outdated_is_said(tmp_path: Path) -> None:
    root = results_folder(tmp_path / "mini")
    run = root / "runs/vatrack__resnet18"
    add_views(root, tmp_path / "set", [run.name])
    views = json.loads((run / "views/views.json").read_text())
    (run / "views/views.json").write_text(json.dumps(views | {"predictions": "a1"}))
    made_from = {"sha256": "b2", "checkpoint": {"epoch": 1}}
    (run / "inference.yaml").write_text(yaml.safe_dump(made_from))
    (run / "evaluation.yaml").write_text(yaml.safe_dump({"predictions": made_from}))
    with (
        pytest.warns(UserWarning, match="views: drawn from other predictions than predictions.jso"),
        pytest.warns(UserWarning, match="predict the validation set again: "),
    ):
        write_report([str(root)], root / "report.html")
    told = "Outdated: metrics.json is of epoch 1, but best.json chooses epoch 2."
    assert told in (root / "report.html").read_text()


def test_names_with_quotes_and_tags_are_only_text(tmp_path: Path) -> None:
    root = results_folder(tmp_path / "mini")
    write_report([str(root)], root / "report.html", title=QUOTED)
    text = (root / "report.html").read_text()
    page = Reader(text)
    assert QUOTED in page.cells and f"{EVIL} 0" in page.cells
    assert "<script>alert" not in text and "<i>d</i>" not in text
    assert text.count("</script>") == page.tags.count("script")


def test_the_page_stands_alone(tmp_path: Path) -> None:
    root = results_folder(tmp_path / "mini")
    add_views(root, tmp_path, ["vatrack__resnet18"])
    written = write_report([str(root)], root / "report.html", results=root)
    assert (written.clips, written.beside) == (2, 0)
    page = Reader((root / "report.html").read_text())
    outside = [own for own in page.sources if not own.startswith(("#", "data:"))]
    assert outside == ["cuts/sheets/video_8.jpg", "cuts/sheets/video_9.jpg"]  # links
    assert page.tags.count("script") > 5 and "link" in page.tags


def test_what_is_too_large_lies_beside_the_page(tmp_path: Path) -> None:
    root = results_folder(tmp_path / "mini")
    add_views(root, tmp_path, ["vatrack__resnet18"])
    written = write_report([str(root)], tmp_path / "here" / "report.html", embed_mb=0)
    assert written.beside == 4  # a video and an image of each clip
    text = (tmp_path / "here" / "report.html").read_text()
    assert "../mini/runs/vatrack__resnet18/views/01.mp4" in text
    assert "data:video" not in text and "data:image" not in text
    assert "4 files next to it" in str(written)


def test_a_command_of_the_page_can_be_pasted(tmp_path: Path) -> None:
    root = results_folder(tmp_path / "my results", videos=1)
    write_report([str(root)], root / "report.html", results=root)
    text = unescape((root / "report.html").read_text())
    assert f"<pre>snakemake --configfile '{root}/config.yaml'</pre>" in text


def test_a_run_that_was_resumed_elsewhere_says_what_differed(tmp_path: Path) -> None:
    root = results_folder(tmp_path, videos=1)
    file = next(root.glob("runs/*/environment.json"))
    earlier = [{"vatrack": "1.2.2", "device": None}, "no environment"]
    file.write_text(json.dumps(json.loads(file.read_text()) | {"earlier": earlier}))
    (found,) = collect(read_runs([str(file.parent)])[0])
    assert found.environment["resumed after"] == "vatrack (1.2.2, now 1.2.3)"


def test_leftovers_of_a_killed_run_are_no_cut_sheets(tmp_path: Path) -> None:
    root = results_folder(tmp_path / "mini", videos=1)
    (root / "cuts" / "sheets" / ".video_0.x1y2.jpg").write_bytes(b"")
    write_report([str(root)], root / "report.html", results=root)
    text = (root / "report.html").read_text()
    assert "video_0</figcaption>" in text and "x1y2" not in text


def test_eight_runs_and_hundreds_of_videos(tmp_path: Path) -> None:
    root = results_folder(
        tmp_path / "mini",
        methods=["qdtrack", "amodaltrack", "vatrack", "vatrack-2bbox"],
        backbones=["resnet18", "resnet50", "resnext101_64x4d"],
        videos=MOST_ROWS + 100,
    )
    written = write_report([str(root)], root / "report.html", results=root)
    text = (root / "report.html").read_text()
    assert written.runs == 12 and written.size < 6_000_000
    shown = f"{MOST_ROWS} of {MOST_ROWS + 101} rows shown; all rows: "
    assert f"{shown}in the CSV files that <code>vatrack tables</code> writes." in text
    (root / "tables").mkdir()
    (root / "tables" / "videos_video_amodal.csv").write_text("video\n")
    write_report([str(root)], root / "report.html", results=root)
    text = (root / "report.html").read_text()
    assert f"{shown}<code>tables/videos_video_amodal.csv</code>." in text
    assert text.count(shown) > text.count(f"{shown}<code>") == 1
    assert '<div class="cards">' not in text  # more than eight runs are rows of a table
    assert '"form": "points"' in text  # so many bars would be too thin


def test_images_that_stand_alone_have_metrics_of_images_only(tmp_path: Path) -> None:
    root = results_folder(tmp_path / "mini", videos=0)
    run = root / "runs" / "vatrack__resnet18"
    values = json.loads((run / "metrics.json").read_text())
    tracks = {f"track/{mask}/{name}": None for mask in MASK_TYPES for name in ("HOTA", "FN")}
    values = {k: None if k.startswith("video/") else v for k, v in values.items()} | tracks
    (run / "metrics.json").write_text(json.dumps(values))
    details = json.loads((run / "details.json").read_text())
    for level, per_class in details["per_class"].items():
        if level.startswith("video/"):
            details["per_class"][level] = {name: dict.fromkeys(m) for name, m in per_class.items()}
    (run / "details.json").write_text(json.dumps(details))

    (found,) = collect(read_runs([str(run)])[0])
    names = [each.name for each in found.key_metrics]
    assert names[:2] == ["AP50, amodal", "AP50, visible"]
    assert [each.value for each in found.key_metrics[:2]] == [
        values["image/amodal/AP50"],
        values["image/visible/AP50"],
    ]
    assert not any("HOTA" in name for name in names)
    for charts in bar_charts([found]).values():
        assert [chart["title"] for chart in charts] == [
            "Frame level, amodal masks",
            "Frame level, visible masks",
        ]
    for stage in ("tables", "evaluate"):
        (root / "benchmarks" / f"{stage}.tsv").unlink()
    write_report([str(root)], root / "report.html", results=root)
    text = (root / "report.html").read_text()
    assert "<dt>HOTA" not in text and "1 stage<" in text
    # Nothing is explained that is not there, nor called the best of a single run.
    assert '<p class="note">AP50: AP of single frames at IoU 0.5.</p>' in text


@pytest.mark.parametrize("given", [".", "../../runs/vatrack__resnet18", "linked"])
def test_commands_name_the_data_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    root = results_folder(tmp_path / "mini", videos=0)
    run = root / "runs" / "vatrack__resnet18"
    (run / "linked").symlink_to(run)
    monkeypatch.chdir(run)
    (found,) = collect(read_runs([given])[0])
    data = f"--annotations {root}/annotations --images {root}/clips"
    assert found.commands[0].startswith(f"vatrack train --config {given} {data} ")
    assert f" --frames {root}/annotations/valid/joint.json " in found.commands[2]

    config = yaml.safe_load((run / "config.yaml").read_text())
    config["dataset"] |= {"format": "joint", "images": "/my images"}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    (found,) = collect(read_runs([given])[0])
    assert " --images '/my images' " in found.commands[2]


def test_commands_are_short_below_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results_folder(tmp_path / "mini", videos=0)
    monkeypatch.chdir(tmp_path)
    (found,) = collect(read_runs(["mini"])[0])
    assert "--annotations mini/annotations --images mini/clips" in found.commands[0]


@pytest.mark.parametrize(("second", "best"), [(30.0, []), (30.02, []), (31.0, [1])])
def test_equal_values_are_not_the_best(tmp_path: Path, second: float, best: list[int]) -> None:
    runs = [
        f"vatrack/resnet50:{name}={metrics(tmp_path / f'{name}.json', value)}"
        for name, value in (("a", 30.0), ("b", second))
    ]
    found = collect(read_runs(runs)[0])
    marked = [run.number for run in found if any(metric.best for metric in run.key_metrics)]
    assert marked == best


def test_hota_is_shown_of_all_masks_of_a_method(tmp_path: Path) -> None:
    tracks = {"track__amodal__HOTA": 40.0, "track__visible__HOTA": 41.0}
    file = metrics(tmp_path / "metrics.json", 30.0, **tracks)
    (found,) = collect(read_runs([f"vatrack/resnet50={file}"])[0])
    shown = {own.name: own.text for own in found.key_metrics if "HOTA" in own.name}
    assert shown == {"HOTA, amodal": "40.0", "HOTA, visible": "41.0"}


def test_a_run_is_not_taken_for_the_results(tmp_path: Path) -> None:
    root = results_folder(tmp_path / "mini")
    run = root / "runs/vatrack__resnet18"
    with pytest.raises(
        InputError, match=f"--results {run}: a run folder; give the results folder "
    ):
        write_report([str(run)], tmp_path / "report.html", results=run)


def test_metrics_alone_make_a_page(tmp_path: Path) -> None:
    file = metrics(tmp_path / "metrics.json", 30.0)
    write_report([f"vatrack/resnet50={file}"], tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "<dt>vAP50, visible</dt><dd>30.3<" in text
    assert 'id="clips"' not in text and 'id="training"' not in text and 'id="tables"' in text


def test_a_page_without_a_dataset_does_not_speak_of_it(tmp_path: Path) -> None:
    file = metrics(tmp_path / "metrics.json", 30.0)
    write_report([f"vatrack/resnet50={file}"], tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "<h1>Results</h1>" in text and '<p class="sub">ResNet-50</p>' in text
    assert "not named" not in text and "--dataset" not in text


def test_the_page_shows_what_the_method_predicts(tmp_path: Path) -> None:
    values = {"image__hidden__IoU": 40.0, "image__amodal_box__AP": 41.0}
    file = metrics(tmp_path / "metrics.json", 30.0, **values)
    write_report([f"qdtrack/resnet50={file}"], tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "<dt>vAP50, visible</dt><dd>30.3<" in text
    for gone in ("vAP50, amodal", "Hidden part, IoU"):
        assert f"<dt>{gone}</dt>" not in text
    assert '"title": "Frame level, visible masks"' in text
    assert '"title": "Frame level, amodal masks"' not in text  # a plot

    root = results_folder(tmp_path / "mini", methods=["qdtrack"])
    (found,), _ = read_runs([str(root)])
    assert found.details is not None
    assert set(found.details.per_class) == set(LEVELS["visible"])
    assert set(found.details.curves) == set(LEVELS["visible"])


def test_bad_input_is_named(tmp_path: Path) -> None:
    root = results_folder(tmp_path / "mini", videos=1)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"out": tmp_path / "report.pdf"}, r"report\.pdf: .*must end in \.html"),
        ({"out": tmp_path / "r.html", "results": tmp_path / "gone"}, "gone: no such folder"),
    ]
    for given, match in cases:
        with pytest.raises(InputError, match=match):
            write_report([str(root)], **given)
    views = root / "runs" / "vatrack__resnet18" / "views"
    views.mkdir()
    (views / "views.json").write_text("[1]")
    with pytest.raises(InputError, match=r"views\.json: not written by `vatrack views`"):
        write_report([str(root)], tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()
