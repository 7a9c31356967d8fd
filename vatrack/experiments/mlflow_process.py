"""MLflow's command line, in a process that ends with the one that started it.

python -m vatrack.experiments.mlflow_process PARENT COMMAND...
"""

from __future__ import annotations

import runpy
import signal
import sys

from vatrack.common.signals import end_with_parent


def main() -> None:
    """Runs a command of MLflow; PARENT is the number of the process that started this one."""
    # Not SIGKILL: MLflow has to hand the signal on to the process that it starts.
    end_with_parent(int(sys.argv[1]), signal.SIGTERM)
    sys.argv = ["mlflow", *sys.argv[2:]]
    runpy.run_module("mlflow", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
