"""What a file is told to be that another network was asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torchvision.models import resnet34

from tests.weights.published import left_overs, plain_mask_rcnn, tensors, write_published
from tests.weights.test_openmmlab import R50, X101, paper
from vatrack.common.errors import InputError
from vatrack.config import Backbone, Method
from vatrack.weights.openmmlab import import_checkpoint


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
    path = write_published(tmp_path / "x.pth", left_overs() | tensors(*source), "wrapped")
    with pytest.raises(
        InputError, match=rf"x\.pth: not a checkpoint of {wanted[0]} with {wanted[1]}: "
    ) as refused:
        import_checkpoint(path, paper(*wanted), tmp_path / "out.pt")
    assert f"it looks like {words}" in str(refused.value).splitlines()[0]


def test_other_kinds_of_files_are_told_where_to_go(tmp_path: Path) -> None:
    run, out = paper(Method.VATRACK, Backbone.RESNET50), tmp_path / "out.pt"
    coco = plain_mask_rcnn(tensors(Method.VATRACK, Backbone.RESNET50))
    with pytest.raises(
        InputError, match=r"a detector of 80 classes with resnet50; --partial takes what fits"
    ):
        import_checkpoint(write_published(tmp_path / "x.pth", coco, "wrapped"), run, out)
    torch.save(resnet34(weights=None).state_dict(), tmp_path / "resnet34.pth")
    with pytest.raises(InputError, match=r"a backbone alone \(resnet34\); --partial takes it"):
        import_checkpoint(tmp_path / "resnet34.pth", run, out)
    torch.save({"encoder.w": torch.zeros(3)}, tmp_path / "foreign.pth")
    with pytest.raises(
        InputError, match=r"no names of an OpenMMLab detector \(its first is encoder\.w\)"
    ):
        import_checkpoint(tmp_path / "foreign.pth", run, out)
    narrow = tensors(
        Method.VATRACK, Backbone.RESNET50, run.model.model_copy(update={"box_head_channels": 512})
    )
    with pytest.raises(
        InputError,
        match=r"looks like vatrack with resnet50 of other widths, or cut off; .* with --config",
    ):
        import_checkpoint(write_published(tmp_path / "x.pth", narrow, "bare"), run, out)
    assert not out.exists()
