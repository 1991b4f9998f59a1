"""Averages of a model's weights over a training run, and the schedule that goes with them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from typing import Any

from flambeau.nn._torch import Tensor, int64, no_grad, tensor
from flambeau.nn.modules.batchnorm import _BatchNorm
from flambeau.nn.modules.module import Module
from flambeau.optim.optimizer import Optimizer
from flambeau.optim.schedule import LRScheduler, per_group

Average = Callable[[Any, Any, Any], Any]
Averages = Callable[[Sequence[Any], Sequence[Any], Any], None]


def _check_decay(decay: float) -> None:
    if decay < 0.0 or decay > 1.0:
        raise ValueError(
            f"Invalid decay value {decay} provided. Please provide a value in [0,1] range."
        )


def get_ema_multi_avg_fn(decay: float = 0.999) -> Averages:
    """The exponential moving average of lists of parameters, in place. ValueError for a decay
    outside [0, 1].
    """
    _check_decay(decay)

    @no_grad()
    def ema_update(averaged: Sequence[Any], current: Sequence[Any], num_averaged: Any) -> None:
        for average, value in zip(averaged, current):
            if average.is_floating_point() or average.is_complex():
                average.lerp_(value, 1 - decay)
            else:
                average.copy_(average * decay + value * (1 - decay))

    return ema_update


def get_swa_multi_avg_fn() -> Averages:
    """The equal-weight average of lists of parameters, in place."""

    @no_grad()
    def swa_update(averaged: Sequence[Any], current: Sequence[Any], num_averaged: Any) -> None:
        weight = 1 / (num_averaged + 1)
        for average, value in zip(averaged, current):
            if average.is_floating_point() or average.is_complex():
                average.lerp_(value, weight.to(average.dtype))
            else:
                average.add_((value - average) * weight)

    return swa_update


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """The exponential moving average of one parameter. ValueError for a decay outside [0, 1]."""
    _check_decay(decay)

    @no_grad()
    def ema_update(averaged: Any, current: Any, num_averaged: Any) -> Any:
        return decay * averaged + (1 - decay) * current

    return ema_update


def get_swa_avg_fn() -> Average:
    """The equal-weight average of one parameter."""

    @no_grad()
    def swa_update(averaged: Any, current: Any, num_averaged: Any) -> Any:
        return averaged + (current - averaged) / (num_averaged + 1)

    return swa_update


class AveragedModel(Module):
    """A copy of a model whose weights are a running average: `update_parameters(model)`.

    Without `avg_fn` (one parameter) or `multi_avg_fn` (lists, in place) every update counts
    equally. `use_buffers` averages the buffers too; otherwise they follow the model.
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Average | None = None,
        multi_avg_fn: Averages | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", tensor(0, dtype=int64, device=device))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The averaged model's output."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the model's weights into the average."""
        mine: Iterable[Any] = self.parameters()
        theirs: Iterable[Any] = model.parameters()
        if self.use_buffers:
            mine = itertools.chain(self.module.parameters(), self.module.buffers())
            theirs = itertools.chain(model.parameters(), model.buffers())
        pairs = [(a.detach(), b.detach().to(a.device)) for a, b in zip(mine, theirs)]
        if int(self.n_averaged.item()) == 0:
            for average, value in pairs:
                average.copy_(value)
        else:
            self._average(pairs)
        if not self.use_buffers:
            for buffer, value in zip(self.module.buffers(), model.buffers()):
                buffer.detach().copy_(value.detach().to(buffer.device))
        self.n_averaged += 1

    def _average(self, pairs: list[tuple[Any, Any]]) -> None:
        if self.multi_avg_fn is None:
            one = get_swa_avg_fn() if self.avg_fn is None else self.avg_fn
            for average, value in pairs:
                average.copy_(one(average, value, self.n_averaged))
            return
        kinds: dict[Any, list[tuple[Any, Any]]] = {}
        for pair in pairs:
            kinds.setdefault(pair[0].dtype, []).append(pair)
        for kind in kinds.values():
            averages, current = zip(*kind)
            self.multi_avg_fn(list(averages), list(current), self.n_averaged)


@no_grad()
def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Compute the running statistics of batch normalisation anew, from one pass over the data.

    A batch is a tensor, or a list or tuple that begins with one.
    """
    momenta: dict[Any, Any] = {}
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.reset_running_stats()
            momenta[module] = module.momentum
    if not momenta:
        return
    was_training = model.training
    model.train()
    for module in momenta:
        module.momentum = None
    for batch in loader:
        if isinstance(batch, (list, tuple)):
            batch = batch[0]
        model(batch if device is None else batch.to(device))
    for module, momentum in momenta.items():
        module.momentum = momentum
    model.train(was_training)


def _cosine(t: float) -> float:
    return (1 - math.cos(math.pi * t)) / 2


def _linear(t: float) -> float:
    return t


_STRATEGIES: dict[str, Callable[[float], float]] = {"cos": _cosine, "linear": _linear}


class SWALR(LRScheduler):
    """Anneals the learning rate of every group to `swa_lr` within `anneal_epochs`, then keeps it.

    ValueError for a strategy that is neither "cos" nor "linear", or negative epochs.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float,
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        rates = per_group("swa_lr", optimizer, swa_lr)
        for rate, group in zip(rates, optimizer.param_groups):
            group["swa_lr"] = rate
        if anneal_strategy not in _STRATEGIES:
            raise ValueError(
                f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}"
            )
        self._anneal_strategy = anneal_strategy
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _share(self, step: int) -> float:
        """How much of the way to `swa_lr` is gone."""
        t = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        return _STRATEGIES[self._anneal_strategy](t)

    def get_lr(self) -> list[Any]:
        """Return the learning rates of this epoch; for use by `step`."""
        self._warn_outside_step()
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._share(step - 1), self._share(step)
        rates = []
        for group in self.optimizer.param_groups:
            final = group["swa_lr"]
            # What the annealing began with, from where it has come to.
            start = final if before == 1 else (group["lr"] - before * final) / (1 - before)
            rates.append(final * now + start * (1 - now))
        return rates
