"""Made-up data, shaped like the real ones."""
