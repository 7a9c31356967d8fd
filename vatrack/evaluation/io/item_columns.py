"""Where the items of a file stand, compact, while there may be millions of them."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

import numpy as np

from vatrack.common.rle import Ints


@dataclass
class ItemColumns:
    """Columns of integers that grow: for each item of a list the id by which it is assigned, and
    its offset (several numbers)."""

    key: array[int] = field(default_factory=lambda: array("q"))
    offset: array[int] = field(default_factory=lambda: array("q"))

    def add(self, key: int, *offset: int) -> None:
        """Adds an item."""
        self.key.append(key)
        self.offset.extend(offset)

    def add_all(self, keys: Ints, offsets: Ints) -> None:
        """Adds N items: `keys` [N], `offsets` [N, width]."""
        self.key.frombytes(keys.tobytes())
        self.offset.frombytes(offsets.tobytes())

    def keys(self) -> Ints:
        """The ids [N]."""
        return np.array(self.key, np.int64)

    def rows(self, width: int) -> Ints:
        """The offsets as [N, width]."""
        return np.array(self.offset, np.int64).reshape(-1, width)
