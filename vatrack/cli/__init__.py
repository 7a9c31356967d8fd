"""The one command, `vatrack`. Each subcommand parses, calls one function and prints one summary.

Heavy libraries (torch takes seconds) are imported inside the subcommands that need them.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from vatrack.cli import (
    clips,
    evaluation,
    exchange,
    mlflow,
    own_data,
    prediction,
    raw,
    results,
    training,
    weights,
)
from vatrack.cli import track as videos
from vatrack.cli.compare import compare
from vatrack.cli.doctor import doctor
from vatrack.cli.examples import epilog
from vatrack.cli.file_options import with_files
from vatrack.cli.options import AnyConfig, Overrides, out_file
from vatrack.cli.parsing import Command, Group
from vatrack.common import logs
from vatrack.common.errors import InputError, is_of_path, show_warnings_plainly, with_fix
from vatrack.common.extras import install_hint
from vatrack.common.files import require_ending, require_json, write_json, write_text, write_yaml
from vatrack.common.value_files import parse_json
from vatrack.config import config_of, json_schema, load_config
from vatrack.version import __version__

app = typer.Typer(
    name="vatrack",
    help="Amodal video instance segmentation: from raw SAIL-VOS frames or your own videos to "
    "tables.",
    epilog="Run `vatrack COMMAND -h` for the options of a command and an example.",
    cls=Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"vatrack {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", callback=_show_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Options before the name of a command."""


def config(
    out: Annotated[
        Path, out_file("Config to write (YAML); with --schema JSON, with --reference Markdown.")
    ],
    config: AnyConfig = None,
    values: Annotated[str | None, typer.Option("--json", help="Config as JSON text.")] = None,
    overrides: Overrides = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Write the JSON schema of the config instead.")
    ] = False,
    reference: Annotated[
        bool, typer.Option("--reference", help="Write a Markdown table of all config keys instead.")
    ] = False,
) -> None:
    """Validate a config file and write it with all defaults filled in."""
    if schema:
        require_json(out, "the schema is")
        write_json(out, json_schema(), indent=2)
    elif reference:
        require_ending(out, "the table is Markdown", ".md")
        from vatrack.config.reference import config_reference

        write_text(out, config_reference())
    else:
        require_ending(out, "the config is YAML", ".yaml", ".yml")
        if values is None:
            checked = load_config(config, overrides)
        else:
            checked = config_of(parse_json(values, "--json"), "--json", overrides)
        write_yaml(out, checked.model_dump(mode="json"))
    typer.echo(f"wrote {out}")


# In the help, by stage.
COMMANDS: dict[str, tuple[Callable[..., None], ...]] = {
    "Own videos": (videos.track,),
    "Set-up": (doctor, config),
    "Data": (
        raw.synth,
        raw.fetch,
        raw.unpack,
        raw.annotate,
        raw.validate,
        raw.index,
        clips.clips,
        clips.convert,
        exchange.import_dataset,
        own_data.init_config,
        own_data.prepare,
    ),
    "Training": (
        weights.fetch_weights,
        training.train,
        training.launch,
        training.select,
        weights.import_checkpoint,
        weights.export,
    ),
    "Results": (
        prediction.predict,
        prediction.merge_predictions,
        evaluation.evaluate,
        evaluation.merge_evaluations,
        results.tables,
        results.figures,
        results.overlay,
        results.views,
        results.report,
        compare,
        mlflow.mlflow_sync,
        mlflow.mlflow_ui,
        exchange.export_predictions,
        exchange.import_predictions,
        evaluation.examples,
    ),
}
CUTS: dict[str, Callable[..., None]] = {
    "score": clips.cuts_score,
    "structure": clips.cuts_structure,
    "compare": clips.cuts_compare,
    "sheet": clips.cuts_sheet,
}

for panel, commands in COMMANDS.items():
    for command in commands:
        name = command.__name__.replace("_", "-")
        app.command(name, cls=Command, rich_help_panel=panel, epilog=epilog(name))(
            with_files(command)
        )
cuts = typer.Typer(
    help="Detect, compare and draw the cuts that split videos into clips.",
    cls=Group,
    no_args_is_help=True,
)
for name in CUTS:
    cuts.command(name, cls=Command, epilog=epilog(f"cuts {name}"))(with_files(CUTS[name]))
app.add_typer(cuts, name="cuts", rich_help_panel="Data")


def _stop(number: int, _: object) -> NoReturn:
    sys.exit(128 + number)


def main() -> None:
    """Entry point. Exit codes: 0 done, 2 bad input (one message, no traceback), also a file that
    may not be read or written, 1 a failure of the program itself."""
    # Python would end at once and leave temporary files; an exception lets every step clean up.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _stop)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
            signal.signal(signal.SIGHUP, _stop)
    show_warnings_plainly()
    logs.configure()
    try:
        app(prog_name="vatrack", standalone_mode=True)
    except InputError as error:
        print(f"vatrack: error: {error}", file=sys.stderr)
        sys.exit(2)
    except ModuleNotFoundError as error:
        hint = install_hint(error)
        if hint is None:
            raise
        print(f"vatrack: error: {hint}", file=sys.stderr)
        sys.exit(2)
    except BrokenProcessPool as error:
        print(f"vatrack: error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:  # a second one, while the first is handled
        sys.exit(128 + signal.SIGINT)
    except OSError as error:  # a full disk, a missing permission: no traceback would explain it
        print(f"vatrack: error: {with_fix(error)}", file=sys.stderr)
        sys.exit(2 if is_of_path(error) else 1)


if __name__ == "__main__":
    main()
