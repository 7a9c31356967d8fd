"""What one call of Snakemake asks for."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from vatrack.common.errors import ConfigError, InputError
from vatrack.common.value_files import read_yaml
from workflow.lib.call import (
    check_cluster,
    check_results,
    command_for,
    config_in_use,
    layered_config,
    rebuilding,
    shell_prefix,
    stopping,
)


def files(folder: Path, **texts: str) -> list[Path]:
    paths = [folder / f"{name}.yaml" for name in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        path.write_text(text)
    return paths


def test_how_lost_folders_are_rebuilt() -> None:
    told = rebuilding("r", partial(command_for, files=["own.yaml"], entries=[]), clips=False)
    assert told == {
        "r/annotations": "rebuild them: snakemake annotations --cores 2 --configfile own.yaml; "
        "then keep the results: snakemake all --cores 2 --configfile own.yaml --touch"
    }
    told = rebuilding("r", partial(command_for, files=[], entries=[]), clips=True)
    assert told["r/clips"].endswith(": snakemake clips --cores 2")


def test_the_command_for_a_target_has_the_config_of_the_call() -> None:
    assert command_for("clips", [], []) == "snakemake clips --cores 2"
    told = command_for("clips", ["my own.yaml"], ["methods=[qdtrack]"])
    config = "--configfile 'my own.yaml' --config 'methods=[qdtrack]'"
    assert told == f"snakemake clips --cores 2 {config}"
    told = command_for("clips", ["a.yaml"], [], Path("w/Snakefile"), Path("my work"))
    places = "--snakefile w/Snakefile --directory 'my work'"
    assert told == f"snakemake clips --cores 2 {places} --configfile a.yaml"


def test_files_and_overrides_are_layers(tmp_path: Path) -> None:
    base, a, b = files(
        tmp_path,
        base="seed: 1\ntraining: {epochs: 2, flip: 0}\n",
        a="extends: base.yaml\ntraining: {epochs: 3}\n",
        b="training: {flip: 0.25}\n",
    )
    assert layered_config([a], {}) == {"seed": 1, "training": {"epochs": 3, "flip": 0}}
    assert layered_config([base, b], {})["training"] == {"epochs": 2, "flip": 0.25}
    overridden = layered_config([a, b], {"training": {"epochs": 9}, "seed": 5})
    assert overridden == {"seed": 5, "training": {"epochs": 9, "flip": 0.25}}


def test_old_keys_replace_what_files_have_under_the_new_ones(tmp_path: Path) -> None:
    a, b = files(tmp_path, a="compute: {workers: 1}", b="training: {workers: 2}")
    with pytest.warns(UserWarning, match=f"{b}: keys were renamed"):
        assert layered_config([a, b], {})["compute"] == {"workers": 2}
    with pytest.warns(UserWarning, match="--config: keys were renamed"):
        assert layered_config([a], {"training": {"workers": 3}})["compute"] == {"workers": 3}


@pytest.mark.parametrize("key", ["methods", "backbones", "seeds"])
def test_a_list_on_the_command_line_needs_brackets(key: str) -> None:
    with pytest.raises(InputError, match=rf"must be a list; write --config '{key}=\[x\]'"):
        layered_config([], {key: "x"})


@pytest.mark.parametrize("key", ["dataset", "training", "launcher"])
def test_a_section_on_the_command_line_needs_a_mapping(key: str) -> None:
    for value in (6, "epochs=6", [6], None):
        with pytest.raises(InputError, match=rf"write --config '{key}={{name: value}}'"):
            layered_config([], {key: value})
    assert layered_config([], {key: {"a": 6}}) == {key: {"a": 6}}


@pytest.mark.parametrize(
    ("given", "form"),
    [
        ({"epochs": 6}, "--config 'training={epochs: 6}'"),
        ({"training": {"optimizer.momentum": 0.5}}, "'training={optimizer: {momentum: 0.5}}'"),
        ({"training": {"momentum": 1, "a.momentum": 2}}, None),  # of two sections: no guess
        ({"nonsense": 1, "training": {"epoch": 6}}, None),  # the check of the whole names them
    ],
)
def test_a_key_without_its_section_gets_the_right_form(
    given: dict[str, Any], form: str | None
) -> None:
    if form is None:
        assert layered_config([], given) == given
        return
    with pytest.raises(InputError, match=re.escape(form)):
        layered_config([], given)


def test_slurm_is_looked_for_only_where_it_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    check_cluster("local", trains_on_slurm=False)
    with pytest.raises(InputError, match=r"^the profile or --executor asks for SLURM, but"):
        check_cluster("slurm", trains_on_slurm=True)
    with pytest.raises(InputError, match=r"or train here: --config 'launcher={cluster: local}'$"):
        check_cluster("local", trains_on_slurm=True)
    for command in ("sbatch", "srun"):
        (tmp_path / command).touch(mode=0o755)
    check_cluster("slurm", trains_on_slurm=True)


def test_a_file_that_is_no_config_is_named(tmp_path: Path) -> None:
    for text in ("[1, 2]", "false", "a: [1", "a: 1\na: 2\n"):
        with pytest.raises(InputError, match=r"a\.yaml"):
            layered_config(files(tmp_path, a=text), {})
    with pytest.raises(
        InputError, match=r"a\.yaml: the config of one run .*; give the config file"
    ):
        layered_config(files(tmp_path, a="method: vatrack\nbackbone: resnet18\n"), {})


def test_a_target_that_snakemake_takes_for_a_config_file_is_named(tmp_path: Path) -> None:
    (config,) = files(tmp_path, a="seed: 1")
    metrics = tmp_path / "metrics.json"
    metrics.write_text('{"image/amodal/AP": 1}')
    with pytest.raises(InputError, match=r"metrics\.json: taken for a config file.*give it before"):
        layered_config([config, metrics], {})
    metrics.write_text('{"seed": 2}')
    assert layered_config([config, metrics], {}) == {"seed": 2}


def test_results_below_a_file_are_refused(tmp_path: Path) -> None:
    check_results(tmp_path / "new" / "mini")
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "mini"):
        with pytest.raises(InputError, match=r"results: .*file is a file, not a folder; choose"):
            check_results(folder)
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(InputError, match=r"results: .*loop is a broken link; choose"):
        check_results(tmp_path / "loop")


def test_the_config_that_jobs_read_is_not_replaced_by_another_call(tmp_path: Path) -> None:
    file = str(tmp_path / "x" / "config.yaml")
    with config_in_use(file, {"seed": 1}):
        assert read_yaml(file) == {"seed": 1}
        with config_in_use(file, {"seed": 1}):
            pass
        other = config_in_use(file, {"seed": 2})
        with pytest.raises(InputError, match=r"another snakemake .* with another config; wait"):
            other.__enter__()
        assert read_yaml(file) == {"seed": 1}
    with config_in_use(file, {"seed": 2}):
        assert read_yaml(file) == {"seed": 2}
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"results: .*file"):
        config_in_use(str(tmp_path / "file" / "config.yaml"), {}).__enter__()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ConfigError("seed", "is odd; choose another"), "mine.yaml: seed: is odd; choose another"),
        (InputError("a.json: cut off; copy it again"), "a.json: cut off; copy it again"),
        (PermissionError(13, "Permission denied", "r"), "r: permission denied; "),
    ],
)
def test_bad_input_ends_snakemake_with_one_message(error: Exception, told: str) -> None:
    def fail(_: int) -> None:
        raise error

    with pytest.raises(SystemExit) as ended:
        stopping("mine.yaml", fail, 1)
    assert str(ended.value.code).startswith(f"error: {told}")
    assert stopping("mine.yaml", max, 1, 2) == 2


def test_jobs_find_the_commands_of_this_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/opt/my env/bin/python")
    assert shell_prefix() == "set -euo pipefail; export PATH='/opt/my env/bin':$PATH; "
