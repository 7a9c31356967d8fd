"""How the command line is read: every wrong or missing option is said at once, with what was meant.

Help shows what an option takes in capitals, whatever the library's version does. What the library
that parses says is only completed here; its own exceptions end the command.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import typer
from pydantic import ValidationError
from typer.core import TyperCommand, TyperGroup

from vatrack.cli.option_pairs import check_options
from vatrack.common.paths import from_home
from vatrack.common.similar import did_you_mean, not_a_choice
from vatrack.config.plain_words import in_plain_words

# Click's, which newer versions of typer have inside.
UsageError: Any = typer.BadParameter.__base__
# What an option takes, by its type; a path that is no file says so itself.
VALUES: dict[Any, str] = {Path: "FILE", str: "TEXT", int: "N", float: "NUMBER"}

T = TypeVar("T")


@dataclass(frozen=True)
class Unless:
    """In the annotation of an option: it is required unless one of these parameters is given."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class Advice:
    """In the annotation of a choice: what is said of values, in small letters, that it does not
    have."""

    said: Mapping[str, str]


class _Helpful:
    """What commands and groups of commands have in common."""

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Reads the arguments; ends with a message that names all missing options, or nearest
        names of a wrong one."""
        args[:] = map(_from_home, args)
        given = list(args)
        try:
            rest = super().parse_args(ctx, args)  # type: ignore[misc]
            if not ctx.resilient_parsing and (missing := self._missing(ctx, given)):
                self._fail_missing(ctx, missing)
            return rest
        except typer.BadParameter as error:
            missing = self._missing(ctx, given)
            if error.param in missing:
                self._fail_missing(ctx, missing)
            cause = error.__cause__  # newer versions of the library ask pydantic
            wrong = cause.errors()[0] if isinstance(cause, ValidationError) else None
            if wrong and wrong["type"] != "value_error":
                error.message = in_plain_words(wrong)
                raise
            text = error.message.removeprefix("Value error, ")
            value = text.partition("' is not one of ")[0].removeprefix("'")
            if advice := self._advice(error.param, value):
                error.message = f"{text.rstrip('.')}; {advice}"
            else:
                error.message = text if value == text else not_a_choice(text, value)
            raise
        except UsageError as error:
            name = getattr(error, "option_name", None)
            if not name or not hasattr(error, "possibilities"):
                raise
            known = [option for param in ctx.command.get_params(ctx) for option in param.opts]
            short = [option for option in known if len(name) == 2 and option.startswith(f"-{name}")]
            meant = f"; did you mean {' or '.join(short[:3])}?" if short else ""
            ctx.fail(f"No such option: {name}{meant or did_you_mean(name, known)}")

    def get_params(self, ctx: Any) -> Any:
        """All parameters, with `--help`, which the library adds."""
        params = super().get_params(ctx)  # type: ignore[misc]
        for param in params:
            if getattr(param, "is_flag", False):
                param.metavar = ""
        return params

    def _missing(self, ctx: Any, args: list[str]) -> dict[Any, str]:
        """The required options and arguments that have no value, with what may be given instead."""
        values, _, _ = ctx.command.make_parser(ctx).parse_args(args=args)
        params = {param.name: param for param in ctx.command.get_params(ctx)}
        given = {name for name in params if _is_given(values.get(name))}
        missing = {}
        for name, param in params.items():
            instead = _instead(ctx.command, name)
            if (param.required or instead) and not given & {name, *instead}:
                missing[param] = f" (or {_shown(params[instead[0]])})" if instead else ""
        return missing

    def _advice(self, param: Any, value: str) -> str | None:
        """What the annotation of a parameter says of a wrong value."""
        found = _extras(self, param.name if param else "", Advice)
        key = value.lower()
        return next((extra.said[key] for extra in found if key in extra.said), None)

    def _fail_missing(self, ctx: Any, missing: Mapping[Any, str]) -> None:
        told = ", ".join(f"{_shown(param)}{instead}" for param, instead in missing.items())
        ctx.fail(f"Missing: {told}")


def _from_home(word: str) -> str:
    """`--out=~/results` with the home folder, which shells put in only behind a space."""
    option, _, value = word.partition("=")
    if option.startswith("--") and value.startswith("~"):
        return f"{option}={from_home(Path(value))}"
    return word


def _is_given(value: Any) -> bool:
    """Whether the command line has a value: versions of click stand for none in several ways."""
    return isinstance(value, str) or (isinstance(value, list | tuple) and len(value) > 0)


def _instead(command: Any, name: str) -> tuple[str, ...]:
    """The parameters one of which may be given instead of this one."""
    return next((extra.names for extra in _extras(command, name, Unless)), ())


def _extras(command: Any, name: str, wanted: type[T]) -> list[T]:
    """What the annotation of a parameter has of a type."""
    kind = getattr(command, "types", {}).get(name)
    return [extra for extra in get_args(kind)[1:] if isinstance(extra, wanted)]


def _shown(param: Any) -> str:
    text: str = param.opts[0]
    return text if text.startswith("-") else param.metavar


def _is_argument(param: Any) -> bool:
    return not param.opts[0].startswith("-")


def _name_value(param: Any, types: Mapping[str, Any]) -> None:
    """Gives a parameter that has no metavar the usual one."""
    if _is_argument(param):
        param.metavar = param.metavar or param.name.upper() + "..." * (param.nargs != 1)
        param.display_type_rich = lambda ctx: None  # its name is enough
    if param.metavar is not None or getattr(param, "is_flag", False):
        return
    kind = types[param.name]
    while (origin := get_origin(kind)) and origin is not Literal:  # optional, or a list
        kind = next(own for own in get_args(kind) if own is not type(None))
    param.metavar = VALUES.get(kind) or f"[{'|'.join(get_args(kind))}]"


class Command(_Helpful, TyperCommand):
    """A command."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        called = self.callback and inspect.unwrap(self.callback)
        self.types = get_type_hints(called, include_extras=True) if called else {}
        for param in self.params:
            _name_value(param, self.types)

    def invoke(self, ctx: Any) -> Any:
        """Runs the command, unless an option would have no effect."""
        check_options(ctx)
        return super().invoke(ctx)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """`[OPTIONS] SOURCE...`, with what may be left out in brackets."""
        arguments: list[Any] = [param for param in self.params if _is_argument(param)]
        return [
            self.options_metavar or "",
            *(param.metavar if param.required else f"[{param.metavar}]" for param in arguments),
        ]


class Group(_Helpful, TyperGroup):
    """A group of commands."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the first argument names; ends with the nearest ones where there is
        none."""
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            hint = did_you_mean(args[0], self.commands)
            ctx.fail(f"No such command: {args[0]}{hint or f' ({ctx.command_path} -h lists them)'}")
        return super().resolve_command(ctx, args)
