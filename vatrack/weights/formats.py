"""Files of weights, read without executing anything in them.

PyTorch's forms (zip, and the older one) and safetensors, known by their content. Every file of
weights enters through `read_file`: checkpoints, foreign files, initial weights, states.
"""

from __future__ import annotations

import errno
import os
import re
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from vatrack.common.errors import InputError
from vatrack.common.files import atomic_path
from vatrack.weights.checksum import KEY, checksum, verify
from vatrack.weights.recognise import OLD_TORCH, ZIP, recognise, require_file

OURS = "vatrack-"  # how the format of our own files begins
# What our safetensors files say of themselves, all in all.
METADATA = {"format", "method", "backbone", "epoch", "config", KEY}
# What a state or a checkpoint may grow to in memory beyond its file: tensors that repeat a number.
REPEATED = 4 << 30
_MAKE_NUMBER: Any = np.float64().__reduce__()[0]
_NUMBER_TYPES = tuple(np.dtype(code) for code in "?bhilqBHILQefd")


def _number(kind: np.dtype, content: bytes) -> Any:
    """numpy's maker of numbers, for the built-in types only: a file can give a type flags that make
    numpy follow pointers."""
    known = [own for own in _NUMBER_TYPES if isinstance(kind, np.dtype) and own.str == kind.str]
    if not known or not isinstance(content, bytes):
        raise ValueError("a NumPy number of an unknown type")
    return _MAKE_NUMBER(known[0], content)


# Numbers of numpy, as training programs leave them beside the weights ("best score"): their maker,
# under the names that numpy 1 and 2 write, and their types. Objects, arrays and texts of numpy stay
# refused.
_NUMPY_NUMBERS: list[Any] = [
    (_number, "numpy.core.multiarray.scalar"),
    (_number, "numpy._core.multiarray.scalar"),
    np.dtype,
    *sorted({type(kind) for kind in _NUMBER_TYPES}, key=str),
]
ADVICE = (
    "if you trust the file, save only its weights in the environment it was created in, and use "
    'that file: checkpoint = torch.load("old.pth", map_location="cpu", weights_only=False); '
    'torch.save(checkpoint["state_dict"], "new.pth")'
)


def read_file(path: Path, what: str) -> Any:
    """The plain values and tensors of a file, on the CPU; nothing in it is executed.

    A safetensors file of ours reads as the PyTorch file would, its metadata beside "model"; of
    another one the metadata are under "meta", the tensors under "state_dict". PyTorch's zip files
    are compared with the checksums that they have, our own ones also with the checksum of their
    content.

    Args:
        what: how messages call such a file.

    Raises:
        InputError: the file is missing, damaged, of another form, or holds more than plain values
            and tensors.
        OSError: it cannot be read now; that says nothing about it.
    """
    require_file(path, what)
    content = _read_safetensors(path, what) if is_safetensors(path) else _read_torch(path, what)
    if isinstance(content, Mapping) and _is_ours(content):
        _refuse_inflation(content, path, what)
        verify(content, path, what)
    return content


def write_file(path: Path, content: Mapping[str, Any]) -> None:
    """Writes plain values and tensors as a PyTorch file, whole or not at all, with a checksum.

    The same content gives the same bytes.

    Raises:
        OSError: the disk is full, or the like.
    """
    content = {**content, KEY: checksum(content)}
    # Into a stream: PyTorch would write the temporary name into the file, and hide what the disk
    # says.
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        try:
            torch.save(content, stream)
        except RuntimeError as problem:
            if isinstance(problem.__context__, OSError):
                raise OSError(
                    problem.__context__.errno, problem.__context__.strerror, str(path)
                ) from None
            raise


@contextmanager
def full_disk(path: Path) -> Iterator[None]:
    """Turns what safetensors say of the disk into the operating system's error."""
    try:
        yield
    except SafetensorError as problem:
        if number := re.search(r"\(os error (\d+)\)", str(problem)):
            raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from None
        raise


def is_safetensors(path: Path) -> bool:
    """Whether a file begins as safetensors do: the length of its header (8 bytes), then the header,
    a JSON object."""
    try:
        with path.open("rb") as stream:
            start = stream.read(9)
    except OSError:
        return False
    # In a text that has a brace there, the first eight letters make a number beyond all files.
    return start[8:] == b"{" and int.from_bytes(start[:8], "little") < 1 << 32


