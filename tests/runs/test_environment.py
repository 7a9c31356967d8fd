"""The revision in a run's environment is the package's own, or none."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import vatrack
from vatrack import __version__
from vatrack.common.files import write_json
from vatrack.runs.environment import resumed_environment

SHOW = "from vatrack.runs.environment import git_revision; print(git_revision())"


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", "-C", str(folder), *who, *words], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def revision(folder: Path, **environment: str) -> str:
    """What the package in `folder` says."""
    done = subprocess.run(
        [sys.executable, "-c", SHOW],
        cwd=folder,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "PYTHONPATH": str(folder), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Someone's repository with an installed copy of the package in an untracked folder."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    git(tmp_path, "init", "-q")
    (tmp_path / "notes.txt").write_text("theirs\n")
    (tmp_path / ".gitignore").write_text("venv/\n__pycache__/\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "theirs")
    source = Path(vatrack.__file__).parent
    shutil.copytree(
        source, tmp_path / "venv" / "vatrack", ignore=shutil.ignore_patterns("__pycache__")
    )
    return tmp_path


def test_a_repository_above_an_installed_package_is_not_its_own(repository: Path) -> None:
    assert revision(repository / "venv") == "None"
    assert revision(repository / "venv", GIT_DIR=str(repository / ".git")) == "None"


def test_the_checkout_of_the_package_gives_its_revision(repository: Path) -> None:
    shutil.move(repository / "venv" / "vatrack", repository / "vatrack")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "ours")
    head = git(repository, "rev-parse", "HEAD")
    assert revision(repository) == head
    (repository / "notes.txt").write_text("changed\n")
    assert revision(repository) == f"{head}+changes"


def test_a_package_that_pip_installed_from_git_gives_that_commit(repository: Path) -> None:
    about = repository / "venv" / f"vatrack-{__version__}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: vatrack\nVersion: {__version__}\n"
    )
    commit = "0123456789abcdef0123456789abcdef01234567"
    (about / "direct_url.json").write_text(
        json.dumps({"url": "https://example.org/x.git", "vcs_info": {"commit_id": commit}})
    )
    assert revision(repository / "venv") == commit
    (about / "direct_url.json").write_text('{"url": "file:///x.whl", "archive_info": {}}')
    assert revision(repository / "venv") == "None"


def test_a_resumed_training_notes_where_it_was_before(tmp_path: Path) -> None:
    path = tmp_path / "environment.json"
    before = {"vatrack": "0.1.0", "device": "A100", "packages": {"torch": "2.10", "numpy": "2.0"}}
    now = before | {"device": "H100", "packages": {"torch": "2.11", "numpy": "2.0"}}
    write_json(path, before)
    told = r"another environment: device \(A100, now H100\), torch \(2\.10, now 2\.11\); results"
    with pytest.warns(UserWarning, match=told):
        noted = resumed_environment(path, now)
    assert noted == now | {"earlier": [before]}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_json(path, noted)
        assert resumed_environment(path, now) == noted
        for text in ("", "[]", '{"packages": 1}'):  # which says nothing, and stops nothing
            path.write_text(text)
            assert resumed_environment(path, now) == now
