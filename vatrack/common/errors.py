"""The one exception that means "the input is wrong, not the program", and how warnings are
shown."""

from __future__ import annotations

import warnings
from typing import Any


class InputError(Exception):
    """Bad input. The message names the file, the item and how to mend it; the command line prints
    it and exits with 2."""


def show_warnings_plainly() -> None:
    """Lets a program show a warning as one line, without the place in the source where it was
    given."""
    usual = warnings.formatwarning

    def line(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> str:
        return (
            f"warning: {message}\n"
            if category is UserWarning
            else usual(message, category, *where, **more)
        )

    warnings.formatwarning = line
