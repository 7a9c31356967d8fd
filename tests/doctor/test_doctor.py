"""`vatrack doctor`: every look, with what it is afraid of."""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import resource
import shlex
import shutil
import sqlite3
import tempfile
import threading
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
import requests
import torch
import yaml
from typer.testing import CliRunner

from tests.docs.test_advice import parses
from vatrack.cli import app
from vatrack.common.errors import InputError
from vatrack.config import Config, parse_config
from vatrack.doctor import (
    LOOKS,
    Report,
    examine,
    looks_at_config,
    machine,
    paths,
    services,
    software,
)
from vatrack.doctor.check import Check, State, looked
from vatrack.doctor.space import needed_space

GIB = 1 << 30
RANDOM = {"random_start": True}
ROOT = Path(__file__).parents[2]
LOOKS_AT_CONFIG = looks_at_config("--config mine.yaml")
COMMAND = re.compile(r"`((?:vatrack|snakemake) [^`]+)`")


def config(**values: Any) -> Config:
    return parse_config(values, "test", Config)


def only(name: str, **values: Any) -> Check:
    """The one finding of a look."""
    (check,) = (LOOKS | LOOKS_AT_CONFIG)[name](config(**values))
    return check


def expect(check: Check, state: State, found: str = "", fix: str = "") -> None:
    assert check.state == state, check
    assert found in check.found
    assert fix in check.fix
    assert bool(check.lost) == bool(check.fix) == (state != "ok"), "what is lost, and the fix"
    for command in COMMAND.findall(check.fix):
        parses(command)


def raising(error: Exception) -> Callable[..., Any]:
    """A function that ends in this error, whatever it is called with."""

    def refuse(*_: object, **__: object) -> None:
        raise error

    return refuse


# The report.


def test_a_report_names_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    report = examine()
    names = [check.name for check in report.checks]
    for wanted in ("Python", "vatrack", "torch", "torchvision", "opencv-python", "MLflow"):
        assert wanted in names
    assert any(name.startswith("GPU") for name in names)
    for wanted in ("cores", "codecs", "SLURM", "results", "current folder", "home", "cache"):
        assert wanted in names
    assert {"/dev/shm", "open files"} <= set(names)
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


def test_lines_of_a_report() -> None:
    long = Check("place", "fails", "a " * 60, "b " * 60, "c " * 60)
    lines = str(long).splitlines()
    assert lines[0].startswith("fails    place: a a")
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("         affects: b") for line in lines)
    assert any(line.startswith("         fix: c") for line in lines)
    report = Report((Check("x", "ok", "1"), Check("y", "warning", "2", "l", "f"), long))
    assert report.fails
    assert str(report).endswith("\n1 ok, 1 warning, 1 failure")
    assert str(Report(report.checks[:1] * 2)).endswith("\n2 ok, 0 warnings, 0 failures")
    assert not Report(report.checks[:2]).fails


def test_a_command_can_be_copied_from_a_report() -> None:
    command = "`vatrack fetch --url https://example.org/a.json --size 3 --sha256 012345 --out a b`"
    lines = str(Check("place", "fails", "a", "b", f"correct the path, or {command}")).splitlines()
    assert lines[-1].strip() == command
    assert max(map(len, lines[:-1])) <= 80


