"""Subcommands of MLflow: send what is missing, show it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from vatrack.common.errors import InputError, is_of_path
from vatrack.common.text_files import no_such


def mlflow_sync(
    run: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders.")],
    tracking_uri: Annotated[
        str | None,
        typer.Option(
            help="MLflow store, http://HOST:PORT or sqlite:///FILE (default: that of the run)."
        ),
    ] = None,
) -> None:
    """Upload whatever is missing in MLflow for these runs. Safe to repeat."""
    from vatrack.experiments.client import StoreError
    from vatrack.experiments.store import run_config, sync

    for folder in run:
        run_config(folder)
    try:
        for folder in run:
            typer.echo(sync(folder, tracking_uri))
    except StoreError as error:
        print(
            f"vatrack: error: MLflow: {error}; repeat this command to upload the rest",
            file=sys.stderr,
        )
        raise typer.Exit(_code(error)) from None


def mlflow_ui(
    results: Annotated[
        Path | None,
        typer.Option(help="Results folder with mlflow.db (default: results).", metavar="FOLDER"),
    ] = None,
    tracking_uri: Annotated[
        str | None,
        typer.Option(
            help="Instead of --results: MLflow store sqlite:///FILE, or a running server to print "
            "links for (default: $MLFLOW_TRACKING_URI, if --results is not given either)."
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Port of the web page (default: 5000)."),
    ] = None,
) -> None:
    """Start the MLflow UI for the runs on this machine, without telemetry. Ctrl-C stops it."""
    from vatrack.experiments.client import DATABASE, StoreError, sqlite_uri
    from vatrack.experiments.pages import HOST, check_server, links, run_server

    if results and not results.is_dir():
        raise InputError(
            f"--results {results}: {no_such(results, 'folder')}; give the folder with {DATABASE}"
        )
    named = tracking_uri or (None if results else os.environ.get("MLFLOW_TRACKING_URI"))
    uri = named or sqlite_uri((results or Path("results")) / DATABASE)
    running = uri.startswith("http")
    if running and port is not None:
        raise InputError(f"--port {port}: has no effect, because {uri} is running; remove it")
    port = port or 5000
    hold = None if running else check_server(uri, port)
    server = uri.rstrip("/") if running else f"http://{HOST}:{port}"
    try:
        found = links(uri, server)
    except StoreError as error:
        print(f"vatrack: error: MLflow: {error}", file=sys.stderr)
        raise typer.Exit(_code(error)) from None
    if hold:  # before the links, which come last on the screen
        typer.echo("Starting the server (up to half a minute; Ctrl-C stops it); then open:")
    for shows, address in found:
        typer.echo(f"{shows}\n  {address}")
    if not found:
        typer.echo(f"no runs yet: {server}")
    if hold:
        with hold:
            raise typer.Exit(run_server(uri, port))


def _code(error: Exception) -> int:
    """The exit code for a store that fails."""
    cause = error.__cause__
    return 2 if isinstance(cause, OSError) and is_of_path(cause) else 1
