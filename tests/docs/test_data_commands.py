"""The documented commands on raw data and on other datasets do what they say: they are run on small
files in their layouts."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.docs.commands import DATA_RUNS, calls
from tests.importers.made import Case, coco, cocoa, save_ids, synth_drive, tao, ytvis
from tests.sailvos.packing import contents, pack, split
from vatrack.cli import app
from vatrack.config.dataset import SyntheticConfig
from vatrack.synthetic.render import render

TINY = {"train_videos": 1, "valid_videos": 1, "frames": 18, "width": 96, "height": 64, "shots": 1}


@pytest.mark.slow
def test_commands_on_data_run_as_documented(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    raw_archives(tmp_path)
    other_datasets(tmp_path)
    for command in DATA_RUNS:
        for _, *words in calls(command):
            ran = CliRunner().invoke(app, words)
            assert ran.exit_code == 0, f"{command}\n{ran.output}"
            for option, value in pairwise(words):
                if option == "--out":
                    assert Path(value).exists(), command
    assert json.loads(Path("train.json").read_text())["annotations"]
    for name in ("kins_train", "kins_valid", "cocoa", "ovis", "asd_train", "mots", "tao", "movi"):
        assert json.loads(Path(f"{name}.json").read_text())["annotations"], name


def raw_archives(folder: Path) -> None:
    """A rendered set in a tar file of two volumes and a zip file, and what annotates it anew."""
    made = folder / "made"
    render(made, SyntheticConfig(**TINY), 0)
    files = contents(made)
    document = json.loads(files["train.json"])
    first = document["videos"][0]["name"]
    inside = {name: data for name, data in files.items() if name.startswith(f"{first}/")}
    split(pack(folder / "sailvos_a.tar", inside), ["sailvos_a.tar.00", "sailvos_a.tar.01"])
    pack(folder / "more.zip", {name: files[name] for name in files.keys() - inside.keys()})
    (folder / "train.txt").write_text(f"{first}\n")
    names = {category["id"]: category["name"] for category in document["categories"]}
    models = [
        f"{item['name']},{names.get(item['category_id'], '')}\n" for item in document["models"]
    ]
    (folder / "models.csv").write_text("".join(["name,category\n", *models]))
    (folder / "RAW").symlink_to("data/sailvos")
    for name in "AB":
        (folder / name).write_text(json.dumps({f"{first}__17": ["000003.bmp"]}))


def other_datasets(folder: Path) -> None:
    """One image or video of each format."""

    def case(images: str, inside: str = "") -> Case:
        found = Case(folder / inside)
        found.images = folder / images
        return found

    mask = {"size": [4, 6], "counts": [9, 2, 2, 2, 9]}
    for name, images in (("train", "training"), ("test", "testing")):
        kins = case(f"kitti/{images}/image_2")
        document = coco(kins, {"segmentation": mask, "visible_mask": mask})
        kins.write(document, f"update_{name}_2020.json")
    val = case("val2014")
    val.write(cocoa(val), "COCO_amodal_val2014.json")
    ovis = case("train")
    ovis.write(ytvis(ovis), "annotations_train.json")
    synth_drive(case("train/images", "train"))
    mots = case("training/image_02")
    mots.image("0002/000000.png")
    (folder / "instances_txt").mkdir()
    (folder / "instances_txt/0002.txt").write_text("0 1004 1 4 6 92207\n")
    boxes = case("frames")
    boxes.write(tao(boxes, [1, 1, 3, 2], visibility=0.25), "validation.json")
    movi = case("MOVi-D/train")
    movi.image("v1/rgba_full_00005.png")
    ids = np.zeros((4, 6), np.uint8)
    ids[1:3, 2:4] = 1
    for name in ("segmentation_full_00005", "segmentation_0_00005"):
        save_ids(folder / f"MOVi-D/train/v1/{name}.png", ids)
    movi.write({"instances": [{"category": "a"}]}, "MOVi-D/train/v1/metadata.json")