def test_a_look_that_ends_in_an_error_is_a_finding() -> None:
    (check,) = looked("disk", raising(InputError("the disk is square")), Config())
    expect(check, "fails", "InputError: the disk is square", "fix the problem in the message")


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ending(*words: str) -> tuple[int, str]:
        ended = CliRunner().invoke(app, ["doctor", *words])
        return ended.exit_code, ended.output

    monkeypatch.setattr("vatrack.doctor.LOOKS", {"cores": machine.look_at_cores})
    mine = tmp_path / "mine.yaml"
    mine.write_text("training: {epochs: 3, random_start: true}\n")
    assert ending()[0] == 0
    code, shown = ending("--config", str(mine))
    assert code == 0
    assert re.search(r"ok +config: .*mine\.yaml", shown.replace("\n", " "))
    assert "data: miniature dataset (will be rendered)" in shown
    code, shown = ending("--config", str(mine), "--set", f"dataset.raw={tmp_path}/nowhere")
    assert code == 1
    shown = " ".join(shown.split())
    assert "dataset.raw: " in shown and "no such folder" in shown
    code, shown = ending("--config", str(mine), "--set", "training.epoch=3")
    assert code == 1
    assert "did you mean training.epochs?" in " ".join(shown.split())
    assert "cores: " in shown, "the rest is looked at all the same"
    assert "not checked: SLURM, MLflow, folders" in " ".join(shown.split())
    looks = {"folders": paths.look_at_folders, "cores": machine.look_at_cores}
    monkeypatch.setattr("vatrack.doctor.LOOKS", looks)
    assert "results: " not in ending("--config", str(tmp_path / "none.yaml"))[1]
    assert "results: " in ending("--config", str(mine))[1]
    assert ending("--config", str(tmp_path / "none.yaml"))[0] == 1
    (tmp_path / "empty.yaml").touch()
    code, shown = ending("--config", str(tmp_path / "empty.yaml"))
    assert (code, "is empty; set at least one key" in " ".join(shown.split())) == (1, True)


# Software.


def test_an_old_python(monkeypatch: pytest.MonkeyPatch) -> None:
    python, own = LOOKS["Python"](Config())
    expect(python, "ok")
    expect(own, "ok", "0.")
    monkeypatch.setattr("sys.version_info", (3, 10, 13, "final", 0))
    expect(next(iter(LOOKS["Python"](Config()))), "fails", fix="3.11 or newer")


def test_the_least_python_is_that_of_the_package() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    least = ".".join(map(str, software.LEAST_PYTHON))
    assert f'requires-python = ">={least}"' in text
    setup = (ROOT / "envs/setup").read_text()
    assert f"sys.version_info < {software.LEAST_PYTHON}" in setup, "set-up takes no older one"
    for extra in software.EXTRAS:
        assert re.search(rf"^{extra} = \[", text, re.MULTILINE), extra


@pytest.mark.parametrize(
    ("module", "error", "fix"),
    [
        ("torch", OSError("libcudart.so.12: cannot open shared object file"), "reinstall torch"),
        ("cv2", ImportError("libGL.so.1: cannot open shared object file"), "headless"),
        ("numpy", ModuleNotFoundError("No module named 'numpy'"), "reinstall numpy"),
        ("scipy.optimize", ValueError(""), "reinstall scipy"),
    ],
)
def test_a_package_that_cannot_be_imported(
    monkeypatch: pytest.MonkeyPatch, module: str, error: Exception, fix: str
) -> None:
    real = importlib.import_module

    def broken(name: str) -> Any:
        if name == module:
            raise error
        return real(name)

    monkeypatch.setattr(software, "import_module", broken)
    bad = [check for check in LOOKS["packages"](Config()) if check.state != "ok"]
    assert [check.name for check in bad] == [software.PACKAGES[module][0]]
    expect(bad[0], "fails", str(error) or "ValueError", fix)


def test_a_torchvision_of_another_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    error = RuntimeError("operator torchvision::nms does not exist\nmore")
    monkeypatch.setattr("torchvision.ops.nms", raising(error))
    found = {check.name: check for check in LOOKS["packages"](Config())}
    expect(found["torchvision"], "fails", "nms does not exist)", "matching versions")
    expect(found["torch"], "ok")


def test_packages_under_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", raising(PackageNotFoundError("x")))
    assert all(check.state == "ok" for check in LOOKS["packages"](Config()))


@pytest.mark.parametrize("extra", software.EXTRAS)
def test_a_missing_extra(monkeypatch: pytest.MonkeyPatch, extra: str) -> None:
    gone = software.EXTRAS[extra][0][-1]
    monkeypatch.setattr(
        software, "find_spec", lambda name: None if name == gone else types.SimpleNamespace()
    )
    missing, rest = LOOKS["extras"](Config())
    expect(missing, "warning", f"no {gone}", f"pip install 'vatrack[{extra}]'")
    assert missing.name == f"[{extra}]"
    assert rest.found.count(", ") == len(software.EXTRAS) - 2


