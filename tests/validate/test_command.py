"""`vatrack validate` on the command line: options, output, exit codes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.command import Command
from tests.own_data.own import write_own
from tests.validate.conftest import Set
from vatrack.common.errors import PERMIT
from vatrack.common.value_files import read_json


@pytest.fixture
def command(mini_set: Set, vatrack: Command) -> Command:
    def call(*options: object) -> tuple[int, str, str]:
        mini_set.save()
        paths = mini_set.paths()
        arguments = (
            "--raw",
            mini_set.raw,
            "--train",
            paths["train"],
            "--valid",
            paths["valid"],
            *options,
        )
        return vatrack("validate", *arguments)

    return call


def test_warnings_are_no_failure(command: Command, mini_set: Set, tmp_path: Path) -> None:
    mini_set.annotation["iscrowd"] = 1
    code, shown, errors = command("--out", tmp_path / "out" / "report.json")
    assert (code, errors) == (0, "")
    lines = shown.splitlines()
    assert lines[0].startswith(
        f"0 errors, 1 warning, 0 notes in {mini_set.raw} and its annotations ("
    )
    assert lines[-2].startswith(
        "warning  crowd  1 crowd annotation counts in video and track metrics only"
    )
    assert lines[-1] == f"{'':9}{mini_set.paths()['train']}: annotation 0: iscrowd is 1"
    assert read_json(tmp_path / "out" / "report.json")["counts"] == {
        "error": 0,
        "warning": 1,
        "note": 0,
    }


def test_errors_are_all_told_and_end_with_code_2(
    command: Command, mini_set: Set, tmp_path: Path
) -> None:
    mini_set.annotation["area"] += 1
    mini_set.frame().unlink()
    out = tmp_path / "report.json"
    code, shown, errors = command("--out", out, "--processes", 2)
    assert (code, shown) == (2, "")
    assert errors.startswith(f"vatrack: error: 2 errors, 0 warnings, 0 notes in {mini_set.raw} ")
    assert "\nerror    area-wrong     1 area differs from the mask; correct it, or " in errors
    told = "1 frame in the annotations does not exist; unpack or copy it again"
    assert f"\nerror    frame-missing  {told}\n{'':9}{mini_set.frame()}" in errors
    assert "Traceback" not in errors
    assert [finding["code"] for finding in read_json(out)["findings"]] == [
        "area-wrong",
        "frame-missing",
    ]


def test_missing_inputs_are_told_before_anything_is_looked_at(
    command: Command, vatrack: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(*_: object) -> None:
        raise AssertionError("looked at")

    monkeypatch.setattr("vatrack.validate.check_frames", look)
    monkeypatch.setattr("vatrack.validate.read_subset", look)
    none, out = tmp_path / "none.json", tmp_path / "report.json"
    code, _, errors = command("--valid", none, "--raw", tmp_path / "raws", "--out", out)
    assert code == 2
    first, second = errors.splitlines()
    assert first.startswith(f"vatrack: error: {tmp_path / 'raws'}: no such folder; ")
    assert second.startswith(f"{none}: no such file; ")
    assert not out.exists()
    monkeypatch.setattr("vatrack.validate.check_joint", look)
    code, _, errors = vatrack("validate", "--joint", none, "--images", tmp_path)
    assert (code, errors.startswith(f"vatrack: error: {none}: no such file; ")) == (2, True)


def test_a_closed_folder_is_told_with_all_other_problems(
    vatrack: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may read everything, so the system's refusal is played."""
    own, is_dir = write_own(tmp_path / "own"), Path.is_dir

    def refuse(path: Path, **named: Any) -> bool:
        if path == own / "frames":
            raise PermissionError(13, "Permission denied")
        return is_dir(path, **named)

    monkeypatch.setattr(Path, "is_dir", refuse)
    code, _, errors = vatrack("validate", "--joint", own / "no.json", "--images", own / "frames")
    told = f"{own / 'frames'}: permission denied; {PERMIT}"
    assert (code, errors) == (
        2,
        f"vatrack: error: {told}\n{own / 'no.json'}: no such file; check the path\n",
    )


