"""The name of a run's folder, <method>__<backbone> or <method>__<backbone>__<label>: made and read
here alone."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from vatrack.common.counted import counted
from vatrack.config.methods import Backbone, Method

MARK = "__"  # between the parts of a name; no part has it
LONGEST = 60  # characters of a label
LABEL = re.compile(r"[A-Za-z0-9]+([._-][A-Za-z0-9]+)*")
SEED = re.compile(r"(?:^|(?P<rest>.*?)[ ,_-]+)seed[ _-]?(?P<seed>\d+)$", re.DOTALL)


class RunName(NamedTuple):
    """What the name of a run's folder says.

    Example: `str(RunName(Method.VATRACK, Backbone.RESNET18, "e6")) == "vatrack__resnet18__e6"`
    """

    method: Method
    backbone: Backbone
    label: str = ""

    def __str__(self) -> str:
        return MARK.join(filter(None, self))

    @classmethod
    def parse(cls, name: str) -> RunName | None:
        """The parts of a folder's name; None where it is not a run's."""
        method, _, rest = name.partition(MARK)
        backbone, mark, label = rest.partition(MARK)
        if method not in list(Method) or backbone not in list(Backbone):
            return None
        if mark and label_problem(label):
            return None
        return cls(Method(method), Backbone(backbone), label)


def label_problem(label: str) -> str | None:
    """What is wrong with a label that is not empty; None: it can be part of a folder's name."""
    if not LABEL.fullmatch(label):
        return (
            f"{label!r:.80} cannot be part of a folder name; use ASCII letters and digits, with "
            "single '.', '-' or '_' between them, for example e6 or lr-0.01"
        )
    if len(label) > LONGEST:
        return f"{label:.20}... has {counted(len(label), 'character')}; use at most {LONGEST}"
    return None


def checked_label(value: Any) -> Any:
    """The label as a text: YAML reads `run_label=6` as a number, and nothing as null.

    Raises:
        ValueError: it cannot be part of a folder's name.
    """
    if value is None:
        return ""
    if isinstance(value, float):
        raise ValueError(f"{value} is read as a number, not as a string; write '\"{value}\"'")
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str) and value and (problem := label_problem(value)):
        raise ValueError(problem)
    return value


def with_seed(label: str, seed: int) -> str:
    """The label of one run of several seeds: `seed1`, or `e6-seed1`."""
    return f"{label}-seed{seed}" if label else f"seed{seed}"


def without_seed(label: str) -> str | None:
    """What the labels of several seeds have in common: the text before `seed1`.

    None where the label does not end in a seed.
    """
    found = SEED.fullmatch(label)
    return (found["rest"] or "") if found else None


def seed_of(label: str) -> int | None:
    """The seed at a label's end; None where the label does not end in one."""
    found = SEED.fullmatch(label)
    return int(found["seed"]) if found else None
