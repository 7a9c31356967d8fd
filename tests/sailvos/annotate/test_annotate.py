"""Annotations from raw masks: equal to the official JSON of the rendered set, and written whole or
not at all."""

from __future__ import annotations

import csv
import gzip
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.command import Command
from tests.conftest import Mini
from tests.sailvos.annotate.raw_tree import run, write_small
from vatrack.common.value_files import read_json
from vatrack.config import Config
from vatrack.config.categories import CATEGORIES
from vatrack.sailvos import annotate
from vatrack.sailvos.annotate import annotate_files
from vatrack.sailvos.convert import convert_files
from vatrack.sailvos.index import build_index
from vatrack.sailvos.official import read_official
from vatrack.synthetic.render import video_names

LISTS = ("categories", "models", "videos", "images", "annotations")
SUBSETS = ("train", "valid")


def names_file(mini: Mini, subset: str, folder: Path) -> Path:
    path = folder / f"{subset}.txt"
    path.write_text(
        "".join(f"{name}\n" for name in video_names(mini.settings)[subset]), encoding="utf-8"
    )
    return path


@pytest.mark.parametrize("subset", SUBSETS)
def test_equals_the_official_json(mini: Mini, tmp_path: Path, subset: str) -> None:
    """Everything, to the last character of every entry; the models are known from the other
    subset."""
    out = tmp_path / "made.json"
    other = mini.official(SUBSETS[1 - SUBSETS.index(subset)])
    done = annotate_files(mini.raw, out, videos=names_file(mini, subset, tmp_path), models=other)
    made, official = read_json(out), read_json(mini.official(subset))
    assert list(made) == ["info", *LISTS]
    for key in LISTS:
        assert len(made[key]) == len(official[key]) > 0
        for mine, theirs in zip(made[key], official[key], strict=True):
            assert json.dumps(mine) == json.dumps(theirs)
    assert (done.videos, done.frames) == (len(official["videos"]), len(official["images"]))
    assert done.findings.counts["annotations"] == len(official["annotations"])
    assert f"{done.frames} frames: {len(official['annotations'])} annotations" in str(done)
    assert "warning" not in str(done)
    assert set(made["info"]["not_from_masks"]) == {
        "category_id",
        "model_id",
        "supercategory",
        "occlu_depth",
    }
    assert (
        made["info"]["annotations_left_out"],
        made["info"]["notes"],
        made["info"]["pixels_added_to_masks"],
    ) == ({}, {}, 0)


def test_same_file_for_any_number_of_processes_and_packed(mini: Mini, tmp_path: Path) -> None:
    alone, side, packed = tmp_path / "1.json", tmp_path / "2.json", tmp_path / "3.json.gz"
    annotate_files(mini.raw, alone, models=mini.official("train"))
    annotate_files(mini.raw, side, models=mini.official("train"), processes=2)
    annotate_files(mini.raw, packed, models=mini.official("train"))
    assert alone.read_bytes() == side.read_bytes() == gzip.decompress(packed.read_bytes())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.json", "2.json", "3.json.gz"]
    names = [video["name"] for video in read_json(alone)["videos"]]
    assert names == sorted(
        name for subset in video_names(mini.settings).values() for name in subset
    )


def test_videos_in_the_order_asked_for(mini: Mini, tmp_path: Path) -> None:
    out, wanted = tmp_path / "out.json", ["mini_valid_000", "mini_train_001"]
    annotate_files(mini.raw, out, video=wanted, models=mini.official("train"))
    made = read_json(out)
    assert [(video["id"], video["name"]) for video in made["videos"]] == list(enumerate(wanted))
    assert [image["id"] for image in made["images"]] == list(range(2 * (mini.settings.frames - 9)))
    assert [item["id"] for item in made["annotations"]] == list(range(len(made["annotations"])))
    of_image = {image["id"]: image["video_id"] for image in made["images"]}
    videos = {
        (item["instance_id"], of_image[item["image_id"]], item["obj_id"])
        for item in made["annotations"]
    }
    assert sorted(instance for instance, _, _ in videos) == list(range(len(videos)))


def test_only_persons_without_models(mini: Mini, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    shown = str(annotate_files(mini.raw, out, videos=names_file(mini, "train", tmp_path)))
    made, official = read_json(out), read_json(mini.official("train"))
    person = next(
        category["id"] for category in official["categories"] if category["name"] == "person"
    )
    models = {model["id"]: model["name"] for model in official["models"]}
    expected = [item for item in official["annotations"] if item["category_id"] == person]
    assert len(made["annotations"]) == len(expected) > 0
    numbered = ("id", "instance_id", "category_id", "model_id")
    for mine, theirs in zip(made["annotations"], expected, strict=True):
        assert {**mine, **dict.fromkeys(numbered, 0)} == {**theirs, **dict.fromkeys(numbered, 0)}
        assert mine["category_id"] == 1
    assert [(category["id"], category["name"]) for category in made["categories"]] == list(
        enumerate(CATEGORIES, start=1)
    )
    left_out = Counter(
        models[item["model_id"]]
        for item in official["annotations"]
        if item["category_id"] != person
    )
    assert made["info"]["annotations_left_out"] == left_out
    assert "only persons are annotated; give --models" in shown
    assert f"annotations skipped: {left_out.total()} of {len(left_out)} models" in shown
    # Models are numbered by name over the whole raw tree, so that both subsets agree.
    found = sorted({path.name.split("_", 1)[1] for path in mini.raw.glob("*/[0-9]*_*")})
    assert made["models"] == [
        {"id": found.index(name), "name": name, "category_id": 1}
        for name in found
        if name.startswith("Mini_Ped_")
    ]


@pytest.mark.parametrize("numbered", [True, False])
def test_models_in_a_table(mini: Mini, tmp_path: Path, numbered: bool) -> None:
    """A table with ids gives what the official JSON has; without them, models are numbered by
    name."""
    official, out, table = (
        read_json(mini.official("valid")),
        tmp_path / "out.json",
        tmp_path / "m.csv",
    )
    categories = {category["id"]: category["name"] for category in official["categories"]}
    with table.open("w", newline="", encoding="utf-8-sig") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "name", "category", "note"])
        for model in read_json(mini.official("train"))["models"]:
            # One category is left empty: that model is left out.
            category = categories.get(model["category_id"], "")
            writer.writerow([model["id"] if numbered else "", model["name"], category, "-"])
    annotate_files(mini.raw, out, videos=names_file(mini, "valid", tmp_path), models=table)
    made = read_json(out)
    numbers = {
        category["id"]: place for place, category in enumerate(official["categories"], start=1)
    }
    theirs = [
        {**item, "category_id": numbers[item["category_id"]]} for item in official["annotations"]
    ]
    if not numbered:
        ids = {model["name"]: model["id"] for model in made["models"]}
        assert sorted(ids.values()) == [ids[name] for name in sorted(ids)], "numbered by name"
        names = {model["id"]: model["name"] for model in official["models"]}
        theirs = [{**item, "model_id": ids[names[item["model_id"]]]} for item in theirs]
    assert made["annotations"] == theirs
    assert {model["category_id"] for model in made["models"]} <= set(range(1, 25))


