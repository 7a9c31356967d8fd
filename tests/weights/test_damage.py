"""Damage to files of weights: each changed bit and each cut gives the right weights or one message.

Foreign files of PyTorch before 1.6 and foreign safetensors have no checksums, so there only the
form of the answer is held.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from tests.command import Command
from tests.models.small import SMALL
from tests.weights.published import tensors
from vatrack.common.errors import InputError
from vatrack.config import Backbone, Config, Method
from vatrack.models.detector import build
from vatrack.training.state import latest_state, read_state, save_state
from vatrack.weights.checkpoint import INITIAL_FORMAT, load, write
from vatrack.weights.checksum import checksum
from vatrack.weights.export import export
from vatrack.weights.formats import read_file
from vatrack.weights.initial import load_initial
from vatrack.weights.openmmlab import import_checkpoint
from vatrack.weights.tensors import read_weights

RUN = Config(model=SMALL).for_run(Method.VATRACK, Backbone.RESNET18)
WEIGHTS = {
    "backbone.conv1.weight": torch.arange(1500.0).view(3, 500),
    "neck.x": torch.arange(4),
    "neck.y": torch.tensor(2.5),
}


def own(path: Path) -> None:
    write(path, WEIGHTS, RUN, 3)


def exported(path: Path) -> None:
    own(path.with_name("source.pt"))
    export(path.with_name("source.pt"), out := path.with_suffix(".safetensors"))
    out.rename(path)


def initial(path: Path) -> None:
    write(path, WEIGHTS, RUN, 0, format_=INITIAL_FORMAT)


def state(path: Path) -> None:
    save_state(path.parent, {"model": WEIGHTS}).rename(path)


def foreign(path: Path) -> None:
    torch.save({"state_dict": WEIGHTS, "meta": {"epoch": 12}}, path)


def legacy(path: Path) -> None:
    torch.save({"state_dict": WEIGHTS}, path, _use_new_zipfile_serialization=False)


def safetensors(path: Path) -> None:
    save_file(WEIGHTS, path)


def _load(path: Path) -> dict[str, Tensor]:
    checkpoint = load(path)
    assert (checkpoint.method, checkpoint.backbone, checkpoint.epoch) == (
        Method.VATRACK,
        Backbone.RESNET18,
        3,
    )
    return checkpoint.weights


FORMS: dict[str, tuple[Callable[[Path], None], Callable[[Path], dict[str, Tensor]]]] = {
    "own": (own, _load),
    "exported": (exported, _load),
    "initial": (initial, lambda path: read_weights(path, WEIGHTS).weights),
    "state": (state, lambda path: read_state(path)["model"]),
    "foreign": (foreign, lambda path: read_weights(path, WEIGHTS).weights),
    "legacy": (legacy, lambda path: read_weights(path, WEIGHTS).weights),
    "safetensors": (safetensors, lambda path: read_weights(path, WEIGHTS).weights),
}
WITHOUT_CHECKSUM = ("legacy", "safetensors")


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(form, marks=[pytest.mark.slow] if form in ("own", "initial", "state") else [])
        for form in FORMS
    ],
)
def test_a_changed_bit_or_a_cut_is_never_silently_other_weights(form: str, tmp_path: Path) -> None:
    make, read = FORMS[form]
    path = tmp_path / "x.pt"
    make(path)
    whole = path.read_bytes()
    draw = random.Random(7)
    messages = []
    for trial in range(300):
        if trial % 4 == 3:
            damaged = whole[: draw.randrange(len(whole))]
        elif trial % 4 == 2:
            changed = bytearray(whole)
            for _ in range(20):
                changed[draw.randrange(min(len(whole), 600))] = draw.randrange(256)
            damaged = bytes(changed)
        else:
            # Half of the bits in the header or the end of the file, where the structure is.
            at = draw.choice(
                [draw.randrange(len(whole)), draw.randrange(300), -1 - draw.randrange(300)]
            )
            changed = bytearray(whole)
            changed[at] ^= 1 << draw.randrange(8)
            damaged = bytes(changed)
        path.write_bytes(damaged)
        try:
            found = read(path)
        except InputError as error:
            messages.append(str(error))
            continue
        if form in WITHOUT_CHECKSUM:
            continue
        assert found.keys() == WEIGHTS.keys(), trial
        for name, value in WEIGHTS.items():
            assert torch.equal(found[name], value) and found[name].dtype == value.dtype, trial
    assert all("x.pt: " in message for message in messages)
    unsafe = [message for message in messages if "weights_only=False" in message]
    assert all("was not executed" in message for message in unsafe), "no advice to read damage so"
    assert len(messages) > (100 if form in WITHOUT_CHECKSUM else 190)


def rewrite(path: Path, form: str, change: Callable[[dict[str, Any]], object]) -> None:
    """The file with other content, as a copy leaves it that repairs the zip form; without checksums
    of that form."""
    if form == "exported":
        with safe_open(path, framework="pt") as stream:
            content: dict[str, Any] = stream.metadata() | {"model": WEIGHTS.copy()}
        change(content)
        save_file(content.pop("model"), path, content)
    else:
        content = torch.load(path, weights_only=True)
        change(content)
        torch.save(content, path)


@pytest.mark.parametrize("form", ["own", "exported", "initial", "state"])
def test_changed_content_is_refused_and_older_files_are_read(form: str, tmp_path: Path) -> None:
    """Older files have no checksum."""
    make, read = FORMS[form]
    path = tmp_path / "x.pt"
    make(path)
    rewrite(path, form, lambda content: content.pop("checksum"))
    found = read(path)
    assert all(torch.equal(found[name], value) for name, value in WEIGHTS.items())
    make(path)
    rewrite(path, form, lambda own: own["model"].update({"neck.x": torch.tensor([0, 1, 3, 2])}))
    with pytest.raises(InputError, match=r"x\.pt: damaged .*does not match its checksum"):
        read(path)


def test_the_checksum_goes_by_content() -> None:
    large = torch.arange(5000.0)
    content = {"model": {"a": large, "b": large[10:20], "c": torch.zeros(2, 3).T}, "epoch": 3}
    same: dict[str, Any] = {
        "epoch": 3,
        "model": {"c": torch.zeros(3, 2), "b": large[10:20].clone(), "a": large},
    }
    assert checksum(content) == checksum(same) == checksum({**same, "checksum": "x"})
    others: list[dict[str, Any]] = [
        {**same, "epoch": True},
        {**same, "epoch": "3"},
        {**same, "model": {**same["model"], "c": torch.zeros(2, 3)}},
        {**same, "model": {**same["model"], "c": torch.zeros(3, 2).half()}},
        {**same, "model": {**same["model"], "d": torch.zeros(0)}},
    ]
    assert len({checksum(other) for other in (same, *others)}) == 6
    bits = large.clone()
    words = bits.view(torch.int32)
    for bit in range(32):
        words[4097 % 5000] ^= -(1 << 31) if bit == 31 else 1 << bit
        assert checksum({"a": bits}) != checksum({"a": large})
        words[4097 % 5000] ^= -(1 << 31) if bit == 31 else 1 << bit
    assert checksum({"a": bits}) == checksum({"a": large})


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        pytest.param(float("inf"), marks=pytest.mark.slow),
        pytest.param(-float("inf"), marks=pytest.mark.slow),
    ],
)
def test_every_reader_refuses_values_that_are_not_finite(
    value: float, tmp_path: Path, vatrack: Command
) -> None:
    weights = tensors(Method.VATRACK, Backbone.RESNET18, SMALL)
    bad = torch.zeros(weights["backbone.layer1.0.conv1.weight"].shape)
    bad[0, 0, 1, 1] = value
    weights["backbone.layer1.0.conv1.weight"] = bad
    words = r"x\.pt: NaN or infinity in 1 of \d+ tensors.*layer1\.0\.conv1\.weight"
    path, out = tmp_path / "x.pt", tmp_path / "out.pt"
    write(path, weights, RUN, 3)
    for read in (
        lambda: load(path),
        lambda: export(path, tmp_path / "out.safetensors"),
        lambda: import_checkpoint(path, RUN, out, partial=True),
        lambda: load_initial(build(RUN.method, RUN.model, RUN.backbone), path),
    ):
        with pytest.raises(InputError, match=words):
            read()
    trunk = {
        n.removeprefix("backbone."): v for n, v in weights.items() if n.startswith("backbone.")
    }
    torch.save(trunk, path)
    with pytest.raises(InputError, match=words):
        load_initial(build(RUN.method, RUN.model, RUN.backbone), path)
    state_file = save_state(tmp_path / "state", {"model": weights})
    with pytest.raises(InputError, match=r"NaN or infinity in 1 of \d+ tensors, first: backbone"):
        read_state(state_file)
    with pytest.raises(InputError, match=r"NaN or infinity in 1 of \d+ tensors, first: backbone"):
        latest_state(tmp_path / "state")
    out = tmp_path / "out.safetensors"
    command = ("export", "--checkpoint", path, "--out", out)
    write(path, weights, RUN, 3)
    code, shown, errors = vatrack(*command)
    assert (code, shown) == (2, "") and "NaN or infinity in" in errors
    assert not out.exists()


def test_large_finite_values_and_types_of_eight_bits_are_taken(tmp_path: Path) -> None:
    weights = {
        "a": torch.full((9,), 3e38),
        "b": torch.full((9,), 6e4).half(),
        "c": torch.ones(9).to(torch.float8_e4m3fn),
        "d": torch.ones(9, dtype=torch.bfloat16),
        "e": torch.empty(0),
    }
    write(tmp_path / "x.pt", weights, RUN, 1)
    assert torch.equal(load(tmp_path / "x.pt").weights["a"], weights["a"])
    weights["c"] = torch.full((9,), float("nan")).to(torch.float8_e4m3fn)
    write(tmp_path / "x.pt", weights, RUN, 1)
    with pytest.raises(InputError, match="first: c"):
        load(tmp_path / "x.pt")


def test_huge_shapes_over_few_bytes_take_no_memory(tmp_path: Path) -> None:
    huge = torch.zeros(1).expand(1 << 40)
    content = {
        "format": "vatrack-checkpoint-1", "method": "vatrack", "backbone": "resnet18", "epoch": 1,
        "config": {}, "model": {"a": huge},
    }  # fmt: skip
    torch.save(content, tmp_path / "x.pt")
    for read in (
        load,
        lambda path: export(path, tmp_path / "out.safetensors"),
        lambda p: read_file(p, "x"),
    ):
        with pytest.raises(InputError, match="tensors claim 4398 GB"):
            read(tmp_path / "x.pt")
    weights = tensors(Method.VATRACK, Backbone.RESNET18, SMALL)
    torch.save(weights | {"neck.lateral_convs.0.conv.bias": huge}, tmp_path / "y.pt")
    with pytest.raises(InputError, match="1099511627776 in the file"):
        import_checkpoint(tmp_path / "y.pt", RUN, tmp_path / "out.pt")
    torch.save(weights | {"other": huge}, tmp_path / "y.pt")
    assert "unused (1):\n  other" in str(
        import_checkpoint(tmp_path / "y.pt", RUN, tmp_path / "out.pt")
    )


def test_out_is_never_the_source(tmp_path: Path) -> None:
    path, link = tmp_path / "x.pt", tmp_path / "link.pt"
    write(path, tensors(Method.VATRACK, Backbone.RESNET18, SMALL), RUN, 3)
    link.symlink_to(path)
    before = path.read_bytes()
    for out in (path, link, tmp_path / "." / "x.pt"):
        for act in (lambda to: export(path, to), lambda to: import_checkpoint(path, RUN, to)):
            with pytest.raises(InputError, match=r"would overwrite the input "):
                act(out)
    assert path.read_bytes() == before


def test_a_full_disk_ends_export_and_import_in_one_message(
    small_disk: Path, tmp_path: Path, vatrack: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.pt"
    own_weights = build(RUN.method, RUN.model, RUN.backbone).state_dict()
    write(path, own_weights, RUN, 3)
    assert path.stat().st_size > 2_000_000
    (tmp_path / "c.yaml").write_text("{}\n")
    monkeypatch.setattr("vatrack.config.Config.for_run", lambda *_: RUN)
    for command in (
        ("export", "--checkpoint", path, "--out", small_disk / "x.safetensors"),
        ("import-checkpoint", path, "--partial", "--method", "vatrack", "--backbone", "resnet18",
         "--out", small_disk / "x.pt"),
    ):  # fmt: skip
        code, shown, errors = vatrack(*command)
        assert (code, shown) == (1, "")
        assert "No space left on device" in errors and errors.count("\n") == 1
        assert list(small_disk.iterdir()) == []
