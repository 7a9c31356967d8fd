"""Labels and seeds: which names are taken, and which runs a config describes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vatrack.common.errors import InputError
from vatrack.config import Backbone, Config, Method, RunConfig, load_config, load_run, parse_config
from vatrack.config.run_name import LABEL, RunName, with_seed, without_seed
from vatrack.runs.fingerprint import comparison, config_hash


@given(
    st.sampled_from(Method),
    st.sampled_from(Backbone),
    st.one_of(st.just(""), st.from_regex(LABEL, fullmatch=True).filter(lambda x: len(x) < 61)),
)
def test_a_name_is_read_as_it_was_made(method: Method, backbone: Backbone, label: str) -> None:
    name = RunName(method, backbone, label)
    assert RunName.parse(str(name)) == name


@pytest.mark.parametrize(
    "name",
    [
        "vatrack",
        "vatrack__resnet34",
        "track__resnet18",
        "vatrack__resnet18__",
        "vatrack__resnet18__a__b",
        "vatrack__resnet18___a",
        "vatrack__resnet18 (copy)",
        "vatrack__resnet18__a b",
    ],
)
def test_other_names_are_no_runs(name: str) -> None:
    assert RunName.parse(name) is None


@pytest.mark.parametrize(
    "label",
    [
        "a__b",
        "a/b",
        "../a",
        "_a",
        "a_",
        "a b",
        "é",
        "a.",
        "a\n",
        "a--b",
        "{x}",
        "x" * 61,
        ".",
        "%s",
    ],
)
def test_a_label_that_no_folder_can_have_is_refused(label: str) -> None:
    with pytest.raises(InputError, match=r"run_label: (?!Value error).*use "):
        parse_config({"run_label": label}, "c.yaml", Config)


@pytest.mark.parametrize(
    ("given", "label"),
    [("e6", "e6"), (6, "6"), (None, ""), ("", ""), ("lr-0.01_b", "lr-0.01_b"), ("1e-3", "1e-3")],
)
def test_a_label_is_a_part_of_the_runs_name(given: Any, label: str) -> None:
    config = parse_config({"run_label": given}, "c.yaml", Config)
    run = config.for_run(Method.VATRACK, Backbone.RESNET18)
    assert run.run_label == label
    assert run.name == ("vatrack__resnet18" + f"__{label}" * bool(label))
    assert run.as_config().for_run(Method.VATRACK, Backbone.RESNET18) == run


def test_a_number_with_a_point_is_wanted_as_text() -> None:
    with pytest.raises(InputError, match=r"0\.01 is read as a number, not as a string; write '\"0"):
        parse_config({"run_label": 0.01}, "c.yaml", Config)


def test_a_label_changes_nothing_but_the_name() -> None:
    plain, labelled = (
        Config(run_label=label).for_run(Method.VATRACK, Backbone.RESNET18) for label in ("", "e6")
    )
    assert plain.recipe() == labelled.recipe()
    assert config_hash(plain) == config_hash(labelled)
    assert comparison(plain) == comparison(labelled)


def test_each_seed_is_a_run() -> None:
    config = Config(methods=(Method.VATRACK, Method.QDTRACK), seeds=(0, 7), run_label="e6")
    names = [(run.name, run.seed) for run in config.runs()]
    assert names == [
        ("vatrack__resnet18__e6-seed0", 0),
        ("vatrack__resnet18__e6-seed7", 7),
        ("qdtrack__resnet18__e6-seed0", 0),
        ("qdtrack__resnet18__e6-seed7", 7),
    ]
    first, second, *_ = config.runs()
    assert comparison(first) == comparison(second)
    assert config_hash(first) != config_hash(second)
    assert [run.name for run in Config(seeds=(3,)).runs()] == ["vatrack__resnet18__seed3"]
    assert [run.name for run in Config().runs()] == ["vatrack__resnet18"]


@pytest.mark.parametrize(
    ("seeds", "complaint"),
    [
        ([], "give at least 1"),
        ([1, 1], "1 is listed twice"),
        ([-1], "-1 must be at least 0"),
        (3, r"3 is not a list; write \[3\]"),
    ],
)
def test_bad_seeds_are_named(seeds: Any, complaint: str) -> None:
    with pytest.raises(InputError, match=f"seeds.*{complaint}"):
        parse_config({"seeds": seeds}, "c.yaml", Config)


def test_one_of_several_seeds_is_chosen(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("seeds: [0, 2]\n")
    with pytest.raises(InputError, match=r"several runs \(seeds: 0, 2\); choose one with --seed"):
        load_run(path)
    with pytest.raises(InputError, match=r"--seed 1 is not in seeds \(0, 2\)"):
        load_run(path, seed=1)
    assert load_run(path, seed=2).name == "vatrack__resnet18__seed2"
    assert load_run(path, any_seed=True).name == "vatrack__resnet18"
    path.write_text("seeds: [5]\n")
    assert load_run(path).seed == 5
    path.write_text("{}")
    with pytest.raises(InputError, match=r"--seed 1: the config lists no seeds; .*--set seed=1$"):
        load_run(path, seed=1)
    path.write_text("seed: 3\n")
    assert load_run(path, seed=3) == load_run(path)
    assert load_run(path, seed=3).name == "vatrack__resnet18"
    assert load_run(path, overrides=["run_label=e6"]).name == "vatrack__resnet18__e6"


def test_a_config_of_an_older_version_has_no_label(tmp_path: Path) -> None:
    values = Config().for_run(Method.VATRACK, Backbone.RESNET18).model_dump(mode="json")
    del values["run_label"]
    assert parse_config(values, "config.yaml", RunConfig).name == "vatrack__resnet18"
    assert load_config(None).seeds is None


@pytest.mark.parametrize(
    ("label", "group"),
    [
        ("seed0", ""),
        ("e6-seed12", "e6"),
        ("seed 1", ""),
        ("e6, seed1", "e6"),
        ("e6", None),
        ("", None),
        ("seed", None),
        ("reseed1", None),
        ("seed1-e6", None),
    ],
)
def test_labels_of_several_seeds_have_a_group(label: str, group: str | None) -> None:
    assert without_seed(label) == group
    if group is not None and label in ("seed0", "e6-seed12"):
        assert with_seed(group, int(label.rpartition("seed")[2])) == label
