"""What the pictures share: matplotlib when it is needed, axes, colours, data as arrays, mosaics."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterable, Iterator, Mapping
from math import ceil, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flambeau.core.size import Size
from flambeau.nn.modules.module import Module
from flambeau.tensor.tensor import Tensor

Array = NDArray[Any]

# Okabe and Ito's colours, which all kinds of colour vision tell apart, in the order of contrast
# with each background.
LIGHT = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DARK = ("#56B4E9", "#E69F00", "#2FCB9A", "#E79BC4", "#F0E442", "#FF8A4C")
DIVERGING, SEQUENTIAL = "PuOr_r", "viridis"


def pyplot() -> Any:
    """matplotlib.pyplot; ImportError that names the extra where it is not installed."""
    try:
        return importlib.import_module("matplotlib.pyplot")
    except ImportError as error:
        raise ImportError(
            "flambeau.plot draws with matplotlib, which is not installed: "
            "pip install 'flambeau[plot]', or pip install matplotlib"
        ) from error


def axes(ax: Any, size: tuple[float, float] = (6.4, 4.0), **options: Any) -> Any:
    """`ax`, or the axes of a new figure of that size in inches."""
    plt = pyplot()
    if ax is None:
        _, ax = plt.subplots(figsize=size, layout="constrained", **options)
    elif not hasattr(ax, "plot") or not hasattr(ax, "figure"):
        raise TypeError(f"ax must be matplotlib axes, got {type(ax).__name__}")
    return ax


def is_dark(ax: Any) -> bool:
    """Whether the background is dark."""
    red, green, blue, alpha = ax.get_facecolor()
    if not alpha:
        red, green, blue, _ = ax.figure.get_facecolor()
    return bool(0.3 * red + 0.6 * green + 0.1 * blue < 0.5)


def colours(ax: Any) -> tuple[str, ...]:
    """Six colours for lines and points on this background."""
    return DARK if is_dark(ax) else LIGHT


def ink(ax: Any) -> Any:
    """The colour of texts."""
    return pyplot().rcParams["text.color"]


def muted(ax: Any) -> str:
    """A grey for what stands behind."""
    return "#9a9a9a" if is_dark(ax) else "#7a7a7a"


def plain(ax: Any) -> None:
    """Takes away the frame's upper and right lines."""
    ax.spines[["top", "right"]].set_visible(False)


# ---- data ----------------------------------------------------------------------------------------


def array(value: Any, name: str, dims: int | tuple[int, ...] | None = None) -> Array:
    """Numbers as an array of their own. TypeError for what is none, ValueError for other dims."""
    if isinstance(value, Tensor):
        found = np.array(value.detach()._values())
    elif isinstance(value, (list, tuple)) and any(isinstance(v, Tensor) for v in value):
        found = np.array([array(v, name) for v in value])
    else:
        if isinstance(value, (Iterator, Mapping, set)) or type(value) is range:
            value = list(value)
        try:
            found = np.array(value)
        except (TypeError, ValueError):
            found = np.array(None)
    if found.dtype.kind not in "biuf":
        raise TypeError(
            f"{name} must be numbers (a tensor, an array or a list), got {type(value).__name__}"
        )
    wanted = (dims,) if isinstance(dims, int) else dims
    if wanted is not None and found.ndim not in wanted:
        raise ValueError(
            f"{name} must have {' or '.join(map(str, wanted))} dimensions, "
            f"got the shape {tuple(found.shape)}"
        )
    return found


