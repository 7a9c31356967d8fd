"""One update of the weights (spec 4.1): mixed precision, micro-batches, processes, faults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from vatrack.common.device import autocast, mixed_type
from vatrack.common.structures import BatchShare
from vatrack.config import RunConfig
from vatrack.data.batches import PairBatch
from vatrack.models.detector import Detector
from vatrack.training.distributed import Processes
from vatrack.training.faults import Fault, NotFinite
from vatrack.training.state import BatchIndex


class Updater:
    """Network, optimizer, loss scale and running mean of the weights.

    Args:
        model: on the device of this process, in the memory layout of the config.

    Attributes:
        mean: the running mean of the weights (`training.ema_decay`), or None.
    """

    def __init__(self, model: Detector, run: RunConfig, processes: Processes) -> None:
        self.model, self.run, self.processes = model, run, processes
        self.device = processes.device
        short = mixed_type(run.compute.precision, self.device)
        if run.compute.compile:
            model.backbone.compile()
            model.neck.compile()
        self.optimizer = make_optimizer(model, run)
        # Small gradients vanish in float16 unless the loss is scaled up; bfloat16 reaches as far as
        # float32.
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=short is torch.float16)
        decay = run.training.ema_decay
        self.mean = (
            None
            if decay is None
            else AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))
        )
        self.network: nn.Module = model  # whose forward is the loss
        if processes.count > 1:
            devices = [self.device] if self.device.type == "cuda" else None
            self.network = DistributedDataParallel(model, device_ids=devices)

    @property
    def validated_model(self) -> Detector:
        """The network that is validated and kept: the running mean where there is one."""
        if self.mean is None:
            return self.model
        assert isinstance(self.mean.module, Detector)
        return self.mean.module

    def step(self, batch: PairBatch, rate: float, index: BatchIndex) -> dict[str, Tensor]:
        """Updates the weights once.

        Args:
            batch: this process's share; `rate`: learning rate.

        Returns:
            The terms of the whole batch with their sum as "loss", and "gradient_norm" (before it is
            shortened).

        Raises:
            NotFinite: a loss, a gradient or what proposals are made from is not finite, in any
                process. The weights are then as before.
        """
        self.optimizer.zero_grad(set_to_none=True)
        terms = self._gradients(batch, index)
        total = terms["loss"]
        self.scaler.unscale_(self.optimizer)
        trained = [p for p in self.model.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm([p.grad for p in trained if p.grad is not None])
        # Gradients are shared already, a loss is not: the processes must agree.
        sound = torch.isfinite(torch.stack([total, norm.to(total)]))
        lost, overflow = self.processes.highest(~sound)
        # With a scale, infinite gradients only say that it is too high; below one it cannot be the
        # reason.
        if lost or (overflow and not self.scaler.get_scale() > 1):
            self.scaler.update()
            values = {name: float(value) for name, value in terms.items()} | {
                "gradient_norm": float(norm)
            }
            raise NotFinite(Fault(values, self._broken_gradients(), batch.image_ids))
        # Only now: an infinite norm would make every gradient NaN and hide where the fault began.
        limit = self.run.training.optimizer.clip_norm
        if limit is not None and not overflow:
            torch.nn.utils.clip_grads_with_norm_(trained, limit, norm)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        # Not by the scaler: it leaves it to a fused optimizer to skip an overflow, and SGD's first
        # buffers would then keep what was in their memory.
        if not overflow:
            self.optimizer.step()
        self.scaler.update()
        if self.mean is not None and not overflow:
            self.mean.update_parameters(self.model)
        return self.processes.mean(terms) | {"gradient_norm": norm}

    def _gradients(self, batch: PairBatch, index: BatchIndex) -> dict[str, Tensor]:
        """Adds up the gradients of all micro-batches; returns their mean terms, detached."""
        settings = self.run.training
        layout = torch.channels_last if self.run.compute.channels_last else torch.contiguous_format
        pairs = len(batch.image_ids)
        first = self.processes.rank * pairs
        count = settings.accumulate
        found: list[dict[str, Tensor]] = []
        for number in range(count):
            rows = slice(number * pairs // count, (number + 1) * pairs // count)
            seeds = pair_seeds(self.run.seed, index, range(first + rows.start, first + rows.stop))
            share = BatchShare(
                self.processes.divisor,
                [torch.Generator().manual_seed(seed) for seed in seeds],
            )
            images = [
                image.to(memory_format=layout) for image in batch.network_images(rows, self.device)
            ]
            targets = [
                [target.to(self.device) for target in x[rows]]
                for x in (batch.key_targets, batch.ref_targets)
            ]
            with self._sharing(last=number + 1 == count):
                with autocast(self.run.compute.precision, self.device):
                    sizes = (batch.image_sizes[rows], batch.ref_sizes[rows])
                    losses = self.network(*images, *targets, *sizes, share)
                total = torch.stack(
                    [value for name, value in losses.items() if name.startswith("loss")]
                ).sum()
                self.scaler.scale(total / count).backward()
            found.append(
                {name: value.detach() for name, value in losses.items()} | {"loss": total.detach()}
            )
        return {
            name: torch.stack([terms[name].float() for terms in found]).mean() for name in found[0]
        }

    def _sharing(self, *, last: bool) -> AbstractContextManager[None]:
        """Only the last micro-batch's backward pass shares the gradients of all."""
        if isinstance(self.network, DistributedDataParallel) and not last:
            return self.network.no_sync()
        return nullcontext()

    def _broken_gradients(self) -> list[str]:
        return [
            name
            for name, value in self.model.named_parameters()
            if value.grad is not None and not torch.isfinite(value.grad).all()
        ]

    def state(self) -> dict[str, Any]:
        """Everything that a continued training needs, as tensors and plain values."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "mean": None if self.mean is None else self.mean.state_dict(),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Takes what `state` gave in a training with the same config."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        for group in self.optimizer.param_groups:
            group["fused"] = True  # states of older versions were not
        # One pass walks through the memory of all alike, and a state may come from a training with
        # another order in memory.
        for parameter, values in self.optimizer.state.items():
            for name, value in values.items():
                if value.shape == parameter.shape:
                    values[name] = torch.empty_like(parameter).copy_(value)
        if state["scaler"]:  # empty where the training had no float16 before
            self.scaler.load_state_dict(state["scaler"])
        if self.mean is not None:
            self.mean.load_state_dict(state["mean"])


def make_optimizer(model: Detector, run: RunConfig) -> torch.optim.Optimizer:
    """SGD or AdamW over all trainable parameters, norms and biases included (spec 4.5).

    In one pass over the weights; the plain forms take several, which is felt on a CPU.
    """
    settings = run.training.optimizer
    parameters = [p for p in model.parameters() if p.requires_grad]
    rate = settings.learning_rate
    if settings.name == "sgd":
        return torch.optim.SGD(
            parameters,
            rate,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
            fused=True,
        )
    return torch.optim.AdamW(parameters, rate, weight_decay=settings.weight_decay, fused=True)


def pair_seeds(seed: int, index: BatchIndex, pairs: Sequence[int]) -> list[int]:
    """A seed for the random samples of each pair of a batch.

    It depends on the batch and on the pair's number in it alone, so neither an interruption nor the
    number of processes or micro-batches changes the samples.
    """
    sequences = (np.random.SeedSequence([seed, index.epoch, index.batch, pair]) for pair in pairs)
    return [int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1)) for sequence in sequences]
