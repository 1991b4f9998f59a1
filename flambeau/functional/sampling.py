"""Sampling of images at given places: affine_grid and grid_sample.

Coordinates run from -1 to 1 over an axis. They become element coordinates, are brought into the
image as the padding mode says, and weigh the elements around them, which are gathered as rows of
channels. Gradients follow from that arithmetic; as in PyTorch there is none through rounding and
none beyond a border.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable
from typing import Any

from flambeau.core import dtypes
from flambeau.core.calls import refuse_misgiven
from flambeau.core.dtypes import DType
from flambeau.functional.neural import NamedOp, column, record, widened
from flambeau.functional.resizing import cubic_weights
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import reduction as rd
from flambeau.ops import source, view
from flambeau.ops.contraction import dot, swap_last
from flambeau.ops.indexed import take
from flambeau.ops.value import Shape, Value
from flambeau.tensor.tensor import Tensor

# ---- affine_grid --------------------------------------------------------------------------------


def _centres(n: int, align_corners: bool, dtype: DType) -> Value:
    """n coordinates from -1 to 1: those of the corners, or of the elements' centres."""
    if n == 1:
        return ar.full((1,), 0.0, dtype)
    step = 2.0 / (n - 1)
    number = ar.cast(source.iota(size=n), dtype)
    # From both ends, so that the coordinates are symmetric.
    line = ar.where(ar.lt(number, n // 2), number * step - 1.0, 1.0 - ((n - 1.0) - number) * step)
    return line if align_corners else line * ((n - 1) / n)


def _affine_grid(theta: Value, space: Shape, align_corners: bool) -> Value:
    """[N, *space, rank] from theta [N, rank, rank + 1]."""
    rank = len(space)
    wide = widened(theta)
    lines = []
    for a in range(rank - 1, -1, -1):  # x before y before z
        line = _centres(space[a], align_corners, wide.dtype)
        shape = tuple(n if i == a else 1 for i, n in enumerate(space))
        lines.append(column(ar.expand(column(line, shape), space), (*space, 1)))
    ones = ar.full((*space, 1), 1.0, wide.dtype)
    base = view.concat(*lines, ones, axis=rank)
    batch, places = theta.shape[0], math.prod(space)
    base = ar.expand(view.reshape(base, shape=(1, places, rank + 1)), (batch, places, rank + 1))
    grid = dot(base, swap_last(wide))
    return ar.cast(view.reshape(grid, shape=(batch, *space, rank)), theta.dtype)


AFFINE_GRID = NamedOp(
    "affine_grid_generator", _affine_grid, lambda *_: "AffineGridGeneratorBackward0"
)


def _warn_of_corners() -> None:
    warnings.warn(
        "Default grid_sample and affine_grid behavior has changed to align_corners=False since "
        "1.3.0. Please specify align_corners=True if the old behavior is desired. See the "
        "documentation of grid_sample for details.",
        stacklevel=3,
    )


def affine_grid(theta: Tensor, size: Any, align_corners: bool | None = None) -> Tensor:
    """The places [N, *space, rank] in the input that theta [N, rank, rank + 1] maps a result to.

    `size` is the result's, [N, C, H, W] or [N, C, D, H, W]. Raises ValueError for a theta that does
    not fit.
    """
    if align_corners is None:
        _warn_of_corners()
        align_corners = False
    if not theta.dtype.is_floating_point:
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    size = tuple(int(n) for n in size)
    if len(size) not in (4, 5):
        raise NotImplementedError(
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, "
            f"respectively. Got size {size}."
        )
    rank = len(size) - 2
    if theta.ndim != 3 or tuple(theta.shape[1:]) != (rank, rank + 1):
        raise ValueError(
            f"Expected a batch of {rank}D affine matrices of shape Nx{rank}x{rank + 1} for size "
            f"{size}. Got {theta.shape}."
        )
    if align_corners and min(size[2:]) == 1:
        warnings.warn(
            "Since version 1.3.0, affine_grid behavior has changed for unit-size grids when "
            "align_corners=True. This is not an intended use case of affine_grid. See the "
            "documentation of affine_grid for details.",
            stacklevel=2,
        )
    elif min(size) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {size}")
    if theta.shape[0] != size[0]:
        raise RuntimeError(
            f"Expected a batch of {rank}D affine matrices of shape Nx{rank}x{rank + 1} for size "
            f"{list(size)}. Got {list(theta.shape)}."
        )
    return record(AFFINE_GRID, (theta,), (size[2:], bool(align_corners)))


# ---- grid_sample --------------------------------------------------------------------------------

MODES = ("bilinear", "nearest", "bicubic")
PADDINGS = ("zeros", "border", "reflection")


def _limited(x: Value, n: int) -> Value:
    """x brought into [0, n - 1]; no gradient at and beyond the limits."""
    zero, last = ar.zeros_like(x), ar.full_like(x, float(n - 1))
    return el.where(el.le(x, zero), zero, el.where(ar.ge(x, float(n - 1)), last, x))


def _reflected(x: Value, n: int, align_corners: bool) -> Value:
    """x mirrored at the first and last element (or at their outer edges) until it is inside."""
    low, high = (0.0, n - 1.0) if align_corners else (-0.5, n - 0.5)
    span = high - low
    if span == 0:
        return ar.zeros_like(x)
    x = x - low
    size = el.where(ar.lt(x, 0), el.neg(x), x)
    flips = el.floor(size / span)
    rest = size - flips * span
    half = flips * 0.5
    even = el.eq(el.floor(half), half)
    return el.where(even, rest + low, (span + low) - rest)


def _inside(x: Value, n: int, padding: str, align_corners: bool) -> Value:
    """An element coordinate as the padding mode moves it."""
    if padding == "border":
        return _limited(x, n)
    if padding == "reflection":
        return _limited(_reflected(x, n, align_corners), n)
    return x


class Pixels:
    """Images [N, C, *space] as rows of channels to gather from."""

    def __init__(self, x: Value) -> None:
        self.batch, self.channels, *space = x.shape
        self.space = tuple(space)
        order = (0, *range(2, x.ndim), 1)
        last = view.permute(x, order=order)
        self.rows = view.reshape(last, shape=(x.size // max(x.shape[1], 1), x.shape[1]))

    def at(self, places: list[Value], weight: Value | None) -> Value:
        """Elements [N, *out, C] at whole float coordinates, slowest axis first, times a weight
        [N, *out]; zeros outside the image.
        """
        shape = places[0].shape
        number = column(source.iota(size=self.batch), (self.batch,) + (1,) * (len(shape) - 1))
        flat: Value = ar.expand(number, shape)
        valid: Value | None = None
        for place, n in zip(places, self.space, strict=True):
            here = ar.logical_and(ar.ge(place, 0.0), ar.le(place, float(n - 1)))
            valid = here if valid is None else ar.logical_and(valid, here)
            index = ar.cast(el.where(here, place, ar.zeros_like(place)), dtypes.int64)
            flat = ar.add(ar.mul(flat, n), index)
        assert valid is not None
        rows = take(self.rows, flat, what="index")
        valid = ar.expand(column(valid, (*shape, 1)), rows.shape)
        if weight is not None:
            rows = rows * ar.expand(column(weight, (*shape, 1)), rows.shape)
        return el.where(valid, rows, ar.zeros_like(rows))


def _sum(parts: list[Value]) -> Value:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _linear_samples(pixels: Pixels, coordinates: list[Value]) -> Value:
    """The weighted corners of the cell around each coordinate."""
    lows = [source.detach(el.floor(x)) for x in coordinates]
    rests = [x - low for x, low in zip(coordinates, lows, strict=True)]
    parts = []
    for corner in itertools.product((0, 1), repeat=len(lows)):
        weight: Value | None = None
        for bit, rest in zip(corner, rests, strict=True):
            factor = rest if bit else 1.0 - rest
            weight = factor if weight is None else weight * factor
        places = [low + float(bit) if bit else low for bit, low in zip(corner, lows, strict=True)]
        parts.append(pixels.at(places, weight))
    return _sum(parts)


def _cubic_samples(
    pixels: Pixels, coordinates: list[Value], padding: str, align_corners: bool
) -> Value:
    """Sixteen weighted elements around each coordinate, each brought inside by itself."""
    lows = [source.detach(el.floor(x)) for x in coordinates]
    weights = [cubic_weights(x - low) for x, low in zip(coordinates, lows, strict=True)]
    places = [
        [_inside(low + float(k - 1), n, padding, align_corners) for k in range(4)]
        for low, n in zip(lows, pixels.space, strict=True)
    ]
    parts = []
    for i, j in itertools.product(range(4), repeat=2):
        parts.append(pixels.at([places[0][i], places[1][j]], weights[0][i] * weights[1][j]))
    return _sum(parts)


def _check_images(x: Value, grid: Value, mode: str) -> None:
    if x.dtype is not grid.dtype:
        raise RuntimeError(
            "grid_sampler(): expected input and grid to have same dtype, but input has "
            f"{x.dtype.scalar_name.lower()} and grid has {grid.dtype.scalar_name.lower()}"
        )
    if x.shape[0] != grid.shape[0]:
        raise RuntimeError(
            "grid_sampler(): expected grid and input to have same batch size, but got input with "
            f"sizes {list(x.shape)} and grid with sizes {list(grid.shape)}"
        )
    if grid.shape[-1] != x.ndim - 2:
        raise RuntimeError(
            f"grid_sampler(): expected grid to have size {x.ndim - 2} in last dimension, but got "
            f"grid with sizes {list(grid.shape)}"
        )
    if min(x.shape[2:]) <= 0:
        a = next(i for i, n in enumerate(x.shape) if i > 1 and n <= 0)
        raise RuntimeError(
            "grid_sampler(): expected input to have non-empty spatial dimensions, but input has "
            f"sizes {list(x.shape)} with dimension {a} being empty"
        )
    if x.ndim not in (4, 5) or x.ndim != grid.ndim:
        raise RuntimeError(
            f"grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, "
            f"but got input with sizes {list(x.shape)} and grid with sizes {list(grid.shape)}"
        )
    if x.ndim == 5 and mode == "bicubic":
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")
    if not x.dtype.is_floating_point:
        kernel = "grid_sampler_2d_cpu_kernel_impl" if x.ndim == 4 else "grid_sampler3d_cpu"
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{x.dtype.scalar_name}'")


def _grid_sample(x: Value, grid: Value, mode: str, padding: str, align_corners: bool) -> Value:
    _check_images(x, grid, mode)
    rank, places = x.ndim - 2, grid.shape[:-1]
    if not x.size or not grid.size:
        return ar.full((*x.shape[:2], *places[1:]), 0.0, x.dtype)
    pixels, wide = Pixels(widened(x)), widened(grid)
    coordinates = []
    for a, n in enumerate(pixels.space):  # the grid's last axis holds x, y, z: the reverse order
        part = view.slice_(
            wide,
            starts=(0,) * (grid.ndim - 1) + (rank - 1 - a,),
            sizes=(*places, 1),
            steps=(1,) * grid.ndim,
        )
        part = view.reshape(part, shape=places)
        at = (part + 1.0) * ((n - 1) / 2) if align_corners else ((part + 1.0) * n - 1.0) * 0.5
        coordinates.append(at if mode == "bicubic" else _inside(at, n, padding, align_corners))
    if mode == "bilinear":
        rows = _linear_samples(pixels, coordinates)
    elif mode == "bicubic":
        rows = _cubic_samples(pixels, coordinates, padding, align_corners)
    else:
        rows = pixels.at([el.round_(at) for at in coordinates], None)
        if grid.tracked:  # no slope, but a gradient of zeros
            nothing = rd.sum_(wide * 0.0, axes=(grid.ndim - 1,))
            rows = source.relink(rows, rows + ar.expand(column(nothing, (*places, 1)), rows.shape))
    order = (0, rank + 1, *range(1, rank + 1))
    return ar.cast(view.permute(rows, order=order), x.dtype)


def _grid_name(x: Value, *rest: Any) -> str:
    return f"GridSampler{x.ndim - 2}DBackward0"


GRID_SAMPLE = NamedOp("grid_sampler", _grid_sample, _grid_name)


def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """Images [N, C, *space] sampled at the places of grid [N, *out, rank]: [N, C, *out].

    A place is (x, y) or (x, y, z), from -1 to 1. Raises ValueError for unknown modes.
    """
    try:
        if mode not in MODES:
            raise ValueError(
                "nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or "
                f"'bicubic', but got: '{mode}'"
            )
        if padding_mode not in PADDINGS:
            raise ValueError(
                "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or "
                f"'reflection', but got: '{padding_mode}'"
            )
        if align_corners is None:
            _warn_of_corners()
            align_corners = False
        return record(GRID_SAMPLE, (input, grid), (mode, padding_mode, bool(align_corners)))
    except Exception:
        refuse_misgiven()
        raise


METHODS: dict[str, Callable[..., Any]] = {}

# Names of torch.nn.functional; the torch namespace has none of them.
__all__ = ["affine_grid", "grid_sample"]
