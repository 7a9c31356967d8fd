"""The miniature set."""
