"""Complaints about values of a config, as people read them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from vatrack.common.errors import InputError
from vatrack.config import Config
from vatrack.config.keys import overridden
from vatrack.config.reading import parse_config


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("backbones=resnet18", "backbones: 'resnet18' is not a list; write [resnet18]"),
        (
            "input.image_scale=256",
            "input.image_scale: 256 is not a list; write [256, 256]",
        ),
        ("input.image_scale={a: 1}", "input.image_scale: {'a': 1} is not a list; give one, such"),
        ("input.image_scale=[1, 2, 3]", "input.image_scale: has 3 items; give at most 2"),
        ("methods=[]", "methods: has 0 items; give at least 1"),
        ("compute.winograd=maybe", "compute.winograd: 'maybe' is neither true nor false; give"),
        ("training.epochs=many", "training.epochs: 'many' is not a whole number; give one"),
        ("training.epochs=1.5", "training.epochs: 1.5 is not a whole number; give one"),
        (
            "compute.device=gpu",
            "compute.device: unknown device 'gpu'; choose from auto, cpu, cuda, cuda:1",
        ),
        ("compute.device=0", "compute.device: 0 is not text; put it in quotes"),
        ("inference.score_threshold=50", "inference.score_threshold: 50 must be at most 1"),
        ("inference.tracker.init_score=-1", "inference.tracker.init_score: -1 must be at least 0"),
        ("inference.tracker.match_score=2", "inference.tracker.match_score: 2 must be at most 1"),
        ("model.anchor_scale=.inf", "model.anchor_scale: inf is not a finite number; give one"),
        ("dataset={1: 2}", "dataset.1: 1 is a key that is not text; put it in quotes"),
        ("training.epochs=0", "training.epochs: 0 must be at least 1"),
        ("inference.nms_iou=high", "inference.nms_iou: 'high' is not a number; give one"),
        ("dataset.name=3", "dataset.name: 3 is not text; put it in quotes"),
        ("training=", "training: null (~ or nothing) is not a mapping of keys; give keys with"),
        ("results=~", "results: null (~ or nothing) is not a path; give one"),
        ("dataset.name=a b", "dataset.name: 'a b' cannot be the name of a folder; use ASCII"),
        (
            "dataset.archives=[{path: a, sha256: x}]",
            "dataset.archives.0.sha256: 'x' is not a SHA-256; give its 64 digits",
        ),
        (
            "dataset.clips.structure=Detect",
            "dataset.clips.structure: 'Detect' is not a clip dictionary; write detect in small",
        ),
        ("compute=5", "compute: 5 is not a mapping of keys; give keys with values below it"),
    ],
)
def test_a_value_is_shown_with_what_to_give(override: str, complaint: str) -> None:
    with pytest.raises(
        InputError, match=re.escape(f"c.yaml: invalid configuration:\n  {complaint}")
    ):
        parse_config(overridden({}, [override]), "c.yaml", Config)


def test_no_message_of_a_config_is_a_librarys() -> None:
    """A value of a wrong form for every key: nothing is told in pydantic's words."""

    def leaves(model: Any, name: str = "") -> list[str]:
        return [
            full
            for key, field in model.model_fields.items()
            for full in (
                leaves(field.annotation, f"{name}{key}.")
                if hasattr(field.annotation, "model_fields")
                else [f"{name}{key}"]
            )
        ]

    keys = leaves(Config)
    assert len(keys) > 100
    told = []
    for key in keys:
        for value in ("{wrong: form}", "[[1]]", "x y", "-7.5"):
            try:
                parse_config(overridden({}, [f"{key}={value}"]), "c.yaml", Config)
            except InputError as error:
                told.append(str(error))
    assert len(told) > 300
    foreign = re.compile(
        r"should be a valid|after validation|unable to|Field required|[Ss]hould (be|have|match)"
    )
    assert [text for text in told if foreign.search(text)] == []
