"""The dictionary of clips (spec 1.4): the file names of the frames of each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vatrack.common.errors import InputError
from vatrack.common.value_files import read_json
from vatrack.data.known_forms import STRUCTURE, wants
from vatrack.sailvos.layout import CLIP_MARK, safe_name


def source_video(clip: str) -> str:
    """The video that a clip is cut from: the name before `__`, or all of it where there is none."""
    return clip.split(CLIP_MARK, 1)[0]


@wants(path=STRUCTURE)
def read_structure(path: Path) -> dict[str, list[str]]:
    """Reads a dictionary of clips.

    Raises:
        InputError: not an object of lists of file names, one without any file, an unsafe name, or a
            file twice in a clip.
    """
    data = read_json(path)
    if not isinstance(data, dict) or not all(isinstance(names, list) for names in data.values()):
        raise InputError(
            f"{path}: not a dictionary of clips; write one (clip name: list of file names)"
        )
    if not any(data.values()):
        raise InputError(f"{path}: contains no clip with frames; {STRUCTURE.give}")
    for clip, names in data.items():
        safe_name(clip, f"{path}: clip")
        for name in names:
            safe_name(name, f"{path}: clip {clip}")
        if len(set(names)) != len(names):
            raise InputError(f"{path}: clip {clip} lists a file more than once; list it once")
    return data


def usable_clips(structure: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """What is a clip in a dictionary of clips, with sorted files; the rest are `left_overs`.

    Clips have files, and `__` in the name (quirk D7). Where nothing has both, every video is one
    clip under its own name.
    """
    filled = {clip: sorted(names) for clip, names in structure.items() if names}
    return {clip: names for clip, names in filled.items() if CLIP_MARK in clip} or filled


def left_overs(structure: Mapping[str, list[str]]) -> tuple[list[str], list[str]]:
    """What is no clip in a dictionary of clips (quirk D7).

    Returns:
        The names without frames, and those without `__` beside clips that have it.
    """
    clips = usable_clips(structure)
    others = [clip for clip in structure if clip not in clips]
    return [clip for clip in others if not structure[clip]], [
        clip for clip in others if structure[clip]
    ]
