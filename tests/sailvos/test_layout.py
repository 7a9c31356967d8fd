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


def test_a_raw_folder_near_the_given_one_is_named(tmp_path: Path) -> None:
    raw = tmp_path / "download" / "raw"
    (raw / "a" / "images").mkdir(parents=True)
    (raw / "a" / "images" / "000.bmp").touch()
    for wrong in (raw.parent, raw / "a"):
        with pytest.raises(InputError, match=rf"no video folder.*; give {raw}, or unpack"):
            list_videos(wrong)
