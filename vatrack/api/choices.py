"""What may be chosen when videos are tracked.

Without torch and the libraries that draw, so that a wrong option is told at once.
"""

from __future__ import annotations

from numbers import Integral
from typing import Any, Literal

from vatrack.common.arguments import check_type
from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.similar import unknown
from vatrack.config import Backbone, Method

Cuts = Literal["detect", "none"]
DEFAULT_SCORE = 0.5


def lowest_score(score: float | None) -> float:
    """Of objects that are written and drawn; None: nobody has chosen one."""
    return DEFAULT_SCORE if score is None else score


def check_network(
    method: str | None, backbone: str | None, largest_side: int | None
) -> tuple[Method | None, Backbone | None]:
    """The method and backbone that these options of `load` name.

    Raises:
        InputError: one is unknown, or the largest side is out of range.
    """
    if largest_side is not None:
        check_type("the largest side", largest_side, Integral)
        if not 32 <= largest_side <= 8192:
            side = counted(largest_side, "pixel")
            raise InputError(f"the largest side is {side}; it must be 32 to 8192")
    return _one_of(Method, "method", method), _one_of(Backbone, "backbone", backbone)


def _one_of(values: type[Any], what: str, value: str | None) -> Any:
    if value is None:
        return None
    try:
        return values(value)
    except ValueError:
        raise InputError(unknown(what, value, [str(item) for item in values])) from None
