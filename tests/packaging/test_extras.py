"""One message where a library of an extra is missing."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from vatrack.common.extras import EXTRAS, install_hint

ROOT = Path(__file__).parents[2]


def test_every_extra_that_is_named_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {extra for _, extra in EXTRAS.values()} <= project["optional-dependencies"].keys()


def test_hint() -> None:
    missing = ModuleNotFoundError("No module named 'mlflow'", name="mlflow")
    assert install_hint(missing) == "MLflow is not installed; pip install 'vatrack[mlflow]'"
    assert install_hint(ModuleNotFoundError("No module named 'x'", name="x")) is None
    assert install_hint(ImportError("cannot import", name="mlflow")) is None


@pytest.mark.parametrize(
    ("module", "call", "message"),
    [
        (
            "matplotlib",
            ["figures", "--run", "run", "--out", "out"],
            "Matplotlib is not installed; pip install 'vatrack[report]'",
        ),
    ],
)
def test_the_command_line_says_what_to_install(
    module: str, call: list[str], message: str, tmp_path: Path
) -> None:
    code = (
        f"import sys; sys.modules['{module}'] = None; sys.argv = {['vatrack', *call]!r}; "
        "from vatrack.cli import main; main()"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (2, f"vatrack: error: {message}\n")
    assert not list(tmp_path.iterdir())
