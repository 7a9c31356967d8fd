"""Where weights lie in foreign files, what stands before their names, and what other files are."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.models.small import SMALL
from tests.weights.published import tensors
from vatrack.common.errors import InputError
from vatrack.config import Backbone, Config, Method
from vatrack.weights.checkpoint import load
from vatrack.weights.openmmlab import import_checkpoint
from vatrack.weights.tensors import read_weights

RUN = Config(model=SMALL).for_run(Method.VATRACK, Backbone.RESNET18)
WEIGHTS = tensors(Method.VATRACK, Backbone.RESNET18, SMALL)
MEANS = {name: value + 1 for name, value in WEIGHTS.items()}
OPTIMIZER = {"state": {0: {"m": torch.zeros(3)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}


def take(content: Any, folder: Path, key: str | None = None) -> tuple[str, bool]:
    """The import's text, and whether the running means were taken."""
    torch.save(content, folder / "x.pth")
    text = str(import_checkpoint(folder / "x.pth", RUN, folder / "out.pt", key=key))
    found = load(folder / "out.pt").weights
    assert list(found) == list(WEIGHTS)
    means = torch.equal(found["neck.fpn_convs.0.conv.bias"], MEANS["neck.fpn_convs.0.conv.bias"])
    wanted = MEANS if means else WEIGHTS
    assert all(torch.equal(found[name], value) for name, value in wanted.items())
    return text, means


@pytest.mark.parametrize(
    "prefix",
    ["module.", "model.", "_orig_mod.", "module.module.", "module._orig_mod.", "student.", "a.b."],
)
def test_a_common_prefix_is_taken_off_and_said_once(prefix: str, tmp_path: Path) -> None:
    text, _ = take({"state_dict": {prefix + n: v for n, v in WEIGHTS.items()}}, tmp_path)
    assert text.count("removing the prefix") == 1
    assert "unused" not in text.replace("  unused", "")


@pytest.mark.parametrize(
    "key",
    ["state_dict", "model_state_dict", "model", "net", "ema_state_dict", "ema", "teacher", "other"],
)
def test_weights_are_found_under_any_key(key: str, tmp_path: Path) -> None:
    content = {key: WEIGHTS, "optimizer": OPTIMIZER, "epoch": 3, "step": torch.tensor(4)}
    text, _ = take(content, tmp_path)
    assert (f"taking the weights from '{key}'" in text) == (key not in ("state_dict", "model"))
    text, _ = take({key: {"module": WEIGHTS}}, tmp_path)
    assert f"taking the weights from '{key}.module'" in text


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("ema_state_dict", marks=pytest.mark.slow),
        "ema",
        pytest.param("teacher", marks=pytest.mark.slow),
    ],
)
def test_running_means_beside_plain_weights_are_offered(key: str, tmp_path: Path) -> None:
    content = {key: MEANS, "model_state_dict": WEIGHTS, "optimizer_state_dict": OPTIMIZER}
    text, means = take(content, tmp_path)
    assert not means and f"to import those: `vatrack import-checkpoint --key {key}`" in text
    assert take(content, tmp_path, key)[1]
    prefixed = {f"{key}.{n}": v for n, v in MEANS.items()} | {
        f"student.{n}": v for n, v in WEIGHTS.items()
    }
    text, means = take({"state_dict": prefixed}, tmp_path)
    assert not means and f"to import those: `vatrack import-checkpoint --key {key}`" in text
    assert take({"state_dict": prefixed}, tmp_path, key)[1]
    underscored = {"ema_" + n.replace(".", "_"): v for n, v in MEANS.items()}
    text, means = take({"state_dict": WEIGHTS | underscored}, tmp_path)
    assert not means and "--key ema_`" in text
    assert take({"state_dict": WEIGHTS | underscored}, tmp_path, "ema_")[1]
    with pytest.raises(InputError, match=r"--key nothing: not found; .* model_state_dict"):
        take(content, tmp_path, "nothing")


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ({}, "ema_"),
        ({"ema_0": torch.zeros(2)}, "ema_"),  # of no tensor of the network
        ({"meta.epoch": 3}, "meta"),  # no tensor
    ],
)
def test_a_key_behind_which_no_tensor_is_is_refused(
    more: dict[str, Any], key: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=rf"x\.pth: --key {key}: not found; choose from .the top"):
        take(WEIGHTS | more, tmp_path, key)


