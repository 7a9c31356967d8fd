"""Reads the raw masks of one frame: the map of visible objects, the amodal mask of each object."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.image_headers import RECOPY, name_format, open_regular, unreadable
from vatrack.common.png import Stored, check_size, read_png

Ids = npt.NDArray[np.integer[Any]]

# Masks are PNG files; a file of another format is refused by its name rather than not found.
MASK_SUFFIXES = (".png", ".bmp", ".jpg", ".jpeg", ".gif", ".tif", ".tiff", ".webp")
_MAGIC = np.lib.format.MAGIC_PREFIX


def read_ids(path: Path, size: tuple[int, int]) -> Ids:
    """Reads a map of visible objects.

    Args:
        path: `<video>/visible/%06d.npy`.
        size: width and height of its image, pixels.

    Returns:
        Integers [H, W] in the machine's byte order, the id of the object seen at each pixel, 0 for
        none; never uint64, which NumPy can neither count nor compare exactly with other integers.

    Raises:
        InputError: missing, cut off, not a plain array of integers, negative, or of another size
            than the image.
    """
    try:
        with open_regular(path) as stream:
            ids = _read_array(path, stream, size)
    except OSError as error:
        raise unreadable(path, error) from None
    if ids.dtype.kind == "i" and ids.min() < 0:
        raise InputError(f"{path}: contains the negative object id {ids.min()}; {RECOPY}")
    if ids.dtype == np.uint64:
        if ids.max() > np.iinfo(np.int64).max:
            raise InputError(f"{path}: contains the object id {ids.max()}; ids must be below 2^63")
        ids = ids.astype(np.int64)
    return ids


def _read_array(path: Path, stream: BinaryIO, size: tuple[int, int]) -> Ids:
    """The array in an .npy file; type, shape and length are checked before it is read."""
    head = stream.read(64)
    if not head.startswith(_MAGIC):
        found = "is empty" if not head else "is truncated" if _MAGIC.startswith(head) else None
        format_ = name_format(head)
        reason = f"is not a NumPy array, but {format_}" if format_ else "is not a NumPy array"
        raise InputError(f"{path}: {found or reason}; {RECOPY}")
    stream.seek(0)
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_2_0
        if version == (1, 0):
            read = np.lib.format.read_array_header_1_0
        shape, fortran, dtype = read(stream)
    except Exception as error:  # NumPy evaluates the header's text, so it may raise anything
        raise InputError(f"{path}: is truncated or damaged ({error!s:.200}); {RECOPY}") from None
    if dtype.kind not in "iu":
        raise InputError(f"{path}: contains {dtype}, but object ids must be integers; {RECOPY}")
    check_size(path, shape, size)
    needed = math.prod(shape) * dtype.itemsize
    data = stream.read(needed + 1)
    if len(data) != needed:
        reason = (
            "is truncated or damaged"
            if len(data) < needed
            else "has more data than its header says"
        )
        raise InputError(
            f"{path}: {reason} ({counted(needed, 'byte')} of pixel data expected after the "
            f"header); {RECOPY}"
        )
    ids = np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")
    return np.ascontiguousarray(ids, dtype.newbyteorder("="))


def read_amodal(path: Path, size: tuple[int, int]) -> npt.NDArray[np.uint8] | None:
    """Reads an amodal mask from a PNG file of any form: 1 to 16 bits, grey, colour or palette.

    The object is where what is stored is not 0, however dark: a grey value, one of the three
    colours, a number of the palette. Of a file with transparency, that part counts which says
    something: the colours where no pixel is transparent, the transparency where no pixel is black.

    Args:
        path: `<video>/<objid>_<Model>/%06d.png`.
        size: width and height of its image, pixels.

    Returns:
        uint8 [H, W], the object where it is not 0; None if the file is missing.

    Raises:
        InputError: cut off, not a PNG that decodes, of another size than the image, or ambiguous:
            colours and transparency, or the numbers and colours of a palette, show two objects.
    """
    try:
        stored = read_png(path, size)
    except FileNotFoundError:
        return None
    try:
        return _object(stored).view(np.uint8)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None


def _object(stored: Stored) -> npt.NDArray[Any]:
    """Where the object is, uint8 or bool [H, W].

    Raises:
        ValueError: it is ambiguous.
    """
    samples, key = stored.samples, stored.transparent
    if stored.palette is not None:
        return _palette_object(samples, stored.palette)
    if samples.ndim == 2:
        if samples.dtype == np.uint8 and key is None:
            return samples
        colour, alpha = samples != 0, None if key is None else samples != key
    else:
        colour = samples[..., :3].any(axis=2)
        alpha = samples[..., 3] != 0 if samples.shape[2] == 4 else None
        if key is not None:
            alpha = (samples != key).any(axis=2)
    return _one_of(colour, alpha, "its colours", "its transparency")


def _palette_object(
    indices: npt.NDArray[np.uint8], palette: npt.NDArray[np.uint8]
) -> npt.NDArray[np.bool_]:
    used = np.flatnonzero(np.bincount(indices.ravel(), minlength=256))
    if used[-1] >= len(palette):
        raise ValueError(f"uses colour {used[-1]}, which is not in its palette; {RECOPY}")
    coloured, visible = palette[used, :3].max(axis=1) != 0, palette[used, 3] != 0
    if not np.array_equal(used != 0, coloured):
        raise ValueError(_ambiguous("palette indices", "their colours"))
    table = np.zeros(256, bool)
    table[used] = _one_of(coloured, visible, "its colours", "its transparency")
    return table.take(indices)


def _one_of(
    colour: npt.NDArray[np.bool_],
    alpha: npt.NDArray[np.bool_] | None,
    first: str,
    second: str,
) -> npt.NDArray[np.bool_]:
    """What colours and alpha say; the one that is set everywhere says nothing beside the other."""
    if alpha is None or alpha.all() or np.array_equal(colour, alpha):
        return colour
    if colour.all():
        return alpha
    raise ValueError(_ambiguous(first, second))


def _ambiguous(first: str, second: str) -> str:
    return (
        f"is ambiguous, {first} and {second} show different objects; save it as a greyscale PNG "
        "with 0 outside the object"
    )
