"""The loss around a model's parameters, over two directions, and the way a training took there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from flambeau.autograd.modes import no_grad
from flambeau.functional.from_data import from_numpy
from flambeau.nn.modules.module import Module
from flambeau.plot.canvas import SEQUENTIAL, Array, array, axes, evaluating, is_dark, pyplot
from flambeau.tensor.tensor import Tensor


def snapshot(model: Module) -> Array:
    """A model's parameters now, as one float vector: for the trajectory of `loss_surface`."""
    parts = [array(p, "a parameter").reshape(-1) for p in model.parameters()]
    if not parts:
        raise ValueError("the model has no parameters")
    return np.concatenate(parts).astype(np.float64)


def loss_surface(
    model: Module,
    loss: Any,
    data: Any,
    *,
    directions: Any = "random",
    trajectory: Sequence[Any] | None = None,
    span: float = 1.0,
    points: int = 25,
    kind: str = "contour",
    log: bool = False,
    seed: int = 0,
    ax: Any = None,
) -> Any:
    """The loss in a plane through the model's parameters; gives the axes.

    `loss(model(x), y)` is taken of `data`, a batch (x, y) or a list of them, in evaluation mode.
    `directions` are "random" (two random ones, each filter as long as the model's own, biases and
    other vectors left alone), "pca" (the two along which `trajectory` spread most) or two vectors.
    `trajectory` holds `snapshot`s or state dicts; it is drawn as a path, and the picture reaches as
    far as it does; without one, `span` times the directions each way. `kind` is "contour" or "3d".
    The model is unchanged afterwards.
    """
    if kind not in ("contour", "3d"):
        raise ValueError(f"kind must be 'contour' or '3d', got {kind!r}")
    if points < 3:
        raise ValueError(f"at least 3 points are needed, got {points}")
    if not span > 0:
        raise ValueError(f"span must be positive, got {span}")
    batches = data if isinstance(data, list) else [data]
    if not batches or not all(isinstance(b, (list, tuple)) and len(b) > 1 for b in batches):
        raise TypeError("data must be a batch (x, y), or a list of them")
    middle = snapshot(model)
    path = None if trajectory is None else _path(model, trajectory, middle.size)
    plane = _plane(model, directions, path, middle, seed)
    places = None if path is None else _project(path - middle, plane)
    lines = _extent(places, span, points)
    heights = np.empty((points, points))
    with _moving(model) as move, evaluating(model), no_grad():
        for row, b in enumerate(lines[1]):
            for column, a in enumerate(lines[0]):
                move(middle + a * plane[0] + b * plane[1])
                heights[row, column] = _mean(model, loss, batches)
        climb: list[float] = []
        if places is not None and kind == "3d":
            for a, b in places:
                move(middle + a * plane[0] + b * plane[1])
                climb.append(_mean(model, loss, batches))
    along = np.asarray(climb)
    if log:
        heights, along = (np.log10(np.maximum(v, 1e-12)) for v in (heights, along))
    name = "log10 of the loss" if log else "loss"
    draw = _contour if kind == "contour" else _relief
    return draw(ax, lines, heights, places, along, name)


def _mean(model: Module, loss: Any, batches: Any) -> float:
    total = 0.0
    for *inputs, target in batches:
        total += float(loss(model(*inputs), target).item())
    return total / len(batches)


@contextlib.contextmanager
def _moving(model: Module) -> Iterator[Any]:
    """A function that gives the parameters other values; afterwards they have their own again."""
    parameters = list(model.parameters())
    before = [p.detach().clone() for p in parameters]

    def move(values: Array) -> None:
        start = 0
        for parameter in parameters:
            part = values[start : start + parameter.numel()].reshape(tuple(parameter.shape))
            start += parameter.numel()
            parameter.copy_(from_numpy(np.ascontiguousarray(part)))

    try:
        yield move
    finally:
        with no_grad():
            for parameter, value in zip(parameters, before):
                parameter.copy_(value)


def _vector(model: Module, value: Any, name: str, size: int) -> Array:
    if isinstance(value, Mapping):
        value = [value[key] for key, _ in model.named_parameters()]
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], (Tensor, np.ndarray)):
        value = np.concatenate([array(v, name).reshape(-1) for v in value])
    found = array(value, name).reshape(-1).astype(np.float64)
    if found.size != size:
        raise ValueError(f"{name} must have the model's {size} parameters, got {found.size}")
    return found


def _path(model: Module, trajectory: Sequence[Any], size: int) -> Array:
    if len(trajectory) < 2:
        raise ValueError("trajectory must hold two snapshots at least")
    return np.stack([_vector(model, one, "a snapshot", size) for one in trajectory])


