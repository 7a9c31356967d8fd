"""Whether something can be seen at a path that a file names, perhaps one from another machine."""

from __future__ import annotations

from collections.abc import Callable


def seen(look: Callable[[], bool]) -> bool:
    """What `Path.exists`, `Path.is_dir` or `Path.is_file` of a path says.

    False where a folder above may not be entered; there they raise (before Python 3.14).

    Example: `seen(path.is_dir)`
    """
    try:
        return look()
    except PermissionError:
        return False
