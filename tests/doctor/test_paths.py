"""The looks at folders and files, and at the space on their disks."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import tempfile
import types
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from tests.doctor.looks import (
    COMMAND,
    GIB,
    LOOKS_AT_CONFIG,
    RANDOM,
    config,
    expect,
    only,
    raising,
)
from vatrack.cli import app
from vatrack.config import Config
from vatrack.doctor import (
    LOOKS,
    examine,
    paths,
)
from vatrack.doctor.check import State
from vatrack.doctor.space import needed_space


def look_at(path: Path, state: State, found: str, fix: str = "", wanted: int = 0) -> None:
    check = paths.folder("results", path, "every stage", "set `results`", "fails", wanted)
    expect(check, state, found, fix)


def test_folders(tmp_path: Path) -> None:
    look_at(tmp_path, "ok", "GiB free")
    look_at(tmp_path / "a/b", "ok", "a/b (will be created), ")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    look_at(tmp_path / "file" / "a", "fails", f"{tmp_path}/file is a file", "move it away")
    look_at(tmp_path / "loop", "fails", f"{tmp_path}/loop is a broken link", "move it away")


def test_a_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    error = PermissionError(13, "Permission denied")
    monkeypatch.setattr(tempfile, "TemporaryFile", raising(error))
    look_at(tmp_path, "fails", "cannot be written (permission denied)", "set `results`")
    found = {check.name: check.state for check in LOOKS["folders"](Config())}
    assert found["results"] == found["temporary files"] == "fails"
    assert found["home"] == found["cache"] == found["current folder"] == "warning"


def test_a_disk_without_room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for free, state in ((GIB // 20, "fails"), (GIB, "warning"), (9 * GIB, "ok")):
        usage = types.SimpleNamespace(free=free, total=9 * GIB)
        monkeypatch.setattr(shutil, "disk_usage", lambda _, usage=usage: usage)
        fix = "free disk space" if state != "ok" else ""
        look_at(tmp_path, state, "GiB free", fix, wanted=2 * GIB)  # type: ignore[arg-type]
    entries = types.SimpleNamespace(f_files=1000, f_favail=3)
    monkeypatch.setattr(os, "statvfs", lambda _: entries)
    look_at(tmp_path, "fails", "only 3 more files", "remove files")


def test_home_and_cache_follow_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    found = {check.name: check.found for check in LOOKS["folders"](config(results=tmp_path / "r"))}
    assert f"{tmp_path}/me/.cache (will be created)" in found["cache"]
    assert f"{tmp_path}/r (will be created)" in found["results"]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = {check.name: check.found for check in LOOKS["folders"](Config())}
    assert found["cache"].startswith(f"{tmp_path}, ")


def test_the_disk_space_that_the_data_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw, results = tmp_path / "raw", tmp_path / "results"
    (raw / "a" / "images").mkdir(parents=True)
    for number in range(3):
        (raw / "a" / "images" / f"{number}.bmp").write_bytes(bytes(1000))
    for subset in ("train", "valid"):
        (raw / f"{subset}.json").write_bytes(bytes(500))
    dataset: dict[str, Any] = {"raw": raw, "clips": {"structure": "whole"}} | {
        f"{subset}_json": raw / f"{subset}.json" for subset in ("train", "valid")
    }
    values = {"results": results, "methods": ["vatrack", "qdtrack"], "backbones": ["resnet18"]}
    assert needed_space(Config()) == {}
    mine = config(**values, dataset=dataset)
    assert needed_space(mine) == {"annotations": 6000, "runs": 10 * GIB}
    unnamed = config(**values, dataset=dataset | {"train_json": None, "valid_json": None})
    assert needed_space(unnamed) == needed_space(mine), "null: in the raw folder"
    dataset["clips"]["mode"] = "copy"
    mine = config(**values, dataset=dataset)
    assert needed_space(mine) == {"annotations": 6000, "clips": 3000, "runs": 10 * GIB}
    monkeypatch.setattr(shutil, "disk_usage", lambda _: types.SimpleNamespace(free=9 * GIB))
    check = next(iter(paths.look_at_folders(mine)))
    expect(check, "warning", "9.0 GiB free, about 10.0 GiB needed (annotations 0.0, clips 0.0, ")
    # What the workflow has made already.
    made = results / mine.dataset.name
    (made / "annotations").mkdir(parents=True)
    (made / "clips").mkdir()
    assert needed_space(mine) == {"runs": 10 * GIB}
    shutil.rmtree(raw)
    assert needed_space(mine) == {"runs": 10 * GIB}
    seeds = config(**values, dataset=dataset, seeds=[1, 2], run_label="long")
    assert needed_space(seeds) == {"runs": 20 * GIB}
    run = made / "runs" / "vatrack__resnet18__long-seed2"
    assert run.name in {one.name for one in seeds.runs()}
    run.mkdir(parents=True)
    (run / "config.yaml").touch()
    assert needed_space(seeds) == {"runs": 20 * GIB}, "it is not complete"
    (run / "metrics.json").touch()
    assert needed_space(seeds) == {"runs": 15 * GIB}
    shutil.rmtree(made / "annotations")
    assert needed_space(mine) == {}
    packed = {"path": tmp_path / "raw.tar", "size": 20 * GIB}
    mine = config(**values, dataset={"raw": tmp_path / "new", "archives": [packed]})
    _, check, *_ = paths.look_at_folders(mine)
    expect(check, "warning", "9.0 GiB free, at least 20.0 GiB needed (archives)", "set dataset.raw")


def test_the_files_of_a_config(tmp_path: Path) -> None:
    raw, cuts = tmp_path / "raw", tmp_path / "cuts.json"
    dataset: dict[str, Any] = {
        "raw": str(raw),
        "train_json": str(raw / "t.json"),
        "clips": {"structure": str(cuts)},
    }

    def states() -> dict[str, str]:
        return {
            check.name: check.state for check in LOOKS_AT_CONFIG["data"](config(dataset=dataset))
        }

    keys = ("dataset.raw", "dataset.train_json", "dataset.clips.structure")
    assert states() == dict.fromkeys(keys, "fails")
    raw.mkdir()
    assert states()["dataset.raw"] == "fails"  # empty
    assert states()["dataset.valid_json"] == "fails"  # null: valid.json in the raw folder
    (raw / "t.json").write_text("{}")
    (raw / "valid.json").write_text("{}")
    cuts.touch()
    there = dict.fromkeys((*keys[:2], "dataset.valid_json"), "ok")
    assert states() == there | {"dataset.clips.structure": "fails"}
    cuts.write_text("{}")
    assert set(states().values()) == {"ok"}
    expect(only("data"), "ok", "miniature dataset (will be rendered)")
    dataset["archives"] = [{"path": str(tmp_path / "a.tar")}]
    assert states() == {"dataset.archives.0": "fails", "dataset.clips.structure": "ok"}


def test_weights(tmp_path: Path) -> None:
    weights = tmp_path / "resnet.pth"
    training = {"weights": {"resnet18": str(weights)}}
    for values in ({"model": {"norm": "group", "frozen_stages": 0}}, {"training": RANDOM}):
        assert list(LOOKS_AT_CONFIG["weights"](config(**values))) == []
    for model, needs in (
        ({}, "frozen_stages 1 and norm batch need pretrained weights, but none are given for "),
        ({"norm": "group"}, "frozen_stages 1 needs pretrained weights, but none are given for "),
    ):
        check = only("weights", model=model)
        expect(check, "fails", f"{needs}resnet18", "set training.weights: {")
    missing = only("weights", training=training)
    expect(missing, "fails", "no such file", "training.weights.resnet18")
    assert "fetch-weights" not in missing.fix, "nothing is known of where to download it"
    weights.write_bytes(b"x")
    expect(only("weights", training=training), "ok", str(weights))


def test_the_fixes_for_missing_files_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights and cuts that the config knows an address for: what is advised downloads them."""
    monkeypatch.setattr("vatrack.doctor.LOOKS", {})
    monkeypatch.chdir(tmp_path)
    content = b'{"a__1": ["000003.bmp"]}'
    digest = hashlib.sha256(content).hexdigest()
    served = {name: tmp_path / name for name in ("cuts.json", f"r18-{digest[:8]}.pth")}
    for file in served.values():
        file.write_bytes(content)
    cuts, weights = served
    download = {"url": served[cuts].as_uri(), "size": len(content), "sha256": digest}
    clips = {"structure": f"my data/{cuts}", "download": download}
    values = {
        "dataset": {"clips": clips},
        "training": {"weights": {"resnet18": f"data/{weights}"}, "weights_urls": []},
    }
    mine = tmp_path / "my config.yaml"
    mine.write_text(yaml.safe_dump(values))
    overrides = [f"training.weights_urls=[{served[weights].as_uri()}]", "training.epochs=3"]
    report = examine(mine, overrides)
    missing = [check for check in report.checks if check.state == "fails"]
    assert [check.name for check in missing] == [
        "dataset.clips.structure",
        "training.weights.resnet18",
    ]
    for check in missing:
        expect(check, "fails", "no such file", "download it: `vatrack fetch")
        (command,) = COMMAND.findall(check.fix)
        assert f"`{command}`" in str(check)
        ended = CliRunner().invoke(app, shlex.split(command)[1:])
        assert ended.exit_code == 0, ended.output
    assert not examine(mine, overrides).fails
    Path(f"my data/{cuts}").write_bytes(b"")
    (empty,) = (check for check in examine(mine, overrides).checks if check.state == "fails")
    expect(empty, "fails", "is empty", "or remove it and download it: `vatrack fetch --url ")


