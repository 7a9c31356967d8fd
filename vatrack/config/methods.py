"""What can be trained: the four methods and the trunks."""

from __future__ import annotations

from enum import StrEnum

from vatrack.common.mask_types import MASK_TYPES, MaskType


class Method(StrEnum):
    """The four methods: which masks and boxes a network learns."""

    QDTRACK = "qdtrack"
    AMODALTRACK = "amodaltrack"
    VATRACK = "vatrack"
    VATRACK_2BBOX = "vatrack-2bbox"

    @property
    def masks(self) -> tuple[MaskType, ...]:
        """The mask types that the method predicts, amodal first."""
        if self is Method.QDTRACK:
            return ("visible",)
        return ("amodal",) if self is Method.AMODALTRACK else MASK_TYPES

    @property
    def form(self) -> str:
        """The annotation form that the method trains on (spec 1.5)."""
        forms = {
            "qdtrack": "visible",
            "amodaltrack": "amodal",
            "vatrack": "joint",
            "vatrack-2bbox": "joint-2bbox",
        }
        return forms[self.value]


class Backbone(StrEnum):
    """Trunks: the paper's two and a small one for the miniature set."""

    RESNET18 = "resnet18"
    RESNET50 = "resnet50"
    RESNEXT101 = "resnext101_64x4d"
