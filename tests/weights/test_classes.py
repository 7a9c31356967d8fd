"""Weights of one list of classes for a network of another one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from tests.models.small import SMALL
from vatrack.common.errors import InputError
from vatrack.config import SAILVOS, Backbone, ClassList, Config, Method, RunConfig
from vatrack.models.detector import Detector, build
from vatrack.training.start import load_start
from vatrack.weights.checkpoint import load, restored, save
from vatrack.weights.class_rows import ClassRows
from vatrack.weights.export import export
from vatrack.weights.initial import load_initial
from vatrack.weights.openmmlab import import_checkpoint

OWN = ("robot", "person", "dog, small", "car")
BOX, MASK = "roi_head.bbox_head.", "roi_head.mask_head."


def run_of(classes: Any = "sailvos", method: Method = Method.VATRACK, **training: Any) -> RunConfig:
    return Config.model_validate(
        {"dataset": {"classes": classes}, "model": SMALL.model_dump(), "training": training}
    ).for_run(method, Backbone.RESNET18)


def network(run: RunConfig, seed: int) -> Detector:
    torch.manual_seed(seed)
    return build(run.method, run.model, run.backbone)


def saved(path: Path, run: RunConfig) -> dict[str, Tensor]:
    """A checkpoint of a network without any two equal weights."""
    model = network(run, 5)
    with torch.no_grad():
        for number, value in enumerate(model.parameters()):
            value.copy_(torch.arange(value.numel()).view(value.shape) + number)
    save(path, model, run, 3)
    return model.state_dict()


def resave(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """A checkpoint whose config is another one, without a checksum."""
    saved(path, run_of())
    content = torch.load(path, weights_only=False)
    del content["checksum"]
    config = content["config"]
    content["config"] = json.loads(config) if isinstance(config, str) else dict(config)
    change(content["config"])
    torch.save(content, path)


def test_rows_of_the_same_names_are_taken_and_others_start_fresh(tmp_path: Path) -> None:
    source = saved(tmp_path / "best.pt", run_of())
    run = run_of(OWN)
    model = network(run, 6)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    transfer = load_initial(model, tmp_path / "best.pt", run.class_list)
    after = model.state_dict()

    assert transfer.classes is not None
    assert transfer.classes.taken == ("person", "car")
    assert len(transfer.by_class) == 8, "weight and bias of four layers"
    for layer, count, background in (
        (f"{BOX}fc_cls", 1, True),
        (f"{BOX}fc_reg", 4, False),
        (f"{MASK}conv_logits", 1, False),
        ("roi_head.amodal_mask_head.conv_logits", 1, False),
    ):
        for name in (f"{layer}.weight", f"{layer}.bias"):
            own, old, other = (
                tensor[name].unflatten(0, (-1, count)) for tensor in (after, before, source)
            )
            assert torch.equal(own[1], other[SAILVOS.index("person")]), name
            assert torch.equal(own[3], other[SAILVOS.index("car")]), name
            assert torch.equal(own[[0, 2]], old[[0, 2]]), "fresh"
            if background:
                assert torch.equal(own[4], other[24])
    for name in after.keys() - set(transfer.by_class):
        assert torch.equal(after[name], source[name]), name
    assert transfer.random == ()
    text = str(transfer)
    assert "8 matched by class" in text
    assert "with a different shape" not in text
    assert "  taken from the file (2): 'person', 'car'" in text
    assert "  start fresh (2): 'robot', 'dog, small'" in text
    assert "  in the file but not used (22): 'motorcycle'" in text
    assert text.splitlines()[1:] == transfer.table(initial=True).splitlines()[-4:]


def test_the_same_classes_in_another_order_are_told_by_their_names(tmp_path: Path) -> None:
    source = saved(tmp_path / "best.pt", run_of(OWN))
    run = run_of(OWN[::-1])
    model = network(run, 6)
    transfer = load_initial(model, tmp_path / "best.pt", run.class_list)
    assert not transfer.mismatched
    assert len(transfer.by_class) == 8
    for name in transfer.by_class:
        count = 4 if "fc_reg" in name else 1
        own, other = (t[name].unflatten(0, (-1, count)) for t in (model.state_dict(), source))
        assert torch.equal(own[:4], other[:4].flip(0)), name
    assert torch.equal(model.state_dict()[f"{BOX}fc_cls.bias"][4], source[f"{BOX}fc_cls.bias"][4])


def test_the_same_classes_are_copied_as_ever(tmp_path: Path) -> None:
    source = saved(tmp_path / "best.pt", run_of())
    model = network(run_of(), 6)
    transfer = load_initial(model, tmp_path / "best.pt")
    assert set(transfer.copied) == set(source)
    assert transfer.classes is None


def test_older_checkpoints_have_the_classes_of_sailvos(tmp_path: Path) -> None:
    resave(tmp_path / "old.pt", lambda config: config.pop("classes"))
    assert load(tmp_path / "old.pt").classes == SAILVOS
    run = run_of(OWN)
    transfer = load_initial(network(run, 6), tmp_path / "old.pt", run.class_list)
    assert transfer.classes is not None
    assert transfer.classes.source == SAILVOS


def test_amodal_heads_may_start_like_visible_ones_by_class(tmp_path: Path) -> None:
    source = saved(tmp_path / "best.pt", run_of(method=Method.QDTRACK))
    run = run_of(OWN, weights=tmp_path / "best.pt", copy_visible_to_amodal=True)
    model = network(run, 6)
    load_start(model, run, None)
    name = "conv_logits.weight"
    own = model.state_dict()[f"roi_head.amodal_mask_head.{name}"]
    assert torch.equal(own[1], source[f"{MASK}{name}"][0]), "person"


def test_a_checkpoint_of_other_classes_is_refused_with_both_lists(tmp_path: Path) -> None:
    saved(tmp_path / "best.pt", run_of(OWN))
    wrong = run_of()
    with pytest.raises(InputError) as caught:
        restored(load(tmp_path / "best.pt"), wrong, tmp_path / "best.pt")
    text = str(caught.value)
    assert "the checkpoint has different classes" in text
    assert f"best.pt: {ClassList(OWN)}\n" in text
    assert "the config: 'person', 'car'" in text
    found = load(tmp_path / "best.pt")
    right = found.run(wrong)
    assert right.classes == OWN
    restored(found, right, tmp_path / "best.pt")


def test_exported_weights_say_their_classes(tmp_path: Path) -> None:
    saved(tmp_path / "best.pt", run_of(OWN))
    export(tmp_path / "best.pt", tmp_path / "best.safetensors")
    with safe_open(tmp_path / "best.safetensors", "pt") as stream:
        assert json.loads(stream.metadata()["config"])["classes"] == list(OWN)
    assert load(tmp_path / "best.safetensors").classes == ClassList(OWN)
    run = run_of(["car", "bus"])
    transfer = load_initial(network(run, 1), tmp_path / "best.safetensors", run.class_list)
    assert transfer.classes is not None
    assert transfer.classes.taken == ("car",)


@pytest.mark.parametrize("names", [["car", "car"], [""], [3], []])
def test_checkpoints_with_damaged_names_are_refused(tmp_path: Path, names: Any) -> None:
    resave(tmp_path / "bad.pt", lambda config: config.update(classes=names))
    with pytest.raises(InputError, match=r"bad\.pt: damaged checkpoint \(classes: "):
        load(tmp_path / "bad.pt")


def published(path: Path, classes: int, names: Any = None) -> dict[str, Tensor]:
    run = run_of([f"c{number}" for number in range(classes)])
    weights = network(run, 4).state_dict()
    meta = {"epoch": 12} | ({} if names is None else {"CLASSES": names})
    torch.save({"meta": meta, "state_dict": weights}, path)
    return weights


def test_foreign_checkpoints_of_other_classes_are_imported(tmp_path: Path) -> None:
    weights = published(tmp_path / "own.pth", 4, OWN)
    import_checkpoint(tmp_path / "own.pth", run_of(), tmp_path / "named.pt")
    found = load(tmp_path / "named.pt")
    assert found.classes == ClassList(OWN), "the file names them"
    assert all(torch.equal(found.weights[name], value) for name, value in weights.items())

    published(tmp_path / "bare.pth", 4)
    with pytest.raises(InputError, match=r"a detector of 4 classes .* --class NAME for each"):
        import_checkpoint(tmp_path / "bare.pth", run_of(), tmp_path / "no.pt")
    given = ClassList(("a", "b", "c", "d"))
    import_checkpoint(tmp_path / "bare.pth", run_of(), tmp_path / "given.pt", classes=given)
    assert load(tmp_path / "given.pt").classes == given
    import_checkpoint(tmp_path / "bare.pth", run_of(list(given.names)), tmp_path / "config.pt")
    assert load(tmp_path / "config.pt").classes == given


def test_initial_weights_keep_rows_of_named_classes(tmp_path: Path) -> None:
    weights = published(tmp_path / "own.pth", 4)
    import_checkpoint(
        tmp_path / "own.pth", run_of(), tmp_path / "i.pt", partial=True, classes=ClassList(OWN)
    )
    model = network(run_of(), 2)
    transfer = load_initial(model, tmp_path / "i.pt")
    assert transfer.classes is not None
    assert transfer.classes.taken == ("person", "car")
    own = model.state_dict()[f"{BOX}fc_cls.weight"]
    assert torch.equal(own[0], weights[f"{BOX}fc_cls.weight"][1])
    # Without their names nothing of these layers is taken, as published.
    import_checkpoint(tmp_path / "own.pth", run_of(), tmp_path / "j.pt", partial=True)
    assert f"{BOX}fc_cls.weight" in load_initial(network(run_of(), 2), tmp_path / "j.pt").absent


def test_rows() -> None:
    rows = ClassRows(ClassList(("b", "new")), ClassList(("a", "b")))
    assert rows.rows("x.fc_cls.weight") == ([0, 2], [1, 2])
    assert rows.rows("x.fc_reg.bias") == ([0, 1, 2, 3], [4, 5, 6, 7])
    assert rows.rows("x.conv_logits.bias") == ([0], [1])


@pytest.mark.parametrize("classes", [OWN, "data", "sailvos"])
def test_weights_that_wait_for_counts_stop_no_prediction(tmp_path: Path, classes: Any) -> None:
    saved(tmp_path / "best.pt", run_of(OWN))
    found = load(tmp_path / "best.pt")
    values = {"dataset": {"classes": classes}, "model": {**SMALL.model_dump()}}
    values["model"]["class_weights"] = "balanced"
    run = Config.model_validate(values).for_run(Method.VATRACK, Backbone.RESNET18)
    right = found.run(run)
    restored(found, right, tmp_path / "best.pt")
    published(tmp_path / "own.pth", 4, OWN)
    import_checkpoint(tmp_path / "own.pth", run, tmp_path / "named.pt")
    assert load(tmp_path / "named.pt").classes == ClassList(OWN)
