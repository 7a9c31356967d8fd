"""The subcommand that looks whether everything here works."""

from __future__ import annotations

import typer

from vatrack.cli.options import AnyConfig, Overrides


def doctor(config: AnyConfig = None, overrides: Overrides = None) -> None:
    """Check software, GPU, codecs, SLURM, MLflow and folders, and explain how to fix problems.

    With --config, also checks the files it names. Exits with 1 if a check fails.
    """
    from vatrack.doctor import examine

    report = examine(config, overrides)
    typer.echo(report)
    if report.fails:
        raise typer.Exit(1)
