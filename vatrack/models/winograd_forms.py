"""The tiles and transforms of Winograd's 3x3 convolutions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

KERNEL = 3
LARGE_MAP = 2000  # pixels, from which on the larger tiles are the faster ones

Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Form:
    """Winograd's algorithm for tiles of one size.

    Attributes:
        inputs, kernel, outputs: the transforms of one axis: (size + 2, size + 2), (size + 2, 3) and
            (size, size + 2).
    """

    inputs: Matrix
    kernel: Matrix
    outputs: Matrix

    @property
    def size(self) -> int:
        """Side of a tile of outputs."""
        return len(self.outputs)

    @property
    def numbers(self) -> int:
        """Of a tile of inputs."""
        return len(self.inputs) ** 2


# From the points 0, 1, -1, 2, -2 and infinity; with 1/2 and -1/2 for the larger tiles.
_SMALL = Form(
    inputs=(
        (4, 0, -5, 0, 1, 0),
        (0, -4, -4, 1, 1, 0),
        (0, 4, -4, -1, 1, 0),
        (0, -2, -1, 2, 1, 0),
        (0, 2, -1, -2, 1, 0),
        (0, 4, 0, -5, 0, 1),
    ),
    kernel=(
        (1 / 4, 0, 0),
        (-1 / 6, -1 / 6, -1 / 6),
        (-1 / 6, 1 / 6, -1 / 6),
        (1 / 24, 1 / 12, 1 / 6),
        (1 / 24, -1 / 12, 1 / 6),
        (0, 0, 1),
    ),
    outputs=(
        (1, 1, 1, 1, 1, 0),
        (0, 1, -1, 2, -2, 0),
        (0, 1, 1, 4, 4, 0),
        (0, 1, -1, 8, -8, 1),
    ),
)
_LARGE = Form(
    inputs=(
        (1, 0, -21 / 4, 0, 21 / 4, 0, -1, 0),
        (0, 1, 1, -17 / 4, -17 / 4, 1, 1, 0),
        (0, -1, 1, 17 / 4, -17 / 4, -1, 1, 0),
        (0, 1 / 2, 1 / 4, -5 / 2, -5 / 4, 2, 1, 0),
        (0, -1 / 2, 1 / 4, 5 / 2, -5 / 4, -2, 1, 0),
        (0, 2, 4, -5 / 2, -5, 1 / 2, 1, 0),
        (0, -2, 4, 5 / 2, -5, -1 / 2, 1, 0),
        (0, -1, 0, 21 / 4, 0, -21 / 4, 0, 1),
    ),
    kernel=(
        (1, 0, 0),
        (-2 / 9, -2 / 9, -2 / 9),
        (-2 / 9, 2 / 9, -2 / 9),
        (1 / 90, 1 / 45, 2 / 45),
        (1 / 90, -1 / 45, 2 / 45),
        (32 / 45, 16 / 45, 8 / 45),
        (32 / 45, -16 / 45, 8 / 45),
        (0, 0, 1),
    ),
    outputs=(
        (1, 1, 1, 1, 1, 1, 1, 0),
        (0, 1, -1, 2, -2, 1 / 2, -1 / 2, 0),
        (0, 1, 1, 4, 4, 1 / 4, 1 / 4, 0),
        (0, 1, -1, 8, -8, 1 / 8, -1 / 8, 0),
        (0, 1, 1, 16, 16, 1 / 16, 1 / 16, 0),
        (0, 1, -1, 32, -32, 1 / 32, -1 / 32, 1),
    ),
)


def form_for(x: Tensor) -> Form:
    """The faster one for maps (n, c, h, w)."""
    return _LARGE if x.shape[2] * x.shape[3] >= LARGE_MAP else _SMALL


@cache
def both_axes(matrix: Matrix) -> Tensor:
    """The matrix that applies `matrix` to rows and columns of a tile whose numbers are a column."""
    one_axis = torch.tensor(matrix, dtype=torch.float64)
    return torch.kron(one_axis, one_axis).float()
