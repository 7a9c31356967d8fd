"""The raw layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from vatrack.common.errors import InputError
from vatrack.sailvos.layout import list_videos


def test_list_videos(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        list_videos(tmp_path / "raw")
    (tmp_path / "b" / "depth").mkdir(parents=True)
    with pytest.raises(InputError, match="no video folder"):
        list_videos(tmp_path)
    for name in ("c", "a"):
        (tmp_path / name / "images").mkdir(parents=True)
    assert list_videos(tmp_path) == ["a", "c"]
