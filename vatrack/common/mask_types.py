"""The two mask types: amodal (the whole object) and visible (without what hides it)."""

from __future__ import annotations

from typing import Literal

MaskType = Literal["amodal", "visible"]
MASK_TYPES: tuple[MaskType, ...] = ("amodal", "visible")