def _plane(model: Module, directions: Any, path: Array | None, middle: Array, seed: int) -> Array:
    """Two directions [2, parameters]."""
    if isinstance(directions, str):
        if directions == "pca":
            if path is None:
                raise ValueError("directions='pca' needs a trajectory")
            if len(path) < 3:
                raise ValueError("directions='pca' needs three snapshots at least")
            found: Array = np.linalg.svd(path - middle, full_matrices=False)[2][:2]
            return found
        if directions == "random":
            draw = np.random.default_rng(seed)
            return np.stack([_filterwise(model, draw) for _ in range(2)])
        raise ValueError(f"directions must be 'random', 'pca' or two vectors, got {directions!r}")
    if len(directions) != 2:
        raise ValueError(f"two directions are needed, got {len(directions)}")
    return np.stack([_vector(model, one, "a direction", middle.size) for one in directions])


def _filterwise(model: Module, draw: np.random.Generator) -> Array:
    """A random direction, each filter of it as long as the model's own (Li et al. 2018)."""
    parts = []
    for parameter in model.parameters():
        own = array(parameter, "a parameter").astype(np.float64)
        if own.ndim < 2:
            parts.append(np.zeros(own.size))
            continue
        rows, part = own.reshape(len(own), -1), draw.standard_normal((len(own), own[0].size))
        lengths = np.linalg.norm(part, axis=1, keepdims=True)
        part *= np.linalg.norm(rows, axis=1, keepdims=True) / np.maximum(lengths, 1e-12)
        parts.append(part.reshape(-1))
    return np.concatenate(parts)


def _project(offsets: Array, plane: Array) -> Array:
    """Where vectors lie in the plane, by least squares: [N, 2]."""
    found: Array = np.linalg.lstsq(plane.T, offsets.T, rcond=None)[0].T
    return found


def _extent(places: Array | None, span: float, points: int) -> list[Array]:
    if places is None:
        return [np.linspace(-span, span, points)] * 2
    low, high = places.min(axis=0), places.max(axis=0)
    widest = max(float((high - low).max()), 1e-9)
    # A path along one direction still gets a plane to lie in.
    missing = np.maximum(0.4 * widest - (high - low), 0) / 2
    low, high = low - missing - 0.2 * widest, high + missing + 0.2 * widest
    return [np.linspace(a, b, points) for a, b in zip(low, high)]


def _contour(
    ax: Any, lines: list[Array], heights: Array, places: Array | None, along: Array, name: str
) -> Any:
    ax = axes(ax, (5.8, 4.6))
    finite = heights[np.isfinite(heights)]
    if not finite.size:
        raise ValueError("the loss is nowhere finite")
    # Levels by how often heights occur: a steep edge does not take them all.
    levels = np.unique(np.quantile(finite, np.linspace(0, 1, 19)))
    if len(levels) < 3:
        levels = np.linspace(finite.min() - 1e-6, finite.max() + 1e-6, 5)
    filled = ax.contourf(*lines, heights, levels=levels, cmap=SEQUENTIAL)
    ax.contour(*lines, heights, levels=levels, colors="white", linewidths=0.4, alpha=0.5)
    bar = ax.figure.colorbar(
        filled, ax=ax, format="%.3g", ticks=levels[:: max(len(levels) // 6, 1)]
    )
    bar.set_label(name)
    if places is not None:
        ax.plot(*places.T, color="white", linewidth=2.6)
        ax.plot(*places.T, color="#D55E00", linewidth=1.5, marker=".", markersize=5)
        ax.plot(*places[0], "o", color="white", markeredgecolor="black", label="start")
        ax.plot(
            *places[-1], "*", color="#F0E442", markeredgecolor="black", markersize=13, label="end"
        )
        ax.legend(framealpha=0.9)
    else:
        ax.plot(0, 0, "*", color="#F0E442", markeredgecolor="black", markersize=13)
    ax.set_xlabel("first direction")
    ax.set_ylabel("second direction")
    return ax


def _relief(
    ax: Any, lines: list[Array], heights: Array, places: Array | None, along: Array, name: str
) -> Any:
    if ax is None:
        ax = axes(None, (6.2, 5.2), subplot_kw={"projection": "3d"})
    elif getattr(ax, "name", "") != "3d":
        raise ValueError("kind='3d' needs axes of that kind: plt.subplot(projection='3d')")
    x, y = np.meshgrid(*lines)
    ax.plot_surface(
        *(x, y, heights),
        cmap=SEQUENTIAL,
        alpha=0.85 if len(along) else 1.0,
        linewidth=0.2,
        edgecolor="#ffffff40" if is_dark(ax) else "#00000030",
        antialiased=True,
        rcount=60,
        ccount=60,
    )
    if places is not None:
        lift = 0.02 * float(np.nanmax(heights) - np.nanmin(heights))
        ax.plot(*places.T, along + lift, color="#D55E00", linewidth=2.2, zorder=10)
        end = (*places[-1:].T, along[-1:] + lift)
        ax.plot(*end, "*", color="#F0E442", markeredgecolor="black", markersize=13, zorder=11)
    pane = (*pyplot().matplotlib.colors.to_rgb(ax.get_facecolor()), 1.0)
    for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
        axis.set_pane_color(pane)
    ax.set_xlabel("first direction")
    ax.set_ylabel("second direction", labelpad=8)
    ax.set_zlabel(name, labelpad=8)
    ax.set_box_aspect(None, zoom=0.85)
    return ax