def _read_torch(path: Path, what: str) -> Any:
    if known := recognise(path):
        raise InputError(f"{path}: not a readable {what}: it is {known[0]}; {known[1]}")
    with path.open("rb") as stream:
        start = stream.read(len(OLD_TORCH))
    # PyTorch does not compare the checksums of its zip files.
    if zipped := start.startswith(ZIP):
        _check_zip(path, what, tensors=False)
    try:
        content, problem = _unpickle(path), ""
    except OSError as error:
        if error.errno != errno.EINVAL:  # an offset that damaged bytes gave
            raise
        content, problem = None, str(error)
    # The restricted reader stumbles over damaged bytes in every way that Python knows.
    except Exception as error:
        content, problem = None, str(error) or type(error).__name__
    # Our own checksum, compared later, covers the tensors in half the time.
    if zipped and not (isinstance(content, Mapping) and _is_ours(content) and KEY in content):
        _check_zip(path, what, tensors=True)
    if not problem:
        return content
    refused = re.search(r"GLOBAL ([\w.]+)", problem)
    if refused:
        raise InputError(
            f"{path}: not a readable {what}: it contains {refused[1]}, which is neither a tensor "
            f"nor a plain value, and was not executed; {ADVICE}"
        )
    raise InputError(
        f"{path}: not a readable {what} ({_reason(problem)}); it may be truncated, or from another "
        "program: download or create it again"
    )


def _unpickle(path: Path) -> Any:
    # As a stream, because PyTorch goes by the names of files.
    with (
        path.open("rb") as stream,
        torch.serialization.safe_globals(_NUMPY_NUMBERS),
        warnings.catch_warnings(),
    ):
        # PyTorch's warnings advise what would run code; what is wrong is said by us.
        warnings.simplefilter("ignore")
        return torch.load(stream, map_location="cpu", weights_only=True)


def _is_ours(content: Mapping[str, Any]) -> bool:
    return str(content.get("format", "")).startswith(OURS)


def _check_zip(path: Path, what: str, *, tensors: bool) -> None:
    """Compares a zip file with its own checksums: the numbers of its tensors, or all the rest."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            packed = any(member.compress_type for member in members)
            damaged = len(set(archive.namelist())) < len(members)
            for member in members:
                if ("/data/" in member.filename) == tensors and not packed:
                    with archive.open(member) as stream:
                        while stream.read(1 << 20):
                            pass  # it compares at the end
    except (
        zipfile.BadZipFile, EOFError, ValueError, RuntimeError, NotImplementedError, zlib.error,
        OverflowError, OSError,
    ) as error:  # fmt: skip
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        raise InputError(
            f"{path}: not a readable {what}: damaged or truncated, its zip structure or checksums "
            "(CRC) are wrong; download or create it again"
        ) from None
    if damaged or packed:
        why = "its members are compressed, which PyTorch does not support"
        if damaged:
            why = "damaged: it has duplicate members"
        raise InputError(f"{path}: not a readable {what}: {why}; download or create it again")


def _reason(text: str) -> str:
    """The first sentence of PyTorch's message that says what is wrong, without its advice."""
    lines = text.rpartition("WeightsUnpickler error:")[2].strip().splitlines()
    if not lines:
        return "it ends too early"
    if "Unsupported operand" in lines[0] or "Unsupported class" in lines[0]:
        return "not a pickle format that PyTorch writes"
    return lines[0].partition(" In PyTorch 2.6")[0].strip()


def _read_safetensors(path: Path, what: str) -> dict[str, Any]:
    try:
        with safe_open(path, framework="pt", device="cpu") as stream:
            metadata: dict[str, str] = stream.metadata() or {}
            tensors = {
                name: stream.get_tensor(name)
                for name in stream.keys()  # noqa: SIM118 - no dict
            }
    # Damaged headers come out of its reader in many ways.
    except Exception as error:
        raise InputError(
            f"{path}: not a readable {what} ({error}); it may be truncated: download or create it "
            "again"
        ) from None
    if not metadata.get("format", "").startswith(OURS):
        return {"meta": metadata, "state_dict": tensors}
    if unknown := metadata.keys() - METADATA:
        raise InputError(
            f"{path}: damaged {what}: unknown metadata {min(unknown)!r}; copy or create it again"
        )
    return {**metadata, "model": tensors}


def _refuse_inflation(content: Any, path: Path, what: str) -> None:
    """Refuses shapes that would fill the memory though the file is small."""
    total = _nbytes(content)
    if total > REPEATED + 16 * path.stat().st_size:
        raise InputError(
            f"{path}: damaged {what}: its tensors claim {total / 1e9:.0f} GB, far more than the "
            "file contains; copy or create it again"
        )


def _nbytes(content: Any) -> int:
    if isinstance(content, Tensor):
        return content.numel() * content.element_size()
    if isinstance(content, Mapping):
        return sum(map(_nbytes, content.values()))
    return sum(map(_nbytes, content)) if isinstance(content, list | tuple) else 0
