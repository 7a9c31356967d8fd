"""Options that have no effect without another one, or beside it: they are refused, not ignored."""

from __future__ import annotations

import inspect
from typing import Any

from vatrack.common.errors import InputError

# By a command's function and parameter: the parameters of which one must be there, too.
NEEDS: dict[str, tuple[str, ...]] = {
    "compare image_clips": ("out",),
    "compare score": ("out",),
    "compare ground_truth": ("out",),
    "compare images": ("out",),
    "cuts_sheet threshold": ("scores",),
    "overlay fps": ("video",),
    "track draw": ("overlay", "show"),
    "track line_width": ("overlay", "show"),
    "track encoder": ("overlay",),
    "track sound": ("overlay",),
}
# Parameters that another one takes the place of.
INSTEAD: dict[str, tuple[str, ...]] = {
    "config schema": ("reference", "config", "values", "overrides"),
    "config reference": ("config", "values", "overrides"),
    "config values": ("config",),
    "mlflow_ui tracking_uri": ("results",),
}


def check_options(ctx: Any) -> None:
    """Refuses options on the command line that would have no effect.

    Args:
        ctx: of a command that was parsed.

    Raises:
        InputError: there is one.
    """
    function = inspect.unwrap(ctx.command.callback).__name__
    shown = {param.name: param.opts[0] for param in ctx.command.params}
    given = [name for name in shown if _on_command_line(ctx, name)]
    for name in given:
        option, key = shown[name], f"{function} {name}"
        needed = NEEDS.get(key, ())
        if needed and not any(ctx.params[other] for other in needed):
            names = " or ".join(shown[other] for other in needed)
            fix = f"give one of them, or remove {option}" if needed[1:] else "give both, or neither"
            raise InputError(f"{option}: has no effect without {names}; {fix}")
        for other in INSTEAD.get(key, ()):
            if other in given:
                raise InputError(
                    f"{shown[other]}: has no effect with {option}; give one of the two"
                )


def _on_command_line(ctx: Any, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
