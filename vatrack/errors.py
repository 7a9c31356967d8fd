"""The one exception that means "the input is wrong, not the program"."""

from __future__ import annotations


class InputError(Exception):
    """Bad input. The message names the file, the item and how to mend it; the command line prints it and exits with 2."""
