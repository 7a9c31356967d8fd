"""pyproject.toml: what is imported is declared, and what is declared is imported."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DISTRIBUTIONS = {"cv2": "opencv-python", "PIL": "pillow", "yaml": "pyyaml"}
USED_WITHOUT_IMPORT = {
    "snakemake": "runs the workflow",
    "snakemake-executor-plugin-slurm": "Snakemake loads it by its name",
    "psutil": "MLflow measures the machine with it",
}
USED_WHERE_IT_IS = {
    "supervision": "`FrameResult.to_supervision` gives its form to those who have it"
}
EXTRAS = ("workflow", "cluster", "mlflow", "report", "video")
# The rooms behind `vatrack predict` and `vatrack evaluate`.
PLAIN = {"common", "config", "data", "models", "weights", "inference", "evaluation", "cli"} | {
    "api",  # frames as arrays: only their decoding and drawing needs extras
    "exchange",
}


def names(extra: str | None) -> set[str]:
    """The distributions that an extra declares (None: the package alone), other extras left out."""
    lines = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    found = {re.split(r"[<>=~!\[; ]", line, maxsplit=1)[0] for line in lines}
    return found - {"vatrack"}


@cache
def imported() -> dict[str, set[str]]:
    """Distribution to the rooms of the package that import it, anywhere in a module."""
    rooms = defaultdict(set)
    package = ROOT / "vatrack"
    for path in package.rglob("*.py"):
        room = path.relative_to(package).parts[0]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules: list[str] = []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules = [node.module]
            for top in {module.split(".")[0] for module in modules}:
                if top not in sys.stdlib_module_names and top != "vatrack":
                    rooms[DISTRIBUTIONS.get(top, top)].add(room)
    return rooms


def test_what_is_imported_is_declared() -> None:
    extras = set().union(*(names(extra) for extra in EXTRAS))
    assert imported().keys() - names(None) - extras - USED_WHERE_IT_IS.keys() == set()


def test_the_plain_package_predicts_and_evaluates() -> None:
    """No room that these two commands use imports what only an extra brings."""
    wanting = {
        name: rooms & PLAIN
        for name, rooms in imported().items()
        if name not in names(None) and rooms & PLAIN and name not in USED_WHERE_IT_IS
    }
    assert wanting == {}


def test_what_is_declared_is_imported() -> None:
    for extra in (None, *EXTRAS):
        unused = names(extra) - imported().keys() - USED_WITHOUT_IMPORT.keys()
        assert not unused, f"declared in {extra or 'dependencies'}, imported nowhere"


def test_nothing_is_declared_twice() -> None:
    seen: set[str] = set()
    for extra in (None, *PROJECT["optional-dependencies"]):
        assert not names(extra) & seen
        seen |= names(extra)


def test_the_lock_has_hashes_and_names_no_host() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pinned = re.findall(r"^([a-z0-9._-]+)==(\S+)( \\)?$", text, flags=re.MULTILINE)
    assert pinned and all(continued for _, _, continued in pinned)
    assert text.count("--hash=sha256:") >= len(pinned)
    assert "://" not in text and "--index" not in text
    declared = set().union(*(names(extra) for extra in (None, *PROJECT["optional-dependencies"])))
    assert declared <= {name for name, *_ in pinned}


def test_arrays_are_tracked_without_any_extra() -> None:
    """`load`, `track` and results import neither PyAV, Matplotlib, pandas nor supervision."""
    extras = ("av", "matplotlib", "pandas", "supervision", "snakemake", "mlflow", "submitit")
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({extras!r})); import vatrack; "
        "vatrack.load, vatrack.Predictor, vatrack.FrameResult, vatrack.evaluate, "
        "vatrack.read_predictions, vatrack.Selection, vatrack.export_predictions"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
