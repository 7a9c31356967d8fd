"""VATrack: end-to-end amodal video instance segmentation on SAIL-VOS.

    import vatrack

    predictor = vatrack.load("best.pt")
    for result in predictor.track("street.mp4"):
        print(result.time_s, result.names, result.track_ids, result.visibility())

The names in `__all__` are public, the rest may change. They are imported when they are first used,
so that `import vatrack` takes no time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vatrack.version import __version__

if TYPE_CHECKING:
    from vatrack.api.evaluate import evaluate, read_predictions
    from vatrack.api.load import load
    from vatrack.api.predictor import Predictor
    from vatrack.api.results import FrameResult
    from vatrack.api.settings import Tracked, TrackSettings
    from vatrack.api.track import track_videos
    from vatrack.common.errors import (
        FolderBusy,
        InputError,
        InvalidData,
        TrainingDiverged,
        VatrackError,
    )
    from vatrack.config import Backbone, Config, Method, RunConfig, load_config, load_run_config
    from vatrack.exchange import export_predictions, import_predictions
    from vatrack.inference.predict import predict_files
    from vatrack.reporting.video import DrawSettings
    from vatrack.training.loop import train
    from vatrack.video.frames import Selection

__all__ = [
    "Backbone",
    "Config",
    "DrawSettings",
    "FolderBusy",
    "FrameResult",
    "InputError",
    "InvalidData",
    "Method",
    "Predictor",
    "RunConfig",
    "Selection",
    "TrackSettings",
    "Tracked",
    "TrainingDiverged",
    "VatrackError",
    "__version__",
    "evaluate",
    "export_predictions",
    "import_predictions",
    "load",
    "load_config",
    "load_run_config",
    "predict_files",
    "read_predictions",
    "track_videos",
    "train",
]

_HOME = {
    "DrawSettings": "reporting.video",
    "FolderBusy": "common.errors",
    "FrameResult": "api.results",
    "InputError": "common.errors",
    "InvalidData": "common.errors",
    "Predictor": "api.predictor",
    "Selection": "video.frames",
    "TrackSettings": "api.settings",
    "Tracked": "api.settings",
    "TrainingDiverged": "common.errors",
    "VatrackError": "common.errors",
    "evaluate": "api.evaluate",
    "export_predictions": "exchange",
    "import_predictions": "exchange",
    "load": "api.load",
    "predict_files": "inference.predict",
    "read_predictions": "api.evaluate",
    "track_videos": "api.track",
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
