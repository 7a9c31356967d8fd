"""Import of foreign checkpoints: all pairs in all forms, what a wrong file is told, and what a COCO
file fills (spec 3.9)."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import resnet18, resnet34

from tests.models.small import SMALL
from tests.weights.published import (
    FORMS,
    imported,
    left_overs,
    plain_mask_rcnn,
    tensors,
    write_published,
)
from vatrack.common.errors import InputError
from vatrack.config import Backbone, Config, Method, RunConfig
from vatrack.config.categories import CATEGORIES
from vatrack.models.detector import build
from vatrack.weights.checkpoint import load
from vatrack.weights.initial import load_initial
from vatrack.weights.openmmlab import import_checkpoint
from vatrack.weights.tensors import read_weights

PAIRS = [
    (method, backbone) for method in Method for backbone in (Backbone.RESNET50, Backbone.RESNEXT101)
]
LARGER_ONES_SLOW = [
    pytest.param(*pair, marks=[pytest.mark.slow] if pair[1] is Backbone.RESNEXT101 else [])
    for pair in PAIRS
]


def paper(method: Method, backbone: Backbone) -> RunConfig:
    return Config().for_run(method, backbone)


def small(method: Method) -> RunConfig:
    return Config(model=SMALL).for_run(method, Backbone.RESNET18)


@pytest.mark.parametrize(("method", "backbone"), LARGER_ONES_SLOW)
def test_the_command_imports_every_pair(
    vatrack, method: Method, backbone: Backbone, tmp_path: Path
) -> None:
    """Each pair in one of the forms, each form with both backbones."""
    wanted = tensors(method, backbone)
    number = PAIRS.index((method, backbone))
    form = FORMS[(number + number // 4) % len(FORMS)]
    source = write_published(tmp_path / "published.pth", left_overs() | wanted, form)
    out = tmp_path / "out" / "imported.pt"
    code, shown, errors = vatrack(
        "import-checkpoint", source, "--method", method, "--backbone", backbone, "--out", out
    )
    assert (code, errors) == (0, "")
    checkpoint = load(out)
    assert (checkpoint.method, checkpoint.backbone) == (method, backbone)
    assert checkpoint.epoch == (0 if form == "bare" else 12)
    assert list(checkpoint.weights) == list(wanted), "also their order"
    for name, value in wanted.items():
        found = checkpoint.weights[name]
        assert (found.shape, found.dtype, found.flatten()[0]) == (
            value.shape,
            value.dtype,
            value.flatten()[0],
        ), name
    assert checkpoint.config.keys() == {
        "method",
        "backbone",
        "model",
        "classes",
        "imported_from",
    }, "nothing is known of their training"
    assert checkpoint.config["model"] == paper(method, backbone).model.model_dump(mode="json")
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    assert checkpoint.config["imported_from"] == {"file": "published.pth", "sha256": digest}
    assert f"{method} with {backbone}, {len(wanted)} tensors" in shown
    assert "ignored, not used by any network (5):\n  mu0\n  mu1\n  mu2\n  mu3\n  mu4" in shown
    assert "unused (" not in shown
    assert [path.name for path in out.parent.iterdir()] == ["imported.pt"]


def test_every_unused_and_every_missing_entry_is_named(tmp_path: Path) -> None:
    run = small(Method.VATRACK)
    weights = tensors(Method.VATRACK, Backbone.RESNET18, SMALL)
    more = {f"ema_{i}": torch.zeros(2) for i in range(9)}
    text = imported(tmp_path, weights | more, run, "wrapped")
    shown = "unused (9):\n  " + "\n  ".join(list(more)[:5])
    listed = tmp_path / "out.pt.names.txt"
    assert f"{shown}\n  ...\nall names: {listed}" in text
    assert listed.read_text() == "unused (9):\n  " + "\n  ".join(more) + "\n"
    lost = [name for name in weights if name.startswith("roi_head.mask_head")]
    left = {name: value for name, value in weights.items() if name not in lost}
    (tmp_path / "out.pt").unlink()
    with pytest.raises(InputError) as refused:
        imported(tmp_path, left | more, run)
    assert f"missing ({len(lost)}):\n  " + "\n  ".join(lost[:5]) + "\n  ..." in str(refused.value)
    assert shown in str(refused.value)
    assert len(str(refused.value).splitlines()) < 40
    everything = listed.read_text()
    assert f"missing ({len(lost)}):\n  " + "\n  ".join(lost) in everything
    assert "unused (9):\n  " + "\n  ".join(more) in everything
    assert not (tmp_path / "out.pt").exists()


@pytest.mark.parametrize(
    "name",
    [
        "backbone.bn1.running_var",
        pytest.param("neck.fpn_convs.3.conv.bias", marks=pytest.mark.slow),
        pytest.param("roi_head.track_head.fc_embed.weight", marks=pytest.mark.slow),
    ],
)
def test_one_missing_or_other_entry_is_an_error(vatrack, name: str, tmp_path: Path) -> None:
    """Buffers count as well as parameters."""
    weights = tensors(Method.QDTRACK, Backbone.RESNET50)
    command = ("--method", "qdtrack", "--backbone", "resnet50", "--out", tmp_path / "out.pt")
    missing = {key: value for key, value in weights.items() if key != name}
    other = weights | {name: torch.zeros(7, 1)}
    integers = weights | {name: torch.zeros(1, dtype=torch.int64).expand(weights[name].shape)}
    for content, words in (
        (missing, "missing (1):"),
        (other, "(7x1 in the file, "),
        (integers, "(torch.int64 in the file, "),
    ):
        source = write_published(tmp_path / "x.pth", content, "wrapped")
        code, shown, errors = vatrack("import-checkpoint", source, *command)
        assert (code, shown) == (2, "")
        assert name in errors
        assert words in errors
    assert not (tmp_path / "out.pt").exists()


def test_counters_of_batch_norm_may_be_missing(tmp_path: Path) -> None:
    weights = tensors(Method.QDTRACK, Backbone.RESNET50)
    old = {
        name: value for name, value in weights.items() if not name.endswith("num_batches_tracked")
    }
    assert len(weights) - len(old) == 53
    text = imported(tmp_path, old, paper(Method.QDTRACK, Backbone.RESNET50), "legacy")
    assert "53 batch norm counters not in the file" in text
    found = load(tmp_path / "out.pt").weights
    assert list(found) == list(weights)
    assert found["backbone.bn1.num_batches_tracked"] == 0


def test_half_precision_views_and_safetensors_come_in_as_our_own(tmp_path: Path) -> None:
    run = small(Method.QDTRACK)
    weights = {
        name: value.contiguous()
        for name, value in tensors(Method.QDTRACK, Backbone.RESNET18, SMALL).items()
    }
    everything = torch.zeros(3_000_000)
    name = "neck.lateral_convs.0.conv.bias"
    everything[: weights[name].numel()] = weights[name].flatten()
    views = weights | {name: everything[: weights[name].numel()].view(weights[name].shape)}
    imported(tmp_path, views, run)
    sizes = [(tmp_path / name).stat().st_size for name in ("x.pth", "out.pt")]
    assert sizes[0] - sizes[1] > 11_000_000, "only the view is kept"
    half = {
        key: value.half() if value.is_floating_point() else value for key, value in weights.items()
    }
    save_file(half, tmp_path / "half.st")
    import_checkpoint(tmp_path / "half.st", run, tmp_path / "half.pt")
    for file in ("out.pt", "half.pt"):
        found = load(tmp_path / file).weights
        for key, value in weights.items():
            assert torch.equal(found[key], value), key
            assert found[key].dtype == value.dtype


R50, X101 = Backbone.RESNET50, Backbone.RESNEXT101


def test_more_heads_than_the_method_has_are_unused(tmp_path: Path) -> None:
    """A method with two masks holds all of one with one mask, so this is allowed, and said."""
    weights = tensors(Method.VATRACK, Backbone.RESNET18, SMALL)
    text = imported(tmp_path, weights, small(Method.QDTRACK))
    told = "the file has more heads than qdtrack and looks like vatrack; use --method vatrack"
    assert f"warning: {told}" in text
    extra = [name for name in weights if "amodal_mask_head" in name]
    assert f"unused ({len(extra)}):\n  " + "\n  ".join(extra[:5]) in text
    assert "\n  ".join(extra) in (tmp_path / "out.pt.names.txt").read_text()


def test_what_a_reader_should_look_at_is_said(tmp_path: Path) -> None:
    weights = tensors(Method.QDTRACK, Backbone.RESNET18, SMALL)
    classes = (CATEGORIES[1], CATEGORIES[0], *CATEGORIES[2:])
    torch.save({"state_dict": weights, "meta": {"CLASSES": classes}}, tmp_path / "x.pth")
    text = str(import_checkpoint(tmp_path / "x.pth", small(Method.QDTRACK), tmp_path / "out.pt"))
    assert "different names for 2 classes, first: number 1, 'car' instead of 'person'" in text
    torch.save(
        {"state_dict": weights, "meta": {"CLASSES": [n.replace(" ", "_") for n in CATEGORIES]}},
        tmp_path / "x.pth",
    )
    assert "different names" not in str(
        import_checkpoint(tmp_path / "x.pth", small(Method.QDTRACK), tmp_path / "out.pt")
    )


# Spec 3.9: what a Mask R-CNN of COCO fills, what it has in another shape, what stays random.
LOADED = (
    "backbone.",
    "neck.",
    "rpn_head.",
    "roi_head.bbox_head.shared_fcs.",
    "roi_head.mask_head.convs.",
    "roi_head.mask_head.upsample.",
)
OUTPUTS = (
    "roi_head.bbox_head.fc_cls",
    "roi_head.bbox_head.fc_reg",
    "roi_head.mask_head.conv_logits",
)
SKIPPED = {f"{layer}.{kind}" for layer in OUTPUTS for kind in ("weight", "bias")}
RANDOM = ("roi_head.amodal_", "roi_head.track_head.")


@pytest.mark.parametrize(("method", "backbone"), LARGER_ONES_SLOW)
def test_a_coco_file_fills_the_groups_of_the_specification(
    method: Method, backbone: Backbone, tmp_path: Path
) -> None:
    wanted = tensors(method, backbone)
    run = paper(method, backbone)
    text = imported(tmp_path, plain_mask_rcnn(wanted), run, "wrapped", partial=True)
    found = read_weights(tmp_path / "out.pt").weights
    loaded = {name for name in wanted if name.startswith(LOADED)}
    left = {name for name in wanted if name.startswith(RANDOM)}
    assert loaded | left | SKIPPED == set(wanted), "the three groups are everything"
    assert set(found) == loaded
    for name in loaded:
        assert (found[name].shape, found[name].flatten()[0]) == (
            wanted[name].shape,
            wanted[name].flatten()[0],
        ), name
    assert f"{len(left) + 6} tensors still random" in text
    rows = {
        line.split()[0]: line.split()[1:]
        for line in text.splitlines()
        if line.startswith(("backbone ", "roi_head."))
    }
    assert rows["backbone"][1:] == ["0", "0", "0", "0"]
    assert rows["roi_head.bbox_head"] == ["4", "4", "0", "0", "4"]
    assert rows["roi_head.mask_head"] == ["10", "2", "0", "0", "2"]
    assert rows["roi_head.track_head"] == ["0", "0", "16", "0", "16"]
    assert "fc_reg.weight (320x1024 in the file, 96x1024 expected)" in text
    with pytest.raises(InputError, match=r"initial weights of some parts only.*training\.weights"):
        load(tmp_path / "out.pt")


def test_initial_weights_start_a_training_as_the_file_itself_does(tmp_path: Path) -> None:
    coco = plain_mask_rcnn(tensors(Method.VATRACK_2BBOX, Backbone.RESNET18, SMALL))
    run = small(Method.VATRACK_2BBOX)
    imported(tmp_path, coco, run, "parallel", partial=True)
    states = []
    for path in (tmp_path / "x.pth", tmp_path / "out.pt"):
        torch.manual_seed(4)
        model = build(run.method, run.model, run.backbone)
        load_initial(model, path)
        states.append(model.state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_a_backbone_alone_goes_into_the_backbone(tmp_path: Path) -> None:
    """Read literally, the published instructions match no tensor (quirk M3)."""
    torch.manual_seed(5)
    source = resnet18(weights=None).state_dict()
    torch.save(source, tmp_path / "resnet18.pth")
    run = Config().for_run(Method.VATRACK, Backbone.RESNET18)
    text = str(
        import_checkpoint(tmp_path / "resnet18.pth", run, tmp_path / "init.pt", partial=True)
    )
    found = read_weights(tmp_path / "init.pt").weights
    trunk = {
        f"backbone.{name}": value for name, value in source.items() if not name.startswith("fc.")
    }
    assert found.keys() == trunk.keys()
    assert all(torch.equal(found[name], value) for name, value in trunk.items())
    assert "unused (2):\n  fc.weight\n  fc.bias" in text
    torch.save(resnet34(weights=None).state_dict(), tmp_path / "resnet34.pth")
    with pytest.raises(
        InputError, match=r"not weights of this backbone; 0 tensors missing.*of no layer"
    ):
        import_checkpoint(tmp_path / "resnet34.pth", run, tmp_path / "no.pt", partial=True)


def test_a_network_of_another_shape_is_no_initialisation(tmp_path: Path) -> None:
    """Skipped in silence (quirk M5), half of a backbone would be another network's."""
    run = paper(Method.VATRACK, Backbone.RESNET50)
    coco = plain_mask_rcnn(tensors(Method.VATRACK, Backbone.RESNEXT101))
    first = r"first: backbone\.layer1\.0\.conv1\.weight"
    with pytest.raises(InputError, match=f"a network with different layer sizes: .*{first}"):
        imported(tmp_path, coco, run, partial=True)
    # A ResNet-101 has all tensors of a ResNet-50, in the same shapes, and 17 more blocks.
    deeper = plain_mask_rcnn(tensors(Method.VATRACK, Backbone.RESNET50))
    deeper["backbone.layer3.6.conv1.weight"] = torch.zeros(256, 1024, 1, 1)
    told = r"backbone\.layer3\.6\.conv1\.weight: not in this network"
    with pytest.raises(InputError, match=told):
        imported(tmp_path, deeper, run, partial=True)
    assert not (tmp_path / "out.pt").exists()
