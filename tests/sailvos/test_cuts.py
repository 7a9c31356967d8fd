"""Content scores and the clip dictionary, the published one among them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.command import Command
from tests.parity.golden import SHARED_DATA
from tests.sailvos.official import write_raw
from vatrack.common.errors import InputError
from vatrack.common.files import write_json
from vatrack.common.value_files import read_json
from vatrack.config.dataset import ClipsConfig
from vatrack.sailvos.cuts import find_cuts, score_video_file, score_videos, write_structure
from vatrack.sailvos.index import build_index
from vatrack.sailvos.structure import read_structure, usable_clips

PUBLISHED = SHARED_DATA / "sailvos_cut_structure.json"


def naive_cuts(
    video: str, scores: list[float], threshold: float, least: int
) -> list[tuple[str, int, int]]:
    """The rule of spec 1.3 as it is written there."""
    frames = len(scores) + 1
    cuts, found = [0], []
    for k in range(1, frames):
        if k == frames - 1:
            found.append((f"{video}__{k}", cuts[-1], k + 1))
        elif scores[k - 1] >= threshold and k - cuts[-1] >= least and frames - 1 - k > 5:
            found.append((f"{video}__{k}", cuts[-1], k))
            cuts.append(k)
    return found


def test_cuts_follow_the_rule() -> None:
    rng = np.random.default_rng(1)
    for _ in range(300):
        scores = rng.choice(
            [0.0, 26.9999, 27.0, 90.0], int(rng.integers(1, 60)), p=[0.6, 0.1, 0.1, 0.2]
        ).tolist()
        least = int(rng.integers(1, 8))
        found = [(clip.name, clip.start, clip.stop) for clip in find_cuts("v", scores, 27.0, least)]
        assert found == naive_cuts("v", scores, 27.0, least)


def test_video_of_one_frame_is_kept() -> None:
    (clip,) = find_cuts("v", [], 27.0, 5)
    assert (clip.name, clip.start, clip.stop) == ("v__0", 0, 1)


@pytest.fixture(scope="module")
def published() -> dict[str, list[str]]:
    if not PUBLISHED.exists():
        pytest.skip(f"{PUBLISHED} is missing; set VATRACK_GOLDEN")
    return usable_clips(read_structure(PUBLISHED))


def test_published_names_follow_the_rule(published: dict[str, list[str]], tmp_path: Path) -> None:
    """Scores that are high where the published clips begin give the published dictionary back,
    through the files."""
    starts: dict[str, dict[int, int]] = {}
    for clip, names in published.items():
        starts.setdefault(clip.split("__")[0], {})[int(names[0][:6]) - 3] = len(names)
    index: dict[str, list[Any]] = {"train": [], "valid": []}
    for video, begins in starts.items():
        frames = sum(begins.values())
        scores = [90.0 if k in begins else 3.0 for k in range(1, frames)]
        write_json(
            tmp_path / "scores" / f"{video}.json",
            {"video": video, "frames": frames, "scores": scores},
        )
        files = [
            {"file": f"{k + 3:06d}.bmp", "frame_id": k, "image_id": k, "width": 1, "height": 1}
            for k in range(frames)
        ]
        index["train"].append({"name": video, "frames": files})
    write_json(tmp_path / "index.json", index)
    write_structure(
        ClipsConfig(), tmp_path / "index.json", tmp_path / "scores", tmp_path / "detected.json"
    )
    assert read_json(tmp_path / "detected.json") == published
    clips = ClipsConfig(structure=PUBLISHED)
    summary = write_structure(clips, tmp_path / "index.json", None, tmp_path / "given.json")
    assert "3661 clips with 111654 frames from 204 videos" in str(summary)
    assert read_json(tmp_path / "given.json") == published


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A raw tree with videos a (12 frames) and b (2 frames), its index, and scores with one cut in
    a."""
    paths = write_raw(tmp_path / "raw", {"train": {"a": 12}, "valid": {"b": 2}})
    build_index(tmp_path / "raw", paths, tmp_path / "index.json")
    for video, scores in (("a", [0.0] * 4 + [50.0] + [0.0] * 6), ("b", [99.0])):
        write_json(
            tmp_path / "scores" / f"{video}.json",
            {"video": video, "frames": len(scores) + 1, "scores": scores},
        )
    return tmp_path


