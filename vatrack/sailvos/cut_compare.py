"""Compares two clip dictionaries: the published one and our own, or two settings (spec 1.4)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from vatrack.common.counted import counted
from vatrack.common.files import require_json, write_json
from vatrack.sailvos.structure import left_overs, read_structure, source_video, usable_clips

Structure = Mapping[str, list[str]]
Clips = dict[str, tuple[str, ...]]  # clip to its sorted frames, without suffix

SHOWN_ITEMS = 6
# How the fields of `Difference` read in the text.
LABELS = {
    "clips_only_a": "clips only in A",
    "clips_only_b": "clips only in B",
    "other_frames": "clips with different frames",
    "cuts_only_a": "cuts only in A, before frames",
    "cuts_only_b": "cuts only in B, before frames",
    "frames_only_a": "frames only in A",
    "frames_only_b": "frames only in B",
    "gaps_a": "gaps between the frames of A",
    "gaps_b": "gaps between the frames of B",
    "twice_a": "frames in more than one clip of A",
    "twice_b": "frames in more than one clip of B",
}


@dataclass(frozen=True)
class Side:
    """One of the two dictionaries in numbers."""

    path: str
    videos: int
    clips: int
    frames: int
    left_over_empty: int
    left_over_without_mark: int

    def __str__(self) -> str:
        clips, frames = counted(self.clips, "clip"), counted(self.frames, "frame")
        text = f"{self.path}: {clips} with {frames} of {counted(self.videos, 'video')}"
        ignored = {"empty": self.left_over_empty, "without __": self.left_over_without_mark}
        left = " and ".join(f"{number} {why}" for why, number in ignored.items() if number)
        return f"{text}; entries that are not clips: {left}" if left else text


@dataclass(frozen=True)
class Difference:
    """What differs in one video, see `LABELS`; frames are file names without suffix.

    Clips that only one dictionary has come with their number of frames, clips with different frames
    with those that only one has in it. A video's first frame is no cut. Gaps are stretches
    ("000007-000009") between the first and the last frame.
    """

    clips_only_a: dict[str, int]
    clips_only_b: dict[str, int]
    other_frames: dict[str, dict[str, list[str]]]
    cuts_only_a: list[str]
    cuts_only_b: list[str]
    frames_only_a: list[str]
    frames_only_b: list[str]
    gaps_a: list[str]
    gaps_b: list[str]
    twice_a: list[str]
    twice_b: list[str]


@dataclass(frozen=True)
class Comparison:
    """Two dictionaries, how much is the same in both, and the videos that differ."""

    a: Side
    b: Side
    equal: bool
    same_videos: int
    same_clips: int
    same_cuts: int
    videos: dict[str, Difference]

    def totals(self) -> dict[str, int]:
        """How many items the lists of all videos have together, by field of `Difference`."""
        videos = self.videos.values()
        return {name: sum(len(getattr(video, name)) for video in videos) for name in LABELS}

    def describe(self, shown: int) -> str:
        """Both sides, totals, and the first `shown` videos that differ, as text."""
        lines = [f"A: {self.a}", f"B: {self.b}"]
        videos, clips = counted(self.same_videos, "video"), counted(self.same_clips, "clip")
        same = f"{videos}, {clips}, {counted(self.same_cuts, 'cut')}"
        if self.equal:
            return "\n".join([*lines, f"no difference: {same} in both"])
        lines.append(f"same in both: {same}; videos that differ: {len(self.videos)}")
        totals = self.totals().items()
        lines += [f"  {LABELS[name]}: {number}" for name, number in totals if number]
        for video, difference in list(self.videos.items())[:shown]:
            found = [(name, items) for name, items in vars(difference).items() if items]
            lines.append(f"{video}:")
            lines += [f"  {LABELS[name]}: {_listed(items)}" for name, items in found]
        if len(self.videos) > shown:
            lines.append(f"... and {counted(len(self.videos) - shown, 'more video')}")
        return "\n".join(lines)


def compare_files(a: Path, b: Path, out: Path | None = None) -> Comparison:
    """Compares two clip dictionaries, in the published form (with left-overs) or in our own.

    Left-overs (quirk D7) are counted, but are no difference; neither are suffixes and the order of
    a clip's frames.

    Args:
        out: JSON file for everything that differs, video by video.

    Raises:
        InputError: see `read_structure`.
    """
    if out is not None:
        require_json(Path(out), "the list of differences is")
    found = compare_structures(read_structure(a), read_structure(b), str(a), str(b))
    if out is not None:
        write_json(out, {"totals": found.totals(), **asdict(found)}, indent=1)
    return found


def compare_structures(
    a: Structure, b: Structure, name_a: str = "A", name_b: str = "B"
) -> Comparison:
    """Compares two clip dictionaries; see `compare_files`."""
    clips_a, clips_b = _by_video(a), _by_video(b)
    pairs = {
        video: (clips_a.get(video, {}), clips_b.get(video, {}))
        for video in sorted(clips_a.keys() | clips_b.keys())
    }
    videos = {video: _compare(*both) for video, both in pairs.items() if both[0] != both[1]}
    return Comparison(
        _side(a, clips_a, name_a),
        _side(b, clips_b, name_b),
        equal=not videos,
        same_videos=len(pairs) - len(videos),
        same_clips=sum(len(own.items() & other.items()) for own, other in pairs.values()),
        same_cuts=sum(len(_cuts(own) & _cuts(other)) for own, other in pairs.values()),
        videos=videos,
    )


def _by_video(structure: Structure) -> dict[str, Clips]:
    videos: dict[str, Clips] = defaultdict(dict)
    for clip, names in usable_clips(structure).items():
        stems = sorted(name.rpartition(".")[0] or name for name in names)
        videos[source_video(clip)][clip] = tuple(stems)
    return videos


def _side(structure: Structure, videos: Mapping[str, Clips], name: str) -> Side:
    lengths = [len(stems) for clips in videos.values() for stems in clips.values()]
    empty, unmarked = left_overs(structure)
    return Side(name, len(videos), len(lengths), sum(lengths), len(empty), len(unmarked))


def _cuts(clips: Clips) -> set[str]:
    """First frames of the clips but the video's own first frame."""
    return set(sorted({stems[0] for stems in clips.values()})[1:])


