# The config of this call (lib/call.py), the plan (lib/plan.py, lib/data_plan.py: paths, lists), and
# what of them needs Snakemake.
import os
import re
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from snakemake.logging import logger
from snakemake.utils import validate

# Snakemake looks for hooks and for `lib` beside the main Snakefile alone.
HERE = os.path.dirname(workflow.current_basedir)
if workflow.basedir != HERE or not workflow.modifier.is_main_snakefile():
    sys.exit(
        f"error: {workflow.main_snakefile}: this workflow cannot be part of another one; run it "
        f"by itself: snakemake --snakefile {HERE}/Snakefile"
    )

from lib import call
from lib.command_line import (
    arguments,
    check_config_entries,
    check_hooks,
    check_names,
    is_program,
)
from lib.interrupt import Interrupt
from lib.jobs import details_option
from lib.names import CLASS_TABLES, FIGURES, FORM_FILES, RUN, TABLES, VIDEO_TABLES
from lib.plan import Plan
from lib.sending import send_runs
from lib.summary import closing_summary
from vatrack.common.errors import show_warnings_plainly
from vatrack.common.user import user_name
from vatrack.config import Backbone, Method
from vatrack.config.reading import config_name
from vatrack.jobs.submit import check_device_of_jobs
from vatrack.runs.folder import RunFolder

# Config files on the command line replace the default one; otherwise it would be mixed in.
if not workflow.overwrite_configfiles:

    configfile: os.path.normpath(f"{HERE}/../config/config.yaml")


# Snakemake asks for the user's name, and ends in a KeyError where there is none (`docker run --user
# 12345`).
os.environ.setdefault("LOGNAME", user_name())

SOURCE = config_name(
    *workflow.configfiles, overrides=workflow.config_settings.config, option="--config"
)
stopping = partial(call.stopping, SOURCE)

interrupt = Interrupt()
if workflow.is_main_process:
    if is_program(sys.argv):  # another one has its own handlers
        interrupt.install()
    words = stopping(arguments, sys.argv)
    stopping(check_hooks, words)
    stopping(check_config_entries, workflow.config_settings.config_args or ())

# Read here once more, because Snakemake knows nothing of `extends`.
show_warnings_plainly()
values = stopping(call.layered_config, workflow.configfiles, workflow.config_settings.config)
plan = stopping(Plan, values, SOURCE)
stopping(call.check_results, Path(plan.root))
# The typed values, because Snakemake hands nested ones of --config on as text. This also stops a
# schema that is out of date.
validate(plan.plain, "../schemas/config.schema.json", set_default=False)
config.clear()
config.update(plan.plain)  # for the texts of the report
R = plan.root

# The miniature set is a folder that the workflow makes. Of a real download only the annotation
# files tell that it is newer: nobody wants days of work repeated for a note laid beside the videos.
RAW = (
    ancient(plan.unpacked)
    if plan.archives
    else ancient(plan.raw_folder) if plan.dataset.raw else plan.raw_folder
)


def await_data():
    """Data must be there; archives must be unpacked before videos and annotations are known."""
    stopping(plan.require_data)
    if plan.archives:
        checkpoints.unpack.get()


def videos():
    """The names of the raw video folders."""
    await_data()
    return stopping(plan.videos)


def scores(wildcards):
    return plan.scores(videos()) if plan.detect else []


def cut_sheets(wildcards):
    return plan.cut_sheets(videos()) if plan.shows_cuts else []


def official_files(wildcards):
    """Both annotation files."""
    await_data()
    return plan.official


def annotations_of(wildcards):
    return stopping(plan.annotations, wildcards)


def tracks_of(wildcards):
    return list(stopping(plan.tracks, wildcards).values())


def start_weights(wildcards):
    return stopping(plan.start_weights, wildcards)


def main_snakefile(wildcards, resources):
    """Where the checkout lies is no reason to run again (see `plan.launch_options`)."""
    return workflow.main_snakefile


def is_made(file):
    # As Snakemake compares it: a relative path without detours, an absolute one as it is.
    path = file if os.path.isabs(file) else os.path.relpath(file)
    return any(each.is_producer(path) for each in workflow.rules)


def check_rules():
    """Looks at the names on the command line when all rules are known."""
    if workflow.is_main_process:
        rules = {each.name: each.has_wildcards() for each in workflow.rules}
        stopping(check_names, words, rules, is_made)


using = ExitStack()  # what is held while jobs run


# Before the first job: looks for SLURM where it is needed, sees that trainings can have their
# device, and writes the checked config with all defaults filled in. The rules read that file; their
# `settings` say when to run again.
onstart:
    jobs = [] if workflow.touch else workflow.dag.needrun_jobs()  # --touch trains nothing
    trainings = [job for job in jobs if job.rule.name == "train"]
    if trainings:
        stopping(check_device_of_jobs, plan.config.compute.device, plan.config.launcher)
    on_slurm = bool(trainings) and not plan.trains_here
    stopping(call.check_cluster, workflow.executor_plugin.name, on_slurm)
    stopping(using.enter_context, call.config_in_use(plan.config_file, plan.plain))
    # Where a training runs for any other reason, it is kept if its settings and data are the same.
    for job in trainings:
        if workflow.dag.reason(job).forced:
            RunFolder(Path(job.output[0]).parent).repeat()
    interrupt.begin()


# After the last job: overlay, figures and report are newer than what the stages have sent to
# MLflow. A store that is away fails nothing; a warning says how to send the rest later.
onsuccess:
    using.close()
    runs = plan.begun() if plan.config.mlflow.enabled else []
    if failure := send_runs(runs, Path(R, "logs", "mlflow.log")):
        logger.warning(failure)


onerror:
    using.close()


def closing():
    command = partial(
        call.command_for,
        files=workflow.overwrite_configfiles,
        entries=workflow.config_settings.config_args or (),
        snakefile=words.snakefile,
        directory=words.directory,
    )
    rebuild = call.rebuilding(R, command, clips=not plan.joint)
    return closing_summary(plan.shown(), f"{R}/report.html", f"{R}/tables", rebuild)


# The logger (snakemake_logger_plugin_vatrack) shows it at the end; a hook of Snakemake would not
# run where nothing is to do.
logger.info("", extra={"vatrack_closing": closing})


# The commands must be those of the Python that runs Snakemake, also on a cluster's nodes, except
# inside a conda environment.
if "conda" not in map(str, workflow.deployment_settings.deployment_method):
    shell.prefix(call.shell_prefix())
