"""The published dictionary of SAIL-VOS-cut: its numbers (spec 1.4), and its clip tree from a raw
tree of all its names."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.parity.golden import SHARED_DATA
from vatrack.common.files import write_json
from vatrack.sailvos.clips import build_clip_tree
from vatrack.sailvos.cut_compare import compare_files
from vatrack.sailvos.layout import FRAMES_AFTER, FRAMES_BEFORE, list_videos
from vatrack.sailvos.structure import left_overs, read_structure, source_video, usable_clips

PUBLISHED = SHARED_DATA / "sailvos_cut_structure.json"
CLIPS, FRAMES, NAMES = 3661, 111_654, 113_490
SHOWN = {"bs_2a_ext__863": "bs_2a_ext", "mph_tut_mcs1__21": "mph_tut_mcs1"}  # clip to its video

pytestmark = pytest.mark.skipif(
    not PUBLISHED.exists(), reason=f"{PUBLISHED} is missing; set VATRACK_GOLDEN"
)


@pytest.fixture(scope="module")
def published() -> dict[str, list[str]]:
    return read_structure(PUBLISHED)


@pytest.fixture(scope="module")
def clips(published: dict[str, list[str]]) -> dict[str, list[str]]:
    return usable_clips(published)


def numbers(names: list[str]) -> list[int]:
    return [int(Path(name).stem) for name in names]


def test_kinds_of_names(published: dict[str, list[str]], clips: dict[str, list[str]]) -> None:
    empty, unmarked = left_overs(published)
    assert (len(published), len(clips), len(empty), len(unmarked)) == (4070, CLIPS, 205, 204)
    assert Counter(source_video(clip) for clip in empty) == {
        "family_5_mcs_3": 109,
        "low_pho_int": 95,
        "low_drv_ext": 1,
    }
    assert sum(map(len, published.values())) == NAMES
    assert all(len(published[video]) == FRAMES_BEFORE + FRAMES_AFTER for video in unmarked)
    assert set(unmarked) == {source_video(clip) for clip in clips}


def test_lengths(clips: dict[str, list[str]]) -> None:
    lengths = np.array([len(names) for names in clips.values()])
    assert (lengths.sum(), lengths.min(), lengths.max(), np.median(lengths)) == (FRAMES, 5, 567, 23)
    assert lengths.mean() == pytest.approx(30.50, abs=0.005)
    assert len(clips["bs_2a_ext__863"]) == 567
    deciles = np.quantile(lengths, np.arange(1, 10) / 10, method="inverted_cdf")
    assert deciles.tolist() == [6, 10, 14, 19, 23, 29, 35, 43, 59]
    edges = [5, 6, 10, 20, 30, 50, 100, 200, 500, 1000]
    assert np.histogram(lengths, edges)[0].tolist() == [340, 368, 803, 720, 868, 477, 68, 16, 1]
    per_video = Counter(source_video(clip) for clip in clips)
    assert (len(per_video), min(per_video.values()), max(per_video.values())) == (204, 1, 111)
    alone = (
        "ah_3a_mcs_6 ass_mcs_1 fam_1_ext_alt3 jh_end_pt2_a1_p2_a mph_fin_cel_roo "
        "mph_fin_cel_str mph_tut_mcs1 pap_2_mcs_1"
    )
    assert sorted(video for video, count in per_video.items() if count == 1) == alone.split()


def test_clips_tile_their_videos(
    published: dict[str, list[str]], clips: dict[str, list[str]]
) -> None:
    """Without gap or overlap, named by the rule of spec 1.3, and with the left-overs around
    them."""
    videos = defaultdict(list)
    for clip, names in clips.items():
        videos[source_video(clip)].append((numbers(names), clip))
    sizes = []
    for video, found in videos.items():
        found.sort()
        frames = [number for stems, _ in found for number in stems]
        assert frames == list(range(FRAMES_BEFORE, FRAMES_BEFORE + len(frames)))
        sizes.append(len(frames))
        around = [*range(FRAMES_BEFORE), *range(frames[-1] + 1, frames[-1] + 1 + FRAMES_AFTER)]
        assert sorted(numbers(published[video])) == around
        ends = [stems[-1] - FRAMES_BEFORE + 1 for stems, _ in found]
        ends[-1] -= 1
        assert [clip for _, clip in found] == [f"{video}__{end}" for end in ends]
        assert len(found[-1][0]) >= 7 or len(found) == 1
    assert (min(sizes), max(sizes), float(np.median(sizes))) == (22, 3194, 393)


@dataclass(frozen=True)
class RawTree:
    folder: Path
    raw: Path


@pytest.fixture(scope="module")
def tree(published: dict[str, list[str]]) -> Iterator[RawTree]:
    """A raw tree with all names of the dictionary; every frame is an image of one pixel.

    The frames are links to a few files, because file systems bound the links of a file (ext4:
    65,000), and lie in memory where there is such a place, because a disk that others use may take
    minutes for so many names.
    """
    memory = Path("/dev/shm")
    place = memory if memory.is_dir() and shutil.disk_usage(memory).free > 2e9 else None
    with tempfile.TemporaryDirectory(dir=place) as name:
        folder = Path(name)
        made = 0
        for key, names in published.items():
            images = folder / "raw" / source_video(key) / "images"
            images.mkdir(parents=True, exist_ok=True)
            for frame in names:
                image = folder / f"pixel{made // 25_000}.bmp"
                if made % 25_000 == 0:
                    assert cv2.imwrite(str(image), np.zeros((1, 1, 3), np.uint8))
                (images / frame).hardlink_to(image)
                made += 1
        assert made == NAMES
        assert len(list_videos(folder / "raw")) == 204
        yield RawTree(folder, folder / "raw")


@pytest.mark.parametrize(
    ("mode", "how", "every"),
    [("symlink", "symbolic links", 1), ("hardlink", "hard links", 20)],
)
def test_the_clip_tree(
    tree: RawTree, published: dict[str, list[str]], mode: str, how: str, every: int
) -> None:
    """With symbolic links of all videos; with hard links, of every twentieth one."""
    videos = sorted({source_video(key) for key in published})
    chosen = {*videos[::every], *SHOWN.values(), "low_pho_int"}  # it has names without frames
    some = {key: names for key, names in published.items() if source_video(key) in chosen}
    empty, unmarked = left_overs(some)
    clips = usable_clips(some)
    structure, out = tree.folder / f"{mode}.json", tree.folder / mode
    write_json(structure, some)
    summary = build_clip_tree(tree.raw, structure, out, mode)
    left = f"{len(empty)} names without frames, {len(unmarked)} without __"
    frames = sum(map(len, clips.values()))
    assert str(summary) == f"{len(clips)} clips in {out}: {frames} {how}; skipped: {left}"
    assert (len(clips), frames) == (CLIPS, FRAMES) or every > 1
    found = {
        clip.name: sorted(frame.name for frame in (clip / "images").iterdir())
        for clip in out.glob("[!.]*")
    }
    assert found == clips
    for clip, video in SHOWN.items():
        for frame in (out / clip / "images").iterdir():
            assert frame.is_symlink() == (mode == "symlink")
            assert frame.samefile(tree.raw / video / "images" / frame.name)
    shutil.rmtree(out)


def test_comparison_with_a_changed_copy(
    published: dict[str, list[str]], clips: dict[str, list[str]], tmp_path: Path
) -> None:
    own = tmp_path / "own.json"
    write_json(own, clips)
    found = compare_files(PUBLISHED, own)
    assert found.equal
    text = found.describe(10)
    assert "entries that are not clips: 205 empty and 204 without __" in text
    assert f"no difference: 204 videos, {CLIPS} clips, {CLIPS - 204} cuts in both" in text

    changed = {**clips}
    joined = changed.pop("ah_3a_ext__53") + changed.pop("ah_3a_ext__71")  # one cut less
    changed["ah_3a_ext__71"] = joined
    del changed[
        "pap_2_mcs_1__" + str(len(clips_of(clips, "pap_2_mcs_1")) - 1)
    ]  # a whole video less
    changed["bs_2a_ext__863"] = clips["bs_2a_ext__863"][1:]  # one frame less
    write_json(own, changed)
    found = compare_files(PUBLISHED, own)
    assert not found.equal
    shown = found.describe(10).splitlines()
    assert (
        shown[2]
        == f"same in both: 201 videos, {CLIPS - 4} clips, {CLIPS - 204 - 2} cuts; videos that "
        f"differ: 3"
    )
    start = shown.index("ah_3a_ext:")
    assert shown[start + 1 : start + 4] == [
        "  clips only in A: ah_3a_ext__53 (53 frames)",
        "  clips with different frames: ah_3a_ext__71 (0 only in A, 53 only in B)",
        f"  cuts only in A, before frames: {Path(clips['ah_3a_ext__71'][0]).stem}",
    ]
    lost = Path(clips["bs_2a_ext__863"][0]).stem
    assert f"  gaps between the frames of B: {lost}" in shown
    assert f"  frames only in A: {lost}" in shown


def clips_of(clips: dict[str, list[str]], video: str) -> list[str]:
    """All frames of a video."""
    return [name for clip, names in clips.items() if source_video(clip) == video for name in names]
