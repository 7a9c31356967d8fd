"""Files of weights, read without executing anything in them: PyTorch's kinds (zip, and the older
one) and safetensors."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from vatrack.common.errors import InputError
from vatrack.common.files import atomic_path

DATA_PARALLEL = "module."  # what DistributedDataParallel puts in front of every name
_MAKE_NUMBER: Any = np.float64().__reduce__()[0]
_NUMBER_TYPES = tuple(np.dtype(code) for code in "?bhilqBHILQefd")


def _number(kind: np.dtype, content: bytes) -> Any:
    """numpy's maker of numbers, for the built-in types only: a file can give a type flags that make
    numpy follow pointers."""
    known = [own for own in _NUMBER_TYPES if isinstance(kind, np.dtype) and own.str == kind.str]
    if not known or not isinstance(content, bytes):
        raise ValueError("a number of numpy of an unknown type")
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


@dataclass(frozen=True)
class WeightFile:
    """Tensors by name, and what else the file says about them (plain values; empty where it says
    nothing)."""

    weights: dict[str, Tensor]
    meta: Mapping[str, Any]


def is_safetensors(path: Path) -> bool:
    """Whether a file begins as safetensors do: the length of its header (8 bytes), then the header,
    a JSON object."""
    try:
        with path.open("rb") as stream:
            return stream.read(9)[8:] == b"{"
    except OSError:
        return False


def write_torch_file(path: Path, content: Any) -> None:
    """Writes plain values and tensors as a PyTorch file, whole or not at all; the same content
    gives the same bytes.

    Raises:
        OSError: the disk is full, or the like.
    """
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


def read_torch_file(path: Path, what: str) -> Any:
    """The plain values and tensors of a PyTorch file, on the CPU; nothing in it is executed.

    Args:
        what: how messages call such a file.

    Raises:
        InputError: the file is missing, cut off, or holds more than plain values and tensors.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such {what}")
    try:
        # As a stream, because PyTorch goes by the names of files.
        with (
            path.open("rb") as stream,
            torch.serialization.safe_globals(_NUMPY_NUMBERS),
            warnings.catch_warnings(),
        ):
            # PyTorch's warnings advise what would run code; what is wrong is said below.
            warnings.simplefilter("ignore")
            return torch.load(stream, map_location="cpu", weights_only=True)
    except (
        Exception
    ) as error:  # the restricted reader stumbles over damaged bytes in every way that Python knows
        text = str(error)
    refused = re.search(r"GLOBAL ([\w.]+)", text)
    if refused:
        raise InputError(
            f"{path}: not a readable {what}: it holds {refused[1]}, which is neither a tensor nor "
            f"a plain value, and was not "
            "run. If you trust the file, write its weights alone in the environment it was made "
            "in, and take that file: "
            'torch.save(torch.load("old.pth")["state_dict"], "new.pth")'
        )
    raise InputError(
        f"{path}: not a readable {what} ({_reason(text)}); it may be cut off or of another program"
    )


def _reason(text: str) -> str:
    """The first sentence of PyTorch's message that says what is wrong, without its advice."""
    lines = text.rpartition("WeightsUnpickler error:")[2].strip().splitlines()
    if not lines:
        return "it ends too early"
    if "Unsupported operand" in lines[0]:
        return f"{lines[0].strip()}: not the kind of pickle that PyTorch writes"
    return lines[0].partition(" In PyTorch 2.6")[0].strip()


def read_safetensors(path: Path, what: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a safetensors file by name, on the CPU, and its metadata.

    Raises:
        InputError: the file is missing, cut off or damaged.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such {what}")
    try:
        with safe_open(path, framework="pt", device="cpu") as stream:
            return {
                name: stream.get_tensor(name)
                for name in stream.keys()  # noqa: SIM118 - no dict
            }, stream.metadata() or {}
    except (SafetensorError, OSError, ValueError, TypeError, RuntimeError) as error:
        raise InputError(
            f"{path}: not a readable {what} ({error}); it may be cut off: download or make it again"
        ) from None


def read_weights(path: Path) -> WeightFile:
    """Tensors by name from a file of PyTorch, bare or under "state_dict" or "model", or from a
    safetensors file.

    What DistributedDataParallel puts in front of the names is taken off. Other things beside the
    tensors (an optimizer's state) are left alone.

    Raises:
        InputError: the file is missing, damaged, or holds something else.
    """
    what = "file of weights"
    if is_safetensors(path):
        content, meta = read_safetensors(path, what)
        return WeightFile(_plain_names(content, path), meta)
    whole = read_torch_file(path, what)
    tensors = whole
    for key in ("state_dict", "model"):
        if isinstance(whole, dict) and isinstance(whole.get(key), dict):
            tensors = whole[key]
            break
    if not isinstance(tensors, dict) or not tensors or not all(map(_is_dense, tensors.values())):
        raise InputError(f"{path}: holds no tensors by name, so it is not a file of weights")
    about = whole.get("meta")
    return WeightFile(_plain_names(tensors, path), about if isinstance(about, dict) else {})


def _is_dense(value: object) -> bool:
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
    )


def _plain_names(content: Mapping[Any, Tensor], path: Path) -> dict[str, Tensor]:
    weights = {
        str(name).removeprefix(DATA_PARALLEL): value.detach() for name, value in content.items()
    }
    if len(weights) != len(content):
        raise InputError(
            f"{path}: some tensors are there twice, with and without {DATA_PARALLEL!r} in front; "
            f"keep one of them"
        )
    return weights
