"""Checkpoints: plain tensors and values in one file, loaded without executing anything in it.

A training writes PyTorch files; weights to be handed on are safetensors files with the same
content. Both are read alike, whatever their names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.config import (
    SAILVOS,
    Backbone,
    ClassList,
    Config,
    Method,
    RunConfig,
    parse_config,
)
from vatrack.config.keys import overridden
from vatrack.config.renamed import STARTS, with_new_names
from vatrack.weights.checksum import refuse_broken_values
from vatrack.weights.formats import read_file, write_file
from vatrack.weights.tensors import check_tensors
from vatrack.weights.transfer import describe_shape

if TYPE_CHECKING:
    from vatrack.models.detector import Detector

FORMAT = "vatrack-checkpoint-1"
# The same, with the weights of some parts only: a start for a training.
INITIAL_FORMAT = "vatrack-initial-1"
# What a config says about the machine of its run, and no one else.
PRIVATE = {
    "": ("results", "launcher", "mlflow"),
    "dataset": ("raw", "format", "images", "train_json", "valid_json", "archives", "clips"),
}
# Settings of the network that its weights depend on though no shape shows them.
SHAPELESS = ("anchor_scale", "norm_groups")


@dataclass(frozen=True)
class Checkpoint:
    """Weights of one epoch and what they belong to."""

    method: Method
    backbone: Backbone
    epoch: int
    config: dict[str, Any]
    weights: dict[str, Tensor]

    @property
    def classes(self) -> ClassList:
        """The classes in label order; files of older versions do not name them: SAIL-VOS's."""
        names = self.config.get("classes")
        return SAILVOS if names is None else ClassList(tuple(names))

    def run(self, run: RunConfig) -> RunConfig:
        """A run's config with the classes of the checkpoint, whatever its own are."""
        return run.to_predict(self.classes)

    def settings(self, source: Path, overrides: Sequence[str] | None = None) -> RunConfig:
        """The settings of the run that it comes from; an imported one has those of the network
        alone, and defaults.

        What belongs to the machine of that run is left out: it computes where it can, and its
        files may lie elsewhere.

        Args:
            source: the file, for messages.
            overrides: `KEY=VALUE` each (`vatrack.config.keys.overridden`).

        Raises:
            InputError: the config in it, or an override, is not valid.
        """
        overrides = overrides or ()
        about = f"{source}: its config" + (f" with --set {' '.join(overrides)}" * bool(overrides))
        values = with_new_names(public_config(self.config), about)
        if "training" not in values:
            default = Config().for_run(self.method, self.backbone).model_dump(mode="json")
            values = default | {key: values[key] for key in ("model", "classes") if key in values}
        values |= {"method": str(self.method), "backbone": str(self.backbone)}
        dataset, compute = values.get("dataset"), values.get("compute")
        if isinstance(dataset, Mapping):
            values["dataset"] = {"name": dataset["name"]} if "name" in dataset else {}
        if isinstance(compute, Mapping):
            values["compute"] = {**compute, "device": "auto"}
        return parse_config(overridden(values, overrides), about, RunConfig)

    def check_names(self, source: Path, method: Method | None, backbone: Backbone | None) -> None:
        """Refuses another method or backbone than its own; None: whatever it is.

        Raises:
            InputError: it is another one.
        """
        for name, own, wanted in (
            ("method", self.method, method),
            ("backbone", self.backbone, backbone),
        ):
            if wanted not in (None, own):
                raise InputError(
                    f"{source}: a checkpoint of {name} {own}, not {wanted}; use --{name} {own}"
                )


def save(path: Path, model: nn.Module, run: RunConfig, epoch: int) -> None:
    """Writes a checkpoint, whole or not at all; tensors are stored on the CPU."""
    write(path, model.state_dict(), run, epoch)


def write(
    path: Path,
    weights: Mapping[str, Tensor],
    run: RunConfig,
    epoch: int,
    *,
    format_: str = FORMAT,
    config: Mapping[str, Any] | None = None,
) -> None:
    """The same for tensors by name; `config` in place of the run's."""
    content = {
        "format": format_,
        "method": str(run.method),
        "backbone": str(run.backbone),
        "epoch": epoch,
        "config": run.model_dump(mode="json") if config is None else dict(config),
        "model": {name: value.detach().cpu() for name, value in weights.items()},
    }
    write_file(path, content)


