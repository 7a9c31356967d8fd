"""Files and folders in place of others, command by command: one message says what each is and what
is wanted."""

from __future__ import annotations

import gzip
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer

import vatrack as vatrack_package
from tests.command import Command
from tests.evaluation.scenes import random_scene
from tests.sailvos.official import write_raw
from vatrack.cli import app
from vatrack.common.errors import InputError
from vatrack.common.file_forms import FileForm
from vatrack.common.files import write_json
from vatrack.common.value_files import read_json
from vatrack.data import known_forms as forms
from vatrack.data.video_ground_truth import video_ground_truth
from vatrack.evaluation.io.predictions import Predictions
from vatrack.evaluation.io.predictions import read_predictions as read_whole
from vatrack.exchange.listing import read_listing
from vatrack.inference.predict import predict_files
from vatrack.runs.metrics_log import TrainingPoint, append
from vatrack.sailvos.index import build_index


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small file of every form, in the working folder."""
    joint, predictions = random_scene(1)
    write_json(tmp_path / "joint.json", joint)
    write_json(tmp_path / "tracks.json", video_ground_truth(joint, "amodal", 0.75))
    (tmp_path / "found.jsonl").write_text("".join(json.dumps(one) + "\n" for one in predictions))
    write_json(tmp_path / "object.json", {"predictions": predictions}, indent=1)
    paths = write_raw(tmp_path / "raw", {"train": {"a": 4}, "valid": {"b": 4}})
    build_index(tmp_path / "raw", paths, tmp_path / "index.json")
    write_json(tmp_path / "clips.json", {"a__9": [], "a__3": ["000003.bmp", "000004.bmp"]})
    (tmp_path / "found.jsonl.gz").write_bytes(
        gzip.compress((tmp_path / "found.jsonl").read_bytes())
    )
    write_json(tmp_path / "metrics.json", {"image/amodal/AP": 1.0})
    write_json(tmp_path / "details.json", {"per_class": {}, "per_video": {}})
    torch.save({"a": torch.zeros(1)}, tmp_path / "best.pt")
    np.savez(tmp_path / "shard.npz", record=np.zeros(1))
    append(tmp_path / "metrics.jsonl", TrainingPoint(1, 1, 1.0, {"loss": 2.0}))
    append(tmp_path / "metrics.jsonl", TrainingPoint(2, 1, 2.0, {"loss": 1.0}))
    (tmp_path / "c.yaml").write_text("dataset: {clips: {structure: index.json}}\n")
    (tmp_path / "wrong" / "x").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Names for what commands write; for others a folder.
OUTPUTS = {
    ".npz": r"evaluate .*--shard",
    ".json": r"evaluate|merge-evaluations|index|select|annotate|validate|cuts (structure|compare)"
    r"|cuts score .*--video|export-predictions .*--to (coco|ytvis)|import-dataset",
    ".jsonl": r"predict|merge-predictions|import-predictions",
    ".png": r"overlay|cuts sheet .*--video",
    ".html": "report",
    ".yaml": "init-config|config",
}


def output_of(words: str) -> str:
    """A name that a command may give to what it writes."""
    return "o" + next((end for end, own in OUTPUTS.items() if re.match(own, words)), "")


TRUTH = "--ground-truth joint.json"
FOUND = "--predictions found.jsonl"
RAW = "--raw raw --index index.json"


WEIGHTS = FileForm("PyTorch weights (.pt)")
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


BOTH = f"{TRUTH} --predictions found.jsonl"
OFFICIAL = "--raw raw --train raw/train.json --valid raw/valid.json"
OWN = "--train joint.json --valid joint.json --images raw"
# Commands with the option that names a file, and how that file's name must end.
ENDINGS: dict[str, str] = {
    "config --out": ".yaml or .yml",
    "config --schema --out": ".json or .json.gz",
    "config --reference --out": ".md",
    "unpack --archive a.tar --out o --record": ".json or .json.gz",
    "annotate --raw raw --out": ".json or .json.gz",
    f"validate {OFFICIAL} --out": ".json or .json.gz",
    "validate --joint joint.json --images raw --out": ".json or .json.gz",
    f"index {OFFICIAL} --out": ".json or .json.gz",
    "import-dataset joint.json --from ytvis --images raw --out": ".json or .json.gz",
    f"init-config {OWN} --out": ".yaml or .yml",
    "select --run run --out": ".json or .json.gz",
    "import-checkpoint best.pt --method vatrack --backbone resnet18 --out": ".pt or .pth",
    "export --checkpoint best.pt --out": ".safetensors",
    "merge-predictions found.jsonl --out": ".jsonl or .jsonl.gz",
    f"import-predictions found.jsonl {TRUTH} --from coco --out": ".jsonl or .jsonl.gz",
    f"export-predictions found.jsonl {TRUTH} --to coco --out": ".json or .json.gz",
    f"evaluate {BOTH} --out": ".json or .json.gz",
    f"evaluate {BOTH} --out o.json --details": ".json or .json.gz",
    f"evaluate {BOTH} --shard 1/2 --out": ".npz",
    "merge-evaluations shard.npz --out": ".json or .json.gz",
    f"overlay {BOTH} --images raw --out": ".png",
    f"overlay {BOTH} --images raw --out o.png --video": ".mp4",
    "report --run run --out": ".html or .htm",
    "cuts score --raw raw --index index.json --video a --out": ".json or .json.gz",
    "cuts structure --config c.yaml --index index.json --out": ".json or .json.gz",
    "cuts compare clips.json clips.json --out": ".json or .json.gz",
    f"cuts sheet {RAW} --structure clips.json --video a --out": ".jpg, .jpeg or .png",
}


@pytest.mark.parametrize("words", ENDINGS)
@pytest.mark.parametrize("name", ["q.txt", "q"])
def test_the_name_of_an_output_says_its_form(
    vatrack: Command, files: Path, words: str, name: str
) -> None:
    (files / "run").mkdir()
    (files / "run" / "config.yaml").write_text("seed: 1\n")
    before = {path: path.is_dir() or path.read_bytes() for path in files.rglob("*")}
    code, shown, errors = vatrack(*words.split(), name)
    assert (code, shown) == (2, "")
    assert re.search(rf"^vatrack: error: {name}: .*; its name must end in ", errors), errors
    assert errors.endswith(f" {ENDINGS[words]}\n") or "cuts sheet" in words
    assert {path: path.is_dir() or path.read_bytes() for path in files.rglob("*")} == before


def test_every_file_that_a_command_writes_has_a_form() -> None:
    group: Any = typer.main.get_command(app)
    commands = group.commands | {
        f"cuts {name}": one for name, one in group.commands["cuts"].commands.items()
    }
    writing = {
        name
        for name, one in commands.items()
        for param in one.params
        if param.name == "out" and param.metavar != "FOLDER"
    }
    # What is downloaded may be anything; a prediction loads its checkpoint first.
    known = {" ".join(words.split()[: 1 + words.startswith("cuts")]) for words in ENDINGS}
    assert writing - known == {"fetch", "predict"}
    run: Any = None
    with pytest.raises(InputError, match=r"q\.txt: .* must end in \.jsonl or \.jsonl\.gz"):
        predict_files(run, Path("c.pt"), Path("j.json"), Path("i"), Path("q.txt"))


def read_in_one_go(name: str) -> Predictions:
    truth = read_listing(Path("joint.json"))
    return read_whole(name, truth.images, truth.document, "joint.json")


# What takes a file of predictions in Python.
CALLS: dict[str, Callable[[str], Any]] = {
    "read_predictions": lambda name: list(vatrack_package.read_predictions(name)),
    "evaluate": lambda name: vatrack_package.evaluate("joint.json", name),
    "export_predictions": lambda name: vatrack_package.export_predictions(
        name, "joint.json", "coco", "o.json"
    ),
    "in one go": read_in_one_go,
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("joint.json", forms.JOINT),
        ("tracks.json", forms.TRACKS),
        ("raw/valid.json", forms.OFFICIAL),
        ("index.json", forms.INDEX),
        ("clips.json", forms.STRUCTURE),
        ("metrics.json", forms.METRICS),
        ("details.json", forms.DETAILS),
        ("metrics.jsonl", forms.LOG),
        ("coco.json", forms.COCO),
        ("best.pt", WEIGHTS),
        ("shard.npz", forms.SHARD),
    ],
)
def test_python_names_files_as_the_commands_do(
    files: Path, call: str, name: str, form: FileForm
) -> None:
    item = {"image_id": 40, "category_id": 1, "score": 0.5, "segmentation": {}, "track_id": 1}
    write_json(files / "coco.json", [item])
    told = f"{name}: is {form.what}, not {forms.PREDICTIONS.what}; {forms.PREDICTIONS.give}"
    with pytest.raises(InputError, match=f"^{re.escape(told)}$"):
        CALLS[call](name)


def test_what_python_reads_is_a_prediction(files: Path) -> None:
    lines = (files / "found.jsonl").read_text().splitlines()
    assert len(list(vatrack_package.read_predictions(files / "found.jsonl"))) == len(lines)
    for change, told in (
        ({"score": "high"}, "score is 'high'; "),
        ({"amodal": None, "visible": None}, "has neither an 'amodal' nor a 'visible' mask; add"),
        ({"amodal": {"counts": "x"}}, "the amodal mask "),
    ):
        wrong = json.dumps(json.loads(lines[1]) | change)
        (files / "w.jsonl").write_text("\n".join([lines[0], wrong, *lines[2:]]))
        read = vatrack_package.read_predictions("w.jsonl")
        assert next(read) == json.loads(lines[0])
        with pytest.raises(InputError, match=rf"^w\.jsonl: line 2: {re.escape(told)}"):
            next(read)


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


@pytest.mark.parametrize(
    ("words", "ending"),
    [
        ("tables --run wrong --out tb.csv", ".csv"),
        ("figures --run wrong --out f.PNG", ".PNG"),
        ("track v.mp4 --checkpoint best.pt --out o.mp4", ".mp4"),
        ("clips --config c.yaml --raw raw --structure clips.json --out o.json", ".json"),
    ],
)
def test_a_folder_is_not_called_like_a_file(
    vatrack: Command, files: Path, words: str, ending: str
) -> None:
    name = words.split()[-1]
    code, _, errors = vatrack(*words.split())
    told = f"--out {name}: the output is a folder, not a {ending} file; choose a name without"
    assert code == 2 and told in errors
    assert not (files / name).exists()


def test_an_existing_folder_may_be_called_like_a_file(vatrack: Command, files: Path) -> None:
    (files / "t.csv").mkdir()
    _, _, errors = vatrack("tables", "--run", "wrong", "--out", "t.csv")
    assert "wrong" in errors and "the output is a folder" not in errors


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
