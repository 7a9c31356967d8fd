"""Average precision of images and videos."""
