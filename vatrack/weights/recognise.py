"""What a file is that holds no weights: named, with what to do about it."""

from __future__ import annotations

import zipfile
from pathlib import Path

from vatrack.common.errors import InputError
from vatrack.common.text_files import no_such

# Of PyTorch's files before 1.6: the pickled magic number that they begin with.
OLD_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
ZIP = b"PK\x03\x04"
UNPACK = "unpack it, and give the weights file in it"
PACKED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!": "rar",
}
# Its beginning, what it is, what to do.
OTHERS = (
    (b"\x93NUMPY", "a NumPy array (.npy)", "save the weights with torch.save or as safetensors"),
    (b"\x89HDF\r\n", "an HDF5 file, as written by Keras", "use PyTorch weights"),
    (b"GGUF", "a GGUF file", "use PyTorch weights"),
    (b"%PDF", "a PDF", "download the weights themselves"),
    (b"\x89PNG", "an image", "give the weights file"),
    (b"\xff\xd8\xff", "an image", "give the weights file"),
    (b"\x7fELF", "a program", "give the weights file"),
)
NO_WEIGHTS = "give the weights file"
SUFFIXES = (".pt", ".pth", ".ckpt", ".safetensors")


def require_file(path: Path, what: str) -> None:
    """Refuses what cannot be read as a file.

    Raises:
        InputError: it is missing, a folder, a pipe, or empty.
    """
    if path.is_dir():
        inside = sorted(file.name for file in path.iterdir() if file.suffix in SUFFIXES)
        if (path / "data.pkl").is_file():
            hint = "it is an unpacked PyTorch file; use the file as downloaded"
        elif inside:
            hint = f"give a file in it, for example {inside[-1]}"
        else:
            hint = "give a file"
        raise InputError(f"{path}: not a readable {what}: it is a folder; {hint}")
    if not path.exists():
        raise InputError(f"{path}: {no_such(path, what)}; check the path")
    if not path.is_file():
        raise InputError(
            f"{path}: not a readable {what}: it is a pipe or a device; save its content to a file"
        )
    if not path.stat().st_size:
        raise InputError(f"{path}: not a readable {what}: the file is empty; download it again")


def recognise(path: Path) -> tuple[str, str] | None:
    """What a file is that is none of the forms of weights, and what to do; None where it may be."""
    with path.open("rb") as stream:
        start = stream.read(4096)
    if start.startswith(OLD_TORCH):
        return None
    if start.startswith(ZIP):
        return _zip(path)
    for magic, name in PACKED.items():
        if start.startswith(magic):
            return f"compressed with {name}", UNPACK
    if start[257:262] == b"ustar":
        return "a tar archive", UNPACK
    for magic, name, fix in OTHERS:
        if start.startswith(magic):
            return name, fix
    if start[:1] == b"\x08" and any(word in start for word in (b"pytorch", b"onnx", b"\x3a")):
        return "probably an ONNX model", "save the state dict of its network with torch.save"
    if not start.strip(b"\0"):
        return "it starts with zeros, after a disk or download error", "download it again"
    return _text(start)


def _zip(path: Path) -> tuple[str, str] | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError):
        return None  # the reader says what is damaged
    if any(name.endswith("/constants.pkl") for name in names):
        fix = "save the state dict of its network: torch.save(torch.jit.load(FILE).state_dict(), …)"
        return "a TorchScript program, not weights alone", fix
    if any(name.endswith("/data.pkl") for name in names):
        return None
    if names and all(name.endswith(".npy") for name in names):
        return "NumPy arrays (.npz)", "save them with torch.save or as safetensors"
    inside = next((name for name in names if name.endswith(SUFFIXES)), None)
    return "a zip archive" + (f" that contains {inside}" if inside else ""), UNPACK


def _text(start: bytes) -> tuple[str, str] | None:
    """Texts that are met in place of weights."""
    if start.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the file itself", "`git lfs pull` downloads the file"
    for encoding in (
        ("utf-8-sig", "utf-16") if start[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig",)
    ):
        try:
            text = start[: len(start) // 4 * 4 or None].decode(encoding).lstrip()
        except UnicodeDecodeError as error:
            if error.start < len(start) - 8:  # more than a character cut in two
                continue
            text = start[: error.start].decode(encoding).lstrip()
        if any(ord(letter) < 32 and letter not in "\t\n\r\f\x1b" for letter in text):
            continue
        head = text[:200].lower()
        if head.startswith(("<!doctype html", "<html")) or "<html" in head:
            page = "a web page (HTML)"
            return (
                page,
                "the download returned a web page instead of the file; download the file itself",
            )
        if head.startswith("<"):
            return "an XML text", NO_WEIGHTS
        if head.startswith(("{", "[")):
            return "a JSON text", NO_WEIGHTS
        return "a text file", NO_WEIGHTS
    return None
