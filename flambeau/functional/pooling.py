"""Pooling over the last one, two or three axes, with torch.nn.functional's signatures.

Maxima are the window primitives of `flambeau.ops.window`; means are sums over `windows` (a reshape
where windows tile the axis). Adaptive pools whose windows differ in
size gather them into equal blocks first.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flambeau.core import dtypes
from flambeau.core.calls import refuse_misgiven
from flambeau.core.dtypes import DType
from flambeau.functional.neural import (
    ImageOp,
    LineOp,
    column,
    flag,
    hashable,
    not_a_tensor,
    refuse_axis,
    sizes,
    unary,
    whole,
    widened,
)
from flambeau.functional.options import not_implemented
from flambeau.functional.pointwise import write_out
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import reduction as rd
from flambeau.ops import source, view
from flambeau.ops.value import Shape, Value
from flambeau.ops.window import max_pool, max_pool_index
from flambeau.record.events import PureOp
from flambeau.record.recorder import record_many
from flambeau.tensor.tensor import Tensor


@dataclass(frozen=True)
class Geometry:
    """Windows over the last axes: sizes, steps, padding, dilations, and the number of positions."""

    kernel: Shape
    stride: Shape
    padding: Shape
    dilation: Shape
    positions: Shape

    @property
    def window(self) -> dict[str, Shape]:
        return {"sizes": self.kernel, "steps": self.stride, "dilations": self.dilation}

    def high(self, space: Shape) -> Shape:
        """What to add behind each axis so that every window fits."""
        spans = zip(
            self.positions,
            self.stride,
            self.kernel,
            self.dilation,
            self.padding,
            space,
            strict=True,
        )
        return tuple(max((o - 1) * s + d * (k - 1) + 1 - p - n, 0) for o, s, k, d, p, n in spans)


def by(parts: Shape) -> str:
    return "x".join(map(str, parts))


_COUNTS = {2: "two", 3: "three"}


def _amounts(given: Any, rank: int, what: str, name: str) -> Shape:
    """One integer or `rank` of them, and what PyTorch says where there are others."""
    count = len(given) if isinstance(given, (tuple, list)) else 1
    if count in (1, rank):
        return sizes(given, rank, what, name)
    if name == "avg_pool1d":
        raise RuntimeError(f"avg_pool1d() argument '{what}' should contain one int (got {count})")
    if name == "max_pool1d":
        may = {"kernel_size": "an int, list of ints or", "dilation": "an int, list of ints or"}
        may |= {"stride": "None, an int, list of ints, or", "padding": "an int, list of ints, or"}
        verb = f"must be {may[what]} tuple of ints of size 1 but got size {count}"
        raise RuntimeError(f"max_pool1d() {what} {verb}")
    must = "must be either" if what == "dilation" else "must either be"
    if name == "avg_pool3d":
        must = "must be"
    omitted = " omitted," if what == "stride" else ""
    raise RuntimeError(
        f"{name}: {what} {must}{omitted} a single int, or a tuple of {_COUNTS[rank]} ints"
    )


def _refuse_nothing(kernel: Shape, stride: Shape, dilation: Shape) -> None:
    """RuntimeError for extents that are not above 0; a line is an image of one row."""
    names = "HW" if len(kernel) < 3 else "THW"
    for what, mark, given in (
        ("kernel size", "k", kernel), ("stride", "d", stride), ("dilation", "dilation", dilation),
    ):  # fmt: skip
        if any(n <= 0 for n in given):
            shown = (1, *given) if len(given) == 1 else given
            said = " ".join(f"{mark}{a}: {n}" for a, n in zip(names, shown, strict=True))
            raise RuntimeError(f"{what} should be greater than zero, but got {said}")


def _geometry(
    name: str, x: Value, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> Geometry:
    """Checked arguments of a pool; RuntimeError in PyTorch's words."""
    rank = int(name[-2])
    k = _amounts(kernel, rank, "kernel_size", name)
    s = k if stride is None or stride == () else _amounts(stride, rank, "stride", name)
    p, d = _amounts(padding, rank, "padding", name), _amounts(dilation, rank, "dilation", name)
    if name == "max_pool1d":
        for what, (n,) in (("kernel_size", k), ("stride", s), ("dilation", d)):
            if n <= 0:
                raise RuntimeError(f"max_pool1d() {what} must be greater than zero, but got {n}")
    if any(n == 0 for n in s):
        raise RuntimeError("stride should not be zero")
    _refuse_nothing(k, s, d)
    for one_p, one_k, one_d in zip(p, k, d, strict=True):
        if one_p < 0:
            if name == "max_pool1d":
                raise RuntimeError(f"max_pool1d() padding must be non-negative, but got {one_p}")
            raise RuntimeError(f"pad must be non-negative, but got pad: {one_p}")
        if one_p > ((one_k - 1) * one_d + 1) // 2:
            if name == "max_pool1d":
                raise RuntimeError(
                    "max_pool1d() padding should be at most half of kernel size, but got "
                    f"padding={one_p} and kernel_size={one_k}"
                )
            raise RuntimeError(
                "pad should be at most half of effective kernel size, but got "
                f"pad={one_p}, kernel_size={one_k} and dilation={one_d}"
            )
    space = x.shape[-rank:]
    out = []
    for n, one_k, one_s, one_p, one_d in zip(space, k, s, p, d, strict=True):
        free = n + 2 * one_p - one_d * (one_k - 1) - 1
        count = (free + (one_s - 1 if ceil_mode else 0)) // one_s + 1
        if ceil_mode and (count - 1) * one_s >= n + one_p:
            count -= 1  # the last window would begin in the padding
        out.append(count)
    positions = tuple(out)
    if any(n < 1 for n in positions):
        if name == "max_pool1d":
            raise RuntimeError(f"max_pool1d() Invalid computed output size: {positions[0]}")
        lead = () if name == "avg_pool1d" and x.ndim == 2 else (x.shape[-rank - 1],)
        before, after = (*lead, *space), (*lead, *positions)
        if name == "avg_pool1d":
            before, after = (*lead, 1, *space), (*lead, 1, *positions)
        raise RuntimeError(
            f"Given input size: ({by(before)}). Calculated output size: ({by(after)}). "
            "Output size is too small"
        )
    return Geometry(k, s, p, d, positions)


