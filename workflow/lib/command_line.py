"""Mistakes on Snakemake's command line that it passes over in silence, or does not explain."""

from __future__ import annotations

import os
from argparse import Action, Namespace
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vatrack.common.errors import InputError
from vatrack.common.similar import meant
from vatrack.common.value_files import parse_yaml

# What names rules on the command line, and whether files, too.
NAMING = {
    "targets": True,
    "--until": True,
    "--omit-from": True,
    "--forcerun": True,
    "--prioritize": True,
    "--allowed-rules": False,
    "--set-threads": False,
    "--set-resources": False,
}
LIST_RULES = "list the rules with `snakemake --list-rules`"


def is_program(words: Sequence[str]) -> bool:
    """Whether these are words of a command line of Snakemake's; another program may have called it
    as a library."""
    program = Path(words[0])
    return "snakemake" in (program.name, program.parent.name)


def arguments(words: Sequence[str]) -> Namespace:
    """What Snakemake's own parser reads on the command line, without its profiles.

    Args:
        words: of the command line, with the program's path; of another program (`is_program`)
            none counts.

    Raises:
        InputError: an option of several values occurs twice: Snakemake reads only the last.
    """
    from snakemake.cli import get_argument_parser

    parser = get_argument_parser()
    if not is_program(words):
        return parser.parse_args([])
    read, given = parser._get_values, set()

    def read_once(action: Action, values: list[str]) -> Any:
        # Called for each occurrence, in whatever form: `-U a`, `-Ua`, `-nUa`, `--until=a`.
        if action.option_strings and action.nargs in ("*", "+"):
            name = action.option_strings[0]
            if name in given:
                raise InputError(
                    f"{name} occurs twice, and Snakemake reads only the last; give all values "
                    f"after one {name}"
                )
            given.add(name)
        return read(action, values)

    parser._get_values = read_once
    return parser.parse_args(list(words[1:]))


def check_hooks(words: Namespace) -> None:
    """Refuses an option without which jobs would read the config of an earlier call.

    Args:
        words: of the command line, see `arguments`.

    Raises:
        InputError: the workflow's hooks would not be called.
    """
    if words.no_hooks:
        raise InputError(
            "--no-hooks: the hooks of the workflow write the config that its jobs read; remove "
            "this option"
        )


def check_config_entries(entries: Iterable[str]) -> None:
    """Refuses keys of `--config` with several values: Snakemake takes the last.

    Args:
        entries: `NAME=VALUE` each. Two entries may set different keys of one section.

    Raises:
        InputError: a key occurs twice, in two entries or in one.
    """
    found: dict[str, str] = {}
    for entry in entries:
        name, _, text = entry.partition("=")
        value = parse_yaml(text, f"--config {name}") if text.startswith("{") else text
        for key, inner in _leaves(name, value):
            if key in found:
                raise InputError(
                    f"--config {name}: {key} occurs twice ({found[key]}, then {inner}); give it "
                    "once"
                )
            found[key] = inner


def _leaves(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(f"{name}.{key}", inner)
    else:
        yield name, str(value)


def check_names(
    words: Namespace, rules: Mapping[str, bool], is_made: Callable[[str], bool]
) -> None:
    """Refuses names of rules (or files) that the workflow does not have.

    Args:
        words: of the command line, see `arguments`.
        rules: all names, each with whether it has jobs of several names, which no target can be.
        is_made: whether a rule makes a file of this name.

    Raises:
        InputError: a name is unknown, or cannot be a target.
    """
    for option, of_files in NAMING.items():
        what = "rule or file of the workflow" if of_files else "rule"
        for name in sorted(getattr(words, option.lstrip("-").replace("-", "_")) or ()):
            if option == "targets" and rules.get(name):
                raise InputError(
                    f"{name}: this rule has a job for each run, video or subset; write --until "
                    f"{name} for all of them"
                )
            if of_files and name not in rules and not is_made(name):
                # Snakemake compares texts, and takes a file that is there for up to date.
                absolute = Path(name).is_absolute()
                other = os.path.relpath(name) if absolute else str(Path(name).absolute())
                if is_made(other):
                    raise InputError(f"{name}: the workflow calls this file {other}; give it so")
            if name in rules or (of_files and (is_made(name) or Path(name).exists())):
                continue
            shown = f"{option} {name}" if option.startswith("-") else name
            raise InputError(f"{shown}: no such {what}{meant(name, rules, LIST_RULES)}")
