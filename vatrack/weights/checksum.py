"""A checksum of the content of our own files, and the check for values that are not finite.

PyTorch's zip files have checksums of their own, which PyTorch does not compare; safetensors files
have none. Both checks read all of the memory once, in several threads.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vatrack.common.counted import counted
from vatrack.common.errors import InputError

KEY = "checksum"
BLOCK = 4096  # bytes
THREADS = min(4, os.cpu_count() or 1)


def checksum(content: Mapping[str, Any]) -> str:
    """A checksum of plain values and tensors, nested as they may be, without the item `checksum`.

    It goes by what a file means, not by its bytes: the order of keys, views and shared memory make
    no difference. Of a tensor it takes the type of number, the shape, and the sums of its blocks of
    4096 bytes as 64-bit words, which no changed bit leaves as they are. All of that goes into one
    SHA-256.

    Raises:
        TypeError: a value is neither plain nor a dense tensor.
    """
    pieces = list(_pieces({name: value for name, value in content.items() if name != KEY}))
    total = hashlib.sha256()
    with ThreadPoolExecutor(THREADS) as pool:
        for piece in pool.map(_digest, pieces):
            total.update(piece)
    return total.hexdigest()


def verify(content: Mapping[str, Any], path: Path, what: str) -> None:
    """Compares a content with the checksum in it; older files without one pass.

    Raises:
        InputError: the content has changed since it was written.
    """
    known = content.get(KEY)
    if known is None:
        return
    try:
        same = checksum(content) == known
    except (TypeError, ValueError, RuntimeError):  # no value that we write
        same = False
    if not same:
        raise InputError(
            f"{path}: damaged {what}: its content does not match its checksum; copy or create it "
            f"again (if you changed it on purpose, remove its item {KEY!r})"
        )


def refuse_broken_values(weights: Mapping[str, Tensor], path: Path) -> None:
    """Looks for NaN and infinity.

    Raises:
        InputError: a tensor holds such values; the message names the first.
    """
    with ThreadPoolExecutor(THREADS) as pool:
        finite = list(pool.map(_is_finite, weights.values()))
    broken = [name for name, good in zip(weights, finite, strict=True) if not good]
    if broken:
        raise InputError(
            f"{path}: NaN or infinity in {len(broken)} of {counted(len(weights), 'tensor')}, "
            f"first: {broken[0]}; use another epoch, or create the file again"
        )


def _pieces(value: Any) -> Iterator[bytes | Tensor]:
    if isinstance(value, Tensor):
        if value.layout != torch.strided or value.is_quantized or value.device.type == "meta":
            raise TypeError("not a dense tensor")
        yield f"{value.dtype} {list(value.shape)}\n".encode()
        yield value
    elif isinstance(value, Mapping):
        yield f"{len(value)} items\n".encode()
        for key in sorted(value, key=repr):
            yield f"{key!r}\n".encode()
            yield from _pieces(value[key])
    elif isinstance(value, list | tuple):
        yield f"{len(value)} values\n".encode()
        for item in value:
            yield from _pieces(item)
    elif isinstance(value, np.generic):
        yield from _pieces(value.item())
    elif value is None or isinstance(value, str | bytes | bool | int | float):
        yield f"{value!r}\n".encode("utf-8", "surrogatepass")
    else:
        raise TypeError(f"a {type(value).__name__} is not a plain value")


def _digest(piece: bytes | Tensor) -> bytes:
    if isinstance(piece, bytes):
        return piece
    data = piece.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    whole = len(data) // BLOCK * BLOCK
    words = data[:whole].view("<u8").reshape(-1, BLOCK // 8)
    return words.sum(1, dtype=np.uint64).astype("<u8").tobytes() + data[whole:].tobytes()


def _is_finite(value: Tensor) -> bool:
    """Whether every number is finite; of views that repeat their memory, that memory is looked at
    once."""
    value = value.detach()
    if not (value.is_floating_point() or value.is_complex()):
        return True
    storage = value.untyped_storage()
    if value.numel() * value.element_size() > storage.nbytes():
        kept = storage.nbytes() // value.element_size()
        value = torch.empty(0, dtype=value.dtype).set_(storage, 0, (kept,), (1,))
    if value.element_size() == 1:
        value = value.float()  # PyTorch adds no 8-bit numbers
    # The sum is quick, and finite for almost all finite values: only large ones exceed it.
    return bool(value.sum().isfinite()) or bool(value.isfinite().all())
