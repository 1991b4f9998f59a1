"""Pictures of what is inside a network: filters, feature maps, gradients, weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.autograd.modes import no_grad
from flambeau.functional.from_data import from_numpy
from flambeau.nn.modules.module import Module
from flambeau.plot.canvas import (
    DIVERGING,
    SEQUENTIAL,
    Array,
    array,
    axes,
    colours,
    evaluating,
    ink,
    mosaic,
    mosaic_size,
    muted,
    named_parameters,
    plain,
    show_tiles,
)
from flambeau.tensor.tensor import Tensor

APART = 25  # times as far as another row: then each has its own scale
LABELS = 60  # rows up to which every parameter has its name


def filters(
    layer: Any,
    *,
    count: int = 64,
    shape: tuple[int, int] | None = None,
    columns: int | None = None,
    ax: Any = None,
) -> Any:
    """The weights of a convolution as tiles; gives the axes.

    `layer` is a module with a `weight`, or the weight [out, in, H, W]. Filters of three channels
    are pictures in colours, each scaled on its own; others are one tile a channel, a row a filter
    (up to 16 channels), on a scale with zero in the middle. `shape` (H, W) makes tiles of the rows
    of a Linear's weight [out, H * W]. At most `count` filters are shown.
    """
    weight = layer.weight if isinstance(layer, Module) and hasattr(layer, "weight") else layer
    if isinstance(weight, Module):
        raise TypeError(f"{type(layer).__name__} has no weight")
    values = array(weight, "the weight").astype(float)
    if count < 1:
        raise ValueError(f"count must be positive, got {count}")
    if shape is not None:
        if values.ndim != 2 or values.shape[1] != shape[0] * shape[1]:
            raise ValueError(
                f"a weight [out, {shape[0]} * {shape[1]}] is needed, got {values.shape}"
            )
        values = values.reshape(-1, 1, *shape)
    if values.ndim != 4:
        raise ValueError(f"a weight [out, in, H, W] is needed, got the shape {values.shape}")
    values = values[:count]
    if values.shape[1] == 3:
        low, high = (f(values, axis=(1, 2, 3), keepdims=True) for f in (np.min, np.max))
        tiles = np.moveaxis((values - low) / np.maximum(high - low, 1e-12), 1, -1)
        canvas, _ = mosaic(tiles, columns)
        ax = axes(ax, mosaic_size(canvas, 5.0))
        show_tiles(ax, canvas)
        return ax
    if values.shape[1] > 1:
        values, columns = values[: min(count, 16), :16], min(values.shape[1], 16)
    canvas, _ = mosaic(values.reshape(-1, *values.shape[2:]), columns)
    ax = axes(ax, mosaic_size(canvas, 5.4))
    most = float(np.abs(values).max()) or 1.0
    picture = show_tiles(ax, canvas, cmap=DIVERGING, vmin=-most, vmax=most)
    ax.figure.colorbar(picture, ax=ax, format="%.2g", shrink=0.8, ticks=[-most, 0, most])
    if values.shape[1] > 1:
        ax.set_xlabel("input channels")
        ax.set_ylabel("filters")
    return ax


def feature_maps(
    model: Module,
    x: Any,
    layer: str | Module,
    *,
    count: int = 32,
    columns: int | None = None,
    ax: Any = None,
) -> Any:
    """What a layer gives for one image, a tile a channel; gives the axes.

    `x` is an image [C, H, W] or a batch, of which the first is shown; `layer` a module of the model
    or its name. The model runs once, in evaluation mode, without gradients.
    """
    if isinstance(layer, str):
        modules = dict(model.named_modules())
        if layer not in modules:
            names = ", ".join(name for name in modules if name)
            raise ValueError(f"the model has no layer {layer!r} (it has {names})")
        name, layer = layer, modules[layer]
    else:
        name = next((n for n, module in model.named_modules() if module is layer), "")
        if not any(module is layer for module in model.modules()):
            raise ValueError(f"this {type(layer).__name__} is no layer of the model")
    if count < 1:
        raise ValueError(f"count must be positive, got {count}")
    image = x if isinstance(x, Tensor) else from_numpy(array(x, "x").astype(np.float32))
    if image.ndim not in (3, 4):
        raise ValueError(f"x must be [C, H, W] or [N, C, H, W], got {tuple(image.shape)}")
    seen: list[Any] = []
    handle = layer.register_forward_hook(lambda module, args, output: seen.append(output))
    try:
        with evaluating(model), no_grad():
            model(image[:1] if image.ndim == 4 else image.unsqueeze(0))
    finally:
        handle.remove()
    if not seen:
        raise ValueError(f"the layer {name!r} was not called")
    maps = array(seen[-1][0] if isinstance(seen[-1], (list, tuple)) else seen[-1], "the output")
    if maps.ndim != 4:
        raise ValueError(f"the layer {name!r} gives no maps [N, C, H, W], but {maps.shape}")
    maps = maps[0].astype(float)
    canvas, _ = mosaic(maps[:count], columns or min(8, len(maps)))
    ax = axes(ax, mosaic_size(canvas, 6.4))
    picture = show_tiles(ax, canvas, cmap=SEQUENTIAL)
    ax.figure.colorbar(picture, ax=ax, format="%.2g", shrink=0.8)
    channels, height, width = maps.shape
    part = f"{count} of {channels}" if channels > count else str(channels)
    ax.set_title(f"{name or type(layer).__name__}: {part} maps of {height} x {width}", fontsize=10)
    return ax


def gradient_flow(
    model: Any, *, vanishing: float = 1e-7, exploding: float = 1e2, ax: Any = None
) -> Any:
    """The mean and largest gradient of each parameter, first layers on top; gives the axes.

    Call it after `backward`. `model` is a module, or (name, parameter) pairs. Means below
    `vanishing` and above `exploding` stand out, and so do gradients that are missing, zero or not
    finite.
    """
    if not 0 < vanishing < exploding:
        raise ValueError(f"0 < vanishing < exploding is needed, got {vanishing}, {exploding}")
    pairs = [(name, p) for name, p in named_parameters(model) if p.requires_grad]
    if not pairs:
        raise ValueError("no parameter requires gradients")
    if all(p.grad is None for _, p in pairs):
        raise ValueError("no parameter has a gradient: call backward() first")
    names = [name for name, _ in pairs]
    sizes = [None if p.grad is None else np.abs(array(p.grad, "a gradient")) for _, p in pairs]
    means = np.array([np.nan if g is None or not g.size else float(g.mean()) for g in sizes])
    tops = np.array([np.nan if g is None or not g.size else float(g.max()) for g in sizes])
    ax = axes(ax, _row_size(len(names)))
    first, warning = colours(ax)[:2]
    rows = np.arange(len(names))
    bad = ~((means >= vanishing) & (means <= exploding))
    drawn = np.isfinite(means) & (means > 0)
    floor = min(float(means[drawn].min()) if drawn.any() else vanishing, 1e-3) / 10
    for mask, colour, label in ((drawn & ~bad, first, "mean"), (drawn & bad, warning, "unusual")):
        if mask.any():
            ax.barh(rows[mask], means[mask], color=colour, height=0.7, left=0, label=label)
    seen = np.isfinite(tops) & (tops > 0)
    ax.plot(tops[seen], rows[seen], "|", color=ink(ax), markersize=8, label="largest")
    ax.set_xscale("log")
    most = float(max(tops[seen].max() if seen.any() else 1.0, floor * 100))
    ax.set_xlim(floor, most * 3)
    for row in rows[bad]:
        text = _verdict(sizes[row], float(means[row]), vanishing)
        at = max(floor * 1.15, float(tops[row]) * 1.25 if drawn[row] else 0)
        ax.text(at, row, text, va="center", color=warning, fontsize=8, clip_on=True)
    for limit in (vanishing, exploding):
        if floor < limit < most * 3:
            ax.axvline(limit, color=muted(ax), linestyle=":", linewidth=1)
    _rows(ax, names)
    ax.set_xlabel("size of the gradient")
    handles, labels = ax.get_legend_handles_labels()
    ax.legend(handles, labels, frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1))
    return ax


def _verdict(gradient: Array | None, mean: float, vanishing: float) -> str:
    if gradient is None:
        return "none"
    if not np.isfinite(mean):
        return "not finite"
    if mean == 0:
        return "zero"
    return "vanishing" if mean < vanishing else "exploding"


def weight_histograms(
    model: Any,
    *,
    bins: int = 60,
    biases: bool = False,
    gradients: bool = False,
    shared: bool | None = None,
    ax: Any = None,
) -> Any:
    """How the values of each parameter are spread, a row each, first layers on top; gives the axes.

    `model` is a module, or (name, tensor) pairs. `biases` shows vectors too, `gradients` shows the
    gradients' values. The number on the right is the standard deviation. Rows have one scale
    (`shared`) unless their spreads differ too much for that.
    """
    if bins < 2:
        raise ValueError(f"at least 2 bins are needed, got {bins}")
    pairs = named_parameters(model)
    if isinstance(model, Module) and not biases:
        pairs = [(name, p) for name, p in pairs if p.ndim > 1]
    if gradients:
        pairs = [(name, p.grad) for name, p in pairs if getattr(p, "grad", None) is not None]
    if not pairs:
        raise ValueError(
            "no parameter has a gradient: call backward() first"
            if gradients
            else "there are no weights (biases=True shows vectors)"
        )
    values = [array(value, name).reshape(-1).astype(float) for name, value in pairs]
    finite = [value[np.isfinite(value)] for value in values]
    ends = [(float(np.quantile(np.abs(v), 0.999)) if v.size else 0.0) or 1e-12 for v in finite]
    if shared is None:
        shared = max(ends) < APART * min(ends)
    if not shared:
        finite = [value / end for value, end in zip(finite, ends)]
    most = max(ends) if shared else 1.0
    ax = axes(ax, _row_size(len(pairs), 0.42))
    palette = colours(ax)
    edges = np.linspace(-most, most, bins + 1)
    centres = (edges[1:] + edges[:-1]) / 2
    for row, value in enumerate(finite):
        heights, _ = np.histogram(np.clip(value, -most, most), edges)
        tall = 0.85 * heights / max(int(heights.max()) if heights.size else 0, 1)
        ax.fill_between(
            *(centres, row + 0.4 - tall, row + 0.4),
            color=palette[0],
            alpha=0.75,
            linewidth=0,
            step="mid",
        )
        spread = f"{value.std() * (1 if shared else ends[row]):.2g}" if value.size else "empty"
        lost = values[row].size - value.size
        note = f"{spread}, {lost} not finite" if lost else spread
        ax.annotate(
            note,
            (1.01, row + 0.25),
            xycoords=("axes fraction", "data"),
            fontsize=8,
            color=palette[1] if lost else ink(ax),
            va="center",
        )
    ax.axvline(0, color=muted(ax), linewidth=0.7)
    ax.annotate("std", (1.01, 1.0), xycoords="axes fraction", fontsize=8, va="bottom")
    ax.set_xlim(-most * 1.02, most * 1.02)
    _rows(ax, [name for name, _ in pairs], top=-0.6)
    ax.set_xlabel(
        ("gradient" if gradients else "value") + ("" if shared else " / its row's largest")
    )
    return ax


def _row_size(count: int, each: float = 0.26) -> tuple[float, float]:
    return 6.8, float(min(max(1.3 + each * count, 2.2), 12.0))


def _rows(ax: Any, names: list[str], top: float = -0.5) -> None:
    """Names of rows at the left, the first on top; not more than fit."""
    every = max(1, -(-len(names) // LABELS))
    ax.set_yticks(range(0, len(names), every), names[::every])
    ax.tick_params(axis="y", labelsize=9 if len(names) < 30 else 7, length=0)
    ax.set_ylim(len(names) - 0.4, top)
    ax.grid(axis="x", alpha=0.2)
    plain(ax)
