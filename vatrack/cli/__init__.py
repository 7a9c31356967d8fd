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

from vatrack.cli import data, exchange, results, runs
from vatrack.cli import track as videos
from vatrack.cli.file_options import with_files
from vatrack.cli.options import Out
from vatrack.common import logs
from vatrack.common.errors import InputError, show_warnings_plainly
from vatrack.common.extras import install_hint
from vatrack.common.files import write_json, write_text, write_yaml
from vatrack.common.value_files import parse_json
from vatrack.config import Config, json_schema, load_config, parse_config

app = typer.Typer(
    name="vatrack",
    help="Amodal video instance segmentation on SAIL-VOS, stage by stage.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.command()
@with_files
def config(
    out: Out,
    source: Annotated[Path | None, typer.Option("--config", help="YAML config file.")] = None,
    values: Annotated[str | None, typer.Option("--json", help="The config as JSON text.")] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Write the JSON schema instead.")
    ] = False,
    reference: Annotated[
        bool, typer.Option("--reference", help="Write the list of all keys (Markdown) instead.")
    ] = False,
) -> None:
    """Validate a config file and write it with all defaults filled in."""
    if schema:
        write_json(out, json_schema(), indent=2)
    elif reference:
        from vatrack.config.reference import config_reference

        write_text(out, config_reference())
    else:
        if source:
            checked = load_config(source)
        else:
            checked = parse_config(parse_json(values or "{}", "--json"), "--json", Config)
        write_yaml(out, checked.model_dump(mode="json"))
    typer.echo(f"wrote {out}")


cuts = typer.Typer(
    help="Detect, compare and draw the cuts that split videos into clips.", no_args_is_help=True
)
cuts.command("score")(with_files(data.cuts_score))
cuts.command("structure")(with_files(data.cuts_structure))
cuts.command("compare")(with_files(data.cuts_compare))
cuts.command("sheet")(with_files(data.cuts_sheet))

COMMANDS: tuple[Callable[..., None], ...] = (
    videos.track,
    data.synth,
    data.fetch,
    data.unpack,
    data.annotate,
    data.validate,
    data.index,
    data.clips,
    data.convert,
    data.prepare,
    data.init_config,
    runs.train,
    runs.launch,
    runs.select,
    runs.import_checkpoint,
    runs.export,
    runs.predict,
    runs.evaluate,
    data.examples,
    exchange.export_predictions,
    exchange.import_predictions,
    exchange.import_dataset,
    results.tables,
    results.figures,
    results.overlay,
    runs.mlflow_sync,
)
for command in COMMANDS:
    app.command()(with_files(command))
app.add_typer(cuts, name="cuts")


def _stop(number: int, _: object) -> NoReturn:
    sys.exit(128 + number)


def main() -> None:
    """Entry point. Exit codes: 0 done, 2 bad input (one message, no traceback), 1 a failure of the
    program itself."""
    # Python would end at once and leave temporary files; an exception lets every step clean up.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _stop)
    show_warnings_plainly()
    logs.configure()
    try:
        app(standalone_mode=True)
    except InputError as error:
        print(f"vatrack: error: {error}", file=sys.stderr)
        sys.exit(2)
    except ModuleNotFoundError as error:
        hint = install_hint(error)
        if hint is None:
            raise
        print(f"vatrack: error: {hint}", file=sys.stderr)
        sys.exit(2)
    except BrokenProcessPool:
        print(
            "vatrack: error: a worker process was ended from outside; was the memory used up? try "
            "fewer --processes",
            file=sys.stderr,
        )
        sys.exit(1)
    except (
        OSError
    ) as error:  # a full disk, a missing permission: nothing that a traceback would explain
        print(f"vatrack: error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
