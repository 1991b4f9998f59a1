"""Which operands PyTorch's products copy when they make matrices of them.

The derivatives use the copy: what is written to the operand later does not concern them. (An
operand that can be shown as a matrix is used as it lies.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from flambeau.core.shapes import Shape, Strides, broadcast_shapes, view_strides
from flambeau.record.meta import Meta


def linear_copied(x: Meta, *others: Meta) -> tuple[bool, ...]:
    """`linear`: the input becomes a matrix."""
    return (len(x.shape) > 2 and _rows_copied(x.shape, x.strides), *(False for _ in others))


def turned_copied(x: Meta, *others: Meta) -> tuple[bool, ...]:
    """`linear` of [N, L, E] as attention computes it: of the input as [L, N, E]."""
    shape, strides = ((t[1], t[0], *t[2:]) for t in (x.shape, x.strides))
    return (_rows_copied(shape, strides), *(False for _ in others))


def matmul_copied(a: Meta, b: Meta) -> tuple[bool, bool]:
    """`matmul`: where one has three axes or more and the other two or one, the first becomes a
    matrix (if a derivative will look at it); else both become batches of matrices.
    """
    ranks = len(a.shape), len(b.shape)
    if max(ranks) < 3 or not min(ranks):
        return False, False
    if ranks[1] < 3:
        return b.requires_grad and _rows_copied(a.shape, a.strides), False
    if ranks[0] < 3:
        return False, a.requires_grad and _rows_copied(_swapped(b.shape), _swapped(b.strides))
    batch = broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return _batch_copied(a, batch), _batch_copied(b, batch)


def tensordot_copied(
    a: Meta, b: Meta, left: tuple[int, ...], right: tuple[int, ...]
) -> tuple[bool, bool]:
    """`tensordot`: both become matrices, of the axes that are summed over and the others."""
    return _joined_copied(a, left, last=True), _joined_copied(b, right, last=False)


def _copied(shape: Sequence[int], strides: Sequence[int], *new: int) -> bool:
    return view_strides(tuple(shape), tuple(strides), new) is None


def _rows_copied(shape: Sequence[int], strides: Sequence[int]) -> bool:
    return _copied(shape, strides, math.prod(shape[:-1]), shape[-1])


def _swapped(numbers: Sequence[int]) -> tuple[int, ...]:
    return (*numbers[:-2], numbers[-1], numbers[-2])


def _batch_copied(x: Meta, batch: Shape) -> bool:
    own, new = x.shape[:-2], len(batch) - len(x.shape) + 2
    spread: Strides = tuple(
        0 if extent != wide else stride
        for extent, wide, stride in zip(own, batch[new:], x.strides, strict=False)
    )
    shape, strides = (*batch, *x.shape[-2:]), ((0,) * new + spread + x.strides[-2:])
    return _copied(shape, strides, math.prod(batch), *x.shape[-2:])


def _joined_copied(x: Meta, axes: tuple[int, ...], last: bool) -> bool:
    rank = len(x.shape)
    if any(not -rank <= axis < rank for axis in axes):
        return False  # an error
    summed = [axis % rank for axis in axes]
    rest = [axis for axis in range(rank) if axis not in summed]
    first, second = (rest, summed) if last else (summed, rest)
    shape = [x.shape[n] for n in (*first, *second)]
    strides = [x.strides[n] for n in (*first, *second)]
    rows = math.prod(x.shape[n] for n in first)
    return _copied(shape, strides, rows, math.prod(x.shape[n] for n in second))
