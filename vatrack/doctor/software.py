"""Versions, extras and codecs."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import Literal

from vatrack.config import Config
from vatrack.doctor.check import Check
from vatrack.runs.environment import git_revision
from vatrack.version import __version__

LEAST_PYTHON = (3, 11)  # as pyproject.toml says
# Module: (package, what it is for).
PACKAGES = {
    "numpy": ("numpy", "everything"),
    "torch": ("torch", "training and prediction"),
    "torchvision": ("torchvision", "training and prediction"),
    "cv2": ("opencv-python", "reading frames"),
    "PIL": ("pillow", "reading headers of frames, and masks"),
    "pycocotools.mask": ("pycocotools", "masks"),
    "scipy.optimize": ("scipy", "evaluation"),
}
# Extra: (modules, what needs them).
EXTRAS = {
    "workflow": (("snakemake",), "the workflow (`snakemake`, `make demo`)"),
    "report": (("matplotlib", "pandas", "jinja2"), "tables, plots and overlays"),
    "cluster": (
        ("submitit", "snakemake_executor_plugin_slurm"),
        "trainings as jobs (`vatrack launch`, the workflow)",
    ),
    "mlflow": (("mlflow",), "experiment tracking"),
    "video": (("av",), "own videos (`vatrack track`)"),
}
# Names of FFmpeg: those of `vatrack track --encoder`.
ENCODERS = {"libopenh264": "openh264", "libvpx-vp9": "vp9", "libx264": "x264"}
DECODERS = ("h264", "hevc", "vp9", "av1", "mpeg4", "mjpeg")


def look_at_python(_: Config) -> Iterator[Check]:
    """The interpreter and the package itself."""
    found, least = platform.python_version(), ".".join(map(str, LEAST_PYTHON))
    if sys.version_info[:2] < LEAST_PYTHON:
        fix = f"install Python {least} or newer, and reinstall the package"
        yield Check("Python", "fails", found, "everything", fix)
    else:
        yield Check("Python", "ok", found)
    revision = git_revision()
    yield Check("vatrack", "ok", __version__ + (f", revision {revision[:12]}" if revision else ""))


def look_at_packages(_: Config) -> Iterator[Check]:
    """What is always needed, and whether it can be imported."""
    for module, (package, use) in PACKAGES.items():
        fix = f"pip install --force-reinstall {package}"
        try:
            loaded = import_module(module)
        except Exception as error:  # a library of the system, another package's version, ...
            if module == "cv2" and "lib" in str(error):
                fix = "install the library in the message (libgl1, libglib2.0-0), or replace "
                fix += "opencv-python with opencv-python-headless"
            first = next(iter(str(error).splitlines()), type(error).__name__)
            yield Check(package, "fails", f"cannot be imported ({first})", use, fix)
            continue
        try:
            version = metadata.version(package)
        except metadata.PackageNotFoundError:  # opencv-python-headless
            version = getattr(loaded, "__version__", "unknown version")
        problem = _mismatch() if module == "torchvision" else ""
        if problem:
            fix = "install matching versions of torch and torchvision from the same index"
            yield Check(
                package, "fails", f"{version} does not work with this torch ({problem})", use, fix
            )
        else:
            yield Check(package, "ok", version)


def _mismatch() -> str:
    """Why the operators of torchvision do not work with this torch; empty: they do."""
    import torch
    from torchvision.ops import nms

    try:
        nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    except (RuntimeError, NotImplementedError) as error:
        return str(error).splitlines()[0]
    return ""


def look_at_extras(_: Config) -> Iterator[Check]:
    """Which optional parts are installed; nothing is imported."""
    there = []
    for extra, (modules, use) in EXTRAS.items():
        missing = [module for module in modules if find_spec(module) is None]
        if missing:
            found = f"not installed (no {', '.join(missing)})"
            yield Check(f"[{extra}]", "warning", found, use, f"pip install 'vatrack[{extra}]'")
        else:
            there.append(extra)
    if there:
        yield Check("extras", "ok", ", ".join(there))


def look_at_codecs(_: Config) -> Iterator[Check]:
    """What PyAV decodes and encodes; nothing where it is not installed."""
    if find_spec("av") is None:
        return
    encoders = [ours for name, ours in ENCODERS.items() if _has_codec(name, "w")]
    found = f"encoders {', '.join(encoders) or 'none'}"
    missing = [name for name in DECODERS if not _has_codec(name, "r")]
    wheel = "pip install --force-reinstall av (its wheels include them)"
    if not {"openh264", "vp9"} & set(encoders):
        lost = "overlays of `vatrack track`" + (" without --encoder x264" * bool(encoders))
        yield Check("codecs", "fails", found, lost, wheel)
    elif "openh264" not in encoders:
        lost = "overlays use VP9 instead of H.264, which some players do not support"
        yield Check("codecs", "warning", found, lost, wheel)
    elif missing:
        found += f"; no decoder for {', '.join(missing)}"
        yield Check("codecs", "warning", found, "videos with these codecs cannot be read", wheel)
    else:
        yield Check("codecs", "ok", f"{found}; decoders {', '.join(DECODERS)}")


def _has_codec(name: str, mode: Literal["r", "w"]) -> bool:
    from av.codec import Codec
    from av.codec.codec import UnknownCodecError

    try:
        Codec(name, mode)
    except UnknownCodecError:
        return False
    return True
