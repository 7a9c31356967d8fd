"""The Python examples of README and docs/own-video.md run as they stand."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.api.conftest import checkpoint, clip, folder, video  # noqa: F401

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = ("README.md", "docs/own-video.md")
EXAMPLES = [
    pytest.param(code, id=f"{page}-{number}")
    for page in PAGES
    for number, code in enumerate(BLOCK.findall((ROOT / page).read_text(encoding="utf-8")))
]


@pytest.mark.parametrize("code", EXAMPLES)
def test_it_runs(
    code: str,
    checkpoint: Path,  # noqa: F811
    video: Path,  # noqa: F811
    folder: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(checkpoint, "best.pt")
    shutil.copy(video, "street.mp4")
    shutil.copy(min(folder.iterdir()), "frame.png")
    exec(compile(code, "example", "exec"), {"__name__": "example"})


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 4
