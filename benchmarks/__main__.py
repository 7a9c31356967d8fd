"""The command line of the benchmarks."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.measure import SIZES, load, measure
from benchmarks.table import RESULTS, table, write_page
from vatrack.common.files import write_json

SUBJECTS = ("decode", "conversion", "loader", "training", "inference", "masks", "evaluation")


def run(name: str, size: str, rounds: int, about: Mapping[str, Any], plain: bool) -> dict[str, Any]:
    """The result of one subject, as it is written.

    Args:
        about: of the machine; `plain`: the plain ways alone.
    """
    subject = load(name)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for case in subject.cases(size):
            ways = [way for way in case.ways if not plain or way.endswith("plain")]
            rows += measure(name, case, Path(folder), rounds, ways) if ways else []
    return {
        "name": name,
        "about": subject.about,
        "plain": subject.plain,
        "unit": subject.unit,
        "size": size,
        "rounds": rounds,
        "gpu": subject.gpu and ("measured" if about.get("gpu") else "not measured"),
        "machine": dict(about),
        "rows": [asdict(row) for row in rows],
    }


def main(
    names: Annotated[
        list[str] | None, typer.Argument(help=f"Of {', '.join(SUBJECTS)}; all without any.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Real sizes, 1280 x 800.")] = False,
    plain: Annotated[
        bool, typer.Option("--plain", help="The plain ways alone; nothing is written.")
    ] = False,
    rounds: Annotated[int, typer.Option(min=1, help="The median of so many counts.")] = 3,
    out: Annotated[Path, typer.Option(help="Folder for a JSON file per subject.")] = RESULTS,
    page: Annotated[
        bool, typer.Option("--page", help="Only write docs/performance.md from the results.")
    ] = False,
) -> None:
    """Measure what each stage costs, beside a plain way of doing the same."""
    if page:
        write_page()
        return
    from benchmarks.machine import describe  # here: it loads PyTorch, which most ways do without

    unknown = set(names or ()) - set(SUBJECTS)
    if unknown:
        raise typer.BadParameter(f"no subject {', '.join(sorted(unknown))}")
    about = describe()
    typer.echo(f"{about['processor']}, load {about['load']}, {about['gflop_per_s']}")
    for name in names or SUBJECTS:
        result = run(name, SIZES[2] if full else SIZES[1], rounds, about, plain)
        typer.echo("\n".join(["", f"## {name}", "", *table(result)]))
        if not plain:
            out.mkdir(parents=True, exist_ok=True)
            write_json(out / f"{name}.json", result, indent=1)


if __name__ == "__main__":
    typer.run(main)