def test_options_win_over_the_config(command: Command, mini_set: Set, tmp_path: Path) -> None:
    mini_set.annotation["area"] += 1
    mini_set.annotation["occlude_rate"] = (
        1 - mini_set.annotation["area_visible"] / mini_set.annotation["area"]
    )
    mini_set.frame().write_bytes(b"")
    config = tmp_path / "config.yaml"
    config.write_text("dataset: {validation: {frames: exist, masks: false}}\n")
    code, shown, _ = command("--config", config)
    assert (code, shown.count("\nerror")) == (0, 0)
    assert "checked by name" in shown
    code, _, errors = command("--config", config, "--frames", "header")
    assert code == 2
    assert "frame-empty" in errors and "area-wrong" not in errors
    code, _, errors = command("--config", config, "--masks")
    assert code == 2
    assert "frame-empty" not in errors and "area-wrong" in errors


def test_a_wrong_option_is_named(command: Command) -> None:
    code, shown, errors = command("--frames", "some")
    assert (code, shown) == (2, "")
    assert errors.startswith("vatrack: error: vatrack validate: invalid configuration:\n  frames: ")


def test_it_is_listed(vatrack: Command) -> None:
    code, shown, _ = vatrack("--help")
    assert code == 0
    assert shown.index(" validate ") < shown.index(" index ")


def test_accepted_errors_only_warn(command: Command, mini_set: Set, tmp_path: Path) -> None:
    mini_set.annotation["area"] += 1
    out = tmp_path / "report.json"
    code, shown, _ = command("--accept", "area-wrong", "--accept", "rate-wrong", "--out", out)
    assert code == 0
    assert "\nwarning  area-wrong  1 area differs " in shown
    assert read_json(out)["ok"]
    code, _, errors = command("--accept", "area-rong")
    assert (code, errors) == (
        2,
        "vatrack: error: dataset.validation.accept: unknown finding 'area-rong'; did you mean "
        "area-wrong? Otherwise choose one listed in docs/findings.md\n",
    )


