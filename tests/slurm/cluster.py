"""A real SLURM on this machine: one controller with accounting, and nodes that are so many
processes.

Needs root and Debian's packages (`tests/slurm/install`). Only one such cluster can run on a machine
at a time.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from tests import waiting
from vatrack.common.locks import locked

# The only place where the commands look when SLURM_CONF is not set, and Snakemake's jobs unset it.
ETC = Path("/etc/slurm")
FILES = ("slurm.conf", "gres.conf", "slurmdbd.conf")
MARK = "# A test of VATrack made this file and removes it."
LOCK = Path("/tmp/vatrack-test-slurm.lock")
CONTROL, ACCOUNTING, DATABASE, FIRST_NODE = 16817, 16819, 16820, 17001  # ports
PROGRAMS = (
    "slurmctld",
    "slurmd",
    "slurmdbd",
    "sbatch",
    "munged",
    "mariadbd",
    "mariadb-install-db",
    "setpriv",
)
CPU_NODES = ("n1",)
GPU_NODES = ("n2", "n3", "n4", "n5", "n6", "n7")  # each with one a100
NODES = CPU_NODES + GPU_NODES
ACCOUNT = "tests"

SLURM_CONF = """\
{mark}
ClusterName=vatrack
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={control}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
SlurmdParameters=config_overrides
PropagateResourceLimits=NONE
ReturnToService=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={accounting}
AccountingStorageTRES=gres/gpu,gres/gpu:a100
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
SlurmctldTimeout=10
SlurmdTimeout=8
KillWait=5
{nodes}
PartitionName=cpu Nodes={cpu_nodes} Default=YES
PartitionName=gpu Nodes={gpu_nodes} PriorityTier=10 PreemptMode=OFF
PartitionName=gpu_low Nodes={gpu_nodes} PriorityTier=1 PreemptMode=REQUEUE GraceTime=8
"""
# Large enough for what profiles/slurm asks for; nobody counts them.
NODE = (
    "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=64 "
    "RealMemory=200000 {gpu}State=UNKNOWN"
)
GPU = "Gres=gpu:a100:1 Feature=a100_40gb "
SLURMDBD_CONF = """\
{mark}
AuthType=auth/munge
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={accounting}
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database}
StorageUser=slurm
StoragePass=slurm
LogFile={folder}/slurmdbd.log
PidFile={folder}/slurmdbd.pid
"""
USER_SQL = """\
CREATE USER IF NOT EXISTS slurm@'127.0.0.1' IDENTIFIED BY 'slurm';
GRANT ALL ON slurm_acct_db.* TO slurm@'127.0.0.1';
"""


def reason_to_skip() -> str | None:
    """Why no cluster can be started here; None where it can."""
    if os.geteuid():
        return "starting a SLURM needs root"
    missing = [
        program
        for program in PROGRAMS
        if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin") is None
    ]
    if missing:
        return (
            f"SLURM is not installed ({', '.join(missing)} missing); tests/slurm/install does "
            f"it on Debian"
        )
    conf = ETC / "slurm.conf"
    if conf.exists() and MARK not in conf.read_text():
        return f"{conf} is of another SLURM"
    return None


def run(*command: str, check: bool = True) -> str:
    """Output of one of SLURM's commands."""
    return subprocess.run(command, check=check, capture_output=True, text=True, timeout=60).stdout


# Each look asks SLURM.
wait_until = partial(waiting.wait_until, pause=0.2)


