"""Mistakes on Snakemake's command line that end in a traceback of Snakemake's, in a sentence."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Of Snakemake 9's cli.parse_config; our own code is not read by then.
DOTTED = "Config entry must start with a valid identifier"
NO_PAIR = "Config entries have to be defined as name=value pairs"
MISSING = re.compile(r"FileNotFoundError: \[Errno 2\][^:]*: '(.+)'\s*$")


def explained(text: str, words: Sequence[str]) -> str | None:
    """What is wrong and how to fix it; None: the text is about something else.

    Args:
        text: an error as Snakemake words it.
        words: of the command line.

    Example:
        >>> explained("ValueError: " + DOTTED, ["--config", "a.b=6"])
        "error: --config a.b=6: sections need braces; write --config 'a={b: 6}'"
    """
    if DOTTED in text:
        dotted = next((word for word in words if re.match(r"\w+\.[\w.]+=", word)), None)
        form = _nested(dotted or "training.epochs=6")
        said = f"--config {dotted}" if dotted else "--config"
        return f"error: {said}: sections need braces; write --config '{form}'"
    if NO_PAIR in text:
        return "error: --config: give NAME=VALUE, for example --config 'methods=[qdtrack]'"
    missing = MISSING.search(text)
    if missing and "load_configfile" in text:
        return f"error: --configfile {missing[1]}: no such file; correct the path"
    return None


def _nested(dotted: str) -> str:
    keys, _, value = dotted.partition("=")
    first, *rest = keys.split(".")
    for key in reversed(rest):
        value = f"{{{key}: {value}}}"
    return f"{first}={value}"
