# The checked config, the paths of everything that is made, and the small functions that rules use.
import os
import shlex
import sys

from snakemake.utils import validate

from vatrack.config import Backbone, Config, Method, parse_config
from vatrack.sailvos.layout import list_videos
from vatrack.synthetic.render import video_names
from vatrack.common.errors import InputError
from vatrack.common.files import write_yaml


def stop(message):
    """Ends with one message. (Snakemake would show an exception with the lines of code it came from.)"""
    sys.exit(f"error: {message}")


def checked_config():
    """The typed config, its plain values, and the resolved config of every run; bad values end here, in one message."""
    try:
        checked = parse_config(config, "config", Config)
        runs = {
            (method, backbone): checked.for_run(method, backbone)
            for method in checked.methods
            for backbone in checked.backbones
        }
    except InputError as error:
        stop(error)
    plain = checked.model_dump(mode="json")
    # The typed values, because Snakemake hands nested ones of --config on as text. This also stops a schema that is out of date.
    validate(plain, "../schemas/config.schema.json", set_default=False)
    return checked, plain, runs


CONFIG, PLAIN, RUNS = checked_config()
DATASET = CONFIG.dataset
R = f"{CONFIG.results}/{DATASET.name}"
RUN = f"{R}/runs/{{method}}__{{backbone}}"
CONFIG_FILE = f"{R}/config.yaml"
FORMS = [
    "visible.json",
    "amodal.json",
    "joint.json",
    "joint-2bbox.json",
    "video_amodal.json",
    "video_visible.json",
]
FIGURES = ["losses", "learning_rate", "validation"]
TABLES = [f"{evaluation}_{masks}" for evaluation in ("image", "video", "track") for masks in ("amodal", "visible")]
CLASS_TABLES = [f"classes_{table}" for table in TABLES]
VIDEO_TABLES = [f"videos_{table}" for table in TABLES]

# The miniature set is a folder that the workflow makes. Of a real download only the annotation files tell that it is newer:
# nobody wants days of work repeated for a note laid beside the videos.
RAW_FOLDER = str(DATASET.raw or f"{R}/raw")
ARCHIVES = [str(archive.path) for archive in DATASET.archives]
UNPACKED = f"{R}/unpacked.json"
RAW = ancient(UNPACKED) if ARCHIVES else ancient(RAW_FOLDER) if DATASET.raw else RAW_FOLDER
TRAIN_JSON = str(DATASET.train_json or f"{RAW_FOLDER}/train.json")
VALID_JSON = str(DATASET.valid_json or f"{RAW_FOLDER}/valid.json")

# Files that the config names; a missing one is reported before anything runs.
CUTS = [] if DATASET.clips.structure in ("detect", "whole") else [str(DATASET.clips.structure)]
if CUTS and not DATASET.clips.fetch and not os.path.exists(CUTS[0]):
    stop(f"dataset.clips.structure: {CUTS[0]}: no such file; put it there, or set dataset.clips.fetch: true to fetch it")
if DATASET.raw and not ARCHIVES and not os.path.isdir(RAW_FOLDER):
    stop(f"dataset.raw: {RAW_FOLDER}: no such folder; name the unpacked download, or its archives in dataset.archives")
WEIGHTS = [str(file) for file in (CONFIG.training.initial_checkpoint, CONFIG.training.backbone_weights) if file]

# A training runs in a job of its own. One that SLURM runs elsewhere takes no more than a core here, to wait for it.
HERE = CONFIG.launcher.cluster != "slurm"
TRAIN_THREADS = CONFIG.launcher.cpus if HERE else 1
TRAIN_MEMORY = round(CONFIG.launcher.memory_gb * 1000) if HERE else 1000
TRAIN_GPUS = CONFIG.launcher.gpus if HERE else 0
PREDICT_GPUS = min(1, CONFIG.launcher.gpus)


def videos():
    """The names of the raw video folders. Archives must be unpacked before they are known."""
    if not DATASET.raw:
        return sum(video_names(DATASET.synthetic).values(), [])
    if ARCHIVES:
        checkpoints.unpack.get()
    try:
        return list_videos(DATASET.raw)
    except InputError as error:
        stop(f"dataset.raw: {error}")