def load(path: Path) -> Checkpoint:
    """Reads a checkpoint, a PyTorch or a safetensors file.

    Raises:
        InputError: the file is missing, damaged, not one of ours, or holds values that are not
            finite.
    """
    return parse(read_file(path, "checkpoint"), path)


def is_ours(content: Any) -> bool:
    """Whether what `read_file` has read is a checkpoint, or initial weights, of this package."""
    return isinstance(content, dict) and content.get("format") in (FORMAT, INITIAL_FORMAT)


def parse(content: Any, path: Path) -> Checkpoint:
    """The checkpoint in what `read_file` has read from `path`; raises as `load` does."""
    found = content.get("format") if isinstance(content, dict) else None
    if found == INITIAL_FORMAT:
        raise InputError(
            f"{path}: contains initial weights of some parts only (from `vatrack import-checkpoint "
            "--partial`); set it as training.weights and train"
        )
    if found != FORMAT:
        raise InputError(
            f"{path}: not a VATrack checkpoint (its format is not {FORMAT!r}); import OpenMMLab "
            "checkpoints with `vatrack import-checkpoint`"
        )
    try:
        config = content["config"]
        checkpoint = Checkpoint(
            Method(content["method"]),
            Backbone(content["backbone"]),
            int(content["epoch"]),
            dict(json.loads(config) if isinstance(config, str) else config),
            dict(content["model"].items()),
        )
        checkpoint.classes  # noqa: B018 - checks their names
    except InputError as error:
        raise InputError(f"{path}: damaged checkpoint ({error}); copy or create it again") from None
    except (
        KeyError, ValueError, TypeError, AttributeError, OverflowError, RecursionError
    ) as error:  # fmt: skip
        raise InputError(
            f"{path}: damaged checkpoint ({type(error).__name__}: {error}); copy or create it again"
        ) from None
    check_tensors(checkpoint.weights, path)
    refuse_broken_values(checkpoint.weights, path)
    return checkpoint


def public_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a run for others: without the job's and the experiment log's sections; of
    paths, the files' names."""
    public = {key: value for key, value in config.items() if key not in PRIVATE[""]}
    if isinstance(dataset := public.get("dataset"), Mapping):
        public["dataset"] = {
            key: value for key, value in dataset.items() if key not in PRIVATE["dataset"]
        }
    if isinstance(training := public.get("training"), Mapping):
        files = (*STARTS, "training.weights")
        keys = (name.removeprefix("training.") for name in files)
        names = {key: Path(training[key]).name for key in keys if training.get(key)}
        public["training"] = {**training, **names}
        public["training"].pop("weights_urls", None)
    return public


def restored(checkpoint: Checkpoint, run: RunConfig, source: Path) -> Detector:
    """A new network of a run that shares the memory of the checkpoint's weights.

    Raises:
        InputError: the checkpoint belongs to another method, backbone or model configuration, or
            to other classes.
    """
    from vatrack.models.detector import build  # loads torchvision

    checkpoint.check_names(source, run.method, run.backbone)
    if run.classes is not None and checkpoint.classes != run.class_list:
        raise InputError(
            f"{source}: the checkpoint has different classes\n  {source}: {checkpoint.classes}\n  "
            f"the config: {run.class_list}\n  the order matters; use the config of its run, or set "
            "it as training.weights to train on these classes"
        )
    with torch.device("meta"):  # no memory, no random numbers
        model = build(run.method, run.model, run.backbone)
    expected, found = (
        {name: describe_shape(value) for name, value in weights.items()}
        for weights in (model.state_dict(), checkpoint.weights)
    )
    if expected != found:
        different = sorted(
            name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)
        )
        raise InputError(
            f"{source}: the checkpoint has a different model configuration; different: "
            f"{counted(len(different), 'tensor')}, first: {different[0]} "
            f"({found.get(different[0], 'nothing')} in the file, "
            f"{expected.get(different[0], 'nothing')} expected); use the config of its run"
        )
    trained = checkpoint.config.get("model")
    for key in SHAPELESS:
        value = trained.get(key) if isinstance(trained, dict) else None
        given: Any = getattr(run.model, key)
        if value is not None and value != given:
            raise InputError(
                f"{source}: trained with model.{key} = {value}, but the config has {given}; use "
                f"the config of its run"
            )
    weights = {
        name: checkpoint.weights[name].to(value.dtype).contiguous()
        for name, value in model.state_dict().items()
    }
    model.load_state_dict(weights, assign=True)
    return model
