"""VATrack: end-to-end amodal video instance segmentation on SAIL-VOS.

The public names are imported when they are first used, so that `import vatrack` takes no time:

    import vatrack

    config = vatrack.load_config("config/sailvos_cut.yaml")
    run = config.for_run(vatrack.Method.VATRACK, vatrack.Backbone.RESNET50)
    vatrack.predict_files(run, checkpoint, frames, images, out)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vatrack.common.errors import (
        FolderBusy,
        InputError,
        InvalidData,
        TrainingDiverged,
        VatrackError,
    )
    from vatrack.config import Backbone, Config, Method, RunConfig, load_config, load_run_config
    from vatrack.evaluation.evaluate import evaluate_files
    from vatrack.inference.predict import predict_files
    from vatrack.training.loop import train

__version__ = "0.2.0"

__all__ = [
    "Backbone",
    "Config",
    "FolderBusy",
    "InputError",
    "InvalidData",
    "Method",
    "RunConfig",
    "TrainingDiverged",
    "VatrackError",
    "__version__",
    "evaluate_files",
    "load_config",
    "load_run_config",
    "predict_files",
    "train",
]

_HOME = {
    "FolderBusy": "common.errors",
    "InputError": "common.errors",
    "InvalidData": "common.errors",
    "TrainingDiverged": "common.errors",
    "VatrackError": "common.errors",
    "evaluate_files": "evaluation.evaluate",
    "predict_files": "inference.predict",
    "train": "training.loop",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME.get(name, 'config')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
