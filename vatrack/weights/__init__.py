"""Checkpoints, foreign formats, and what is taken over from them."""
