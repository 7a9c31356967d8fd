"""The weights of classes in the classification loss (spec 4.4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from vatrack.common.counted import counted
from vatrack.common.errors import ConfigError
from vatrack.config.classes import SAILVOS, ClassList, shown_name

WeightPreset = Literal["auto", "sailvos", "uniform", "balanced"]
# SAIL-VOS's 24 classes, then the background (spec 4.4).
PAPER_CLASS_WEIGHTS = (
    0.1, 0.8, 12.5, 7.0, 15.5, 16.0, 9.5, 20.8, 0.9, 0.9, 3.5, 0.8, 1.5, 17.8,
    1.9, 3.4, 104.0, 4.4, 1.8, 1.4, 0.35, 0.8, 1.3, 3.3, 1.0,
)  # fmt: skip


def resolve_weights(
    weights: WeightPreset | tuple[float, ...],
    classes: ClassList,
    counts: Mapping[str, int] | None = None,
) -> WeightPreset | tuple[float, ...]:
    """One weight for each class and one for the background, of the classification loss (spec 4.4).

    auto: `sailvos` for SAIL-VOS's list, else `uniform`. sailvos: the paper's, by name. uniform: 1.
    balanced: N / (C n) for a class with n of the N annotations, C classes having some, so that the
    mean over all annotations is 1; 1 for classes without any and for the background.

    Args:
        counts: annotations by class name; without them `balanced` stays as it is.

    Raises:
        ConfigError: there are not as many weights as classes, or SAIL-VOS has no such class.
    """
    if weights == "auto":
        weights = "sailvos" if classes == SAILVOS else "uniform"
    if weights == "sailvos":
        if unknown := classes.missing_in(SAILVOS):
            raise ConfigError(
                "model.class_weights",
                f"sailvos has no weight for {len(unknown)} of {counted(len(classes), 'class')} "
                f"(first: {shown_name(unknown[0])}); use uniform, balanced or a list",
            )
        own = (PAPER_CLASS_WEIGHTS[SAILVOS.index(name)] for name in classes.names)
        return (*own, PAPER_CLASS_WEIGHTS[-1])
    if weights == "uniform":
        return (1.0,) * (len(classes) + 1)
    if weights == "balanced":
        if counts is None:
            return weights
        given = [counts.get(name, 0) for name in classes.names]
        mean = sum(given) / max(1, sum(map(bool, given)))
        return (*(mean / count if count else 1.0 for count in given), 1.0)
    if len(weights) != len(classes) + 1:
        raise ConfigError(
            "model.class_weights",
            f"has {counted(len(weights), 'weight')} for {counted(len(classes), 'class')}; give "
            f"{len(classes) + 1}: one for each class in their order, then the background",
        )
    return weights
