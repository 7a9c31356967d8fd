"""Image and video average precision and tracking metrics."""
