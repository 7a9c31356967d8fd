"""What the formats of other tools and datasets are called, in commands and functions."""

from __future__ import annotations

from typing import Literal

from vatrack.common.mask_types import MaskType

# Here, not with their readers and writers: commands name them before they know what they need.
SourceForm = Literal["coco", "ytvis", "mots", "mots-challenge", "motchallenge"]
Form = Literal["coco", "ytvis", "mots", "mots-challenge", "motchallenge", "trackeval"]
SourceFormat = Literal[
    "coco-amodal", "cocoa", "ytvis", "amodal-synth-drive", "mots", "tao-amodal", "movi"
]
VISIBLE_PART = "rename `segmentation` to `visible_mask`"  # in plain COCO
# What is not a format, but may be given for one: datasets, in small letters.
NO_FORMATS = {
    "coco": f"for plain COCO, {VISIBLE_PART} and use coco-amodal (see docs/own-data.md)",
    **dict.fromkeys(("kins", "cocoa-cls", "d2sa"), "give coco-amodal"),
    **dict.fromkeys(("ovis", "youtube-vis", "youtubevis"), "give ytvis"),
    **dict.fromkeys(("kitti-mots", "motschallenge"), "give mots"),
    "amodalsynthdrive": "give amodal-synth-drive",
    "tao": "give tao-amodal",
}
# The masks to export or import, unless told: visible, as most tools have them. One default for
# both ways, so that what is exported comes back as what it was.
EXCHANGED: MaskType = "visible"
