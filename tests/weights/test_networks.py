"""What a file is told to be that another network was asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torchvision.models import resnet34

from tests.weights.published import imported, left_overs, plain_mask_rcnn, tensors
from tests.weights.test_openmmlab import R50, X101, paper
from vatrack.common.errors import InputError
from vatrack.config import Backbone, Method
from vatrack.weights.networks import recognise_method


@pytest.mark.parametrize(
    ("source", "wanted", "words"),
    [
        (
            (Method.VATRACK, R50),
            (Method.VATRACK_2BBOX, R50),
            "vatrack with resnet50: use --method vatrack",
        ),
        (
            (Method.VATRACK_2BBOX, X101),
            (Method.VATRACK, R50),
            "vatrack-2bbox with resnext101_64x4d: use --method vatrack-2bbox --backbone "
            "resnext101_64x4d",
        ),
        (
            (Method.AMODALTRACK, R50),
            (Method.VATRACK, R50),
            "qdtrack or amodaltrack with resnet50: use --method qdtrack or --method amodaltrack",
        ),
        (
            (Method.VATRACK, R50),
            (Method.VATRACK, X101),
            "vatrack with resnet50: use --method vatrack --backbone resnet50",
        ),
    ],
)
def test_a_checkpoint_of_another_method_or_backbone_says_what_it_looks_like(
    source: tuple[Method, Backbone], wanted: tuple[Method, Backbone], words: str, tmp_path: Path
) -> None:
    told = rf"x\.pth: not a checkpoint of {wanted[0]} with {wanted[1]}: "
    with pytest.raises(InputError, match=told) as refused:
        imported(tmp_path, left_overs() | tensors(*source), paper(*wanted), "wrapped")
    assert f"it looks like {words}" in str(refused.value).splitlines()[0]


@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("backbone", Backbone)
def test_prefixes_are_taken_off_before_a_file_is_recognised(
    method: Method, backbone: Backbone
) -> None:
    plain = tensors(method, backbone)
    means = {f"ema_{name.replace('.', '_')}": value for name, value in plain.items()}
    prefixed = {f"teacher.{name}": value for name, value in plain.items()}
    prefixed |= {f"student.{name}": value for name, value in plain.items()}
    for content, key in (
        ({"state_dict": plain | means}, None),
        ({"state_dict": plain | means}, "ema_"),
        ({"state_dict": prefixed}, None),
        ({"state_dict": prefixed}, "teacher"),
        ({f"module.{name}": value for name, value in plain.items()}, None),
    ):
        methods, trunk = recognise_method(content, Path("x.pth"), key)
        assert method in methods and trunk is backbone
    with pytest.raises(InputError, match=r"x\.pth: --key ema_: not found"):
        recognise_method(plain, Path("x.pth"), "ema_")


def test_other_kinds_of_files_are_told_where_to_go(tmp_path: Path) -> None:
    run = paper(Method.VATRACK, Backbone.RESNET50)
    narrow = run.model.model_copy(update={"box_head_channels": 512})
    for weights, told in (
        (
            plain_mask_rcnn(tensors(Method.VATRACK, Backbone.RESNET50)),
            "a detector of 80 classes with resnet50; --partial imports",
        ),
        (
            resnet34(weights=None).state_dict(),
            r"only a backbone \(resnet34\); --partial imports it",
        ),
        (
            {"encoder.w": torch.zeros(3)},
            r"the tensor names of an OpenMMLab detector \(first tensor: encoder\.w\)",
        ),
        (
            tensors(Method.VATRACK, Backbone.RESNET50, narrow),
            "vatrack with resnet50 with other layer widths, or truncated; .* with --config",
        ),
    ):
        with pytest.raises(InputError, match=told):
            imported(tmp_path, weights, run)
    assert not (tmp_path / "out.pt").exists()
