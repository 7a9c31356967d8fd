"""The weights of classes in the classification loss (spec 4.4)."""

from __future__ import annotations

import pytest

from tests.config.test_classes import config, run_of
from vatrack.common.errors import InputError
from vatrack.config import SAILVOS, ClassList
from vatrack.config.class_weights import PAPER_CLASS_WEIGHTS, resolve_weights


def test_weights() -> None:
    own = ClassList(("stick", "person"))
    assert resolve_weights("auto", SAILVOS) == PAPER_CLASS_WEIGHTS
    assert resolve_weights("auto", own) == resolve_weights("uniform", own) == (1.0, 1.0, 1.0)
    assert resolve_weights("sailvos", own) == (3.3, 0.1, 1.0), "by name"
    assert resolve_weights("balanced", own) == "balanced", "counts are not known yet"
    assert resolve_weights("balanced", own, {}) == (1.0, 1.0, 1.0)
    counts = {"stick": 7, "person": 91}
    weights = resolve_weights("balanced", own, counts)
    mean = (7 * weights[0] + 91 * weights[1]) / 98  # type: ignore[operator]
    assert mean == pytest.approx(1)
    assert resolve_weights((1.0, 2.0, 3.0), own) == (1.0, 2.0, 3.0)
    with pytest.raises(InputError, match="2 weights for 2 classes; give 3"):
        resolve_weights((1.0, 2.0), own)
    with pytest.raises(InputError, match=r"no weight for 1 of 1 class .*'lamp'"):
        resolve_weights("sailvos", ClassList(("lamp",)))


def test_weights_of_another_number_are_refused_in_the_config() -> None:
    with pytest.raises(InputError, match="3 weights for 24 classes; give 25"):
        config(model={"class_weights": [1, 1, 1]})
    assert run_of(
        dataset={"classes": ["a", "b"]}, model={"class_weights": [1, 2, 3]}
    ).model.weights == (1.0, 2.0, 3.0)