def check_rank(name: str, x: Value) -> None:
    rank = int(name[-2])
    if x.ndim in (rank + 1, rank + 2):
        # Only the batch may be empty.
        if not name.startswith("max_pool") or all(x.shape[-rank - 1 :]):
            return
        if rank == 2:
            raise RuntimeError(
                "Expected 3D or 4D (batch mode) tensor with optional 0 dim batch size for input, "
                f"but got:{list(x.shape)}"
            )
        if rank == 3:
            raise RuntimeError(
                "max_pool3d_with_indices_out_cpu_template(): Expected input's non-batch dimensions "
                f"to have positive length, but input has a shape of {list(x.shape)}"
            )
    if name == "max_pool1d":
        raise RuntimeError(
            "max_pool1d: Expected 2D or 3D (batch mode) tensor with optional 0 dim batch size "
            "for input, "
            f"but got:{list(x.shape)}"
        )
    if "adaptive" in name:
        got = "got:" if "max" in name else "got"
        raise RuntimeError(
            f"{name}(): Expected {rank + 1}D or {rank + 2}D tensor, but {got} {list(x.shape)}"
        )
    if name == "avg_pool1d":
        raise RuntimeError(
            f"Expected 2 to 3 dimensions, but got {x.ndim}-dimensional tensor for argument #1 "
            "'self' (while "
            "checking arguments for avg_pool1d)"
        )
    if name == "avg_pool2d":
        if x.ndim < 3:  # the channels are asked for first
            refuse_axis(-3, x.ndim)
        raise RuntimeError(
            "Expected 3D or 4D (batch mode) tensor with optional 0 dim batch size for input, "
            f"but got:{list(x.shape)}"
        )
    raise RuntimeError(
        f"non-empty {rank + 1}D or {rank + 2}D (batch mode) tensor expected for input"
    )


