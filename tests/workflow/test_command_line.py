"""Mistakes on Snakemake's command line that it passes over in silence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vatrack.common.errors import InputError
from workflow.lib.command_line import (
    arguments,
    check_config_entries,
    check_hooks,
    check_names,
)


@pytest.mark.parametrize(
    ("words", "option"),
    [
        ("--config seed=1 -C run_label=a", "--config"),
        ("-n --configfile a.yaml --configfiles=b.yaml", "--configfile"),
        ("-U train --until evaluate", "--until"),
        ("-Utrain -Uselect", "--until"),
        ("-nUtrain --unti=select", "--until"),
        ("--set-threads train=2 -n --set-threads predict=2", "--set-threads"),
    ],
)
def test_an_option_of_several_values_is_given_once(words: str, option: str) -> None:
    for program in ("/usr/bin/snakemake", "/lib/snakemake/__main__.py"):
        with pytest.raises(InputError, match=rf"^{option} occurs twice.* after one {option}$"):
            arguments([program, *words.split()])
    assert not arguments(["/usr/bin/pytest", *words.split()]).until


def test_what_may_occur_twice() -> None:
    words = "snakemake --cores 1 --cores 2 -n -n --profile a --profile b --until a b"
    assert set(arguments(words.split(" ")).until) == {"a", "b"}


def test_jobs_do_not_read_the_config_of_an_earlier_call() -> None:
    check_hooks(arguments(["snakemake", "-n"]))
    with pytest.raises(InputError, match=r"^--no-hooks: the hooks of the workflow write"):
        check_hooks(arguments(["snakemake", "--no-hooks"]))


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        (["seed=1", "seed=2"], r"--config seed: seed occurs twice \(1, then 2\); give it once"),
        (
            ["training={epochs: 3, flip: 0}", "training={epochs: 4}"],
            r"--config training: training\.epochs occurs twice \(3, then 4\); give it once",
        ),
        (["training={epochs: 3, epochs: 4}"], "--config training: .*key `epochs` occurs twice"),
    ],
)
def test_a_key_of_the_config_is_given_once(entries: list[str], told: str) -> None:
    with pytest.raises(InputError, match=told):
        check_config_entries(entries)


def test_entries_may_share_a_section() -> None:
    check_config_entries(
        ["training={epochs: 3}", "training={'flip': 0}", "methods=[a, b]", "launcher={}", "seed=1"]
    )


def test_unknown_names_are_refused_with_the_nearest(tmp_path: object) -> None:
    def check(option: str, *names: str) -> None:
        words = arguments(["snakemake", option, *names] if option else ["snakemake", *names])
        rules = {"train": True, "evaluate": True, "report": False}
        check_names(words, rules, lambda name: name.startswith("results/"))

    for name in ("train", "results/a.json", str(tmp_path)):
        check("--until", name)
    told = r"^--omit-from trian: no such rule or file of the workflow; did you mean train\? "
    with pytest.raises(InputError, match=told):
        check("--omit-from", "trian")
    with pytest.raises(InputError, match=r"^repotr: no such rule or file .*list the rules with"):
        check("", "repotr")
    with pytest.raises(InputError, match=r"^--set-threads results/a\.json: no such rule; list"):
        check("--set-threads", "results/a.json=1")
    check("", "report")
    with pytest.raises(InputError, match=r"^train: this rule has a job .*; write --until train "):
        check("", "train")


def test_a_file_is_called_as_the_workflow_calls_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Snakemake would find nothing to do for the other name of a file that is there."""
    monkeypatch.chdir(tmp_path)
    Path("a.json").touch()
    absolute = str(tmp_path / "a.json")
    for given, known in (("a.json", absolute), (absolute, "a.json")):
        check_names(arguments(["snakemake", known]), {}, {known}.__contains__)
        told = f"^{re.escape(f'{given}: the workflow calls this file {known}')}; give it so$"
        with pytest.raises(InputError, match=told):
            check_names(arguments(["snakemake", given]), {}, {known}.__contains__)