def test_serves_as_the_official_json(mini: Mini, tmp_path: Path) -> None:
    """The made files pass the checks, and the index and the conversion are the same as with the
    official ones."""
    made = {subset: tmp_path / f"{subset}.json" for subset in SUBSETS}
    for subset, out in made.items():
        annotate_files(
            mini.raw, out, videos=names_file(mini, subset, tmp_path), models=mini.official("train")
        )
    data = read_official(made["train"])
    assert len(data.annotations.ids) == len(read_json(mini.official("train"))["annotations"])
    build_index(mini.raw, made, tmp_path / "index.json")
    assert read_json(tmp_path / "index.json") == read_json(mini.index)
    dataset = Config().dataset
    convert_files(made["valid"], mini.structure, dataset, tmp_path / "mine")
    convert_files(mini.official("valid"), mini.structure, dataset, tmp_path / "theirs")
    files = sorted(path.name for path in (tmp_path / "theirs").glob("*.json"))
    assert "joint-2bbox.json" in files
    for name in files:
        assert (tmp_path / "mine" / name).read_bytes() == (tmp_path / "theirs" / name).read_bytes()


def test_a_made_file_serves_as_models_of_the_other(mini: Mini, tmp_path: Path) -> None:
    first, second = tmp_path / "train.json.gz", tmp_path / "valid.json"
    annotate_files(
        mini.raw, first, videos=names_file(mini, "train", tmp_path), models=mini.official("valid")
    )
    annotate_files(mini.raw, second, videos=names_file(mini, "valid", tmp_path), models=first)
    assert read_json(second)["annotations"] == read_json(mini.official("valid"))["annotations"]


def test_a_full_disk_leaves_nothing(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    out = small.parents[1] / "out.json"
    out.write_text("old")
    before = sorted(small.parents[1].iterdir())
    for name in ("_annotate_frame", "_annotation_texts"):
        with monkeypatch.context() as patch:
            patch.setattr(annotate, name, full)
            with pytest.raises(OSError, match="No space left"):
                run(small)
        assert sorted(small.parents[1].iterdir()) == before
        assert out.read_text() == "old"


SLOW = """
import signal, sys, time
from pathlib import Path
from vatrack.sailvos import annotate

# Where the tests run in the background of a script, their processes ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
real = annotate._annotate_frame
def slow(*arguments):
    print("frame", flush=True)
    time.sleep(0.5)
    return real(*arguments)

annotate._annotate_frame = slow
annotate.annotate_files(Path(sys.argv[1]), Path(sys.argv[2]))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run(small: Path, number: signal.Signals) -> None:
    """No result after a kill, an earlier one is untouched, and the next run succeeds."""
    out = small.parents[1] / "result" / "out.json"
    out.parent.mkdir()
    out.write_text("old")
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, str(small.parent), str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout
    assert process.stdout.readline() == b"frame\n"
    os.kill(process.pid, number)
    assert process.wait(60) != 0
    process.stdout.close()
    left = [path.name for path in out.parent.iterdir() if path != out]
    assert all(name.startswith(".out.json.") for name in left)
    assert bool(left) == (number == signal.SIGKILL), "an interrupted run clears up"
    assert out.read_text() == "old"
    annotate_files(small.parent, out)
    assert len(read_json(out)["images"]) == 3


def test_command(small: Path, vatrack: Command) -> None:
    write_small(small.parent, "two")
    models, out = small.parents[1] / "models.csv", small.parents[1] / "out.json"
    command = "annotate", "--raw", small.parent, "--models", models, "--processes", 2, "--out", out
    code, shown, _ = vatrack(*command, "--video", "two", "--video", "one")
    assert code == 0
    assert shown.startswith(
        f"annotated 2 videos with 6 frames: 12 annotations of 4 objects in {out}\n"
    )
    assert "not derived from the masks: category_id, model_id, supercategory, occlu_depth" in shown
    code, _, errors = vatrack(*command, "--video", "three")
    assert code == 2
    assert errors.startswith(f"vatrack: error: {small.parent / 'three'}: no such video")
    assert [video["name"] for video in read_json(out)["videos"]] == ["two", "one"]
