"""Where two dictionaries of clips differ: the published one and our own, or two settings of the
detector (spec 1.4)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from vatrack.common.files import write_json
from vatrack.sailvos.clips import left_overs, read_structure, source_video, usable_clips

Structure = Mapping[str, list[str]]

# How the fields of `Difference` read in the text.
LABELS = {
    "clips_only_a": "clips that only A has",
    "clips_only_b": "clips that only B has",
    "other_frames": "clips with other frames",
    "cuts_only_a": "cuts that only A has, before frames",
    "cuts_only_b": "cuts that only B has, before frames",
    "frames_only_a": "frames that only A has",
    "frames_only_b": "frames that only B has",
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


@dataclass(frozen=True)
class Difference:
    """What differs in one video; frames are file names without suffix.

    Attributes:
        clips_only_a: names of clips that only A has, with their frames' number; `clips_only_b`
            likewise.
        other_frames: clips that both have, with the frames that only one of them has in it.
        cuts_only_a: first frames of clips, where B does not cut; `cuts_only_b` likewise. A video's
            first frame is no cut.
        frames_only_a: frames that are in a clip of A and in none of B; `frames_only_b` likewise.
        gaps_a: stretches ("000007-000009") of frames in no clip of A, between its first and its
            last frame; `gaps_b` likewise.
        twice_a: frames that are in more than one clip of A; `twice_b` likewise.
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
    """Two dictionaries, the videos that differ, and how many videos, clips and cuts are the same in
    both."""

    a: Side
    b: Side
    equal: bool
    same_videos: int
    same_clips: int
    same_cuts: int
    videos: dict[str, Difference]

    def totals(self) -> dict[str, int]:
        """How many entries the lists of all videos have together."""
        counts: Counter[str] = Counter()
        for difference in self.videos.values():
            counts.update({name: len(found) for name, found in vars(difference).items()})
        return {name: counts[name] for name in LABELS}


def compare_files(a: Path, b: Path, out: Path | None = None, shown: int = 10) -> tuple[str, bool]:
    """Compares two dictionaries of clips, in the published form (with left-overs) or in our own.

    Left-overs (quirk D7) are counted, but are no difference; neither are suffixes and the order of
    a clip's frames.

    Args:
        out: JSON file for everything that differs, video by video.
        shown: videos with differences that the text shows.

    Returns:
        A text, and whether the clips are the same.

    Raises:
        InputError: see `read_structure`.
    """
    found = compare_structures(read_structure(a), read_structure(b), str(a), str(b))
    if out is not None:
        write_json(out, {"totals": found.totals(), **asdict(found)}, indent=1)
    return describe(found, shown), found.equal


def compare_structures(
    a: Structure, b: Structure, name_a: str = "A", name_b: str = "B"
) -> Comparison:
    """Compares two dictionaries of clips; see `compare_files`."""
    clips_a, clips_b = _by_video(a), _by_video(b)
    differences = {}
    same_videos = same_clips = same_cuts = 0
    for video in sorted(clips_a.keys() | clips_b.keys()):
        own_a, own_b = clips_a.get(video, {}), clips_b.get(video, {})
        if own_a == own_b:
            same_videos += 1
        else:
            differences[video] = _compare_video(own_a, own_b)
        same_clips += sum(own_b.get(clip) == stems for clip, stems in own_a.items())
        same_cuts += len(_cuts(own_a) & _cuts(own_b))
    sides = _side(a, clips_a, name_a), _side(b, clips_b, name_b)
    return Comparison(*sides, not differences, same_videos, same_clips, same_cuts, differences)


def describe(found: Comparison, shown: int = 10) -> str:
    """The comparison as text: both sides, totals, and the first videos that differ."""
    lines = [
        f"{letter}: {_describe_side(side)}" for letter, side in (("A", found.a), ("B", found.b))
    ]
    same = f"{found.same_videos} videos, {found.same_clips} clips, {found.same_cuts} cuts"
    if found.equal:
        return "\n".join([*lines, f"no difference: {same} in both"])
    lines.append(f"same in both: {same}; videos that differ: {len(found.videos)}")
    lines += [f"  {LABELS[name]}: {number}" for name, number in found.totals().items() if number]
    for video, difference in list(found.videos.items())[:shown]:
        lines.append(f"{video}:")
        lines += [
            f"  {LABELS[name]}: {_listed(items)}"
            for name, items in vars(difference).items()
            if items
        ]
    if len(found.videos) > shown:
        lines.append(f"... and {len(found.videos) - shown} more videos")
    return "\n".join(lines)


