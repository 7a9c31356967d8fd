"""Who runs this process."""

from __future__ import annotations

import getpass
import os


def user_name() -> str:
    """The user's name, or the number of one who has none (`docker run --user 12345`)."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # OSError: since Python 3.13
        return str(os.getuid())
