"""What the formats of other tools and datasets are called, in commands and functions."""

from __future__ import annotations

from typing import Literal

# Here, not with their readers and writers: commands name them before they know what they need.
SourceForm = Literal["coco", "ytvis", "mots", "mots-challenge", "motchallenge"]
Form = Literal["coco", "ytvis", "mots", "mots-challenge", "motchallenge", "trackeval"]
SourceFormat = Literal[
    "coco-amodal", "cocoa", "ytvis", "amodal-synth-drive", "mots", "tao-amodal", "movi"
]
