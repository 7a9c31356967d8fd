"""The rendered set: its layout, its annotations against its images, what it contains, and that it
can be made again."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as rle

from tests.conftest import Mini
from vatrack.common.errors import InputError
from vatrack.common.images import read_image
from vatrack.common.value_files import read_json
from vatrack.config.categories import CATEGORIES
from vatrack.config.dataset import SyntheticConfig
from vatrack.sailvos.layout import list_videos
from vatrack.synthetic import render as synthetic
from vatrack.synthetic.render import render, video_names
from vatrack.synthetic.scene import plan_video
from vatrack.synthetic.shapes import SHAPES
from vatrack.synthetic.sprites import draw_sprite, draw_tint

SMALL = SyntheticConfig(train_videos=2, valid_videos=1, frames=25, width=96, height=64, objects=3)


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def both(mini: Mini) -> list[dict[str, Any]]:
    return [read_json(mini.official(subset)) for subset in ("train", "valid")]


def test_names_are_known_before(mini: Mini) -> None:
    names = video_names(mini.settings)
    assert list(names) == ["train", "valid"]
    assert sorted(names["train"] + names["valid"]) == list_videos(mini.raw)


def test_names_cost_no_heavy_import() -> None:
    code = (
        "import sys, vatrack.synthetic.render as s; from vatrack.config.dataset import "
        "SyntheticConfig;"
        "s.video_names(SyntheticConfig());"
        "print([m for m in ('cv2', 'numpy', 'torch', 'pycocotools') if m in sys.modules])"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "[]"
    )


def test_layout(mini: Mini) -> None:
    for video in list_videos(mini.raw):
        folder = mini.raw / video
        stems = [f"{k:06d}" for k in range(mini.settings.frames)]
        assert sorted(path.name for path in (folder / "images").iterdir()) == [
            f"{stem}.bmp" for stem in stems
        ]
        assert sorted(path.name for path in (folder / "visible").iterdir()) == [
            f"{stem}.npy" for stem in stems
        ]
        assert read_image(folder / "images" / "000000.bmp").shape == (200, 320, 3)
        ids = np.load(folder / "visible_objects.npy")
        objects = {
            int(path.name.split("_")[0]): path
            for path in folder.iterdir()
            if path.name[0].isdigit()
        }
        assert ids[0] == 0
        assert sorted(objects) == sorted(ids[1:].tolist())
        seen = set()
        for stem in stems:
            visible = np.load(folder / "visible" / f"{stem}.npy")
            assert visible.dtype == np.int16
            assert visible.shape == (200, 320)
            for value in set(np.unique(visible).tolist()) - {0}:
                amodal = cv2.imread(str(objects[value] / f"{stem}.png"), cv2.IMREAD_UNCHANGED)
                assert amodal[visible == value].min() == 255
                seen.add(value)
        assert seen == set(objects), "every object is seen somewhere"


def test_official_form(mini: Mini) -> None:
    for data in both(mini):
        assert list(data) == ["categories", "models", "videos", "images", "annotations"]
        categories = {category["id"]: category["name"] for category in data["categories"]}
        assert tuple(categories.values()) == CATEGORIES
        assert not set(categories) <= set(range(1, 25))
        models = {model["id"]: model for model in data["models"]}
        assert {model["category_id"] for model in models.values()} > set(categories), (
            "one model is of another category"
        )
        images = {image["id"]: image for image in data["images"]}
        assert list(images) == list(range(len(data["images"])))
        for video in data["videos"]:
            assert video["name"] == video["vid_name"]
            own = [
                image
                for image in data["images"]
                if image["file_name"].startswith(f"{video['name']}/images/")
            ]
            assert (
                [image["frame_id"] for image in own]
                == list(range(mini.settings.frames - 9))
                == list(range(video["num_frames"]))
            )
            assert all(
                image["file_name"].endswith(f"/{image['frame_id'] + 3:06d}.bmp") for image in own
            )
            folders = [
                path.name for path in (mini.raw / video["name"]).iterdir() if path.name[0].isdigit()
            ]
            assert video["num_objs"] == len(folders)
        assert [item["id"] for item in data["annotations"]] == list(range(len(data["annotations"])))
        for item in data["annotations"]:
            video = images[item["image_id"]]["file_name"].split("/")[0]
            assert models[item["model_id"]]["category_id"] == item["category_id"]
            assert (
                mini.raw / video / f"{item['obj_id']}_{models[item['model_id']]['name']}"
            ).is_dir()
            person = categories[item["category_id"]] == "person"
            assert ("_Ped_" in models[item["model_id"]]["name"]) == person
            assert (item["iscrowd"], item["occlu_depth"]) == (0, 0)
        instances = {
            (item["instance_id"], item["obj_id"], item["category_id"])
            for item in data["annotations"]
        }
        assert len(instances) == len({instance for instance, _, _ in instances})


def test_annotations_are_what_the_images_show(mini: Mini) -> None:
    for data in both(mini):
        models = {model["id"]: model["name"] for model in data["models"]}
        by_image = defaultdict(list)
        for item in data["annotations"]:
            by_image[item["image_id"]].append(item)
        for image in data["images"]:
            folder = mini.raw / image["file_name"].split("/")[0]
            stem = Path(image["file_name"]).stem
            visible_ids = np.load(folder / "visible" / f"{stem}.npy")
            assert sorted(item["obj_id"] for item in by_image[image["id"]]) == [
                i for i in np.unique(visible_ids).tolist() if i
            ]
            for item in by_image[image["id"]]:
                amodal, visible, invisible = (
                    rle.decode(item[k]) for k in ("segmentation", "visible_mask", "invisible_mask")
                )
                png = cv2.imread(
                    str(folder / f"{item['obj_id']}_{models[item['model_id']]}" / f"{stem}.png"),
                    cv2.IMREAD_UNCHANGED,
                )
                assert np.array_equal(png, 255 * amodal)
                assert np.array_equal(visible, visible_ids == item["obj_id"])
                assert np.array_equal(invisible, amodal - visible)
                assert not np.any(visible > amodal)
                assert (item["area"], item["area_visible"]) == (amodal.sum(), visible.sum())
                assert item["occlude_rate"] == 1 - item["area_visible"] / item["area"]
                assert 0 <= item["occlude_rate"] < 1
                for mask, box in ((amodal, item["bbox"]), (visible, item["bbox_visible"])):
                    rows, columns = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
                    assert box == [columns[0], rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1]


def test_nearer_objects_stay_nearer(mini: Mini) -> None:
    """Depth is real: where two masks of a shot overlap, the same one of the two is always in
    front."""
    data = read_json(mini.official("train"))
    frames = [image for image in data["images"] if image["video_id"] == 0]
    in_front: dict[tuple[int, int], set[bool]] = defaultdict(set)
    for image in frames:
        visible = np.load(
            mini.raw
            / data["videos"][0]["name"]
            / "visible"
            / f"{Path(image['file_name']).stem}.npy"
        )
        items = [item for item in data["annotations"] if item["image_id"] == image["id"]]
        masks = {item["obj_id"]: rle.decode(item["segmentation"]) > 0 for item in items}
        for a in masks:
            for b in masks:
                seen = visible[masks[a] & masks[b]]
                if a < b:
                    in_front[a, b] |= {
                        bool(value == a) for value in (a, b) if np.any(seen == value)
                    }
    assert any(in_front.values())
    assert all(len(sides) <= 1 for sides in in_front.values())


def test_all_kinds_of_objects_occur(mini: Mini) -> None:
    items = [item for data in both(mini) for item in data["annotations"]]
    for key in ("area", "area_visible"):
        areas = np.array([item[key] for item in items])
        shares = [
            np.mean(areas < 32**2),
            np.mean((areas >= 32**2) & (areas < 96**2)),
            np.mean(areas >= 96**2),
        ]
        assert min(shares) > 0.05, shares
    rates = np.array([item["occlude_rate"] for item in items])
    shares = [
        np.mean(rates < 0.25),
        np.mean((rates >= 0.25) & (rates <= 0.75)),
        np.mean(rates > 0.75),
    ]
    assert shares[0] > 0.3
    assert shares[1] > 0.1
    assert 0.01 < shares[2] < 0.25


def test_classes_are_balanced() -> None:
    settings = SyntheticConfig()
    labels = Counter(
        item.label
        for number in range(8)
        for item in plan_video(settings, 0, "train", number).objects
    )
    assert sorted(CATEGORIES[label] for label in labels) == sorted(list(SHAPES)[: settings.classes])
    assert max(labels.values()) <= 1.5 * min(labels.values())


def test_objects_leave_and_come_back(mini: Mini) -> None:
    tracks: dict[tuple[int, int], list[int]] = defaultdict(list)
    for subset, data in enumerate(both(mini)):
        for item in data["annotations"]:
            tracks[subset, item["instance_id"]].append(item["image_id"])
    assert sum(max(np.diff(frames), default=1) > 1 for frames in tracks.values()) >= 2


def test_hard_cuts_are_found_and_nothing_else(mini: Mini) -> None:
    clips = read_json(mini.structure)
    fades = 0
    for subset, names in video_names(mini.settings).items():
        for number, video in enumerate(names):
            shots = plan_video(mini.settings, mini.seed, subset, number).shots
            fades += sum(shot.fade > 0 for shot in shots)
            hard = [after.start for before, after in pairwise(shots) if before.fade == 0]
            firsts = sorted(
                int(files[0][:6]) for clip, files in clips.items() if clip.split("__")[0] == video
            )
            assert firsts == [3, *hard]
    assert fades == 1


@pytest.mark.parametrize(
    ("frames", "shots", "expected"), [(16, 2, 1), (25, 2, 2), (49, 2, 2), (49, 9, 5), (400, 9, 9)]
)
def test_shots_are_long_enough_to_be_found(frames: int, shots: int, expected: int) -> None:
    settings = SyntheticConfig(frames=frames, shots=shots)
    for seed in range(5):
        plan = plan_video(settings, seed, "train", 0)
        starts = [shot.start - 3 for shot in plan.shots[1:]]
        assert len(plan.shots) == expected
        assert [shot.start for shot in plan.shots[1:]] == [shot.stop for shot in plan.shots[:-1]]
        assert min(np.diff([0, *starts, frames - 9])) >= 7
        assert sum(shot.fade > 0 for shot in plan.shots) <= 1
    assert expected < 9 or any(shot.fade for shot in plan.shots)


def test_same_seed_same_files(tmp_path: Path) -> None:
    render(tmp_path / "one", SMALL, 3)
    render(tmp_path / "two", SMALL, 3, processes=2)
    render(tmp_path / "other", SMALL, 4)
    first = digest(tmp_path / "one")
    assert digest(tmp_path / "two") == first
    assert digest(tmp_path / "other") != first
    more = SMALL.model_copy(update={"train_videos": 3})
    render(tmp_path / "more", more, 3)
    again = digest(tmp_path / "more")
    assert all(again[file] == value for file, value in first.items() if not file.endswith(".json"))


def test_full_size(tmp_path: Path) -> None:
    settings = SyntheticConfig(
        train_videos=1, valid_videos=1, frames=16, width=1280, height=800, objects=4, classes=24
    )
    render(tmp_path / "raw", settings, 0)
    image = read_image(tmp_path / "raw" / "mini_valid_000" / "images" / "000015.bmp")
    assert image.shape == (800, 1280, 3)
    assert len(read_json(tmp_path / "raw" / "train.json")["images"]) == 7


@pytest.mark.parametrize("name", CATEGORIES)
def test_every_class_can_be_drawn(name: str) -> None:
    rng = np.random.default_rng(0)
    for side in (20.0, 60.0, 200.0):
        sprite = draw_sprite(name, draw_tint(name, rng), side)
        assert set(np.unique(sprite[..., 3]).tolist()) == {0, 255} or name in {"door", "cell phone"}
        assert np.count_nonzero(sprite[..., 3]) == pytest.approx(side**2, rel=0.12)
    assert SHAPES[name].aspect == pytest.approx(sprite.shape[1] / sprite.shape[0], rel=0.05)


def test_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = synthetic._render_video

    def fails_at_the_second(job: Any, common: None) -> dict[str, Any]:
        if job[1].endswith("001"):
            raise OSError("no space")
        return real(job, common)

    monkeypatch.setattr(synthetic, "_render_video", fails_at_the_second)
    with pytest.raises(OSError, match="no space"):
        render(tmp_path / "raw", SMALL, 0)
    assert list(tmp_path.iterdir()) == []


def test_does_not_replace_other_folders(tmp_path: Path) -> None:
    render(tmp_path / "raw", SMALL, 0)
    # A download of the real videos has a train.json, too.
    other = tmp_path / "raw" / "ah_1_mcs_1" / "images" / "000000.bmp"
    other.parent.mkdir(parents=True)
    other.touch()
    with pytest.raises(InputError, match=r"contains ah_1_mcs_1/images/000000\.bmp, which would be"):
        render(tmp_path / "raw", SMALL, 0)
    assert other.exists()
    shutil.rmtree(other.parents[1])
    for name in ("notes.txt", "images/notes.txt", "images/000000.bmp.txt", ".gitignore"):
        more = tmp_path / "raw" / "mini_train_000" / name
        more.touch()
        with pytest.raises(InputError, match=rf"contains mini_train_000/{name}, which would be"):
            render(tmp_path / "raw", SMALL, 0)
        more.unlink()
    assert render(tmp_path / "raw", SMALL, 0).videos  # what it rendered itself is replaced


@pytest.mark.parametrize(
    ("changes", "seed", "named"),
    [
        (
            {"train_videos": 1},
            0,
            r"raw: contains mini_train_001/.*, which would be",
        ),
        ({"train_videos": 3}, 0, r"raw: contains train\.json, which is not what these settings"),
        ({"width": 80}, 0, r"mini_train_000: contains .*, which is not what these settings"),
        ({}, 1, r"mini_train_000: contains .*, which is not what these settings"),
        ({"frames": 24}, 0, r"mini_train_000: contains .*, which is not what these settings"),
    ],
)
def test_does_not_replace_a_set_of_other_settings(
    tmp_path: Path, changes: dict[str, int], seed: int, named: str
) -> None:
    raw = tmp_path / "raw"
    render(raw, SMALL, 0)
    before = digest(raw)
    with pytest.raises(InputError, match=f"{named}.*; choose a new folder for the output"):
        render(raw, SMALL.model_copy(update=changes), seed)
    assert digest(raw) == before
    assert list(tmp_path.iterdir()) == [raw]


def test_does_not_replace_own_files_of_the_same_names(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    render(raw, SMALL, 0)
    video = raw / "mini_train_000"
    added = video / "images" / "000777.bmp"
    shutil.copy(video / "images" / "000000.bmp", added)
    with pytest.raises(InputError, match=r"contains images/000777\.bmp, which is not what these"):
        render(raw, SMALL, 0)
    added.unlink()
    official = raw / "train.json"
    official.write_text(official.read_text().replace('"iscrowd": 0', '"iscrowd": 1', 1))
    with pytest.raises(InputError, match=r"contains train\.json, which is not what these"):
        render(raw, SMALL, 0)
    assert '"iscrowd": 1' in official.read_text()
