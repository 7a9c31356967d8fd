"""The quasi-dense tracker: tensors in, track ids out."""
