"""Files and folders in place of others, command by command: one message says what each is and what
is wanted."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.given import FOUND, RAW, TRUTH, WEIGHTS, output_of
from tests.command import Command
from vatrack.common.file_forms import FileForm
from vatrack.common.files import write_json
from vatrack.common.value_files import read_json
from vatrack.data import known_forms as forms

FORMS = {
    "best.pt": WEIGHTS,
    "clips.json": forms.STRUCTURE,
    "details.json": forms.DETAILS,
    "found.jsonl": forms.PREDICTIONS,
    "found.jsonl.gz": forms.PREDICTIONS,
    "index.json": forms.INDEX,
    "joint.json": forms.JOINT,
    "metrics.json": forms.METRICS,
    "metrics.jsonl": forms.LOG,
    "object.json": FileForm("one JSON object (keys: `predictions`)"),
    "raw/train.json": forms.OFFICIAL,
    "raw/valid.json": forms.OFFICIAL,
    "shard.npz": forms.SHARD,
    "tracks.json": forms.TRACKS,
}
# A command, the form that it wants, and files that it gets in that place.
IN_PLACE: list[tuple[str, FileForm, str]] = [
    (
        f"evaluate --ground-truth {{}} {FOUND}",
        forms.JOINT,
        "tracks.json raw/valid.json best.pt metrics.jsonl",
    ),
    (
        f"evaluate --ground-truth {{}} {FOUND} --shard 1/2",
        forms.JOINT,
        "found.jsonl",
    ),
    (
        f"evaluate {TRUTH} {FOUND} --video-ground-truth-amodal {{}}",
        forms.TRACKS,
        "joint.json",
    ),
    (
        f"evaluate {TRUTH} --predictions {{}}",
        forms.PREDICTIONS,
        "joint.json metrics.json metrics.jsonl shard.npz object.json",
    ),
    ("merge-evaluations {}", forms.SHARD, "metrics.json best.pt"),
    (f"export-predictions {{}} {TRUTH} --to coco", forms.PREDICTIONS, "object.json"),
    ("export-predictions found.jsonl --ground-truth {} --to coco", forms.JOINT, "tracks.json"),
    ("import-predictions found.jsonl --ground-truth {} --from coco", forms.JOINT, "index.json"),
    (
        "overlay --ground-truth {} --predictions found.jsonl --images raw",
        forms.JOINT,
        "tracks.json",
    ),
    (f"views --ground-truth {{}} {FOUND} --images raw", forms.JOINT, "clips.json"),
    (
        "tables --run vatrack/resnet18={}",
        forms.METRICS,
        "found.jsonl found.jsonl.gz joint.json details.json",
    ),
    (
        "tables --run vatrack/resnet18=metrics.json --details vatrack/resnet18={}",
        forms.DETAILS,
        "metrics.json",
    ),
    ("report --run vatrack/resnet18={}", forms.METRICS, "metrics.jsonl"),
    ("examples --ground-truth {}", forms.JOINT, "tracks.json"),
    ("validate --joint {} --images raw", forms.JOINT, "tracks.json"),
    ("validate --raw raw --train {} --valid raw/valid.json", forms.OFFICIAL, "joint.json"),
    ("index --raw raw --train raw/train.json --valid {}", forms.OFFICIAL, "tracks.json"),
    ("convert --config c.yaml --official {} --structure clips.json", forms.OFFICIAL, "joint.json"),
    ("cuts score --raw raw --index {}", forms.INDEX, "joint.json"),
    ("cuts structure --config c.yaml --index {}", forms.INDEX, "clips.json"),
    ("cuts structure --config c.yaml --index index.json", forms.STRUCTURE, "index.json"),
    (f"cuts sheet {RAW} --structure {{}}", forms.STRUCTURE, "index.json"),
    (
        f"cuts sheet {RAW} --structure clips.json --scores {{}} --video a",
        forms.SCORES,
        "joint.json",
    ),
    ("cuts compare clips.json {}", forms.STRUCTURE, "index.json"),
    ("clips --config c.yaml --raw raw --structure {}", forms.STRUCTURE, "raw/train.json"),
]
# Commands that get a folder without the frames of a file: that file, and what to give.
RAW_FOLDER = "(.*the folder that contains them|.*/raw)"
NO_FRAMES = {
    f"overlay {TRUTH} {FOUND} --images wrong": ("joint.json", ""),
    f"views {TRUTH} {FOUND} --images wrong": ("joint.json", ""),
    "cuts score --raw wrong --index index.json": ("index.json", RAW_FOLDER),
    "cuts score --raw wrong --index index.json --video a": ("index.json", RAW_FOLDER),
    "cuts sheet --raw wrong --index index.json --structure clips.json --video a": (
        "index.json",
        RAW_FOLDER,
    ),
    "clips --config c.yaml --raw wrong --structure clips.json": ("clips.json", RAW_FOLDER),
}
# What is said, as a pattern.
WRONG = {
    command.format(path): re.escape(
        f"{path}: is {FORMS[path].what}, not {wanted.what}; {wanted.give}"
    )
    for command, wanted, paths in IN_PLACE
    for path in paths.split()
} | {
    command: rf"wrong: contains no frames of {re.escape(source)}: expected .*, found x; "
    f"give {give}.*"
    for command, (source, give) in NO_FRAMES.items()
}


@pytest.mark.parametrize("words", WRONG)
def test_what_is_given_is_named_as_what_it_is(vatrack: Command, files: Path, words: str) -> None:
    code, _, errors = vatrack(*words.split(), "--out", output_of(words))
    assert code == 2 and re.fullmatch(f"vatrack: error: {WRONG[words]}\n", errors)


@pytest.mark.parametrize("also", ["", " --video-ground-truth-amodal tracks.json"])
@pytest.mark.parametrize("field", ["category_id", "video_id", "image_id"])
def test_ids_that_do_not_fit_are_told_by_the_form_of_the_ground_truth(
    vatrack: Command, files: Path, field: str, also: str
) -> None:
    """An official file has the images of the converted one, but other classes and videos."""
    joint, official = (read_json(files / name) for name in ("joint.json", "raw/valid.json"))
    item = official["annotations"][0]
    images = [dict(image) for image in joint["images"]]
    changed = {"categories": joint["categories"], "videos": joint["videos"], "images": images}
    if field == "category_id":
        changed["categories"] = [{"id": 99, "name": "x"}]
    elif field == "video_id":
        changed["videos"] = [{"id": 99, "name": "x", "vid_name": "x"}]
        images[:] = [{**image, "video_id": 99} for image in images]
    else:
        images[:] = [{**image, "id": image["id"] + 5000} for image in images]
    changed["annotations"] = [{**item, "image_id": images[0]["id"]}]
    write_json(files / "other.json", changed)
    words = f"evaluate --ground-truth other.json --predictions found.jsonl{also} --out o.json"
    told = f"other.json: is {forms.OFFICIAL.what}, not {forms.JOINT.what}; {forms.JOINT.give}\n"
    assert vatrack(*words.split()) == (2, "", f"vatrack: error: {told}")


@pytest.mark.parametrize("masks", ["own", "both"])
def test_no_sound_file_is_blamed_for_a_prediction(
    vatrack: Command, files: Path, masks: str
) -> None:
    """Own masks beside the visible ones alone, and predictions with a field more than needed."""
    joint = read_json(files / "joint.json")
    lines = (files / "found.jsonl").read_text().splitlines()
    predictions = [json.loads(line) for line in lines]
    for one in predictions:
        one["segmentation"] = one["visible"]
    if masks == "own":
        for item in joint["annotations"]:
            item["segmentation"] = item.pop("amodal_mask")
        for one in predictions:
            del one["amodal"]
    write_json(files / "own.json", joint)
    for score in (0.5, "high"):
        predictions[2]["score"] = score
        (files / "more.jsonl").write_text("".join(json.dumps(each) + "\n" for each in predictions))
        words = "evaluate --ground-truth own.json --predictions more.jsonl --out o.json"
        code, _, errors = vatrack(*words.split())
        if score == "high":
            told = "vatrack: error: more.jsonl: line 3: score is 'high'; "
            assert code == 2 and errors.startswith(told)
        else:
            assert (code, errors) == (0, "")


# Commands that get joint.json in place of a folder, with what they say to do.
NO_FOLDER = {
    "evaluate --run joint.json": "give a run folder",
    "compare joint.json wrong": "give a run folder",
    "figures --run joint.json": "give a run folder",
    "select --run joint.json": "give a run folder",
    "tables --run joint.json": "must be METHOD",
    "report --run x --results joint.json": "give",
    f"overlay {TRUTH} {FOUND} --images joint.json": "give the folder of the",
    "cuts score --raw joint.json --index index.json": "",
    "init-config joint.json": "give the folder of your",
    "validate --joint found.jsonl --images joint.json": "",
}
OTHER_KIND = {
    command: rf"(--\w+ )?joint\.json: is a file, not a folder; {give}"
    for command, give in NO_FOLDER.items()
} | {
    "cuts structure --set dataset.clips.structure=detect --config c.yaml --index index.json "
    "--scores joint.json": (
        r"joint\.json/a\.json: no such file: joint\.json is a file, not a folder; check the path"
    ),
    "merge-evaluations wrong": "wrong: is a folder, not a file; evaluate the shard again",
    "merge-predictions wrong": "wrong: is a folder, not a file, so the shard is incomplete; ",
    f"evaluate {TRUTH} {FOUND} --run wrong": (
        r"--run wrong: not a run folder \(no config\.yaml\); give one such as "
        "results/mini/runs/vatrack__resnet18, or give --config"
    ),
    f"evaluate {TRUTH} {FOUND} --run all": "--run all: a results folder; give one of the folders",
    "merge-evaluations m.npz --run all": "--run all: a results folder; give one of the folders in",
    "compare all wrong": "all: a results folder; give one of the folders in all/runs",
}


@pytest.mark.parametrize("words", OTHER_KIND)
def test_a_file_in_place_of_a_folder_is_not_called_missing(
    vatrack: Command, files: Path, words: str
) -> None:
    (files / "all" / "runs").mkdir(parents=True)
    code, _, errors = vatrack(*words.split(), "--out", output_of(words))
    assert code == 2 and re.match(f"vatrack: error: {OTHER_KIND[words]}", errors), errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        "validate --joint joint.json --images wrong",
        "validate --raw wrong --train raw/train.json --valid raw/valid.json",
    ],
)
def test_validate_reports_a_wrong_folder_once(vatrack: Command, files: Path, words: str) -> None:
    code, _, errors = vatrack(*words.split(), "--out", "report.json")
    assert code == 2 and "wrong: contains no frames of " in errors
    report = read_json(files / "report.json")
    found = {one["code"]: one["count"] for one in report["findings"]}
    assert found.pop("raw-broken") == 1
    assert not {"frame-missing", "folder-missing", "folder-plain"} & found.keys()


CLIPS = "contains no clip with frames; give the file from `vatrack cuts structure`"
IMAGES = "contains no images; "
BARE = "--ground-truth bare.json --predictions none.jsonl"
TRAIN = "raw/train.json"
# Input that is sound, but has nothing in it.
NOTHING = {
    "clips --config c.yaml --raw raw --structure none.json": f"none.json: {CLIPS}",
    "clips --config c.yaml --raw raw --structure hollow.json": f"hollow.json: {CLIPS}",
    f"convert --config c.yaml --official {TRAIN} --structure none.json": f"none.json: {CLIPS}",
    "cuts compare clips.json none.json": f"none.json: {CLIPS}",
    f"cuts sheet {RAW} --structure none.json": f"none.json: {CLIPS}",
    "cuts structure --config whole.yaml --index lists.json": "lists.json: contains no annotated "
    "frames; give the file from `vatrack index`",
    "index --raw raw --train official.json --valid official.json": "official.json, official.json: "
    "contains no images; give train.json or valid.json of the download",
    f"evaluate {BARE}": f"bare.json: {IMAGES}",
    f"overlay {BARE} --images raw": f"bare.json: {IMAGES}",
    f"views {BARE} --images raw": f"bare.json: {IMAGES}",
    "init-config --train bare.json --valid bare.json --images raw": f"bare.json: {IMAGES}",
    "prepare --config own.yaml --subset valid": f"bare.json: {IMAGES}",
    "tables --run vatrack/resnet18=none.json": "none.json: contains no metrics; create the file",
    "report --run vatrack/resnet18=none.json": "none.json: contains no metrics; create the file",
    "import-dataset ytvis.json --from ytvis --images raw": "ytvis.json: has videos but no annot",
}


@pytest.mark.parametrize("words", NOTHING)
def test_nothing_to_do_is_no_success(vatrack: Command, files: Path, words: str) -> None:
    write_json(files / "none.json", {})
    write_json(files / "hollow.json", {"a__9": []})
    write_json(files / "lists.json", {"train": [], "valid": []})
    (files / "none.jsonl").write_text("")
    empty: dict[str, Any] = {"videos": [], "images": [], "annotations": []}
    write_json(files / "bare.json", read_json(files / "joint.json") | empty)
    write_json(files / "official.json", read_json(files / "raw" / "valid.json") | empty)
    write_json(files / "ytvis.json", {"videos": [], "annotations": [], "categories": []})
    (files / "whole.yaml").write_text("dataset: {clips: {structure: whole}}\n")
    (files / "own.yaml").write_text(
        "dataset: {format: joint, train_json: joint.json, valid_json: bare.json, images: raw,\n"
        "  classes: data}\n"
    )
    out = output_of(words)
    code, shown, errors = vatrack(*words.split(), "--out", out)
    assert (code, shown) == (2, "")
    assert errors.startswith(f"vatrack: error: {NOTHING[words]}"), errors
    assert not (files / out).exists()


EXCHANGED = {
    "predict --checkpoint best.pt --frames raw --images joint.json --out o.jsonl": "--frames raw: "
    "is a folder, and --images joint.json a file; exchange the two",
    "overlay --predictions found.jsonl --ground-truth raw --images joint.json --out o.png": (
        "--ground-truth raw: is a folder, and --images joint.json a file; exchange the two"
    ),
    "clips --config c.yaml --raw clips.json --structure raw --out o": "--structure raw: is a "
    "folder, and --raw clips.json a file; exchange the two",
    "cuts score --raw index.json --index raw --out o": "--index raw: is a folder, and --raw "
    "index.json a file; exchange the two",
    "init-config --train raw --valid joint.json --images joint.json": "--train raw: is a folder, "
    "and --images joint.json a file; exchange the two",
}


@pytest.mark.parametrize("words", EXCHANGED)
def test_a_file_and_a_folder_that_are_exchanged(vatrack: Command, files: Path, words: str) -> None:
    before = set(files.rglob("*"))
    assert vatrack(*words.split()) == (2, "", f"vatrack: error: {EXCHANGED[words]}\n")
    assert set(files.rglob("*")) == before


def test_a_first_config_tells_all_wrong_paths_at_once(vatrack: Command, files: Path) -> None:
    words = "init-config --train t.json --valid v.json --images found.jsonl --out c.yaml"
    code, _, errors = vatrack(*words.split())
    assert code == 2
    assert errors.splitlines() == [
        "vatrack: error: t.json: no such file; check the path",
        "v.json: no such file; check the path",
        "found.jsonl: is a file, not a folder; give the folder of the images",
        "c.yaml: already exists; choose another file with --out, or remove it",
    ]


@pytest.mark.parametrize("words", ["raw", "--train joint.json --valid raw/valid.json --images raw"])
def test_a_first_config_is_not_for_official_files(
    vatrack: Command, files: Path, words: str
) -> None:
    """Their amodal masks are in `segmentation` and would be lost."""
    code, _, errors = vatrack("init-config", *words.split(), "--out", "new.yaml")
    path = "raw/train.json" if words == "raw" else "raw/valid.json"
    fix = "use config/sailvos.yaml with dataset.raw set to the folder of the download"
    told = f"{path}: is {forms.OFFICIAL.what}, not {forms.JOINT.what}; {fix}"
    assert (code, errors) == (2, f"vatrack: error: {told}\n")
    assert not (files / "new.yaml").exists()


def test_a_file_is_no_results_folder_for_mlflow(vatrack: Command, files: Path) -> None:
    code, _, errors = vatrack("mlflow-ui", "--results", "joint.json")
    told = "--results joint.json: is a file, not a folder; give the folder with mlflow.db"
    assert (code, errors) == (2, f"vatrack: error: {told}\n")


def test_a_missing_file_is_told_before_pytorch_is_imported(
    vatrack: Command, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("vatrack.inference.predict", "vatrack.api.load"):
        monkeypatch.setitem(sys.modules, module, None)  # an import of it fails
    predict = ("predict", "--images", "raw", "--out", "new.jsonl")
    for words, told in (
        ((*predict, "--frames", "c.yaml", "--checkpoint", "no.pt"), "no.pt: no such checkpoint"),
        ((*predict, "--frames", "no.json", "--checkpoint", "best.pt"), "no.json: no such file"),
        (("track", "raw", "--checkpoint", "no.pt"), "no.pt: no such checkpoint"),
        (("track", "no.mp4", "--checkpoint", "best.pt"), "no.mp4: no such file or folder"),
    ):
        code, _, errors = vatrack(*words)
        assert (code, errors.split(";")[0]) == (2, f"vatrack: error: {told}")
