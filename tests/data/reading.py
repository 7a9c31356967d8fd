"""What processes of the tests do; they need not load PyTorch."""

from __future__ import annotations

from pathlib import Path

from vatrack.data.store import Store, open_store


def ids(found: Store) -> dict[int, list[int]]:
    """Image id to the ids of its annotations."""
    return {
        image_id: [value["id"] for value in found.annotations(number)]
        for number, image_id in enumerate(found.frames["image_id"].tolist())
    }


def read_ids(path: Path, _: None) -> dict[int, list[int]]:
    """The same of a file, for `ordered_map`."""
    return ids(open_store(path))
