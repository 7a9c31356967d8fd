"""A wrong folder of frames is said once, with what it holds and what was expected."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from vatrack.common.errors import InputError
from vatrack.common.frame_folders import require_frames

NAMES = ("a/images/000.bmp", "a/images/001.bmp", "b/images/000.bmp", "c/000.bmp", "d/000.bmp")


def refused(folder: Path, *names: str) -> str:
    with pytest.raises(InputError) as caught:
        require_frames(folder, names, "joint.json")
    return str(caught.value).removeprefix(f"{folder}: ")


def test_what_is_expected_and_what_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "one" / "wrong"
    assert refused(folder, *NAMES) == (
        "no such folder; give the folder of the frames that joint.json lists"
    )
    folder.mkdir(parents=True)
    told = "contains no frames of joint.json: expected a, b, c, ..., found "
    assert refused(folder, *NAMES) == f"{told}nothing; give the folder that contains them"
    for name in ("w", "x", ".made-from.json", "Thumbs.db"):
        (folder / name).touch()
    assert refused(folder, *NAMES) == f"{told}w, x; give the folder that contains them"
    (tmp_path / "one" / "a").mkdir()
    assert refused(folder, *NAMES) == f"{told}w, x; give {tmp_path}/one"
    assert refused(tmp_path, *NAMES) == f"{told}one; give {tmp_path}/one"
    assert refused(tmp_path, "n" * 300, "\0").endswith("give the folder that contains them")


def test_a_folder_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> Iterator[Path]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert "found nothing readable (Permission denied); give" in refused(tmp_path, *NAMES)


def test_a_right_folder_is_looked_at_once(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    require_frames(tmp_path, NAMES, "joint.json")  # one video is enough
    require_frames(tmp_path, (), "joint.json")

    def names() -> Iterator[str]:
        yield from NAMES[:3]
        pytest.fail("the others are not looked at")

    require_frames(tmp_path, names(), "joint.json")
    (tmp_path / "000.png").touch()
    require_frames(tmp_path, ["000.bmp"], "joint.json")  # as `existing_image` takes it
