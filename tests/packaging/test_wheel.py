"""The wheel, installed where there is no checkout and no extra: its commands work."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import vatrack
from tests.conftest import TinyData, tiny_config
from vatrack.common.files import write_json
from vatrack.common.value_files import read_json
from vatrack.config import RunConfig

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
DATA_FILES = {
    "vatrack/py.typed",
    *(f"vatrack/reporting/compare/compare.{suffix}" for suffix in ("css", "html.j2")),
    *(f"vatrack/reporting/html/{name}.html.j2" for name in ("base", "table")),
    "vatrack/reporting/html/base.css",
    "vatrack/reporting/html/tables.js",
    *(f"vatrack/reporting/page/report.{suffix}" for suffix in ("css", "html.j2")),
    *(f"vatrack/reporting/page/{name}.js" for name in ("charts", "viewer")),
    "vatrack/reporting/tables/published.json",
    "vatrack/reporting/tables/tables.html.j2",
}
PLUGIN = "snakemake_logger_plugin_vatrack"  # Snakemake looks for this name


def modules_of_extras() -> list[str]:
    """Top-level modules of the packages here that `pip install vatrack` alone does not bring."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    brought: set[tuple[str, str]] = set()  # name and extra
    waiting = [Requirement(text) for text in project["dependencies"]]
    while waiting:
        wanted = waiting.pop()
        for extra in {"", *wanted.extras}:
            found = (canonicalize_name(wanted.name), extra)
            if found in brought:
                continue
            brought.add(found)
            named = map(Requirement, importlib.metadata.requires(wanted.name) or ())
            waiting += [r for r in named if not r.marker or r.marker.evaluate({"extra": extra})]
    names = {name for name, _ in brought}
    modules = importlib.metadata.packages_distributions().items()
    return sorted(name for name, of in modules if names.isdisjoint(map(canonicalize_name, of)))


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel, and an empty folder to work in."""

    folder: Path
    work: Path

    def run(self, *command: str | Path) -> str:
        """Runs a program of the environment and returns what it printed."""
        # Nothing of this process's environment leads to the checkout.
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "COV"))}
        run = subprocess.run(
            [self.folder / "bin" / command[0], *command[1:]],
            cwd=self.work,
            env=environment | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        return run.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """An empty environment, the wheel, and a path to the locked packages (6 GB are not copied)."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "env")
    found = Installed(folder / "env", folder / "work")
    found.work.mkdir()
    install: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        found.folder,
        "install",
        "--quiet",
    ]
    subprocess.run([*install, "--no-deps", "--no-index", wheel], check=True, cwd=found.work)
    (site,) = found.folder.glob("lib/python*/site-packages")
    (site / "locked.pth").write_text(sysconfig.get_path("purelib") + "\n")
    # The extras lie there, too: they are hidden, as if they had not been installed.
    hidden = f"import sys\nsys.modules.update(dict.fromkeys({modules_of_extras()}))\n"
    (site / "sitecustomize.py").write_text(hidden)
    return found


def test_the_wheel_holds_the_package_and_the_logger(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert wheel.name.startswith(f"vatrack-{vatrack.__version__}-")
    assert names >= DATA_FILES
    modules = {
        path.relative_to(ROOT).as_posix()
        for package in ("vatrack", PLUGIN)
        for path in (ROOT / package).rglob("*.py")
    }
    assert {name for name in names if name.endswith(".py")} == modules
    assert {name.split("/")[0] for name in names} == {
        "vatrack",
        PLUGIN,
        f"vatrack-{vatrack.__version__}.dist-info",
    }


def test_the_package_is_the_installed_one(installed: Installed) -> None:
    file = installed.run("python", "-c", "import vatrack; print(vatrack.__file__)")
    assert Path(file).is_relative_to(installed.folder)
    version = "import importlib.metadata as m; print(m.version('vatrack'))"
    assert installed.run("python", "-c", version) == f"{vatrack.__version__}\n"
    assert "evaluate" in installed.run("vatrack", "--help")


def test_the_extras_are_hidden() -> None:
    hidden = modules_of_extras()
    assert {"av", "mlflow", "psutil", "snakemake", "sqlalchemy", "submitit"} <= set(hidden)
    # Brought by torch and TrackEval: nobody is without them.
    assert {"jinja2", "matplotlib", "pandas", "PIL", "numpy", "torch"}.isdisjoint(hidden)


def test_data_files_are_read(installed: Installed) -> None:
    code = "from vatrack.reporting.tables.published import read_published as read; "
    code += "print(len(read().tables))"
    assert int(installed.run("python", "-c", code)) > 0


def test_predict_and_evaluate(
    installed: Installed, tiny_run: tuple[RunConfig, Path], tiny_data: TinyData
) -> None:
    truth = tiny_data.annotations / "valid" / "joint.json"
    run, folder = tiny_run
    write_json(installed.work / "config.yaml", tiny_config(folder).model_dump(mode="json"))
    predict: list[str | Path] = ["vatrack", "predict", "--config", "config.yaml"]
    predict += ["--method", run.method]
    predict += ["--backbone", run.backbone, "--ground-truth", truth, "--images", tiny_data.images]
    predict += ["--checkpoint", folder / "checkpoints" / "epoch_02.pt"]
    installed.run(*predict, "--out", "predictions.jsonl.gz")
    evaluate = ("vatrack", "evaluate", "--ground-truth", truth)
    installed.run(*evaluate, "--predictions", "predictions.jsonl.gz", "--out", "metrics.json")
    metrics = read_json(installed.work / "metrics.json")
    assert {"image/amodal/AP50", "video/visible/AP", "track/amodal/HOTA"} <= metrics.keys()
