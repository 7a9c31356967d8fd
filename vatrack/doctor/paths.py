"""Folders that are written, and files that a config names."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from vatrack.common.counted import counted
from vatrack.common.paths import seen
from vatrack.common.text_files import nearest_existing, no_such
from vatrack.config import Config
from vatrack.doctor.check import Check, State
from vatrack.doctor.space import GIB, MINIATURE, archive_space, needed_space
from vatrack.weights.fetch import address

LEAST_FREE = GIB // 10  # bytes; with less nothing useful can be written
LEAST_FILES = 1000  # that a file system can still hold


def look_at_folders(config: Config) -> Iterator[Check]:
    """Whether results, temporary files and caches can be written."""
    results = Path(config.results)
    sizes = needed_space(config)
    needed = sum(sizes.values())
    check = folder(
        "results", results, "every stage of the workflow", "set `results` in the config", "fails",
        needed or MINIATURE,
    )  # fmt: skip
    shown = ", ".join(f"{name} {size / GIB:.1f}" for name, size in sizes.items())
    more = f", about {needed / GIB:.1f} GiB needed ({shown})" if sizes else ""
    yield replace(check, found=check.found + more)
    raw, needed = config.dataset.raw, archive_space(config.dataset)
    if raw and needed:
        check = folder("dataset.raw", raw, "unpacking", "set dataset.raw", "fails", needed)
        yield replace(
            check, found=f"{check.found}, at least {needed / GIB:.1f} GiB needed (archives)"
        )
    yield folder(
        "current folder", Path.cwd(), "Snakemake, which stores its state in .snakemake",
        "change to a folder that you can write to", "warning",
    )  # fmt: skip
    yield folder(
        "temporary files", Path(tempfile.gettempdir()), "input from pipes, published checkpoints",
        "set TMPDIR", "fails",
    )  # fmt: skip
    home = Path(os.environ.get("HOME") or "/")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    for name, path in (("home", home), ("cache", cache)):
        variable = "HOME" if name == "home" else "XDG_CACHE_HOME"
        yield folder(
            name, path, "caches of Matplotlib, Snakemake and PyTorch",
            f"set {variable}", "warning",
        )  # fmt: skip


def folder(
    name: str, path: Path, lost: str, fix: str, worst: State, wanted: int = LEAST_FREE
) -> Check:
    """Whether a folder can be written, and has room; one that does not exist yet: its parent.

    Args:
        lost: what does not work without it.
        worst: the state where it cannot be used.
        wanted: bytes below which there is a warning.
    """
    path = path.absolute()
    there = nearest_existing(path)
    shown = str(path) if there == path else f"{path} (will be created)"
    if not there.is_dir():
        found = f"{shown}: {there} {no_such(there, 'folder')}"
        return Check(name, worst, found, lost, f"move it away, or {fix}")
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"x")
            file.flush()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        return Check(name, worst, f"{shown}: cannot be written ({reason})", lost, fix)
    free, inodes = shutil.disk_usage(there).free, os.statvfs(there)
    found = f"{shown}, {free / GIB:.1f} GiB free"
    if inodes.f_files and inodes.f_favail < LEAST_FILES:
        found = f"{shown}: only {counted(inodes.f_favail, 'more file')} (inodes) possible"
        return Check(name, worst, found, lost, f"remove files, or {fix}")
    if free < LEAST_FREE:
        return Check(name, worst, found, lost, f"free disk space, or {fix}")
    if free < wanted:
        return Check(
            name, "warning", found, f"{lost}, once it is full", f"free disk space, or {fix}"
        )
    return Check(name, "ok", found)


def look_at_data(config: Config) -> Iterator[Check]:
    """The files and folders that `dataset` names."""
    dataset = config.dataset
    folders = {"raw": dataset.raw, "images": dataset.images}
    named = {key: path for key, path in folders.items() if path is not None}
    # Where the raw folder itself is missing, that is said once.
    raw = dataset.raw if dataset.raw and seen(dataset.raw.is_dir) else None
    for subset, path in dataset.annotation_files(raw).items():
        named[f"{subset}_json"] = path
    unpacked = bool(dataset.archives)
    for number, archive in enumerate(dataset.archives):
        named[f"archives.{number}"] = archive.path
    structure = dataset.clips.structure
    if isinstance(structure, Path) and not dataset.clips.fetch:
        named["clips.structure"] = structure
    if not named:
        yield Check("data", "ok", "miniature dataset (will be rendered)")
    for key, path in named.items():
        if unpacked and key != "clips.structure" and not key.startswith("archives"):
            continue  # they come with the archives
        yield _named(f"dataset.{key}", path, _other_ways(config, key, path), key in folders)


def _other_ways(config: Config, key: str, path: Path) -> str:
    """How a missing file or folder of `dataset` can be had; `path`: what the key stands for."""
    dataset, source = config.dataset, config.dataset.clips.download
    if key == "raw":
        return "list the archives of the download in dataset.archives"
    if key == "clips.structure" and source:
        out = shlex.quote(str(dataset.clips.structure))
        return (
            f"download it: `vatrack fetch --url {shlex.quote(source.url)} --size {source.size} "
            f"--sha256 {source.sha256} --out {out}`"
        )
    if key == "clips.structure":
        return "set it to detect"
    if key in ("train_json", "valid_json") and dataset.format == "sailvos":
        raw = shlex.quote(str(dataset.raw or "RAW"))
        out = shlex.quote(str(path))
        return f"create it from the raw masks: `vatrack annotate --raw {raw} --out {out}`"
    return "put it there"


def look_at_weights(config: Config, options: str = "--config FILE") -> Iterator[Check]:
    """The files of weights that trainings start from, and whether one is needed.

    Args:
        options: what gives this config on a command line.
    """
    for backbone in config.backbones:
        run = config.for_run(config.methods[0], backbone)
        key, path = f"training.weights.{backbone}", run.training.weights
        if path:
            known = address(path, run.training)
            fetch = f"download it: `vatrack fetch-weights {options}`"
            yield _named(key, path, fetch if known else "put it there")
        elif lack := run.lacks_pretrained:
            yield Check(key, "fails", lack, "trainings", f"set {run.start_choices}")


def _named(key: str, path: Path, other: str, is_folder: bool = False) -> Check:
    """Whether a file or a folder that a config names is there and can be read.

    Args:
        other: what can be done where it is missing, besides correcting the config.
    """
    what: Literal["file", "folder"] = "folder" if is_folder else "file"
    lost, fix = "every command that reads it", f"correct {key} in the config, or {other}"
    try:
        if not (path.is_dir() if is_folder else path.is_file()):
            return Check(key, "fails", f"{path}: {no_such(path, what)}", lost, fix)
        if is_folder:
            empty = next(iter(os.scandir(path)), None) is None
        else:
            with path.open("rb") as file:
                empty = not file.read(1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        chmod = f"`chmod +r {shlex.quote(str(path))}`"
        return Check(key, "fails", f"{path}: cannot be read ({reason})", lost, chmod)
    if empty:
        fix = f"correct {key} in the config, or remove it and {other}"
        return Check(key, "fails", f"{path}: is empty", lost, fix)
    return Check(key, "ok", str(path))