def _by_video(structure: Structure) -> dict[str, dict[str, tuple[str, ...]]]:
    """Video to clip to the sorted frames of the clip, without suffix."""
    videos: dict[str, dict[str, tuple[str, ...]]] = defaultdict(dict)
    for clip, names in usable_clips(structure).items():
        videos[source_video(clip)][clip] = tuple(
            sorted(name.rpartition(".")[0] or name for name in names)
        )
    return videos


def _side(
    structure: Structure, videos: Mapping[str, Mapping[str, tuple[str, ...]]], name: str
) -> Side:
    lengths = [len(stems) for clips in videos.values() for stems in clips.values()]
    empty, unmarked = left_overs(structure)
    return Side(name, len(videos), len(lengths), sum(lengths), len(empty), len(unmarked))


def _cuts(clips: Mapping[str, tuple[str, ...]]) -> set[str]:
    """First frames of the clips but the video's own first frame."""
    starts = {stems[0] for stems in clips.values()}
    return starts - {min(starts)} if starts else starts


def _compare_video(
    a: Mapping[str, tuple[str, ...]], b: Mapping[str, tuple[str, ...]]
) -> Difference:
    frames_a = Counter(stem for stems in a.values() for stem in stems)
    frames_b = Counter(stem for stems in b.values() for stem in stems)
    other = {}
    for clip in _by_first_frame(a):
        if clip in b and a[clip] != b[clip]:
            first, second = set(a[clip]), set(b[clip])
            other[clip] = {"only_a": sorted(first - second), "only_b": sorted(second - first)}
    return Difference(
        clips_only_a={clip: len(a[clip]) for clip in _by_first_frame(a) if clip not in b},
        clips_only_b={clip: len(b[clip]) for clip in _by_first_frame(b) if clip not in a},
        other_frames=other,
        cuts_only_a=sorted(_cuts(a) - _cuts(b)),
        cuts_only_b=sorted(_cuts(b) - _cuts(a)),
        frames_only_a=sorted(frames_a.keys() - frames_b.keys()),
        frames_only_b=sorted(frames_b.keys() - frames_a.keys()),
        gaps_a=_gaps(frames_a),
        gaps_b=_gaps(frames_b),
        twice_a=sorted(stem for stem, times in frames_a.items() if times > 1),
        twice_b=sorted(stem for stem, times in frames_b.items() if times > 1),
    )


def _by_first_frame(clips: Mapping[str, tuple[str, ...]]) -> list[str]:
    return sorted(clips, key=lambda clip: clips[clip])


def _gaps(stems: Mapping[str, int]) -> list[str]:
    """Stretches of numbers that are missing between the first and the last; names that are no
    numbers have no gaps."""
    if not all(stem.isascii() and stem.isdigit() for stem in stems):
        return []
    gaps = []
    for before, after in pairwise(sorted(stems, key=int)):
        first, last = (
            f"{int(stem) + step:0{len(before)}d}" for stem, step in ((before, 1), (after, -1))
        )
        if int(first) <= int(last):
            gaps.append(first if first == last else f"{first}-{last}")
    return gaps


def _describe_side(side: Side) -> str:
    text = f"{side.path}: {side.clips} clips with {side.frames} frames of {side.videos} videos"
    ignored = [(side.left_over_empty, "empty"), (side.left_over_without_mark, "without __")]
    left = " and ".join(f"{number} {kind}" for number, kind in ignored if number)
    return f"{text}; left-overs that are no clips: {left}" if left else text


def _listed(items: Mapping[str, Any] | list[str], most: int = 6) -> str:
    """The first items, and how many there are."""
    shown = []
    for item in list(items)[:most]:
        value = items[item] if isinstance(items, Mapping) else None
        if isinstance(value, dict):
            shown.append(
                f"{item} ({len(value['only_a'])} only in A, {len(value['only_b'])} only in B)"
            )
        else:
            shown.append(item if value is None else f"{item} ({value} frames)")
    more = f", ... ({len(items)} in all)" if len(items) > most else ""
    return ", ".join(shown) + more
