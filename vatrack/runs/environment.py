"""What a run was made with: versions, device, revision of the code."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import warnings
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.value_files import read_json
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


def resumed_environment(path: Path, now: dict[str, Any]) -> dict[str, Any]:
    """The content of environment.json of a training that is resumed: the present environment, with
    those of its earlier starts under "earlier", where they differ. Warns where the last one does.

    Args:
        path: environment.json of the start before; one that cannot be read says nothing.
    """
    try:
        before = read_json(path)
        earlier = list(before.pop("earlier", []))
        changes = environment_changes(before, now)
    except (InputError, AttributeError, TypeError, ValueError):
        return now
    if changes:
        earlier = [*earlier, before]
        warnings.warn(
            f"{path.parent}: resumed in another environment: {', '.join(changes)}; results may "
            "differ from those of an uninterrupted training",
            stacklevel=2,
        )
    return now | ({"earlier": earlier} if earlier else {})


def environment_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What may change numbers between two environments, where it is known of both: "torch (2.10.0,
    now 2.11.0)"."""
    old, new = (
        {name: found.get(name) for name in ("vatrack", "git_revision", "device")}
        | (packages if isinstance(packages := found.get("packages"), dict) else {})
        for found in (before, now)
    )
    return [
        f"{name.replace('_', ' ')} ({value}, now {new[name]})"
        for name, value in old.items()
        if None not in (value, new.get(name)) and value != new[name]
    ]


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