def same_length(**named: Array) -> None:
    """ValueError where arrays have different numbers of entries."""
    lengths = {name: len(value) for name, value in named.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(
            "as many are needed of each: "
            + ", ".join(f"{name} has {length}" for name, length in lengths.items())
        )


def class_names(classes: Any, count: int) -> list[str]:
    """The classes' names, by default their numbers. ValueError for too few."""
    if classes is None:
        return [str(n) for n in range(count)]
    names = [str(name) for name in classes]
    if len(names) < count:
        raise ValueError(f"{count} classes occur, but only {len(names)} names were given")
    return names


def probabilities(scores: Array) -> Array:
    """Scores [N, C] as probabilities: as they are where they are some already."""
    if scores.min() >= 0 and np.allclose(scores.sum(axis=1), 1, atol=1e-3):
        return scores
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    found: Array = shifted / shifted.sum(axis=1, keepdims=True)
    return found


def named_parameters(model: Any) -> list[tuple[str, Tensor]]:
    """(name, parameter) of a model, a mapping or pairs. ValueError where there is none."""
    if isinstance(model, Module):
        found: list[tuple[str, Tensor]] = [*model.named_parameters()]
    elif isinstance(model, Mapping):
        found = list(model.items())
    elif isinstance(model, Iterable):
        found = [
            pair if isinstance(pair, tuple) else (str(place), pair)
            for place, pair in enumerate(model)
        ]
    else:
        raise TypeError(
            f"a model, a mapping or (name, tensor) pairs are needed, got {type(model).__name__}"
        )
    if not found:
        raise ValueError("there are no parameters")
    return found


@contextlib.contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Modules are in evaluation mode, and in their own again afterwards."""
    modules = list(model.modules()) if isinstance(model, Module) else []
    modes = [module.training for module in modules]
    try:
        for module in modules:
            module.training = False
        yield
    finally:
        for module, mode in zip(modules, modes):
            module.training = mode


# ---- mosaics -------------------------------------------------------------------------------------


def mosaic(
    tiles: Array, columns: int | None = None, *, gap: int = 1, below: int = 0
) -> tuple[Array, list[tuple[int, int]]]:
    """Tiles [N, H, W] or [N, H, W, 3] side by side, and each one's top left corner (x, y).

    `gap` pixels between them, and `below` more above each for a text, are transparent (NaN).
    """
    count, height, width = tiles.shape[:3]
    columns = min(columns or ceil(sqrt(count * height / width)), count)
    rows = ceil(count / columns)
    step_y, step_x = height + gap + below, width + gap
    shape = (rows * step_y - gap, columns * step_x - gap, *tiles.shape[3:])
    canvas = np.full(shape, np.nan)
    corners = []
    for place, tile in enumerate(tiles):
        y, x = (place // columns) * step_y + below, (place % columns) * step_x
        canvas[y : y + height, x : x + width] = tile
        corners.append((x, y))
    return canvas, corners


def show_tiles(ax: Any, canvas: Array, **options: Any) -> Any:
    """Draws a mosaic without ticks or frame, gaps in the background's colour."""
    if canvas.ndim == 3:  # images in colours: what is transparent needs a fourth channel
        solid = ~np.isnan(canvas[..., :1])
        canvas = np.concatenate([np.nan_to_num(canvas), solid], axis=2)
    picture = ax.imshow(canvas, interpolation="nearest", **options)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    return picture


def mosaic_size(canvas: Array, width: float = 6.0, more: float = 0.4) -> tuple[float, float]:
    """A figure's size in inches for a mosaic."""
    ratio = canvas.shape[0] / canvas.shape[1]
    height = min(max(width * ratio + more, 1.2), 7.0)
    return min(width, max(height / ratio, 2.0) + more), height


def unit(images: Array) -> Array:
    """Images scaled to [0, 1] where they leave it: all of them alike."""
    low, high = float(np.nanmin(images)), float(np.nanmax(images))
    if images.dtype.kind in "iu" and low >= 0 and high > 1:
        low, high = 0.0, max(high, 255.0)
    elif low >= 0 and high <= 1:
        return images.astype(float)
    found: Array = (images - low) / max(high - low, 1e-12)
    return found


def as_images(images: Array, name: str) -> Array:
    """Images as [N, H, W] or [N, H, W, 3], from [N, H, W], [N, C, H, W] or [N, H, W, C]."""
    if images.ndim == 3:
        return images
    if images.ndim == 4 and images.shape[1] in (1, 3):
        images = np.moveaxis(images, 1, -1)
    if images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise ValueError(
            f"{name} must be [N, H, W] or have 1 or 3 channels, got the shape {Size(images.shape)}"
        )
    return images[..., 0] if images.shape[-1] == 1 else images