@pytest.mark.parametrize(
    ("gone", "state", "found"),
    [
        ((), "ok", "encoders openh264, vp9, x264; decoders h264, hevc"),
        (("libopenh264",), "warning", "encoders vp9, x264"),
        (("libopenh264", "libvpx-vp9"), "fails", "encoders x264"),
        (("libopenh264", "libvpx-vp9", "libx264"), "fails", "encoders none"),
        (("hevc", "av1"), "warning", "no decoder for hevc, av1"),
    ],
)
def test_codecs(
    monkeypatch: pytest.MonkeyPatch, gone: tuple[str, ...], state: State, found: str
) -> None:
    monkeypatch.setattr(software, "_has_codec", lambda name, mode: name not in gone)
    expect(only("codecs"), state, found, "--force-reinstall av" if state != "ok" else "")


def test_real_codecs_and_no_pyav(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("av")
    assert software._has_codec("mjpeg", "r")
    assert not software._has_codec("no-such-codec", "w")
    monkeypatch.setattr(software, "find_spec", lambda name: None)
    assert list(LOOKS["codecs"](Config())) == []  # the extra's line says it


# GPUs.


def gpus(
    monkeypatch: pytest.MonkeyPatch, *free: float, bf16: bool = True, driver: bool = False
) -> None:
    """GPUs of 80 GiB with so much free memory, in GiB."""
    cuda = torch.cuda
    monkeypatch.setattr(cuda, "is_available", lambda: bool(free))
    monkeypatch.setattr(cuda, "device_count", lambda: len(free))
    monkeypatch.setattr(cuda, "mem_get_info", lambda n: (int(free[n] * GIB), 80 * GIB))
    monkeypatch.setattr(cuda, "get_device_name", lambda n: "NVIDIA H100")
    monkeypatch.setattr(cuda, "is_bf16_supported", lambda **_: bf16)
    monkeypatch.setattr(cuda, "device", lambda n: tempfile.TemporaryDirectory())
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/nvidia-smi" if driver else None)


def test_gpus_are_described(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 79, 1)
    first, second = LOOKS["GPU"](Config())
    expect(first, "ok", "NVIDIA H100, 79.0 of 80.0 GiB free, bfloat16")
    expect(second, "warning", "1.0 of 80.0 GiB free", "nvidia-smi")


def test_a_gpu_without_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 79, bf16=False)
    expect(only("GPU"), "ok", "no bfloat16")
    compute = {"precision": "bfloat16"}
    expect(only("GPU", compute=compute), "warning", "no bfloat16", "compute.precision to mixed")


def test_too_few_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 79)
    wants, here = LOOKS["GPU"](config(launcher={"gpus": 4}))
    expect(wants, "fails", "1, but launcher.gpus is 4", "launcher.gpus to 1")
    expect(here, "ok")
    expect(only("GPU", launcher={"gpus": 4, "cluster": "slurm"}), "ok")


@pytest.mark.parametrize(
    ("values", "driver", "cuda", "state", "text"),
    [
        ({}, False, None, "ok", "the CPU is used"),
        ({}, True, None, "warning", "built without CUDA"),
        ({}, True, "13.0", "warning", "PyTorch (CUDA 13.0) finds no GPU"),
        ({"compute": {"device": "cuda"}}, False, None, "fails", "none"),
        ({"launcher": {"gpus": 1}}, True, "13.0", "fails", "finds no GPU"),
        ({"launcher": {"gpus": 1, "cluster": "slurm"}}, False, None, "ok", "none"),
    ],
)
def test_no_gpu(
    monkeypatch: pytest.MonkeyPatch,
    values: dict[str, Any],
    driver: bool,
    cuda: str | None,
    state: State,
    text: str,
) -> None:
    monkeypatch.setattr(torch.version, "cuda", cuda)
    gpus(monkeypatch, driver=driver)
    expect(only("GPU", **values), state, text)


# Cores, shared memory, open files.


