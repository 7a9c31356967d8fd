"""Runs beside each other: as text, as a page, and which runs are refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import yaml
from typer.testing import CliRunner

from tests.reporting.test_overlay import write_set
from vatrack.cli import app
from vatrack.common.errors import InputError
from vatrack.common.files import sha256_of
from vatrack.reporting.compare import compare_runs
from vatrack.reporting.compare.clip_images import ClipImages

CLIPS = {"clip_1": None, "clip_2": 50.0, "clip_3": 80.0}
WORSE = {"clip_1": None, "clip_2": 49.0, "clip_3": 60.0}


def run(folder: Path, clips: dict[str, float | None], **changes: Any) -> Path:
    """A run's folder with metrics and details of these clips."""
    folder.mkdir(parents=True)
    method, _, backbone = folder.name.partition("__")
    config = {"method": method, "backbone": backbone.partition("__")[0]}
    dataset = {"name": changes.get("dataset", "mini")}
    (folder / "config.yaml").write_text(yaml.safe_dump(config | {"dataset": dataset}))
    average = changes.get("average", 65.0)
    metrics = {"image/amodal/AP": average, "image/amodal/AP50": 70.0, "track/amodal/IDs": 3}
    (folder / "metrics.json").write_text(json.dumps(metrics | changes.get("metrics", {})))
    details = {
        "per_class": {"image/amodal": {"car": {"AP": average, "AP50": 70.0}}},
        "per_video": {
            name: {"image/amodal": {"AP": value, "AP50": value}, "track/amodal": {"IDs": number}}
            for number, (name, value) in enumerate(clips.items())
        },
        "classes": changes.get("classes", ["person", "car"]),
    }
    (folder / "details.json").write_text(json.dumps(details))
    switches = {"max_tracks": changes.get("max_tracks", 100), "extended": True}
    switches |= {"ground_truth": changes["truth"]} if "truth" in changes else {}
    (folder / "evaluation.yaml").write_text(yaml.safe_dump(switches))
    return folder


@pytest.fixture
def pair(tmp_path: Path) -> list[Path]:
    runs = tmp_path / "mini" / "runs"
    return [
        run(runs / "vatrack__resnet18", CLIPS),
        run(runs / "vatrack__resnet18__e6", WORSE, average=54.5, metrics={"track/amodal/IDs": 9}),
    ]


def line(text: str, name: str) -> list[str]:
    return next(row.split() for row in text.splitlines() if row.startswith(name))


def test_the_text_has_metrics_classes_and_the_worst_clips_first(pair: list[Path]) -> None:
    text = str(compare_runs(pair))
    assert "A  VATrack  (" in text and "B  VATrack (e6)  (" in text
    assert line(text, "image/amodal/AP ") == ["image/amodal/AP", "65.0", "54.5", "-10.5"]
    assert line(text, "track/amodal/IDs") == ["track/amodal/IDs", "3", "9", "+6"]
    assert line(text, "car") == ["car", "65.0", "54.5", "-10.5"]
    clips = text.partition("largest drop first")[2]
    assert re.findall(r"clip_\d", clips) == ["clip_3", "clip_2"]  # clip_1 is undefined in both
    table = text.partition("Metrics\n")[2].split("\n\n")[0].splitlines()
    assert len({len(row) for row in table}) == 1  # aligned
    assert "and 1 more" in str(compare_runs(pair, clips=1))


def test_three_runs_and_another_metric(pair: list[Path]) -> None:
    other = run(pair[0].parent / "vatrack__resnet18__x", {**CLIPS, "clip_2": 10.0})
    text = str(compare_runs([*pair, other], by="image/amodal/AP50"))
    assert line(text, "clip ") == ["clip", "A", "B", "B", "-", "A", "C", "C", "-", "A"]
    assert re.findall(r"clip_\d", text) == ["clip_2", "clip_3", "clip_1"]
    with pytest.raises(InputError, match=r"--by: .*image/amodal/AP5"):
        compare_runs(pair, by="image/amodal/AP5")
    with pytest.raises(InputError, match=r"choose from image/amodal/AP, .*, track/amodal/\w+$"):
        compare_runs(pair, by="x")


def test_metrics_that_not_all_runs_have_are_named(pair: list[Path]) -> None:
    assert not compare_runs(pair).notes
    other = run(pair[0].parent / "vatrack__resnet18__x", CLIPS, metrics={"image/amodal/AR1": 5})
    found = compare_runs([*pair, other])
    told = "not compared, because not all runs have them: 1 metric (image/amodal/AR1)"
    assert found.notes == (told,) and found.clips


def test_fewer_identity_switches_are_a_gain(pair: list[Path], tmp_path: Path) -> None:
    found = compare_runs(pair, tmp_path / "out", by="track/amodal/IDs")
    assert all(entry.lowest for entry in found.clips[0].lines)
    switches = next(entry for entry in found.metrics.lines if entry.name == "track/amodal/IDs")
    assert switches.change(1) == 6 and switches.gain(1) == -6 and switches.loss == 6
    assert '<td class="worse">+6</td>' in (tmp_path / "out/compare.html").read_text()


