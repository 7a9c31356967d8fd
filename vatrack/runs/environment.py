"""What a run was made with: versions, device, revision of the code."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vatrack.common.counted import counted
from vatrack.version import __version__

if TYPE_CHECKING:
    import torch

PACKAGES = ("torch", "torchvision", "numpy", "opencv-python", "pycocotools")


def describe_environment(device: torch.device) -> dict[str, Any]:
    """Plain values for environment.json."""
    import torch

    return {
        "vatrack": __version__,
        "git_revision": git_revision(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"cpu, {counted(torch.get_num_threads(), 'thread')}",
        "packages": {name: _version(name) for name in PACKAGES},
    }


def git_revision() -> str | None:
    """The revision of the package's own code.

    That of the checkout whose tracked files the package is among, with "+changes" where files
    differ; or the commit that pip has installed it from. None for any other installation, also
    where some other repository lies above it.
    """
    own = Path(__file__).resolve()
    try:
        _git(own.parent, "ls-files", "--error-unmatch", "--", own.name)
        revision = _git(own.parent, "rev-parse", "HEAD")
        changes = _git(own.parent, "status", "--porcelain", "--untracked-files=no")
        return revision + ("+changes" if changes else "")
    except (OSError, subprocess.CalledProcessError):
        return _installed_commit(own)


def _installed_commit(own: Path) -> str | None:
    """The commit that pip notes of an installation from git (PEP 610), if `own` belongs to it."""
    try:
        found = metadata.distribution("vatrack")
        name = f"vatrack/{own.parent.name}/{own.name}"
        if Path(str(found.locate_file(name))).resolve() != own:
            return None
        commit = json.loads(found.read_text("direct_url.json") or "{}")["vcs_info"]["commit_id"]
    except (metadata.PackageNotFoundError, OSError, ValueError, KeyError, TypeError):
        return None
    return commit if isinstance(commit, str) else None


def _git(folder: Path, *words: str) -> str:
    # A hook or an alias of git names another repository in these.
    settings = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", "-C", str(folder), *words],
        capture_output=True,
        text=True,
        check=True,
        env=settings,
    )
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
