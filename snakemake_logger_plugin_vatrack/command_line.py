"""What ends in a traceback of Snakemake's, in a sentence: mistakes on the command line, and folders
that may not be written."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

# Of Snakemake 9's cli.parse_config; our own code is not read by then.
DOTTED = "Config entry must start with a valid identifier"
NO_PAIR = "Config entries have to be defined as name=value pairs"
# Of its load_configfile, which knows only some of what may be wrong with a file.
CONFIG_FILE = re.compile(r"load_configfile|Config file (is not valid|must be given)")
# Of the operating system, with the first file that it names.
OF_SYSTEM = re.compile(r"^(?:\w+: )?\[Errno (\d+)\] ([^:\n]+): '([^'\n]+)'", re.MULTILINE)
# Of what Snakemake takes for one more config file.
IF_TARGET = "; if it is a target, give it before --configfile"
NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)


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
    if CONFIG_FILE.search(text) and (wrong := _wrong_file(words)):
        return wrong
    return _of_system(text)


def _of_system(text: str) -> str | None:
    """An error of the operating system whose fix is known."""
    from vatrack.common.errors import with_fix

    if not (found := OF_SYSTEM.search(text)):
        return None
    number, reason, path = int(found[1]), found[2], found[3]
    if ".snakemake" in Path(path).parts and number in NOT_WRITABLE:
        return (
            f"error: {path}: {reason.lower()}; Snakemake keeps its records there: run it in a "
            "writable folder, or give one with --directory"
        )
    known = with_fix(OSError(number, reason, path))
    return f"error: {known}" if "; " in known else None


def _wrong_file(words: Sequence[str]) -> str | None:
    """What is wrong with the first of the config files that cannot be read."""
    from vatrack.common.errors import InputError
    from vatrack.config import load_config

    for number, file in _config_files(words):
        try:
            load_config(file)
        except InputError as error:
            return f"error: --configfile {error}{IF_TARGET if number else ''}"
    return None


def _config_files(words: Sequence[str]) -> Iterator[tuple[int, str]]:
    """The config files, with their places after the option."""
    places: Iterator[int] = iter(())
    for word in words:
        name, equals, value = word.partition("=")
        if word.startswith("-"):
            named = name in ("--configfile", "--configfiles")
            places = count() if named and not equals else iter(())
            if named and equals:
                yield 0, value
        elif (place := next(places, None)) is not None:
            yield place, word


def _nested(dotted: str) -> str:
    keys, _, value = dotted.partition("=")
    first, *rest = keys.split(".")
    for key in reversed(rest):
        value = f"{{{key}: {value}}}"
    return f"{first}={value}"
