"""What a run was made with: versions, device, revision of the code."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from vatrack import __version__

PACKAGES = ("torch", "torchvision", "numpy", "opencv-python", "pycocotools")


def describe_environment(device: torch.device) -> dict[str, Any]:
    """Plain values for environment.json."""
    return {
        "vatrack": __version__,
        "git_revision": git_revision(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"cpu, {torch.get_num_threads()} threads",
        "packages": {name: _version(name) for name in PACKAGES},
    }


def git_revision() -> str | None:
    """The revision of the checkout that the package runs from; None outside of one.

    Where files differ from it, it ends in "+changes".
    """
    here = Path(__file__).resolve().parent
    try:
        revision = _git(here, "rev-parse", "HEAD")
        return revision + (
            "+changes" if _git(here, "status", "--porcelain", "--untracked-files=no") else ""
        )
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
