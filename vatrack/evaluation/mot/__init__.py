"""Tracking: CLEAR MOT, identity, HOTA."""
