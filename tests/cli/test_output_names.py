"""The name of an output says its form."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.cli.given import RAW, TRUTH
from tests.command import Command
from vatrack.cli import app
from vatrack.common.errors import InputError
from vatrack.config import Backbone, Config, Method
from vatrack.inference.predict import predict_files

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
    run = Config().for_run(Method.VATRACK, Backbone.RESNET18)
    with pytest.raises(InputError, match=r"q\.txt: .* must end in \.jsonl or \.jsonl\.gz"):
        predict_files(run, Path("c.pt"), Path("j.json"), Path("i"), Path("q.txt"))


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
