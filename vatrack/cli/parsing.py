"""How the command line is read: every wrong or missing option is said at once, with what was meant.

What the library that parses says is only completed here; its own exceptions end the command.
"""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from vatrack.common.similar import did_you_mean, not_a_choice

# Click's, which newer versions of typer have inside.
UsageError: Any = typer.BadParameter.__base__


class _Helpful:
    """What commands and groups of commands have in common."""

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Reads the arguments; ends with a message that names all missing options, or nearest
        names of a wrong one."""
        given = list(args)
        try:
            return super().parse_args(ctx, args)  # type: ignore[misc]
        except typer.BadParameter as error:
            missing = self._missing(ctx, given)
            if error.param in missing:
                ctx.fail(f"Missing: {', '.join(map(_shown, missing))}")
            text = error.message.removeprefix("Value error, ")
            value = text.partition("' is not one of ")[0].removeprefix("'")
            error.message = text if value == text else not_a_choice(text, value)
            raise
        except UsageError as error:
            name = getattr(error, "option_name", None)
            if not name or not hasattr(error, "possibilities"):
                raise
            known = [option for param in ctx.command.get_params(ctx) for option in param.opts]
            ctx.fail(f"No such option: {name}{did_you_mean(name, known)}")

    def _missing(self, ctx: Any, args: list[str]) -> list[Any]:
        """The required options and arguments that have no value."""
        values, _, _ = ctx.command.make_parser(ctx).parse_args(args=args)
        return [
            param
            for param in ctx.command.get_params(ctx)
            if param.required and not _is_given(values.get(param.name))
        ]


def _is_given(value: Any) -> bool:
    """Whether the command line has a value: versions of click stand for none in several ways."""
    return isinstance(value, str) or (isinstance(value, list | tuple) and len(value) > 0)


def _shown(param: Any) -> str:
    text: str = param.opts[0]
    return text if text.startswith("-") else param.metavar or text.upper()


class Command(_Helpful, TyperCommand):
    """A command."""


class Group(_Helpful, TyperGroup):
    """A group of commands."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the first argument names; ends with the nearest ones where there is
        none."""
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            hint = did_you_mean(args[0], self.commands)
            ctx.fail(f"No such command: {args[0]}{hint or f' ({ctx.command_path} -h lists them)'}")
        return super().resolve_command(ctx, args)