# Content changes are measured where they decide about the cuts, or where the sheets are to show them.
DETECT = DATASET.clips.structure == "detect"
MEASURE = DETECT or (DATASET.clips.curves and DATASET.clips.structure != "whole")
DETECTION = ("dataset.clips.threshold", "dataset.clips.min_frames") if DETECT else ()
SCORES_OPTION = f"--scores {shlex.quote(f'{R}/cuts/scores')}" if MEASURE else ""


def scores(wildcards):
    """The content changes of all videos."""
    return [f"{R}/cuts/scores/{video}.json" for video in videos()] if DETECT else []


def cut_sheets(wildcards):
    """The sheets of all videos; where every video is one clip there is nothing to see."""
    return [f"{R}/cuts/sheets/{video}.jpg" for video in videos()] if DATASET.clips.structure != "whole" else []


def settings(*keys):
    """The part of the config that something depends on. When these values change, it is made again, and nothing else."""
    found = {}
    for key in keys:
        value = PLAIN
        for part in key.split("."):
            value = value[part]
        found[key] = value
    return found


def raw_folder(wildcards):
    """The raw tree, by its name. (As plain text among the params it would look like a forgotten input.)"""
    return RAW_FOLDER


def official_files(wildcards):
    """Both annotation files. Those of the miniature set come with its frames, those in archives when they are unpacked."""
    if not DATASET.raw:
        return [file for file in (TRAIN_JSON, VALID_JSON) if not file.startswith(f"{RAW_FOLDER}/")]
    if ARCHIVES:
        checkpoints.unpack.get()
    return [TRAIN_JSON, VALID_JSON]


def official_json(wildcards):
    """The official annotation file of a subset."""
    return {"train": TRAIN_JSON, "valid": VALID_JSON}[wildcards.subset]


def training_settings(wildcards):
    """`settings` of one run: a value for another method or backbone does not touch it, nor how the work is done or logged."""
    return RUNS[Method(wildcards.method), Backbone(wildcards.backbone)].recipe()


def slurm_options(wildcards, resources):
    """What the profile says about the training rule's place on the cluster, as options of `vatrack launch`.

    (Snakemake does not run a rule again for a value that was made from its resources.)
    """
    names = {"slurm_partition": "partition", "slurm_account": "account", "constraint": "constraint", "qos": "qos"}
    given = {option: resources.get(name) for name, option in names.items() if not HERE}
    return " ".join(f"--{option} {shlex.quote(str(value))}" for option, value in given.items() if value)


def per_run(pattern):
    """The pattern for every run of the config, method by method."""
    return [pattern.format(method=method, backbone=backbone) for method, backbone in RUNS]


# What the report shows, and the options that name all runs on one command line.
RESULTS = [
    f"{R}/tables/tables.html",
    *(f"{R}/tables/{table}.{suffix}" for table in TABLES + CLASS_TABLES for suffix in ("csv", "md", "tex")),
    *(f"{R}/tables/{table}.{suffix}" for table in VIDEO_TABLES for suffix in ("csv", "md")),
    *(f"{R}/figures/{figure}.svg" for figure in FIGURES),
    *per_run(f"{RUN}/overlay.png"),
    cut_sheets,
]
TABLE_ROWS = " ".join(map(shlex.quote, per_run(f"--run={RUN}") + per_run(f"--log-run={RUN}")))
FIGURE_RUNS = " ".join(map(shlex.quote, per_run(f"--run={RUN}")))


def write_config():
    """Writes the config with all defaults filled in, for the commands of the rules."""
    write_yaml(CONFIG_FILE, PLAIN)


# The commands must be those of the Python that runs Snakemake, also on a cluster's nodes, except inside a conda environment.
if "conda" not in map(str, workflow.deployment_settings.deployment_method):
    shell.prefix(f"set -euo pipefail; export PATH={shlex.quote(os.path.dirname(sys.executable))}:$PATH; ")