@pytest.mark.parametrize(
    ("cores", "threads", "limit", "values", "state", "fix"),
    [
        (8, 8, "max 100000", {}, "ok", ""),
        (8, 16, None, {}, "warning", "OMP_NUM_THREADS=8"),
        (8, 8, "250000 100000", {}, "warning", "OMP_NUM_THREADS=2"),
        (8, 2, "250000 100000", {}, "ok", ""),
        (2, 2, "nonsense", {"launcher": {"cpus": 4}}, "warning", "launcher.cpus"),
        (2, 2, None, {"launcher": {"cpus": 1, "processes": 4}}, "warning", "launcher.processes"),
        (2, 2, None, {"launcher": {"cpus": 16, "cluster": "slurm"}}, "ok", ""),
    ],
)
def test_cores(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    cores: int,
    threads: int,
    limit: str | None,
    values: dict[str, Any],
    state: State,
    fix: str,
) -> None:
    monkeypatch.setattr(machine, "available_cores", lambda: cores)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(machine, "CPU_LIMIT", tmp_path / "cpu.max")
    if limit:
        (tmp_path / "cpu.max").write_text(limit)
    expect(only("cores", **values), state, f"{cores}, PyTorch's threads: {threads}", fix)


def test_shared_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "SHARED_MEMORY", tmp_path)
    for free, state in ((2 * GIB, "ok"), (64 << 20, "warning")):
        usage = types.SimpleNamespace(free=free, total=4 * GIB)
        monkeypatch.setattr(shutil, "disk_usage", lambda _, usage=usage: usage)
        expect(only("/dev/shm"), state, "of 4.00 GiB", "--shm-size" if state != "ok" else "")  # type: ignore[arg-type]
    monkeypatch.setattr(machine, "SHARED_MEMORY", tmp_path / "none")
    expect(only("/dev/shm"), "ok", "missing")


@pytest.mark.parametrize(
    ("limits", "state", "text"),
    [
        ((1024, 4096), "ok", ""),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), "ok", ""),
        ((256, 512), "warning", "ulimit -n 512"),
        ((256, resource.RLIM_INFINITY), "warning", "ulimit -n 4096"),
    ],
)
def test_open_files(
    monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int], state: State, text: str
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    expect(only("open files"), state, fix=text)


# Folders and files.


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


# SLURM.


def cluster(folder: Path, monkeypatch: pytest.MonkeyPatch, sinfo: str | None, *names: str) -> None:
    """Programs of SLURM in PATH; sinfo as a script."""
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    real = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: real(name, path=str(folder)))
    for name in names:
        (folder / name).touch(mode=0o755)
    if sinfo is not None:
        (folder / "sinfo").write_text(f"#!/bin/sh\n{sinfo}\n")
        (folder / "sinfo").chmod(0o755)


SLURM: dict[str, Any] = {"launcher": {"cluster": "slurm"}}


def test_no_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster(tmp_path, monkeypatch, None)
    expect(only("SLURM"), "ok", "none")
    expect(only("SLURM", **SLURM), "fails", "no sbatch, no srun, no sinfo", "launcher.cluster")
    (tmp_path / "srun").touch(mode=0o755)
    expect(only("SLURM"), "warning", "no sbatch, no sinfo in PATH")


@pytest.mark.parametrize(
    ("script", "found"),
    [
        (
            "echo 'slurm_load: Unable to contact controller' >&2; exit 1",
            "sinfo failed (exit code 1)",
        ),
        ("sleep 20", "no answer in 0.5 s"),
    ],
)
def test_slurm_that_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, found: str
) -> None:
    cluster(tmp_path, monkeypatch, f"exec sh -c \"{script}\"" if "sleep" in script else script,
            "sbatch", "srun")  # fmt: skip
    monkeypatch.setattr(services, "SECONDS", 0.5)
    expect(only("SLURM"), "warning", found, "slurmctld")
    expect(only("SLURM", **SLURM), "fails", found, "slurmctld")


