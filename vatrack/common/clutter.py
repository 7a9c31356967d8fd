"""Files that operating systems leave in folders and archives."""

from __future__ import annotations


def is_clutter(name: str) -> bool:
    """Whether a file is one that macOS or Windows adds to folders and archives.

    They are AppleDouble files (`._000001.bmp` beside `000001.bmp`), all below `__MACOSX/`, and
    `.DS_Store` and `Thumbs.db`.

    Args:
        name: of a file or folder, with or without folders before it, parted by `/`.
    """
    *_, last = names = name.rstrip("/").split("/")
    return (
        "__MACOSX" in names
        or last.startswith("._")
        or last.casefold() in (".ds_store", "thumbs.db")
    )
