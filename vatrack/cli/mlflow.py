"""Subcommands of MLflow: send what is missing, show it."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Annotated

import typer


def mlflow_sync(
    run: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs.")],
    tracking_uri: Annotated[
        str | None,
        typer.Option(help="Another store than the run's own: http://HOST:PORT or sqlite:///FILE."),
    ] = None,
) -> None:
    """Upload whatever is missing in MLflow for these runs. Safe to repeat."""
    from vatrack.experiments.store import StoreError, run_config, sync

    for folder in run:
        run_config(folder)
    try:
        for folder in run:
            typer.echo(sync(folder, tracking_uri))
    except StoreError as error:
        print(
            f"vatrack: error: MLflow: {error}; the same command sends the rest later",
            file=sys.stderr,
        )
        raise typer.Exit(1) from None


def mlflow_ui(
    results: Annotated[
        Path, typer.Option(help="Folder of results, with mlflow.db.", metavar="DIR")
    ] = Path("results"),
    tracking_uri: Annotated[
        str | None,
        typer.Option(
            help="Another store: sqlite:///FILE, or a server that runs, for its addresses "
            "(default: $MLFLOW_TRACKING_URI, or that of the results)."
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where the pages are shown.")] = 5000,
) -> None:
    """Show the runs in MLflow's pages on this machine, without telemetry; Ctrl-C ends it."""
    from vatrack.experiments.client import DATABASE, absolute, sqlite_uri
    from vatrack.experiments.store import StoreError
    from vatrack.experiments.ui import links, serve

    named = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    uri = absolute(named) if named else sqlite_uri(results.resolve() / DATABASE)
    running = uri.startswith("http")

    def show(server: str) -> None:
        found = links(uri, server)
        for link in found:
            typer.echo(f"{link.shows}\n  {link.address}")
        if not found:
            typer.echo(f"no runs yet: {server}")
        if not running:
            typer.echo("Ctrl-C ends it.")

    try:
        if running:
            show(uri.rstrip("/"))
            return
        typer.echo("MLflow starts, in up to half a minute ...")
        with contextlib.suppress(KeyboardInterrupt):
            serve(uri, port, show)
    except StoreError as error:
        print(f"vatrack: error: MLflow: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
