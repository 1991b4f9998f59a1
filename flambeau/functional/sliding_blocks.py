"""unfold and fold: the sliding blocks of images as columns, and their sums."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.core import dtypes
from flambeau.core.calls import refuse_misgiven
from flambeau.functional.convolution import pad_space, refuse_window
from flambeau.functional.neural import hashable, refuse_axis, sizes, unary
from flambeau.functional.options import WHOLE, not_implemented
from flambeau.ops import view
from flambeau.ops.value import Shape, Value
from flambeau.record.events import PureOp
from flambeau.tensor.tensor import Tensor


def _check_window(kernel: Shape, dilation: Shape, padding: Shape, stride: Shape) -> None:
    """Of unfold and fold."""
    refuse_window("kernel size", "kernel", kernel)
    refuse_window("dilation", "dilation", dilation)
    refuse_window("padding", "pad", padding, 0)
    refuse_window("stride", "stride", stride)


def _unfold(x: Value, kernel: Any, dilation: Any, padding: Any, stride: Any) -> Value:
    if x.ndim < 3:  # the channels are asked for first
        refuse_axis(1 if x.ndim < 2 else 2, x.ndim)
    if x.ndim > 4:
        raise RuntimeError(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero "
            f"dimensions for input, but got: {list(x.shape)}"
        )
    k, d = sizes(kernel, 2, "kernel_size", "unfold"), sizes(dilation, 2, "dilation", "unfold")
    p, s = sizes(padding, 2, "padding", "unfold"), sizes(stride, 2, "stride", "unfold")
    _check_window(k, d, p, s)
    blocks = _blocks(x.shape[-2:], k, d, p, s)
    if any(n < 1 for n in blocks):
        raise RuntimeError(
            f"Given input with spatial size {x.shape[-2:]}, kernel_size={k}, dilation={d}, "
            f"padding={p}, "
            f"calculated shape of the array of sliding blocks as {blocks}, but its components "
            "must be at "
            "least one."
        )
    if x.dtype.kind in WHOLE and x.dtype is not dtypes.bool_:
        raise not_implemented("im2col_out_cpu", x.dtype)
    lead, c = x.shape[:-3], x.shape[-3]
    windows = view.windows(
        pad_space(x, p, p), sizes=k, steps=s, dilations=d
    )  # [.., C, OH, OW, KH, KW]
    n = len(lead)
    order = (*range(n + 1), n + 3, n + 4, n + 1, n + 2)
    shape = (*lead, c * k[0] * k[1], blocks[0] * blocks[1])
    return view.reshape(view.permute(windows, order=order), shape=shape)


def _blocks(space: Shape, k: Shape, d: Shape, p: Shape, s: Shape) -> Shape:
    return tuple(
        (space[i] + 2 * p[i] - d[i] * (k[i] - 1) - 1) // s[i] + 1 for i in range(len(space))
    )


def _fold(x: Value, output: Any, kernel: Any, dilation: Any, padding: Any, stride: Any) -> Value:
    if x.ndim not in (2, 3):
        raise RuntimeError(
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and "
            "non-zero "
            f"dimensions for input, but got: {list(x.shape)}"
        )
    out = sizes(output, 2, "output_size", "fold")
    k, d = sizes(kernel, 2, "kernel_size", "fold"), sizes(dilation, 2, "dilation", "fold")
    p, s = sizes(padding, 2, "padding", "fold"), sizes(stride, 2, "stride", "fold")
    rows, count = x.shape[-2:]
    _check_window(k, d, p, s)
    if rows % (k[0] * k[1]):
        raise RuntimeError(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, "
            "but got "
            f"input.size(1)={rows} and kernel_size={k}."
        )
    blocks = _blocks(out, k, d, p, s)
    if blocks[0] * blocks[1] != count:
        raise RuntimeError(
            f"Given output_size={out}, kernel_size={k}, dilation={d}, padding={p}, stride={s}, "
            "expected "
            f"size of input's dimension 2 to match the calculated number of sliding blocks "
            f"{blocks[0]} * "
            f"{blocks[1]} = {blocks[0] * blocks[1]}, but got input.size(2)={count}."
        )
    if not x.dtype.is_floating_point:
        raise not_implemented("col2im_out_cpu", x.dtype)
    lead, c = x.shape[:-2], rows // (k[0] * k[1])
    n = len(lead)
    blocked = view.reshape(x, shape=(*lead, c, *k, *blocks))
    windows = view.permute(blocked, order=(*range(n + 1), n + 3, n + 4, n + 1, n + 2))
    extents = tuple(o + 2 * a for o, a in zip(out, p, strict=True))
    whole = view.fold(windows, extents=extents, sizes=k, steps=s, dilations=d)
    return pad_space(whole, tuple(-a for a in p), tuple(-a for a in p))


UNFOLD = PureOp("unfold", _unfold, "Im2ColBackward0")
FOLD = PureOp("fold", _fold, "Col2ImBackward0")


def unfold(
    input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """Sliding blocks of [N, C, H, W] as columns: [N, C KH KW, blocks]."""
    try:
        return unary(UNFOLD, input, tuple(map(hashable, (kernel_size, dilation, padding, stride))))
    except Exception:
        refuse_misgiven()
        raise


def fold(
    input: Tensor,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Tensor:
    """The adjoint of unfold: overlapping blocks added up into [N, C, *output_size]."""
    try:
        attributes = (output_size, kernel_size, dilation, padding, stride)
        return unary(FOLD, input, tuple(map(hashable, attributes)))
    except Exception:
        refuse_misgiven()
        raise


METHODS: dict[str, Callable[..., Any]] = {}

# Names of the torch namespace: none; torch.nn.functional has them.
__all__: list[str] = []
