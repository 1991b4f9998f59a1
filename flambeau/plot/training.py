"""Pictures of a training: its losses, and the test that finds a learning rate."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from flambeau.autograd.modes import enable_grad, no_grad
from flambeau.functional.generators import default_generator
from flambeau.nn.modules.module import Module
from flambeau.optim import SGD
from flambeau.plot.canvas import Array, array, axes, colours, muted, plain


def loss_curves(
    train: Any,
    validation: Any = None,
    *,
    smoothing: float = 0.0,
    log: bool = False,
    xlabel: str | None = None,
    ylabel: str = "loss",
    ax: Any = None,
) -> Any:
    """The losses of a training, those of validation, and the gap between them; gives the axes.

    `train` is a sequence, or a mapping of names to sequences (several runs). `validation` may have
    fewer entries (one an epoch): they are spread over the same axis. `smoothing` in [0, 1) is the
    weight of the past in a running mean; the raw values stay visible behind it. Where losses stop
    being finite is marked.
    """
    if not 0 <= smoothing < 1:
        raise ValueError(f"smoothing must lie in [0, 1), got {smoothing}")
    runs = train if isinstance(train, Mapping) else {"training": train}
    if not runs:
        raise ValueError("train has no runs")
    if validation is not None and len(runs) > 1:
        raise ValueError("validation belongs to one run: give it as a run of its own")
    values = {str(name): array(run, f"train ({name})", 1) for name, run in runs.items()}
    if not all(len(run) for run in values.values()):
        raise ValueError("train holds no losses")
    ax = axes(ax)
    palette = colours(ax)
    for place, (name, run) in enumerate(values.items()):
        colour, x = palette[place % 6], np.arange(1, len(run) + 1)
        shown = smoothed(run, smoothing)
        if smoothing:
            ax.plot(x, run, color=colour, alpha=0.35, linewidth=0.8)
        marker = "o" if len(run) == 1 else None
        ax.plot(x, shown, color=colour, label=name, linewidth=1.8, marker=marker)
        bad = np.flatnonzero(~np.isfinite(run))
        if bad.size:
            ax.axvline(x[bad[0]], color=colour, linestyle=":", label=f"not finite from {x[bad[0]]}")
    steps = max(map(len, values.values()))
    if validation is not None:
        checked = array(validation, "validation", 1)
        if not len(checked):
            raise ValueError("validation holds no losses")
        _validation(ax, next(iter(values.values())), checked, smoothing)
    if log:
        ax.set_yscale("log")
    ax.set_xlabel(xlabel or ("step" if steps > 60 else "epoch"))
    ax.set_ylabel(ylabel)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.margins(x=0.02)
    ax.grid(alpha=0.2)
    plain(ax)
    if validation is not None or len(values) > 1 or ax.get_legend_handles_labels()[1][1:]:
        ax.legend(frameon=False)
    return ax


def smoothed(values: Array, weight: float) -> Array:
    """A running mean that forgets by `weight`, not drawn to zero at its beginning."""
    if not weight:
        return values
    found, mean, total = np.empty(len(values)), 0.0, 0.0
    for place, value in enumerate(values):
        if isfinite(value):
            mean = weight * mean + (1 - weight) * float(value)
            total = weight * total + (1 - weight)
        found[place] = mean / total if total and isfinite(value) else np.nan
    return found


def _validation(ax: Any, train: Array, checked: Array, smoothing: float) -> None:
    colour = colours(ax)[1]
    x = np.arange(1, len(checked) + 1) * (len(train) / len(checked))
    ax.plot(x, checked, color=colour, label="validation", linewidth=1.8, marker=".")
    steps = np.arange(1, len(train) + 1)
    under = np.interp(x, steps, smoothed(train, smoothing))
    ax.fill_between(
        x, under, checked, where=checked >= under, color=colour, alpha=0.12, linewidth=0
    )
    finite = np.where(np.isfinite(checked), checked, np.inf)
    best = int(np.argmin(finite))
    gap = checked[-1] - under[-1]
    ax.plot(
        x[best],
        checked[best],
        marker="o",
        markersize=9,
        markerfacecolor="none",
        markeredgewidth=1.6,
        color=colour,
        linestyle="none",
        label=f"lowest: {checked[best]:.4g}; gap at the end: {gap:.3g}",
    )


# ---- the range test ------------------------------------------------------------------------------


@dataclass(frozen=True)
class RangeTest:
    """Learning rates tried, the (smoothed) losses seen, and the rate where the loss falls fastest;
    None where it does not fall.
    """

    rates: Array
    losses: Array
    raw: Array
    suggestion: float | None


def range_test(
    model: Module,
    loss: Any,
    loader: Any,
    optimizer: Any = None,
    *,
    start: float = 1e-6,
    end: float = 10.0,
    steps: int = 100,
    smoothing: float = 0.9,
    diverging: float = 4.0,
) -> RangeTest:
    """Trains with a learning rate that grows from `start` to `end`, one batch a step, and stops
    where the loss is `diverging` times the lowest seen.

    `loss(model(x), y)` is computed for batches (x, y) (or (x1, x2, ..., y)). `optimizer` is SGD by
    default. The model with its gradients and modes, the optimizer and the random stream are
    afterwards as they were before.
    """
    if not 0 < start < end:
        raise ValueError(f"0 < start < end is needed, got start={start}, end={end}")
    if steps < 5:
        raise ValueError(f"at least 5 steps are needed, got {steps}")
    if not 0 <= smoothing < 1:
        raise ValueError(f"smoothing must lie in [0, 1), got {smoothing}")
    if optimizer is None:
        optimizer = SGD(model.parameters(), lr=start)
    rates, raw = np.geomspace(start, end, steps), []
    with _restored(model, optimizer, loader), enable_grad():
        model.train()
        lowest, mean, total = np.inf, 0.0, 0.0
        for rate, batch in zip(rates, _for_ever(loader)):
            raw.append(_step(model, loss, optimizer, batch, float(rate)))
            mean = smoothing * mean + (1 - smoothing) * raw[-1]
            total = smoothing * total + (1 - smoothing)
            now = mean / total
            lowest = min(lowest, now)
            if not isfinite(now) or (len(raw) > 5 and now > diverging * lowest > 0):
                break
    seen = np.array(raw)
    rates = rates[: len(seen)]
    losses = smoothed(seen, smoothing)
    return RangeTest(rates, losses, seen, _steepest(rates, losses))


def _step(model: Module, loss: Any, optimizer: Any, batch: Any, rate: float) -> float:
    if not isinstance(batch, (list, tuple)) or len(batch) < 2:
        raise TypeError(
            f"the loader must give (x, y) or (x1, x2, ..., y), got {type(batch).__name__}"
        )
    for group in optimizer.param_groups:
        group["lr"] = rate
    *inputs, target = batch
    optimizer.zero_grad()
    value = loss(model(*inputs), target)
    value.backward()
    optimizer.step()
    return float(value.item())


def _for_ever(loader: Any) -> Iterator[Any]:
    while True:
        empty = True
        for batch in loader:
            empty = False
            yield batch
        if empty:
            raise ValueError("the loader gave no batches")


@contextlib.contextmanager
def _restored(model: Module, optimizer: Any, loader: Any) -> Iterator[None]:
    tensors = [*model.parameters(), *model.buffers()]
    held = {id(t) for t in tensors}
    tensors += [p for group in optimizer.param_groups for p in group["params"] if id(p) not in held]
    kept = [t.detach().clone() for t in tensors]
    gradients = [(p, None if p.grad is None else p.grad.clone()) for p in model.parameters()]
    modes = [(module, module.training) for module in model.modules()]
    state = copy.deepcopy(optimizer.state_dict())
    generators = [default_generator]
    if getattr(loader, "generator", None) is not None:
        generators.append(loader.generator)
    streams = [generator.get_state() for generator in generators]
    try:
        yield
    finally:
        with no_grad():
            for tensor, before in zip(tensors, kept):
                tensor.copy_(before)
        for parameter, gradient in gradients:
            parameter.grad = gradient
        for module, mode in modes:
            module.training = mode
        optimizer.load_state_dict(state)
        for generator, stream in zip(generators, streams):
            generator.set_state(stream)


def _steepest(rates: Array, losses: Array) -> float | None:
    """Where the loss falls fastest on the way to its lowest value."""
    finite = np.flatnonzero(np.isfinite(losses))
    if len(finite) < 3:
        return None
    rates, losses = rates[finite], losses[finite]
    last = int(np.argmin(losses))
    if last < 2:
        return None
    logs = np.log(rates)
    around = max(1, len(rates) // 20)  # a line through some neighbours: single losses are noisy
    places = range(around, last + 1) if last >= around else range(1, last + 1)
    slopes = []
    for place in places:
        part = slice(max(place - around, 0), place + around + 1)
        slopes.append(float(np.polyfit(logs[part], losses[part], 1)[0]))
    best = int(np.argmin(slopes))
    return float(rates[places[best]]) if slopes[best] < 0 else None


def lr_find(
    model: Module | RangeTest,
    loss: Any = None,
    loader: Any = None,
    optimizer: Any = None,
    *,
    ax: Any = None,
    **options: Any,
) -> Any:
    """The losses of a `range_test` and the learning rate it suggests; gives the axes.

    Takes what `range_test` takes (which gives the numbers), or its result.
    """
    if isinstance(model, RangeTest):
        if loss is not None or loader is not None or optimizer is not None or options:
            raise TypeError("lr_find(RangeTest) takes nothing but ax: the test has been made")
        found = model
    elif loss is None or loader is None:
        raise TypeError("lr_find needs a model, a loss and a loader, or a RangeTest")
    else:
        found = range_test(model, loss, loader, optimizer, **options)
    ax = axes(ax)
    first, second = colours(ax)[:2]
    ax.plot(found.rates, found.raw, color=first, alpha=0.35, linewidth=0.8)
    ax.plot(found.rates, found.losses, color=first, linewidth=1.8)
    ax.set_xscale("log")
    finite = found.losses[np.isfinite(found.losses)]
    if finite.size:
        low, top = (
            float(finite.min()),
            float(max(finite[: max(len(finite) // 2, 1)].max(), finite[0])),
        )
        room = max(top - low, abs(top) * 0.05, 1e-6)
        ax.set_ylim(low - 0.15 * room, top + 0.6 * room)
    if found.suggestion is None:
        ax.set_title("the loss does not fall", color=muted(ax))
    else:
        ax.axvline(found.suggestion, color=second, linestyle="--", linewidth=1.2)
        ax.set_title(f"steepest at a learning rate of {found.suggestion:.2g}")
    ax.set_xlabel("learning rate")
    ax.set_ylabel("loss")
    ax.grid(alpha=0.2)
    plain(ax)
    return ax