def files(first: int, last: int) -> list[str]:
    return [f"{k:06d}.bmp" for k in range(first, last + 1)]


def test_structures(tree: Path) -> None:
    index, scores, out = tree / "index.json", tree / "scores", tree / "out.json"
    write_structure(ClipsConfig(), index, scores, out)
    detected = {"a__5": files(3, 7), "a__11": files(8, 14), "b__1": files(3, 4)}
    assert read_json(out) == detected
    write_structure(ClipsConfig(threshold=60), index, scores, out)
    assert read_json(out) == {"a__11": files(3, 14), "b__1": files(3, 4)}
    write_structure(ClipsConfig(structure="whole"), index, None, out)
    assert read_json(out) == {"a": files(3, 14), "b": files(3, 4)}
    left_overs = {"a": ["000002.bmp", "000000.bmp"], "a__500": [], "zzz": []}
    write_json(tree / "given.json", {**detected, **left_overs, "b__1": files(3, 4)[::-1]})
    write_structure(ClipsConfig(structure=tree / "given.json"), index, None, out)
    assert read_json(out) == detected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"a__11": files(3, 14)}, r"frame 000003 of b \(2 in total\) is in no clip"),
        (
            {"a__11": files(3, 14), "b__1": files(3, 4), "c__1": files(3, 4)},
            "clip c__1: c is not an annotated video; unpack it",
        ),
        (
            {"a__11": files(3, 15), "b__1": files(3, 4)},
            "clip a__11: frame 000015 is not an annotated frame of a",
        ),
        (
            {"a__5": files(3, 8), "a__11": files(8, 14), "b__1": files(3, 4)},
            "clip a__11: frame 000008 .* is in two clips",
        ),
        ({"a__11": [*files(3, 14), "000003.bmp"]}, "clip a__11 lists a file more than once"),
        ({"a__11": ["../../x.bmp"]}, "clip a__11: '../../x.bmp' is not allowed as the name"),
        ({"../a__11": files(3, 14)}, "'../a__11' is not allowed as the name"),
        ({"a__11": "000003.bmp"}, "not a clip dictionary"),
        ([1], "not a clip dictionary"),
    ],
)
def test_bad_dictionaries(tree: Path, given: object, message: str) -> None:
    write_json(tree / "given.json", given)
    with pytest.raises(InputError, match=message) as caught:
        write_structure(
            ClipsConfig(structure=tree / "given.json"), tree / "index.json", None, tree / "out.json"
        )
    assert str(tree / "given.json") in str(caught.value)
    assert not (tree / "out.json").exists()


def test_bad_scores(tree: Path) -> None:
    def detect(scores: Path | None) -> None:
        write_structure(ClipsConfig(), tree / "index.json", scores, tree / "out.json")

    with pytest.raises(InputError, match=r"dataset\.clips\.structure: is detect; give .* --scores"):
        detect(None)
    with pytest.raises(InputError, match=r"empty/a\.json: no such file"):
        detect(tree / "empty")
    score_file = tree / "scores" / "b.json"
    write_json(score_file, {"video": "b", "frames": 2, "scores": [1.0, 2.0]})
    with pytest.raises(InputError, match="2 scores, but 2 frames of b are annotated"):
        detect(tree / "scores")
    write_json(score_file, {"video": "a", "frames": 2, "scores": [1.0]})
    with pytest.raises(InputError, match="not the content scores of b"):
        detect(tree / "scores")
    for bad in (-0.5, 255.5, "1", True, None):
        write_json(score_file, {"video": "b", "frames": 2, "scores": [bad]})
        with pytest.raises(InputError, match=rf"score 1 is {bad!r}, not a number from 0 to 255"):
            detect(tree / "scores")
    write_json(score_file, {"video": "b", "frames": 2, "scores": [255]})
    detect(tree / "scores")


def test_a_video_has_the_size_of_its_first_frame(tree: Path) -> None:
    index = read_json(tree / "index.json")
    index["valid"][0]["frames"][1]["width"] += 1
    write_json(tree / "index.json", index)
    with pytest.raises(
        InputError,
        match=r"000004\.bmp: is 13 x 8 pixels, but the first frame of its video is 12 x 8; correct",
    ):
        score_video_file(tree / "raw", tree / "index.json", "b", tree / "b.json")