def test_partitions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster(tmp_path, monkeypatch, "printf 'gpu\\ncpu\\ngpu\\n'", "sbatch", "srun")
    expect(only("SLURM"), "ok", "partitions cpu, gpu")
    for partition in ("gpu", "gpu,cpu"):
        expect(only("SLURM", launcher=SLURM["launcher"] | {"partition": partition}), "ok")
    wrong = only("SLURM", launcher=SLURM["launcher"] | {"partition": "gpus"})
    expect(wrong, "fails", "unknown partition 'gpus'; did you mean gpu?", "launcher.partition")


# MLflow.


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the store of the default config lies."""
    for name in os.environ:
        if name.startswith("MLFLOW_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    return tmp_path / "results" / "mlflow.db"


def test_a_store_that_is_no_database_or_none_of_mlflow(store: Path) -> None:
    expect(only("MLflow"), "ok", f"{store} (will be created)")
    assert not store.exists()
    expect(only("MLflow", mlflow={"enabled": False}), "ok", "off")
    store.write_text("this is a text, not a database " * 100)
    expect(only("MLflow"), "fails", "not a database", "vatrack mlflow-sync")
    store.unlink()
    with sqlite3.connect(store) as database:
        database.execute("CREATE TABLE other (x)")
    expect(only("MLflow"), "fails", "not an MLflow database", "move it away")
    with sqlite3.connect(store) as database:
        database.execute("CREATE TABLE experiments (x)")
    expect(only("MLflow"), "ok", str(store))


def test_a_store_that_somebody_writes_or_that_is_read_only(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sqlite3.connect(store) as database:
        database.execute("CREATE TABLE experiments (x)")
    monkeypatch.setattr(services, "SECONDS", 0.1)
    with sqlite3.connect(store, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        expect(only("MLflow"), "warning", "locked", "wait")
        other.rollback()
    error = sqlite3.OperationalError("attempt to write a readonly database")
    monkeypatch.setattr(sqlite3, "connect", raising(error))
    expect(only("MLflow"), "fails", "readonly", "chmod u+w")


def test_a_store_in_a_folder_that_cannot_be_written(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = OSError(30, "Read-only file system")
    monkeypatch.setattr(tempfile, "TemporaryFile", raising(error))
    expect(only("MLflow"), "fails", "read-only file system", "mlflow.tracking_uri")
    expect(only("MLflow", results="a%b"), "fails", "a%b/mlflow.db", "mlflow.tracking_uri")


@contextmanager
def server(status: int) -> Iterator[tuple[str, list[str | None]]]:
    """Answers every POST with this status; the list gets its credentials."""
    seen: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append(self.headers.get("Authorization"))
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_port}", seen
        finally:
            http.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "state", "text"),
    [
        (400, "ok", ""),
        (401, "fails", "no write permission (HTTP 401)"),
        (403, "fails", "no write permission (HTTP 403)"),
        (404, "fails", "not an MLflow server (HTTP 404)"),
    ],
)
def test_a_server(
    store: Path, monkeypatch: pytest.MonkeyPatch, status: int, state: State, text: str
) -> None:
    with server(status) as (address, seen):
        expect(only("MLflow", mlflow={"tracking_uri": address}), state, text)
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "secret")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        expect(only("MLflow"), state, address)
    assert seen == [None, "Bearer secret"]


def test_a_server_that_is_away(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check = only("MLflow", mlflow={"tracking_uri": "http://127.0.0.1:9"})
    expect(check, "fails", "not reachable (ConnectionError)", "mlflow server")
    monkeypatch.setattr(requests.Session, "post", raising(requests.ReadTimeout()))
    check = only("MLflow", mlflow={"tracking_uri": "https://example.org"})
    expect(check, "fails", "not reachable (ReadTimeout)", "mlflow.tracking_uri")
    check = only("MLflow", mlflow={"tracking_uri": "postgresql://host/base"})
    expect(check, "ok", "not checked")


@pytest.mark.slow
def test_a_real_store_of_mlflow_is_fine(store: Path) -> None:
    client = pytest.importorskip("vatrack.experiments.client")
    client.connect(client.sqlite_uri(store))
    before = store.read_bytes()
    expect(only("MLflow"), "ok", str(store))
    assert store.read_bytes() == before, "nothing was written"