def lowest(dtype: DType) -> float:
    """What never wins a maximum."""
    if dtype.is_floating_point:
        return -math.inf
    return int(dtypes.iinfo(dtype).min)


def _padded(x: Value, g: Geometry, fill: float) -> Value:
    rank = len(g.kernel)
    high = g.high(x.shape[-rank:])
    if not any(g.padding) and not any(high):
        return x
    lead = (0,) * (x.ndim - rank)
    return view.pad(x, low=lead + g.padding, high=lead + high, interior=(0,) * x.ndim, value=fill)


# ---- maxima -------------------------------------------------------------------------------------


def axis_numbers(extent: int, a: int, rank: int) -> Value:
    """0 .. extent - 1 along axis a of `rank` axes."""
    return column(source.iota(size=extent), tuple(extent if i == a else 1 for i in range(rank)))


def flat_index(inside: Value, starts: list[Value], g: Geometry, space: Shape) -> Value:
    """Row-major places in the input of winners given by their place in the window."""
    rank = len(space)
    flat: Value | None = None
    for a in range(rank):
        later = math.prod(g.kernel[a + 1 :])
        place = ar.binary(el.remainder, ar.binary(el.floor_divide, inside, later), g.kernel[a])
        at = ar.add(starts[a], ar.mul(place, g.dilation[a]))
        # A window of -inf alone is won by padding: take its first element within the input instead.
        if g.padding[a]:
            d = g.dilation[a]
            missing = ar.binary(el.floor_divide, ar.add(ar.neg(at), d - 1), d)
            at = ar.where(ar.lt(at, 0), ar.add(at, ar.mul(missing, d)), at)
        flat = at if flat is None else ar.add(ar.mul(flat, space[a]), at)
    assert flat is not None
    return flat


def _kernel(name: str, with_indices: bool) -> str:
    """PyTorch's kernel: lines are pooled by a kernel of their own only without indices."""
    if name == "max_pool1d":
        return "max_pool2d" if with_indices else "max_pool1d_impl"
    return name


def _max_pool(name: str, with_indices: bool) -> Callable[[Value, Any, Any, Any, Any, bool], Any]:
    rank = int(name[-2])

    def apply(
        x: Value, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
    ) -> Value | tuple[Value, Value]:
        check_rank(name, x)
        g = _geometry(name, x, kernel, stride, padding, dilation, bool(ceil_mode))
        if x.dtype.kind in "bc":
            raise not_implemented(_kernel(name, with_indices), x.dtype)
        if rank == 1 and x.dtype.kind == "i" and not with_indices:
            raise not_implemented("max_pool1d_impl", x.dtype)
        padded = _padded(x, g, lowest(x.dtype))
        result = max_pool(padded, **g.window)
        if not with_indices:
            return result
        starts = [
            ar.sub(ar.mul(axis_numbers(g.positions[a], a, rank), g.stride[a]), g.padding[a])
            for a in range(rank)
        ]
        inside = max_pool_index(padded, **g.window)
        return result, flat_index(inside, starts, g, x.shape[-rank:])

    return apply


def pool_grad_name(name: str) -> str:
    rank = name[-2]
    if rank == "1":
        return "SqueezeBackward1"
    return {
        "max_pool": f"MaxPool{rank}DWithIndicesBackward0",
        "avg_pool": f"AvgPool{rank}DBackward0",
        "adaptive_avg_pool": f"AdaptiveAvgPool{rank}DBackward0",
        "adaptive_max_pool": f"AdaptiveMaxPool{rank}DBackward0",
        "max_unpool": f"MaxUnpool{rank}DBackward0",
    }[name[:-2]]


def pooling_op(rank: int, *args: Any, derived: bool = False) -> ImageOp:
    """The event of a pooling of that many axes."""
    return LineOp(*args, derived=derived) if rank == 1 else ImageOp(*args)


def averaging_op(rank: int, *args: Any) -> PureOp:
    """The same of an average; PyTorch's of volumes gives results in row-major order."""
    return PureOp(*args) if rank == 3 else pooling_op(rank, *args)


