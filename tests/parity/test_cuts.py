"""Cuts and the regrouping of annotations, against what the published code writes."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from tests.parity.golden import Case, cases
from vatrack.common.files import write_json
from vatrack.common.json_lists import read_lists
from vatrack.common.value_files import read_json
from vatrack.config.dataset import ClipsConfig
from vatrack.sailvos.clips import build_clip_tree
from vatrack.sailvos.cuts import score_video_file, write_structure
from vatrack.sailvos.index import build_index
from vatrack.sailvos.official import read_official
from vatrack.sailvos.regroup import plan_clips, regroup


def write_raw(case: Case, raw: Path) -> None:
    """The raw tree of a case; whole-video cases have no images, empty files stand for them."""
    if case.parameters["mode"] == "cut":
        for video, frames in case.npz("frames").items():
            (raw / video / "images").mkdir(parents=True)
            for k, frame in enumerate(frames):
                assert cv2.imwrite(str(raw / video / "images" / f"{k:06d}.bmp"), frame[..., ::-1])
    else:
        for image in case.json("annotations")["images"]:
            (raw / image["file_name"]).parent.mkdir(parents=True, exist_ok=True)
            (raw / image["file_name"]).touch()


@pytest.mark.parametrize("case", cases("cuts"))
def test_cuts(case: Case, tmp_path: Path) -> None:
    raw, index = tmp_path / "raw", tmp_path / "index.json"
    structure, scores = tmp_path / "structure.json", tmp_path / "scores"
    write_raw(case, raw)
    empty = tmp_path / "empty.json"
    write_json(empty, {"categories": [], "videos": [], "images": [], "annotations": []})
    build_index(raw, {"train": case.path("annotations"), "valid": empty}, index)
    official = read_official(case.path("annotations"))
    if case.parameters["mode"] == "cut":
        names = [video["name"] for video in official.videos]
        for number, name in enumerate(names):
            score_video_file(raw, index, name, scores / f"{name}.json", threads=1 + number % 2)
        found = {name: read_json(scores / f"{name}.json")["scores"] for name in names}
        expected = case.json("scores")
        assert found.keys() == expected.keys()
        for name in names:
            assert found[name] == pytest.approx(expected[name], abs=1e-6)
        clips = ClipsConfig(
            structure="detect",
            threshold=case.parameters["threshold"],
            min_frames=case.parameters["minimum_length"],
        )
        write_structure(clips, index, scores, structure)
        build_clip_tree(raw, structure, tmp_path / "clips", "hardlink")
        files = sorted(
            str(path.relative_to(tmp_path / "clips"))
            for path in (tmp_path / "clips").rglob("*.bmp")
        )
        assert files == sorted(case.json("images"))
    else:
        write_structure(ClipsConfig(structure="whole"), index, None, structure)
    plan = plan_clips(official, read_json(structure), structure)
    items = [entry.value for entry in read_lists(official.path) if entry.section == "annotations"]
    numbers = zip(plan.rows.tolist(), plan.clips.tolist(), plan.instances.tolist(), strict=True)
    annotations = [regroup(items[row], clip, instance) for row, clip, instance in numbers]
    expected = case.json("expected")
    found = {
        "categories": official.categories,
        "models": official.models,
        "videos": plan.videos,
        "images": plan.images,
    }
    assert {**found, "annotations": annotations} == expected