def _compare(a: Clips, b: Clips) -> Difference:
    found: dict[str, Any] = {}
    for side, own, other in (("a", a, b), ("b", b, a)):
        by_first_frame = sorted(own, key=lambda clip: own[clip])
        frames, others = (
            Counter(stem for stems in clips.values() for stem in stems) for clips in (own, other)
        )
        only = {clip: len(own[clip]) for clip in by_first_frame if clip not in other}
        found[f"clips_only_{side}"] = only
        found[f"cuts_only_{side}"] = sorted(_cuts(own) - _cuts(other))
        found[f"frames_only_{side}"] = sorted(frames.keys() - others.keys())
        found[f"gaps_{side}"] = _gaps(frames)
        found[f"twice_{side}"] = sorted(stem for stem, times in frames.items() if times > 1)
    differing = sorted((a[clip], clip) for clip in a.keys() & b.keys() if a[clip] != b[clip])
    other_frames = {
        clip: {
            "only_a": sorted(set(stems) - set(b[clip])),
            "only_b": sorted(set(b[clip]) - set(stems)),
        }
        for stems, clip in differing
    }
    return Difference(other_frames=other_frames, **found)


def _gaps(stems: Mapping[str, int]) -> list[str]:
    """Stretches of missing numbers between the first and the last; other names have no gaps."""
    if not all(stem.isascii() and stem.isdigit() for stem in stems):
        return []
    gaps = []
    for before, after in pairwise(sorted(stems, key=int)):
        missing = [f"{n:0{len(before)}d}" for n in (int(before) + 1, int(after) - 1)]
        if int(after) - int(before) > 1:
            gaps.append("-".join(dict.fromkeys(missing)))
    return gaps


def _listed(items: Mapping[str, Any] | list[str]) -> str:
    """The first items, and how many there are."""
    shown = []
    for item in list(items)[:SHOWN_ITEMS]:
        value = items[item] if isinstance(items, Mapping) else None
        if isinstance(value, dict):
            only = ", ".join(f"{len(value[f'only_{x.lower()}'])} only in {x}" for x in "AB")
            shown.append(f"{item} ({only})")
        else:
            shown.append(item if value is None else f"{item} ({counted(value, 'frame')})")
    more = f", ... ({len(items)} in all)" if len(items) > SHOWN_ITEMS else ""
    return ", ".join(shown) + more