def _max_pool_function(rank: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    name = f"max_pool{rank}d"
    plain = pooling_op(rank, name, _max_pool(name, False), pool_grad_name(name), derived=True)
    indexed = pooling_op(rank, name, _max_pool(name, True), pool_grad_name(name))

    def pool(
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        try:
            if not isinstance(input, Tensor):
                raise not_a_tensor(name, input)
            attributes = (kernel_size, stride, padding, dilation, flag(ceil_mode))
            for part in attributes:
                if part.__class__ is list:
                    attributes = tuple([hashable(part) for part in attributes])
                    break
            if return_indices:
                return tuple(record_many(indexed, (input,), attributes))
            return unary(plain, input, attributes)
        except Exception:
            refuse_misgiven()
            raise

    def with_indices(
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> tuple[Tensor, Tensor]:
        result: tuple[Tensor, Tensor] = pool(
            input, kernel_size, stride, padding, dilation, ceil_mode, True
        )
        return result

    pool.__name__ = pool.__qualname__ = name
    pool.__doc__ = (
        "The largest element of each window of the last axes; also its flat index if asked."
    )
    with_indices.__name__ = with_indices.__qualname__ = name + "_with_indices"
    with_indices.__doc__ = f"{name} and the flat index of each maximum."
    return pool, with_indices


max_pool1d, max_pool1d_with_indices = _max_pool_function(1)
max_pool2d, max_pool2d_with_indices = _max_pool_function(2)
max_pool3d, max_pool3d_with_indices = _max_pool_function(3)


# ---- means --------------------------------------------------------------------------------------


def window_sums(x: Value, g: Geometry) -> Value:
    """Sums over windows of the last axes (zeros outside)."""
    rank = len(g.kernel)
    lead = x.ndim - rank
    padded = _padded(x, g, 0)
    if g.kernel == g.stride:  # the windows tile the axes
        used = tuple(o * k for o, k in zip(g.positions, g.kernel, strict=True))
        if padded.shape[lead:] != used:
            whole = padded.shape[:lead] + used
            padded = view.slice_(padded, starts=(0,) * x.ndim, sizes=whole, steps=(1,) * x.ndim)
        parts = tuple(n for pair in zip(g.positions, g.kernel, strict=True) for n in pair)
        tiles = view.reshape(padded, shape=padded.shape[:lead] + parts)
        return rd.sum_(tiles, axes=tuple(lead + 2 * a + 1 for a in range(rank)))
    windows = view.windows(padded, **g.window)
    return rd.sum_(windows, axes=tuple(range(lead + rank, lead + 2 * rank)))


def _window_counts(g: Geometry, space: Shape, include_pad: bool, dtype: DType) -> Value | int:
    """How many elements each window counts: one number, or one per position."""
    rank = len(space)
    counts: Value | int = 1
    for a in range(rank):
        n, k, s, p = space[a], g.kernel[a], g.stride[a], g.padding[a]
        low, limit = (-p, n + p) if include_pad else (0, n)
        lengths = [min(i * s - p + k, limit) - max(i * s - p, low) for i in range(g.positions[a])]
        if len(set(lengths)) == 1:
            counts = (
                ar.mul(counts, lengths[0]) if isinstance(counts, Value) else counts * lengths[0]
            )
            continue
        start = ar.sub(ar.mul(axis_numbers(g.positions[a], a, rank), s), p)
        length = ar.sub(ar.minimum(ar.add(start, k), limit), ar.maximum(start, low))
        counts = ar.mul(counts, ar.cast(length, dtype))
    return counts


def _avg_pool(name: str) -> Callable[..., Value]:
    def apply(
        x: Value,
        kernel: Any,
        stride: Any,
        padding: Any,
        ceil_mode: bool,
        count_include_pad: bool,
        divisor: int | None,
    ) -> Value:
        check_rank(name, x)
        g = _geometry(name, x, kernel, stride, padding, 1, bool(ceil_mode))
        divisor = None if divisor is None else whole(name, "divisor_override", divisor)
        if divisor == 0:
            raise RuntimeError("divisor must be not zero")
        if not x.dtype.is_floating_point and x.dtype is not dtypes.int64:
            kernel = "avg_pool3d_out_frame" if name == "avg_pool3d" else "avg_pool2d"
            raise not_implemented(kernel, x.dtype)
        wide = widened(x)
        total = window_sums(wide, g)
        if divisor is not None:
            counts: Value | int = divisor
        else:
            counts = _window_counts(
                g, x.shape[-len(g.kernel) :], bool(count_include_pad), wide.dtype
            )
        if not x.dtype.is_floating_point:  # as PyTorch: integers truncate
            return ar.binary(el.trunc_divide, total, counts)
        return ar.cast(ar.div(total, counts), x.dtype)

    return apply


AVG_POOL = {
    rank: averaging_op(
        rank, f"avg_pool{rank}d", _avg_pool(f"avg_pool{rank}d"), pool_grad_name(f"avg_pool{rank}d")
    )
    for rank in (1, 2, 3)
}


def avg_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window of the last axis."""
    parts = (kernel_size, stride, padding)
    return unary(
        AVG_POOL[1], input, (*map(hashable, parts), flag(ceil_mode), flag(count_include_pad), None)
    )


def avg_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """The mean of each window of the last two axes (or its sum over divisor_override)."""
    try:
        flags = flag(ceil_mode), flag(count_include_pad)
        parts = (*map(hashable, (kernel_size, stride, padding)), *flags)
        result = unary(AVG_POOL[2], input, (*parts, divisor_override))
        return result if out is None else write_out(result, out)
    except Exception:
        refuse_misgiven()
        raise


def avg_pool3d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """The mean of each window of the last three axes (or its sum over divisor_override)."""
    try:
        flags = flag(ceil_mode), flag(count_include_pad)
        parts = (*map(hashable, (kernel_size, stride, padding)), *flags)
        result = unary(AVG_POOL[3], input, (*parts, divisor_override))
        return result if out is None else write_out(result, out)
    except Exception:
        refuse_misgiven()
        raise


def _lp_pool(name: str) -> Callable[..., Value]:
    def apply(x: Value, p: float, kernel: Any, stride: Any, ceil_mode: bool) -> Value:
        g = _geometry(name, x, kernel, stride, 0, 1, bool(ceil_mode))
        rank = len(g.kernel)
        powers = x * x if p == 2 else (x if p == 1 else ar.apply(el.pow_, (x, p), x.dtype))
        counts = _window_counts(g, x.shape[-rank:], True, x.dtype)
        mean = ar.div(window_sums(powers, g), counts)
        # (So a sum below zero gives NaN for a p like 3, and one of zero a gradient of NaN.)
        zero, size = ar.zeros_like(mean), el.abs_(mean)
        signed = el.sign(mean) * el.where(el.le(size, zero), zero, size)
        return ar.apply(el.pow_, (signed * math.prod(g.kernel), 1.0 / p), x.dtype)

    return apply


LP_POOL = {
    rank: averaging_op(rank, f"lp_pool{rank}d", _lp_pool(f"lp_pool{rank}d"), "PowBackward0")
    for rank in (1, 2, 3)
}


def _lp_pool_function(rank: int) -> Callable[..., Tensor]:
    op = LP_POOL[rank]

    def pool(
        input: Tensor,
        norm_type: float,
        kernel_size: Any,
        stride: Any = None,
        ceil_mode: bool = False,
    ) -> Tensor:
        try:
            attributes = (float(norm_type), hashable(kernel_size), hashable(stride), ceil_mode)
            return unary(op, input, attributes)
        except Exception:
            refuse_misgiven()
            raise

    pool.__name__ = pool.__qualname__ = op.name
    pool.__doc__ = "The norm_type-norm (of sums, not absolute values) of each window."
    return pool


lp_pool1d, lp_pool2d, lp_pool3d = (_lp_pool_function(rank) for rank in (1, 2, 3))


METHODS: dict[str, Callable[..., Any]] = {}

# Names of the torch namespace.
__all__ = [
    "avg_pool1d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
]
