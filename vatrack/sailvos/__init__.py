"""SAIL-VOS: from the raw download to annotations."""
