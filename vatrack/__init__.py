"""VATrack: end-to-end amodal video instance segmentation on SAIL-VOS."""

__version__ = "0.2.0"
