"""The configuration as frozen, typed models; the JSON schema that the workflow checks with comes
from them.

`Config` is what a person writes: one YAML file for a set of runs. Values that the paper chooses by
method or backbone may be given once or as a mapping; `Config.for_run` picks them for one run and
returns the `RunConfig` that the run's folder keeps.
"""

from vatrack.config.class_weights import PAPER_CLASS_WEIGHTS
from vatrack.config.classes import SAILVOS, ClassList
from vatrack.config.compute import ComputeConfig, InputConfig
from vatrack.config.file_classes import FileClasses
from vatrack.config.inference import (
    EvaluationConfig,
    InferenceConfig,
    SelectionConfig,
    TrackerConfig,
)
from vatrack.config.methods import Backbone, Method
from vatrack.config.model import ModelConfig, ProposalConfig, SamplerConfig
from vatrack.config.models import TECHNICAL_KEYS, Config, RunConfig
from vatrack.config.reading import (
    config_of,
    json_schema,
    load_config,
    load_run,
    load_run_config,
    parse_config,
)
from vatrack.config.training import (
    LauncherConfig,
    MlflowConfig,
    RunScheduleConfig,
    RunTrainingConfig,
    ScheduleConfig,
    TrainingConfig,
    start_names,
)

__all__ = [
    "PAPER_CLASS_WEIGHTS",
    "SAILVOS",
    "TECHNICAL_KEYS",
    "Backbone",
    "ClassList",
    "ComputeConfig",
    "Config",
    "EvaluationConfig",
    "FileClasses",
    "InferenceConfig",
    "InputConfig",
    "LauncherConfig",
    "Method",
    "MlflowConfig",
    "ModelConfig",
    "ProposalConfig",
    "RunConfig",
    "RunScheduleConfig",
    "RunTrainingConfig",
    "SamplerConfig",
    "ScheduleConfig",
    "SelectionConfig",
    "TrackerConfig",
    "TrainingConfig",
    "config_of",
    "json_schema",
    "load_config",
    "load_run",
    "load_run_config",
    "parse_config",
    "start_names",
]