def test_the_page_without_frames_says_so(pair: list[Path], tmp_path: Path) -> None:
    found = compare_runs(pair, tmp_path / "out")
    page = (tmp_path / "out" / "compare.html").read_text()
    assert "<img" not in page
    assert "the page has no images, because these were not found:" in page
    assert any("the frames (--images)" in note for note in found.notes)
    assert "http:" not in page and "https:" not in page and page.count("<script") == 1  # sorts
    assert (tmp_path / "out" / "compare.txt").read_text().count("clip_") == 2


def test_frames_that_may_not_be_seen_only_keep_images_off_the_page(
    pair: list[Path], tmp_path: Path, closed: Path
) -> None:
    config = yaml.safe_load((pair[0] / "config.yaml").read_text())
    config["dataset"]["images"] = str(closed / "frames")
    (pair[0] / "config.yaml").write_text(yaml.safe_dump(config))
    found = compare_runs(pair, tmp_path / "out")
    assert any("the frames (--images)" in note for note in found.notes)


def test_names_from_files_are_escaped(tmp_path: Path) -> None:
    clips = {"<b>&": 50.0, "clip_2": 60.0}
    pair = [run(tmp_path / f"{name}/runs/vatrack__resnet18", clips) for name in ("<i>", "b")]
    compare_runs(pair, tmp_path / "out")
    page = (tmp_path / "out" / "compare.html").read_text()
    assert "<b>&" not in page and "<i>" not in page and "&lt;b&gt;&amp;" in page


def test_the_page_shows_the_same_frames_of_each_run(
    pair: list[Path], tmp_path: Path, closed: Path
) -> None:
    files = write_set(tmp_path / "set")
    truth, images = files["ground_truth"], files["images"]
    for folder in pair:
        target = folder / "predictions.jsonl.gz"
        target.write_bytes(files["predictions"].read_bytes())
    wanted = ClipImages(clips=1, frames=2, ground_truth=truth, images=images)
    found = compare_runs(pair, tmp_path / "out", clip_images=wanted)
    page = (tmp_path / "out" / "compare.html").read_text()
    assert [clip.name for clip in found.drawn] == ["clip_3"]
    assert page.count('<img src="data:image/jpeg;base64,') == 2 * 3
    # What images show is said before the first of them.
    assert page.index("predictions with a score of 0.5 or more have") < page.index("<img ")
    assert page.index('<section id="metrics">') < page.index('<section id="clips">')
    for column in ("Ground truth", "A  VATrack", "B  VATrack (e6)"):
        assert page.count(f'alt="{column}, clip_3') == 2
    frame = found.drawn[0].frames[0].images
    assert frame[1] == frame[2]  # equal predictions
    lost = next((tmp_path / "set").rglob("clip_3/images/*.png"))
    lost.unlink()
    whole = ClipImages(clips=1, frames=99, ground_truth=truth, images=images)
    missing = compare_runs(pair, tmp_path / "out", clip_images=whole)
    assert not missing.drawn
    assert any(f"{lost} is missing or not accessible" in note for note in missing.notes)
    lost.symlink_to(closed / "frame.png")
    assert compare_runs(pair, tmp_path / "out", clip_images=whole).notes == missing.notes


def test_frames_that_were_converted_are_shown(pair: list[Path], tmp_path: Path) -> None:
    files = write_set(tmp_path / "set")
    truth = files["ground_truth"]
    truth.write_text(truth.read_text().replace(".png", ".bmp"))  # now with another suffix
    for folder in pair:
        target = folder / "predictions.jsonl.gz"
        target.write_bytes(files["predictions"].read_bytes())
    wanted = ClipImages(clips=1, ground_truth=truth, images=files["images"])
    assert compare_runs(pair, tmp_path / "out", clip_images=wanted).drawn


