# The config of this call (lib/call.py), the plan (lib/plan.py: paths, lists), and what of them needs Snakemake.
import os
import re
import shlex
import sys
from pathlib import Path

from snakemake.logging import logger
from snakemake.utils import validate

from lib.call import check_cluster, check_results, layered_config, write_config
from lib.command_line import arguments, check_config_entries, check_names
from lib.jobs import details_option
from lib.names import (
    CLASS_TABLES,
    FIGURES,
    FORMS,
    RUN as RUN_NAME,
    TABLES,
    VIDEO_TABLES,
)
from lib.plan import Plan
from lib.sending import send_runs
from lib.summary import closing_summary
from vatrack.common.errors import (
    ConfigError,
    InputError,
    show_warnings_plainly,
    with_fix,
)
from vatrack.common.user import user_name
from vatrack.config import Backbone, Method
from vatrack.config.reading import config_name

# Snakemake asks for the user's name, and ends in a KeyError where there is none (`docker run --user 12345`).
os.environ.setdefault("LOGNAME", user_name())


SOURCE = config_name(
    *workflow.configfiles, overrides=workflow.config_settings.config, option="--config"
)


def stopping(function, *arguments):
    """The function's result. Bad input ends here, in one message. (Snakemake would show an exception with lines of code.)"""
    try:
        return function(*arguments)
    except InputError as error:
        if isinstance(error, ConfigError):
            error.source = SOURCE
        sys.exit(f"error: {error}")
    except OSError as error:  # a folder that may not be read or written
        sys.exit(f"error: {with_fix(error)}")


if workflow.is_main_process:
    words = stopping(arguments, sys.argv)
    stopping(check_config_entries, workflow.config_settings.config_args or ())

# Read here once more, because Snakemake knows nothing of `extends`.
show_warnings_plainly()
plan = stopping(
    Plan, stopping(layered_config, workflow.configfiles, workflow.config_settings.config), SOURCE
)
stopping(check_results, Path(plan.root))
# The typed values, because Snakemake hands nested ones of --config on as text. This also stops a schema that is out of date.
validate(plan.plain, "../schemas/config.schema.json", set_default=False)
config.clear()
config.update(plan.plain)  # for the texts of the report
R = plan.root
RUN = plan.run

# The miniature set is a folder that the workflow makes. Of a real download only the annotation files tell that it is newer:
# nobody wants days of work repeated for a note laid beside the videos.
RAW = (
    ancient(plan.unpacked)
    if plan.archives
    else ancient(plan.raw_folder) if plan.dataset.raw else plan.raw_folder
)


def videos():
    """The names of the raw video folders. Archives must be unpacked before they are known."""
    stopping(plan.require_data)
    if plan.archives:
        checkpoints.unpack.get()
    return stopping(plan.videos)


def scores(wildcards):
    return plan.scores(videos()) if plan.detect else []


def cut_sheets(wildcards):
    return plan.cut_sheets(videos()) if plan.shows_cuts else []


def raw_folder(wildcards):
    """The raw tree, by its name. (As plain text among the params it would look like a forgotten input.)"""
    return plan.raw_folder


def official_files(wildcards):
    """Both annotation files; those in archives come when they are unpacked."""
    stopping(plan.require_data)
    if plan.archives:
        checkpoints.unpack.get()
    return plan.official


def official_json(wildcards):
    return plan.official_json(wildcards.subset)


def start_weights(wildcards):
    return stopping(plan.start_weights, wildcards.method, wildcards.backbone, wildcards.variant)


def training_settings(wildcards):
    return plan.training_settings(wildcards.method, wildcards.backbone, wildcards.variant)


def is_made(file):
    return any(each.is_producer(os.path.relpath(file)) for each in workflow.rules)


def check_rules():
    """Looks at the names on the command line when all rules are known."""
    if not workflow.is_main_process:
        return
    names = [each.name for each in workflow.rules]
    for option, given in (
        ("", words.targets),
        ("--until", words.until),
        ("--omit-from", words.omit_from),
        ("--forcerun", words.forcerun),
        ("--prioritize", words.prioritize),
    ):
        stopping(check_names, option, given, names, is_made)
    for option, given in (
        ("--allowed-rules", words.allowed_rules),
        ("--set-threads", words.set_threads),
        ("--set-resources", words.set_resources),
    ):
        stopping(check_names, option, given, names)


def begin():
    """Before the first job: looks for SLURM where it is needed, and writes the checked config with all defaults filled in.

    The rules read that file; their `settings` say when to run again.
    """
    trains = any(job.rule.name == "train" for job in workflow.dag.needrun_jobs())
    stopping(check_cluster, workflow.executor_plugin.name, trains and not plan.trains_here)
    stopping(write_config, plan.config_file, plan.plain)


onstart:
    begin()


def send():
    """After the last job: overlay, figures and report are newer than what the stages have sent to MLflow.

    A store that is away fails nothing; a warning says how to send the rest later.
    """
    runs = [run for run in plan.per_run(RUN) if Path(run, "config.yaml").is_file()]
    if plan.config.mlflow.enabled and runs:
        if failure := send_runs(runs, Path(R, "logs", "mlflow.log")):
            logger.warning(failure)


onsuccess:
    send()


def closing():
    return closing_summary(plan.shown(), f"{R}/report.html", f"{R}/tables")


# The logger (snakemake_logger_plugin_vatrack) shows it at the end; a hook of Snakemake would not run where nothing is to do.
logger.info("", extra={"vatrack_closing": closing})


# Snakemake does not run a rule again for a value that was made from its resources.
def launch_options(wildcards, resources):
    seed = plan.seed_option(wildcards.method, wildcards.backbone, wildcards.variant)
    return f"{plan.slurm_options(resources)} {seed}".strip()


def all_runs(wildcards, resources):
    """Options: the runs of this config, and those of others that lie beside them: shown, but never a reason to run again."""
    return plan.run_options


# The commands must be those of the Python that runs Snakemake, also on a cluster's nodes, except inside a conda environment.
if "conda" not in map(str, workflow.deployment_settings.deployment_method):
    shell.prefix(
        f"set -euo pipefail; export PATH={shlex.quote(os.path.dirname(sys.executable))}:$PATH; "
    )