def test_a_prefix_of_compiled_names_is_a_key(tmp_path: Path) -> None:
    means = {f"ema._orig_mod.{name}": value for name, value in MEANS.items()}
    for key in ("ema", "ema._orig_mod"):
        assert take(WEIGHTS | means, tmp_path, key)[1]
    compiled = {f"_orig_mod.{name}": value for name, value in WEIGHTS.items()}
    assert not take(compiled, tmp_path, "_orig_mod")[1]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"optimizer": OPTIMIZER, "epoch": 3}, "contains an optimizer state but no named tensors"),
        (OPTIMIZER, "contains an optimizer state but no named tensors"),
        (torch.zeros(3), "contains a single tensor instead of named tensors.*; give the file"),
        ({"epoch": 3}, "contains no named tensors"),
        ({"state_dict": {}}, "contains no named tensors"),
        ([torch.zeros(2)], "contains a list instead of named tensors.*; give the file"),
        ({"module.a": torch.zeros(2), "a": torch.zeros(2)}, "exist twice.*; keep one of them"),
        ({0: torch.zeros(3)}, "the name of a tensor is 0, not a string"),
        ({"a": torch.zeros(3).to_sparse()}, "a is a tensor of layout sparse_coo"),
        ({"a": torch.zeros(3, device="meta")}, "without data"),
        ({"a": torch.zeros(3, dtype=torch.complex64)}, "complex tensor"),
    ],
)  # fmt: skip
def test_other_content_is_named(content: object, words: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(InputError, match=words):
        read_weights(tmp_path / "x.pth", {*WEIGHTS, "a"})


# PyTorch warns of both kinds where they are made; files have them all the same.
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor", "ignore:Sparse CSR tensor support")
@pytest.mark.parametrize("kind", ["a quantized tensor", "a is a tensor of layout sparse_csr"])
def test_tensors_of_rare_kinds_are_named(kind: str, tmp_path: Path) -> None:
    if "quantized" in kind:
        value = torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)
    else:
        value = torch.zeros(3, 3).to_sparse_csr()
    torch.save({"a": value}, tmp_path / "x.pth")
    with pytest.raises(InputError, match=kind):
        read_weights(tmp_path / "x.pth", WEIGHTS)


def packed(kind: str) -> bytes:
    stream = io.BytesIO()
    if kind == "tar":
        with tarfile.open(fileobj=stream, mode="w") as archive:
            archive.addfile(tarfile.TarInfo("x.pth"))
    elif kind == "zip":
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr("x.pth", b"...")
    elif kind == "npz":
        np.savez(stream, a=np.zeros(3))
    elif kind == "npy":
        np.save(stream, np.zeros(3))
    elif kind == "script":
        torch.jit.save(torch.jit.script(torch.nn.ReLU()), stream)
    return stream.getvalue()


FILES = {
    "empty": (lambda: b"", "the file is empty"),
    "lfs": (lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
    "html": (lambda: b"\n<!DOCTYPE html>\n<html>", "a web page"),
    "xml": (lambda: b"<?xml version='1.0'?><Error/>", "an XML text"),
    "json": (lambda: b'{"a": 1, "weight_map": {}}', "a JSON text"),
    "text": (lambda: "weights: größe\n".encode() * 500, "a text file"),
    "utf16": (lambda: "weights".encode("utf-16"), "a text file"),
    "gzip": (lambda: gzip.compress(b"x"), "compressed with gzip"),
    "zstd": (lambda: b"\x28\xb5\x2f\xfd" + bytes(9), "compressed with zstd"),
    "tar": (lambda: packed("tar"), "a tar archive"),
    "zip": (lambda: packed("zip"), r"a zip archive that contains x\.pth"),
    "npz": (lambda: packed("npz"), r"NumPy arrays \(\.npz\)"),
    "npy": (lambda: packed("npy"), r"a NumPy array \(\.npy\)"),
    "onnx": (lambda: b"\x08\x08\x12\x07pytorch\x1a\x052.1.0:\xff", "an ONNX model"),
    "script": (lambda: packed("script"), "a TorchScript program"),
    "zeros": (lambda: bytes(5000), "starts with zeros"),
}


# TorchScript is deprecated; its files remain.
@pytest.mark.filterwarnings("ignore:.torch.jit.(script|save). is deprecated:FutureWarning")
@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_sort_is_named_by_every_reader(name: str, tmp_path: Path) -> None:
    make, words = FILES[name]
    path = tmp_path / "x.pth"
    path.write_bytes(make())
    for read in (load, read_weights):
        with pytest.raises(InputError, match=rf"x\.pth: not a readable .*{words}.*; "):
            read(path)


def test_folders_and_pipes_are_named(tmp_path: Path) -> None:
    (tmp_path / "best.pt").touch()
    with pytest.raises(InputError, match=r"is a folder; give a file in it, for example best\.pt"):
        read_weights(tmp_path)
    with pytest.raises(InputError, match="a pipe or a device"):
        read_weights(Path("/dev/zero"))