def test_joint_files_of_one_name_are_all_checked(
    vatrack: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, out = write_own(tmp_path / "own"), tmp_path / "report.json"
    monkeypatch.chdir(own)
    files = ["train/A/joint.json", "valid/A/joint.json", "joint.json", "more.json"]
    for file in files:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        source = own / ("train.json" if "train" in file else "valid.json")
        Path(file).write_bytes(source.read_bytes())
    given = [word for file in files for word in ("--joint", file)]
    code, shown, _ = vatrack("validate", *given, "--images", "frames", "--out", out)
    seen = read_json(out)["looked_at"]["files"]
    assert (code, [one["path"] for one in seen]) == (0, files)
    compared = "visible masks, and occlusion rates where given, compared with amodal masks"
    assert f"  masks: sizes and codes checked; {compared}" in shown
    assert [one["subset"] for one in seen] == files, "the shortest names that differ"
    assert "not read to the end" not in shown


def test_the_masks_are_compared_with_the_methods_of_a_config(
    vatrack: Command, tmp_path: Path
) -> None:
    own = write_own(tmp_path / "own", masks=("visible",))
    files = [word for name in ("train", "valid") for word in ("--joint", own / f"{name}.json")]
    given = (*files, "--images", own / "frames")
    code, shown, _ = vatrack("validate", *given)
    assert (code, shown.count("visible masks\n    can train qdtrack\n")) == (0, 2)
    assert "  masks: sizes and codes checked; nothing compared with them" in shown
    config = tmp_path / "own.yaml"
    config.write_text("methods: [qdtrack, amodaltrack]\ndataset: {classes: data}\n")
    for chosen, problems in (
        (("--config", config), "method-masks  2 annotation files lack masks that "),
        (("--set", "methods=[vatrack-2bbox]"), "method-masks  2 annotation files lack "),
        (("--config", config, "--set", "methods=[qdtrack]"), ""),
    ):
        code, shown, errors = vatrack("validate", *given, *chosen)
        assert (code, problems in errors) == (2 if problems else 0, True), errors
    code, _, errors = vatrack("validate", *given, "--config", config)
    told = "has only visible masks, but amodaltrack needs amodal ones; set methods: [qdtrack]"
    assert f"{own}/valid.json: {told}\n" in f"{errors}\n"


def test_a_broken_joint_file_says_nothing_about_the_next(vatrack: Command, tmp_path: Path) -> None:
    own, out = write_own(tmp_path / "own"), tmp_path / "report.json"
    empty = tmp_path / "empty.json"
    empty.touch()
    given = ("--joint", empty, "--joint", own / "train.json", "--images", own / "frames")
    code, _, errors = vatrack("validate", *given, "--out", out)
    assert (code, errors.count("not read to the end")) == (2, 1)
    seen = read_json(out)["looked_at"]["files"]
    assert [one["read_to_the_end"] for one in seen] == [False, True]


def test_the_raw_data_of_a_config_are_checked(
    vatrack: Command, mini_set: Set, tmp_path: Path
) -> None:
    mini_set.save()
    config, out = tmp_path / "mine.yaml", tmp_path / "report.json"
    paths = mini_set.paths()
    dataset = {
        "raw": str(mini_set.raw),
        "train_json": str(paths["train"]),
        "valid_json": str(paths["valid"]),
    }
    config.write_text(json.dumps({"dataset": dataset}))
    code, shown, errors = vatrack("validate", "--config", config, "--out", out)
    assert (code, errors) == (0, "")
    assert f"in {mini_set.raw} and its annotations (" in shown
    code, _, errors = vatrack("validate", "--raw", tmp_path / "empty")
    assert code == 2 and str(tmp_path / "empty") in errors
    code, _, errors = vatrack("validate")
    assert (code, "no data to check; give --raw, or a config with dataset.raw" in errors) == (
        2,
        True,
    )


def test_a_joint_file_given_twice_is_refused(vatrack: Command, tmp_path: Path) -> None:
    own = write_own(tmp_path / "own")
    again = own / "frames" / ".." / "train.json"
    given = ("--joint", own / "train.json", "--joint", again, "--images", own / "frames")
    code, _, errors = vatrack("validate", *given)
    assert (code, errors) == (
        2,
        f"vatrack: error: --joint {again}: is given twice; give each file once\n",
    )
    (tmp_path / "loop.json").symlink_to("loop.json")
    lost = ("--joint", tmp_path / "loop.json", "--images", own / "frames")
    code, _, errors = vatrack("validate", *lost)
    assert code == 2
    assert errors.startswith(f"vatrack: error: {tmp_path / 'loop.json'}: is a broken link; ")


def test_the_report_never_replaces_annotations(
    vatrack: Command, mini_set: Set, tmp_path: Path
) -> None:
    mini_set.save()
    own = write_own(tmp_path / "own")
    config = tmp_path / "own.yaml"
    config.write_text(
        f"dataset: {{format: joint, classes: data, images: {own}/frames, "
        f"train_json: {own}/train.json, valid_json: {own}/valid.json}}"
    )
    for given, target in (
        (("--raw", mini_set.raw), mini_set.raw / "train.json"),
        (("--set", f"dataset.raw={mini_set.raw}"), mini_set.raw / "valid.json"),
        (("--config", config), own / "train.json"),
    ):
        before = target.read_bytes()
        code, shown, errors = vatrack("validate", *given, "--out", target)
        assert (code, shown) == (2, "")
        assert re.search(
            rf"{target}: (would overwrite the input|is .*, which would be lost)", errors
        )
        assert target.read_bytes() == before


def test_frames_in_both_subsets_are_a_warning(vatrack: Command, tmp_path: Path) -> None:
    own = write_own(tmp_path / "own", 2)
    same = tmp_path / "same.json"
    same.write_bytes((own / "train.json").read_bytes())
    images = ("--images", own / "frames")
    code, shown, errors = vatrack(
        "validate", "--joint", own / "train.json", "--joint", same, *images
    )
    assert (code, errors) == (0, "")
    assert "\nwarning  frame-in-both  6 frames are in more than one subset; keep each " in shown
    frame = own / "frames" / "train" / "a" / "000"
    assert f"\n{'':9}{same}: {frame}" in shown
    assert f": also in {own / 'train.json'}\n" in shown
    files = ("--joint", own / "train.json", "--joint", own / "valid.json")
    assert "frame-in-both" not in vatrack("validate", *files, *images)[1]