def test_scoring_a_video(tree: Path) -> None:
    raw, index, out = tree / "raw", tree / "index.json", tree / "a.json"
    scored = score_video_file(raw, index, "b", out)
    assert str(scored) == "b: 2 frames, highest score 1.7"
    # Grey images, 5 levels apart: only V changes.
    assert read_json(out) == {"video": "b", "frames": 2, "scores": [pytest.approx(5 / 3)]}
    (raw / "extra" / "images").mkdir(parents=True)
    score_video_file(raw, index, "extra", out)
    assert read_json(out) == {"video": "extra", "frames": 0, "scores": []}
    with pytest.raises(InputError, match="nowhere: neither a folder"):
        score_video_file(raw, index, "nowhere", out)
    told = r"Extras: neither a folder.*; did you mean extra\? Otherwise check the name$"
    with pytest.raises(InputError, match=told):
        score_video_file(raw, index, "Extras", out)


def test_several_videos_in_one_process_get_what_each_gets_alone(tree: Path) -> None:
    raw, index = tree / "raw", tree / "index.json"
    (raw / "extra" / "images").mkdir(parents=True)
    alone = {}
    for video in ("a", "b", "extra"):
        score_video_file(raw, index, video, tree / "alone.json")
        alone[f"{video}.json"] = (tree / "alone.json").read_bytes()
    scored = list(score_videos(raw, index, (), tree / "all"))
    assert [each.video for each in scored] == ["a", "b", "extra"]
    assert {path.name: path.read_bytes() for path in (tree / "all").iterdir()} == alone
    assert [each.video for each in score_videos(raw, index, ("b",), tree / "some")] == ["b"]
    assert [path.name for path in (tree / "some").iterdir()] == ["b.json"]
    with pytest.raises(InputError, match="nowhere: neither a folder"):
        list(score_videos(raw, index, ("a", "nowhere"), tree / "until"))
    assert [path.name for path in (tree / "until").iterdir()] == ["a.json"]


def test_the_command_takes_one_video_or_several(tree: Path, vatrack: Command) -> None:
    call = "cuts", "score", "--raw", tree / "raw", "--index", tree / "index.json"
    both = "--video", "a", "--video", "b"
    assert vatrack(*call, *both, "--out", tree / "scores")[0] == 0
    assert sorted(path.name for path in (tree / "scores").iterdir()) == ["a.json", "b.json"]
    assert vatrack(*call, "--video", "a", "--out", tree / "one.json")[0] == 0
    assert (tree / "one.json").read_bytes() == (tree / "scores" / "a.json").read_bytes()
    for videos in ((), both):
        code, _, errors = vatrack(*call, *videos, "--out", tree / "all.json")
        assert code == 2
        assert (
            f"--out {tree / 'all.json'}: the name of a file, for several videos; give a" in errors
        )
        assert not (tree / "all.json").exists()


def test_scoring_broken_frames(tree: Path) -> None:
    frame, out = tree / "raw" / "a" / "images" / "000009.bmp", tree / "a.json"

    def score() -> None:
        score_video_file(tree / "raw", tree / "index.json", "a", out)

    frame.write_bytes(frame.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"000009\.bmp: truncated, 341 of 342 bytes; unpack"):
        score()
    assert cv2.imwrite(str(frame), np.zeros((9, 12, 3), np.uint8))
    with pytest.raises(InputError, match="is 12 x 9 pixels, but its annotation says 12 x 8"):
        score()
    frame.unlink()
    with pytest.raises(InputError, match=r"000009\.bmp: no such frame"):
        score()
    assert not out.exists()


def test_a_folder_in_place_of_a_score_file_is_kept(tree: Path) -> None:
    """The advice is never to remove it: it may hold the scores of all the other videos."""
    folder = tree / "scores"
    with pytest.raises(InputError) as refused:
        score_video_file(tree / "raw", tree / "index.json", "a", folder)
    assert str(refused.value) == (
        f"{folder}: is a folder, but --out must be a file with one --video; give {folder}/a.json"
    )