def test_missing_data_are_told_with_what_makes_them() -> None:
    raw = {"raw": "none/my raw", "train_json": "none/t.json", "clips": {"structure": "none.json"}}
    fixes = {check.name: check for check in LOOKS_AT_CONFIG["data"](config(dataset=raw))}
    expect(fixes["dataset.raw"], "fails", "no such folder", "dataset.archives")
    annotate = "`vatrack annotate --raw 'none/my raw' --out none/t.json`"
    expect(fixes["dataset.train_json"], "fails", "no such file", annotate)
    expect(fixes["dataset.clips.structure"], "fails", "no such file", "set it to detect")
    assert "dataset.valid_json" not in fixes, "it would be in the folder that is missing"


def test_a_file_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = tmp_path / "resnet.pth"
    weights.write_bytes(b"x")
    monkeypatch.setattr(Path, "open", raising(PermissionError(13, "Permission denied")))
    check = only("weights", training={"weights": str(weights)})
    expect(check, "fails", "cannot be read (permission denied)", "chmod +r")


def test_data_in_a_folder_that_may_not_be_entered(closed: Path) -> None:
    dataset = {"raw": str(closed / "raw"), "train_json": "none.json"}
    found = list(LOOKS_AT_CONFIG["data"](config(dataset=dataset)))
    expect(found[0], "fails", "closed/raw: cannot be read (permission denied)", "chmod +r")
    expect(found[1], "fails", "none.json: no such file")