class Cluster:
    """A running SLURM."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = socket.gethostname().split(".")[0]
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self._stopping = threading.Event()

    def start(self) -> None:
        """Returns when all nodes are idle."""
        self._configure()
        self._start_munge()
        self._start_database()
        self._daemon("slurmdbd", "slurmdbd", "-D")
        self._wait_for_port(ACCOUNTING)
        self._daemon("slurmctld", "slurmctld", "-D", "-c")
        for node in NODES:
            self._daemon(node, "slurmd", "-D", "-N", node)
        wait_until(
            lambda: self.node_states() == {"idle"}, 180, f"idle nodes (logs in {self.folder})"
        )
        wait_until(
            lambda: run(
                "sacctmgr", "-nP", "list", "cluster", "format=cluster", check=False
            ).strip(),
            180,
            "accounting",
        )
        run("sacctmgr", "-i", "add", "account", ACCOUNT, "Description=tests", "Organization=tests")
        run("sacctmgr", "-i", "add", "user", "root", f"account={ACCOUNT}")
        threading.Thread(target=self._hasten, daemon=True).start()

    def stop(self) -> None:
        """Ends all jobs and daemons and removes what was written outside of the folder."""
        self._stopping.set()
        with suppress(subprocess.SubprocessError, OSError):
            run("scancel", "--quiet", "--user=root", check=False)
            wait_until(
                lambda: not run("squeue", "-h", check=False).strip(), 30, "the end of all jobs"
            )
        for daemon in reversed(self._daemons.values()):
            daemon.terminate()
        for daemon in reversed(self._daemons.values()):
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
        for name in FILES:
            (ETC / name).unlink(missing_ok=True)

    def kill_node(self, name: str) -> None:
        """All that runs on a node is gone at once, as when its power fails."""
        self._daemons[name].kill()
        self._daemons[name].wait()
        doomed = list(processes_with(f"SLURMD_NODENAME={name}"))
        daemons = [parent for child in doomed for parent in _step_daemons(child)]
        # All are stopped before one is killed, those first that would report the others' end.
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in dict.fromkeys([*daemons, *doomed]):
                with suppress(ProcessLookupError):
                    os.kill(pid, number)

    def node_states(self) -> set[str]:
        """The states that nodes are in."""
        return set(run("sinfo", "-h", "-N", "-o", "%T", check=False).split())

    def _configure(self) -> None:
        for folder in ("state", "dev", *NODES):
            (self.folder / folder).mkdir(parents=True)
        values = {"mark": MARK, "folder": self.folder, "host": self.host}
        values |= {"control": CONTROL, "accounting": ACCOUNTING, "database": DATABASE}
        nodes, gpus = [], [MARK]
        for number, name in enumerate(NODES):
            gpu = name in GPU_NODES
            nodes.append(
                NODE.format(
                    name=name, host=self.host, port=FIRST_NODE + number, gpu=GPU if gpu else ""
                )
            )
            if gpu:
                device = self.folder / "dev" / f"{name}_nvidia0"
                os.mknod(device, 0o666 | 0o020000, os.makedev(1, 3))  # as good as /dev/null
                gpus.append(f"NodeName={name} Name=gpu Type=a100 File={device}")
        ETC.mkdir(exist_ok=True)
        (ETC / "slurm.conf").write_text(
            SLURM_CONF.format(
                nodes="\n".join(nodes),
                cpu_nodes=",".join(CPU_NODES),
                gpu_nodes=",".join(GPU_NODES),
                **values,
            )
        )
        (ETC / "gres.conf").write_text("\n".join(gpus) + "\n")
        (ETC / "slurmdbd.conf").touch(mode=0o600)
        (ETC / "slurmdbd.conf").write_text(SLURMDBD_CONF.format(**values))

    def _start_munge(self) -> None:
        if subprocess.run(["munge", "-n"], capture_output=True, check=False).returncode:
            Path("/run/munge").mkdir(exist_ok=True)
            shutil.chown("/run/munge", "munge", "munge")
            self._daemon("munged", "munged", "--foreground", user="munge")
            wait_until(
                lambda: (
                    not subprocess.run(["munge", "-n"], capture_output=True, check=False).returncode
                ),
                20,
                "munge",
            )

    def _start_database(self) -> None:
        data = self.folder / "database"
        data.mkdir()
        shutil.chown(data, "mysql", "mysql")
        for parent in data.parents:  # pytest's temporary folders are for root only
            parent.chmod(parent.stat().st_mode | 0o111)
        where = ["--no-defaults", f"--datadir={data}"]
        made = ["mariadb-install-db", *where, "--user=mysql", "--skip-test-db"]
        subprocess.run(made, check=True, capture_output=True)
        (data / "user.sql").write_text(USER_SQL)
        options = [
            f"--socket={data}/socket",
            f"--port={DATABASE}",
            "--bind-address=127.0.0.1",
            f"--init-file={data}/user.sql",
        ]
        options += [
            f"--pid-file={data}/pid",
            "--innodb-buffer-pool-size=64M",
            "--innodb-flush-log-at-trx-commit=0",
        ]
        self._daemon("mariadbd", "mariadbd", *where, *options, user="mysql")
        self._wait_for_port(DATABASE)

    def _daemon(self, name: str, *command: str, user: str | None = None) -> None:
        # It must not outlive a test session that is killed.
        wrapped = ["setpriv", "--pdeathsig=KILL"]
        if user:
            wrapped += [f"--reuid={user}", f"--regid={user}", "--clear-groups"]
        environment = {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin", "LANG": "C.UTF-8"}
        with (self.folder / f"{name}.out").open("ab") as output:
            self._daemons[name] = subprocess.Popen(
                [*wrapped, *command],
                stdout=output,
                stderr=output,
                env=environment,
                start_new_session=True,
            )

    def _wait_for_port(self, port: int) -> None:
        def open_() -> bool:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return True
            return False

        wait_until(open_, 180, f"port {port} (logs in {self.folder})")

    def _hasten(self) -> None:
        """SLURM waits two minutes before it starts a job again; tests do not."""
        while not self._stopping.wait(1):
            with suppress(subprocess.SubprocessError, OSError):
                for line in run("squeue", "-h", "--states=PENDING", "--format=%i|%r").splitlines():
                    number, reason = line.split("|")
                    if reason in ("BeginTime", "None"):
                        run("scontrol", "update", f"jobid={number}", "StartTime=now", check=False)


def processes_with(variable: str) -> Iterator[int]:
    """The processes in whose environment `NAME=value` stands."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                if variable.encode() in (folder / "environ").read_bytes().split(b"\0"):
                    yield int(folder.name)


def _step_daemons(pid: int) -> Iterator[int]:
    """The processes above one that SLURM watches it with."""
    while pid > 1:
        try:
            name, rest = Path(f"/proc/{pid}/stat").read_text().split("(", 1)[1].rsplit(")", 1)
        except (OSError, IndexError):
            return
        if name.startswith("slurmstepd"):
            yield pid
        pid = int(rest.split()[1])


@contextmanager
def only_one() -> Iterator[None]:
    """Waits until no other test session of this machine has a cluster."""
    with LOCK.open("w") as file, locked(file):
        yield
