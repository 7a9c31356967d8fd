"""SLURM, and the store of MLflow."""

from __future__ import annotations

import os
import shlex
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from vatrack.common.errors import InputError
from vatrack.common.similar import unknown
from vatrack.config import Config
from vatrack.doctor.check import Check, State
from vatrack.doctor.paths import folder
from vatrack.experiments.client import sqlite_path, store_uri
from vatrack.runs.folder import RunFolder

SECONDS = 3.0  # that a service has to answer
UNLOGGED = "logging to MLflow; trainings continue, and `vatrack mlflow-sync RUN` uploads later"


def look_at_slurm(config: Config) -> Iterator[Check]:
    """Whether jobs can be submitted, and the partition of the config exists."""
    wanted = config.launcher.cluster == "slurm"
    bad: State = "fails" if wanted else "warning"
    lost = "trainings" if wanted else "`--profile profiles/slurm`"
    here = "set launcher.cluster to local, or run this on a login node of the cluster"
    missing = [name for name in ("sbatch", "srun", "sinfo") if shutil.which(name) is None]
    if len(missing) == 3 and not wanted:
        yield Check("SLURM", "ok", "none (needed only on clusters)")
        return
    if missing:
        found = f"no {', no '.join(missing)} in PATH"
        yield Check("SLURM", bad, found, lost, here)
        return
    try:
        asked = subprocess.run(
            ["sinfo", "--noheader", "--format=%R"],
            capture_output=True, text=True, timeout=SECONDS, check=False,
        )  # fmt: skip
        problem = f"sinfo failed (exit code {asked.returncode})" if asked.returncode else ""
        partitions = sorted(set(asked.stdout.split()))
    except subprocess.TimeoutExpired:
        problem, partitions = f"sinfo gave no answer in {SECONDS:g} s", []
    if problem:
        fix = "run `sinfo` to see why; check that slurmctld is running (`scontrol ping`)"
        yield Check("SLURM", bad, problem, lost, fix)
        return
    partition = config.launcher.partition
    if wanted and partition and not set(partition.split(",")) <= set(partitions):
        other = next(name for name in partition.split(",") if name not in partitions)
        found = unknown("partition", other, partitions)
        yield Check("SLURM", "fails", found, lost, "correct launcher.partition")
    else:
        yield Check("SLURM", "ok", f"partitions {', '.join(partitions) or 'none'}")


def look_at_mlflow(config: Config) -> Iterator[Check]:
    """Whether the store of the config's runs is reachable and can be written."""
    if not config.mlflow.enabled:
        yield Check("MLflow", "ok", "off (mlflow.enabled)")
        return
    run = config.for_run(config.methods[0], config.backbones[0])
    where = Path(config.results) / config.dataset.name / "runs" / run.name
    try:
        uri = store_uri(RunFolder(where).path, run)
    except InputError as error:
        found, _, fix = str(error).partition("; ")
        yield Check("MLflow", "fails", found, UNLOGGED, fix)
        return
    path = sqlite_path(uri)
    if path is not None:
        yield _database(path, where.parent)
    elif uri.startswith(("http://", "https://")):
        yield _server(uri.rstrip("/"))
    else:
        yield Check("MLflow", "ok", f"{uri} (not checked)")


def _database(path: Path, runs: Path) -> Check:
    """Whether a file is the store, and can be written.

    Args:
        runs: the folder of the config's runs.
    """
    name = "MLflow"
    if not path.exists():
        found = folder(name, path.parent, UNLOGGED, "set mlflow.tracking_uri", "fails")
        return Check(name, "ok", f"{path} (will be created)") if found.state == "ok" else found
    fix = f"restore {path} from a backup, or move it away and rebuild it: "
    fix += f"`vatrack mlflow-sync {shlex.quote(str(runs))}/*`"
    try:
        address = f"file:{quote(str(path))}?mode=rw"
        with closing(sqlite3.connect(address, uri=True, timeout=SECONDS)) as store:
            store.execute("BEGIN IMMEDIATE")
            tables = {row[0] for row in store.execute("SELECT name FROM sqlite_master")}
            store.rollback()
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            fix = "wait for the process that is writing; uploads wait automatically"
            return Check(name, "warning", f"{path}: {error}", UNLOGGED, fix)
        chmod = f"`chmod u+w {shlex.quote(str(path))}`"
        return Check(name, "fails", f"{path}: {error}", UNLOGGED, chmod)
    except sqlite3.DatabaseError as error:
        return Check(name, "fails", f"{path}: {error}", UNLOGGED, fix)
    if "experiments" not in tables:
        return Check(name, "fails", f"{path}: not an MLflow database", UNLOGGED, fix)
    return Check(name, "ok", str(path))


def _server(uri: str) -> Check:
    import requests

    name = "MLflow"
    session = requests.Session()
    session.verify = os.environ.get("MLFLOW_TRACKING_INSECURE_TLS") != "true"
    user, password = (os.environ.get(f"MLFLOW_TRACKING_{key}") for key in ("USERNAME", "PASSWORD"))
    if user and password:
        session.auth = (user, password)
    elif token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        session.headers["Authorization"] = f"Bearer {token}"
    try:
        with session:
            # An experiment without a name is refused by whom would take one with a name.
            asked = session.post(
                f"{uri}/api/2.0/mlflow/experiments/create", json={}, timeout=SECONDS
            )
    except requests.RequestException as error:
        found = f"{uri}: not reachable ({type(error).__name__})"
        fix = "start the server (`mlflow server`), or correct mlflow.tracking_uri"
        return Check(name, "fails", found, UNLOGGED, fix)
    if asked.status_code in (401, 403):
        fix = (
            "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or ask the owner of the "
            "server"
        )
        found = f"{uri}: no write permission (HTTP {asked.status_code})"
        return Check(name, "fails", found, UNLOGGED, fix)
    if asked.status_code != 400:
        fix = "correct mlflow.tracking_uri"
        found = f"{uri}: not an MLflow server (HTTP {asked.status_code})"
        return Check(name, "fails", found, UNLOGGED, fix)
    return Check(name, "ok", uri)
