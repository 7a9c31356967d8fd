"""SAIL-VOS's 24 classes in label order (spec 0): label = position, category id = label + 1."""

from __future__ import annotations

CATEGORIES: tuple[str, ...] = (
    "person",
    "car",
    "motorcycle",
    "truck",
    "bird",
    "dog",
    "handbag",
    "suitcase",
    "bottle",
    "cup",
    "bowl",
    "chair",
    "potted plant",
    "bed",
    "dining table",
    "tv",
    "laptop",
    "cell phone",
    "bag",
    "bin",
    "box",
    "door",
    "road barrier",
    "stick",
)
