"""Ground truth and predictions as columns."""