def test_without_details_the_metrics_remain(pair: list[Path]) -> None:
    (pair[1] / "details.json").unlink()
    text = str(compare_runs(pair))
    assert "image/amodal/AP " in text and "Clips" not in text
    note = f"create it: vatrack evaluate --run {pair[1]} --out {pair[1]}/metrics.json --details "
    assert "note: B has no details.json" in text and note in text


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"classes": ["person", "car", "dog"]}, r"different classes.*A .*: 2.*B .*: 3.*dog"),
        ({"dataset": "sailvos"}, r"different datasets.*A .*: mini.*B .*: sailvos"),
        ({"max_tracks": 50}, r"different evaluation settings.*max_tracks: 100.*max_tracks: 50"),
        ({"clips": {"clip_1": 1.0, "other": 2.0}}, r"different clips.*clip_2.*other"),
        ({"metrics": None}, r"x: has no metrics\.json: its training is not complete; resume it: "),
        ({"config": None}, r"not a run folder \(no config\.yaml"),
    ],
)
def test_runs_that_do_not_belong_together_are_refused(
    change: dict[str, Any], complaint: str, tmp_path: Path
) -> None:
    lacking = [name for name, value in change.items() if value is None]
    given = {name: value for name, value in change.items() if value is not None}
    clips = given.pop("clips", CLIPS)
    first = run(tmp_path / "runs/vatrack__resnet18", CLIPS)
    other = run(tmp_path / "runs/vatrack__resnet18__x", clips, **given)
    for name in lacking:
        (other / f"{name}{'.yaml' if name == 'config' else '.json'}").unlink()
    with pytest.raises(InputError, match=re.compile(complaint, re.DOTALL)):
        compare_runs([first, other], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_different_ground_truth_beside_the_runs_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file is read once: they may be large."""
    digest = Mock(side_effect=sha256_of)
    monkeypatch.setattr("vatrack.reporting.compare.read.sha256_of", digest)
    runs, files = [], []
    for name in "abc":
        runs.append(run(tmp_path / name / "runs/vatrack__resnet18", CLIPS))
        files.append(tmp_path / name / "annotations/valid/joint.json")
        files[-1].parent.mkdir(parents=True)
        files[-1].write_text("{}")
    assert compare_runs(runs).metrics.lines
    assert [call.args[0] for call in digest.call_args_list] == files
    files[2].write_text("{} ")
    with pytest.raises(InputError, match=r"(?s)different ground truth.*a/annot.*c/annot"):
        compare_runs(runs)


@pytest.mark.parametrize(
    ("one", "other", "what"),
    [
        ({"joint": "a1"}, {"joint": "b2"}, "ground truth"),
        ({"joint": "a1", "amodal": "c"}, {"joint": "a1", "amodal": "d"}, "ground truth of tracks"),
        (
            {"joint": "a1", "video_max_occlusion": 0.75},
            {"joint": "a1", "video_max_occlusion": 0.5},
            "ground truth of tracks",
        ),
        ({"joint": "a1", "amodal": "c", "visible": "e"}, {"joint": "a1", "visible": "e"}, None),
        (
            {"joint": "a1", "amodal": "c"},
            {"joint": "a1", "video_max_occlusion": 0.75},
            "ground truth of tracks",
        ),
    ],
)
def test_metrics_of_another_ground_truth_are_refused_though_one_lies_beside_both(
    one: dict[str, Any], other: dict[str, Any], what: str | None, tmp_path: Path
) -> None:
    """An annotation file that is made again with another limit stands in the place of the old."""
    pair = [
        run(tmp_path / f"runs/vatrack__resnet18__{name}", CLIPS, truth=truth)
        for name, truth in (("a", one), ("b", other))
    ]
    if what is None:
        assert compare_runs(pair).metrics.lines
        return
    with pytest.raises(InputError, match=rf"(?s)these runs have different {what}.*A .*: .*B .*: "):
        compare_runs(pair)


@pytest.mark.parametrize("value", ["box", "mask"])
def test_a_setting_that_is_not_noted_has_its_default(pair: list[Path], value: str) -> None:
    (pair[0] / "evaluation.yaml").write_text(yaml.safe_dump({"ground_truth": {"joint": "a1"}}))
    (pair[1] / "evaluation.yaml").write_text(yaml.safe_dump({"detection_area": value}))
    if value == "box":
        assert compare_runs(pair).metrics.lines
        return
    found = r"(?s)settings.*A .*: detection_area: box\n.*B .*: detection_area: mask$"
    with pytest.raises(InputError, match=found):
        compare_runs(pair)


def test_a_run_that_has_noted_nothing_does_not_hide_that_others_differ(pair: list[Path]) -> None:
    other = run(pair[0].parent / "vatrack__resnet18__x", CLIPS, max_tracks=50)
    (pair[0] / "evaluation.yaml").unlink()
    with pytest.raises(InputError, match=r"(?s)settings.*B .*: max_tracks: 100.*C .*tracks: 50$"):
        compare_runs([*pair, other])


def test_bad_folders_are_named(pair: list[Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="given twice"):
        compare_runs([pair[0], pair[0].parent / "." / pair[0].name])
    with pytest.raises(InputError, match="1 run given; give 2"):
        compare_runs(pair[:1])
    with pytest.raises(InputError, match="no such folder"):
        compare_runs([pair[0], tmp_path / "gone"])
    with pytest.raises(InputError, match="not a run folder"):
        compare_runs([pair[0], tmp_path])


def test_the_command_prints_and_writes(pair: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["compare", *map(str, pair), "--out", str(out)])
    assert done.exit_code == 0
    assert done.stdout.rstrip().endswith(f"wrote {out}/compare.txt, {out}/compare.html")


def test_a_score_in_percent_is_refused(pair: list[Path], tmp_path: Path) -> None:
    out = str(tmp_path / "compare")
    done = CliRunner().invoke(app, ["compare", *map(str, pair), "--score", "50", "--out", out])
    assert isinstance(done.exception, InputError)
    assert str(done.exception) == "the score threshold is 50.0; it must be from 0 to 1"
