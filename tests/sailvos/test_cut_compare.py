"""Where two clip dictionaries differ."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command import Command
from vatrack.common.errors import InputError
from vatrack.common.files import write_json
from vatrack.common.value_files import read_json
from vatrack.sailvos.cut_compare import compare_files, compare_structures


def files(first: int, last: int, suffix: str = "bmp") -> list[str]:
    return [f"{k:06d}.{suffix}" for k in range(first, last + 1)]


A = {"v__5": files(3, 7), "v__12": files(8, 14), "v__30": files(15, 33), "w__9": files(3, 12)}


def test_equal_but_for_form() -> None:
    """Left-overs, suffixes and the order of names are no differences."""
    published = {name: [*reversed(names)] for name, names in A.items()}
    published |= {"v": ["000002.bmp", "000000.bmp"], "w": ["000000.bmp"], "v__99": [], "zzz__5": []}
    own = {name: [file.replace("bmp", "png") for file in names] for name, names in A.items()}
    found = compare_structures(published, own)
    assert found.equal
    assert (found.same_videos, found.same_clips, found.same_cuts) == (2, 4, 2)
    assert (found.a.left_over_empty, found.a.left_over_without_mark) == (2, 2)
    assert (found.b.left_over_empty, found.b.left_over_without_mark) == (0, 0)
    assert (found.a.videos, found.a.clips, found.a.frames) == (2, 4, 41)
    assert (found.b.videos, found.b.clips, found.b.frames) == (2, 4, 41)
    assert found.videos == {}


def test_a_moved_cut() -> None:
    """A cut at frame 9 instead of 8: the clip before it has another name, the one after it other
    frames."""
    found = compare_structures(
        A,
        {**{k: v for k, v in A.items() if k != "v__5"}, "v__6": files(3, 8), "v__12": files(9, 14)},
    )
    assert not found.equal
    assert (found.same_videos, found.same_clips, found.same_cuts) == (1, 2, 1)
    assert found.videos.keys() == {"v"}
    difference = found.videos["v"]
    assert (difference.clips_only_a, difference.clips_only_b) == ({"v__5": 5}, {"v__6": 6})
    assert difference.other_frames == {"v__12": {"only_a": ["000008"], "only_b": []}}
    assert (difference.cuts_only_a, difference.cuts_only_b) == (["000008"], ["000009"])
    assert difference.frames_only_a == difference.frames_only_b == []
    assert difference.gaps_a == difference.gaps_b == difference.twice_a == difference.twice_b == []


def test_frames_that_are_missing_or_double() -> None:
    other = {
        **A,
        "v__12": [*files(7, 9), *files(12, 13)],
        "v__30": files(15, 32),
        "x__4": files(3, 7),
    }
    found = compare_structures(A, other)
    assert found.videos.keys() == {"v", "x"}
    difference = found.videos["v"]
    assert difference.frames_only_a == ["000010", "000011", "000014", "000033"]
    assert difference.frames_only_b == []
    assert difference.gaps_a == []
    assert difference.gaps_b == ["000010-000011", "000014"]
    assert (difference.twice_a, difference.twice_b) == ([], ["000007"])
    assert difference.other_frames["v__30"] == {"only_a": ["000033"], "only_b": []}
    assert (difference.cuts_only_a, difference.cuts_only_b) == (["000008"], ["000007"])
    only_b = found.videos["x"]
    assert (only_b.clips_only_a, only_b.clips_only_b) == ({}, {"x__4": 5})
    assert (only_b.cuts_only_b, only_b.frames_only_b) == ([], [f"{k:06d}" for k in range(3, 8)])
    assert found.totals()["frames_only_a"] == 4
    assert found.totals()["clips_only_b"] == 1


def test_whole_videos_against_clips() -> None:
    found = compare_structures({"v": files(3, 33), "w": files(3, 12)}, A)
    assert found.a.left_over_without_mark == 0
    assert (
        found.totals() | {"clips_only_a": 2, "clips_only_b": 4, "cuts_only_b": 2} == found.totals()
    )
    assert found.totals()["frames_only_a"] == found.totals()["frames_only_b"] == 0


def test_text_and_file(tmp_path: Path) -> None:
    many = {f"{video}__9": files(3, 12) for video in "abcdefgh"}
    write_json(tmp_path / "a.json", A | many)
    write_json(tmp_path / "b.json", {**A, "v__5": [], "v__12": files(3, 14), "v": ["000000.bmp"]})
    found = compare_files(tmp_path / "a.json", tmp_path / "b.json", tmp_path / "out.json")
    assert not found.equal
    lines = found.describe(shown=2).splitlines()
    assert lines[0] == f"A: {tmp_path / 'a.json'}: 12 clips with 121 frames of 10 videos"
    assert lines[1] == (
        f"B: {tmp_path / 'b.json'}: 3 clips with 41 frames of 2 videos; entries that are not "
        "clips: 1 empty and 1 without __"
    )
    assert lines[2] == "same in both: 1 video, 2 clips, 1 cut; videos that differ: 9"
    assert "  clips only in A: 9" in lines
    assert "  clips only in A: a__9 (10 frames)" in lines
    assert lines[-1] == "... and 7 more videos"
    assert "v:" not in lines
    shown = found.describe(10).splitlines()
    assert "  clips with different frames: v__12 (0 only in A, 5 only in B)" in shown
    assert "  cuts only in A, before frames: 000008" in shown
    full = read_json(tmp_path / "out.json")
    assert full["totals"]["clips_only_a"] == 9
    assert full["equal"] is False
    assert len(full["videos"]) == 9
    assert full["videos"]["v"]["cuts_only_a"] == ["000008"]
    assert full["b"] == {
        "path": str(tmp_path / "b.json"),
        "videos": 2,
        "clips": 3,
        "frames": 41,
        "left_over_empty": 1,
        "left_over_without_mark": 1,
    }


@pytest.mark.parametrize(
    ("other", "code"),
    [
        (A, 0),
        ({**A, "v": ["000000.bmp"]}, 0),
        ({**A, "w__9": files(3, 11)}, 1),
        ({**A, "w__9": "x"}, 2),
        (None, 2),
    ],
)
def test_exit_codes(other: object, code: int, tmp_path: Path, vatrack: Command) -> None:
    """As `diff` has them: 0 the same, 1 different, 2 bad input."""
    write_json(tmp_path / "a.json", A)
    if other is not None:
        write_json(tmp_path / "b.json", other)
    files = tmp_path / "a.json", tmp_path / "b.json"
    ended, shown, errors = vatrack("cuts", "compare", *files, "--out", tmp_path / "out.json")
    assert ended == code
    assert ("b.json" in errors) == (code == 2)
    assert ("no difference" in shown) == (code == 0)
    assert (tmp_path / "out.json").exists() == (code != 2)


def test_bad_input_is_named(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", A)
    write_json(tmp_path / "b.json", ["v__5"])
    with pytest.raises(InputError, match=r"b\.json: not a clip dictionary"):
        compare_files(tmp_path / "a.json", tmp_path / "b.json")
