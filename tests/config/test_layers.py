"""Config files that extend others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from vatrack.common.errors import InputError
from vatrack.config import load_config
from vatrack.config.layers import merged

CONFIGS = Path(__file__).parents[2] / "config"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("base", "over", "result"),
    [
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}}, {"a": {"b": 1, "c": 3}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"b": 1}}, {"a": None}, {"a": None}),
        ({"a": {"b": 1}}, {"a": 4}, {"a": 4}),
        ({"a": 4}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": {"b": 1}}, {"a": {"_replace_": True, "c": 2}}, {"a": {"c": 2}}),
        ({"a": {"b": 1}}, {"a": {"_replace_": True}}, {"a": {}}),
        ({}, {"a": {"_replace_": True, "b": {"_replace_": True, "c": 1}}}, {"a": {"b": {"c": 1}}}),
    ],
)
def test_mappings_merge_and_everything_else_replaces(
    base: dict[str, Any], over: dict[str, Any], result: dict[str, Any]
) -> None:
    before = yaml.safe_dump([base, over])
    assert merged(base, over) == result
    assert yaml.safe_dump([base, over]) == before, "the layers themselves stay as they are"


def test_a_chain_of_files_in_other_folders(tmp_path: Path) -> None:
    write(tmp_path / "base.yaml", "seed: 1\ntraining: {epochs: 5, flip: 0.25}\n")
    write(tmp_path / "a/middle.yaml", "extends: ../base.yaml\ntraining: {epochs: 6}\n")
    top = write(tmp_path / "b/top.yaml", "extends: ../a/middle.yaml\nbackbones: [resnet50]\n")
    config = load_config(top)
    assert (config.seed, config.training.epochs, config.training.flip) == (1, 6, 0.25)
    assert [str(backbone) for backbone in config.backbones] == ["resnet50"]


def test_old_keys_of_a_layer_are_those_of_its_file(tmp_path: Path) -> None:
    base = write(tmp_path / "base.yaml", "training: {image_scale: [640, 400], workers: 1}\n")
    text = "extends: base.yaml\ninput: {image_scale: [320, 200]}\ntraining: {workers: 2}\n"
    top = write(tmp_path / "mine.yaml", text)
    with pytest.warns(UserWarning, match="keys were renamed") as notes:
        config = load_config(top)
    assert (config.input.image_scale, config.compute.workers) == ((320, 200), 2)
    assert [str(note.message).partition(":")[0] for note in notes] == [str(base), str(top)]
    write(base, "compute: {workers: 1}\ntraining: {workers: 2}\n")
    with pytest.raises(InputError, match=rf"^{base}: training\.workers is now .* both are given"):
        load_config(top)


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({"a": "extends: a.yaml"}, r"extend each other in a cycle \(.*a\.yaml -> .*a\.yaml\)"),
        ({"a": "extends: b.yaml", "b": "extends: ./a.yaml"}, r"b\.yaml: extends: .* in a cycle"),
        ({"a": "extends: b.yaml"}, r"a\.yaml: extends: .*b\.yaml: no such file"),
        ({"a": "extends: [b.yaml]", "b": ""}, r"a\.yaml: extends: \['b\.yaml'\] is not the path"),
        ({"a": "extends: b.yaml", "b": ""}, r"b\.yaml: is empty, but .*a\.yaml extends it; give"),
        ({"a": "extends: b.yaml", "b": "[1]"}, r"b\.yaml: not a mapping"),
        ({"a": "extends: b.yaml", "b": "a: ["}, r"b\.yaml: not valid YAML"),
        ({"a": "extends: b.yaml", "b": "nonsense: 1"}, "nonsense: unknown key"),
    ],
)
def test_bad_layers_are_named(files: dict[str, str], complaint: str, tmp_path: Path) -> None:
    for name, text in files.items():
        write(tmp_path / f"{name}.yaml", text)
    with pytest.raises(InputError, match=complaint):
        load_config(tmp_path / "a.yaml")


def test_a_link_in_a_circle_is_no_layer(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").symlink_to("b.yaml")
    top = write(tmp_path / "a.yaml", "extends: b.yaml")
    with pytest.raises(InputError, match=r"a\.yaml: extends: .*b\.yaml: is a broken link; give"):
        load_config(top)


def test_sailvos_cut_differs_from_sailvos_in_the_cuts_alone() -> None:
    """Everything else of the paper's two settings is the same: networks, recipe, evaluation."""
    whole, cut = (
        load_config(CONFIGS / name).model_dump(mode="json")
        for name in ("sailvos.yaml", "sailvos_cut.yaml")
    )
    assert cut["dataset"].pop("name") == "sailvos-cut"
    assert whole["dataset"].pop("name") == "sailvos"
    clips, whole_clips = cut["dataset"].pop("clips"), whole["dataset"].pop("clips")
    assert cut == whole
    assert whole_clips["structure"] == "whole"
    assert clips == {
        "structure": "data/sailvos_cut_structure.json",
        "fetch": False,
        "download": {
            "url": "https://raw.githubusercontent.com/ifnspaml/vatrack/"
            "0ebd5ddc7c67830638d1555ee4ecfbe7f4141d0c/data/sailvos_cut_structure.json",
            "size": 1681305,
            "sha256": "49da95df4226ac5b0c1dcf8e7717e94f2b81ac2b9b249d4a926181b83feddfd2",
        },
        "mode": "hardlink",
        "curves": False,
        "threshold": 27.0,
        "min_frames": 5,
    }
