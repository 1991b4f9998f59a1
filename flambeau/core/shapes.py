"""Shapes and strides: plain integer algebra, in elements."""

from __future__ import annotations

from collections.abc import Sequence

from flambeau.core.layout import channels_last_strides, is_channels_last

Shape = tuple[int, ...]
Strides = tuple[int, ...]


def element_count(shape: Sequence[int]) -> int:
    count = 1
    for extent in shape:
        count *= extent
    return count


def contiguous_strides(shape: Sequence[int]) -> Strides:
    """Row-major strides; an extent of 0 counts as 1, as PyTorch has it."""
    strides = []
    step = 1
    for extent in reversed(shape):
        strides.append(step)
        step *= extent or 1
    return tuple(strides[::-1])


def broadcast_shapes(*shapes: Shape) -> Shape:
    """The common shape; RuntimeError in PyTorch's words where there is none."""
    first = shapes[0]
    if all(shape == first for shape in shapes):
        return first
    result = list(first)
    for shape in shapes[1:]:
        result[:0] = [1] * (len(shape) - len(result))
        offset = len(result) - len(shape)
        for axis in range(len(shape) - 1, -1, -1):
            extent, have = shape[axis], result[offset + axis]
            if extent == have or extent == 1:
                continue
            if have != 1:
                raise RuntimeError(
                    f"The size of tensor a ({have}) must match the size of tensor b ({extent}) at "
                    f"non-singleton dimension {offset + axis}"
                )
            result[offset + axis] = extent
    return tuple(result)


def is_contiguous(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether the elements lie one after the other, row by row; no elements always do."""
    if 0 in shape:
        return True
    step = 1
    for extent, stride in zip(reversed(shape), reversed(strides), strict=True):
        if extent == 1:
            continue
        if stride != step:
            return False
        step *= extent
    return True


def is_dense(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether the layout is a permutation of a contiguous one: no gaps, no overlap."""
    if is_contiguous(shape, strides):
        return True
    order = memory_order(shape, strides)
    return is_contiguous([shape[a] for a in order], [strides[a] for a in order])


def memory_order(shape: Sequence[int], strides: Sequence[int]) -> tuple[int, ...]:
    """Axes from the outermost in memory to the innermost; ties keep their order."""
    return tuple(sorted(range(len(shape)), key=lambda a: (-strides[a] if shape[a] != 1 else 0, a)))


def dense_strides_like(shape: Sequence[int], strides: Sequence[int]) -> Strides:
    """The strides of a copy: dense, in the memory order of `strides` (preserve_format)."""
    if is_dense(shape, strides):
        return tuple(strides)
    return _dense_in_order(shape, _preserving_order(shape, (strides,)))


def _dense_in_order(shape: Sequence[int], order: Sequence[int]) -> Strides:
    result = [0] * len(shape)
    step = 1
    for axis in reversed(order):
        result[axis] = step
        step *= shape[axis]
    return tuple(result)


def elementwise_strides(
    shape: Shape, layouts: Sequence[tuple[Shape, Strides]], number: bool = False
) -> Strides:
    """Strides of an elementwise result of that shape whose operands (broadcast to it) have these
    layouts, and a number beside them or not.

    The rule is TensorIterator's: operands of one shape and one dense layout pass it on; else the
    axes are ordered by the operands' strides, earlier operands first.
    """
    if not number and all(own == shape for own, _ in layouts):
        if all(is_contiguous(*layout) for layout in layouts):
            return contiguous_strides(shape)
        if all(is_channels_last(*layout) for layout in layouts):
            return channels_last_strides(shape)
        if len({strides for _, strides in layouts}) == 1 and is_dense(*layouts[0]):
            return layouts[0][1]
    broadcast = []
    for own, strides in layouts:
        missing = len(shape) - len(own)
        spread = [
            0 if n == 1 != shape[missing + a] else s
            for a, (n, s) in enumerate(zip(own, strides, strict=True))
        ]
        broadcast.append([0] * missing + spread)
    order = _preserving_order(shape, broadcast)
    if order == list(range(len(shape))):
        return contiguous_strides(shape)
    return _dense_in_order(shape, order)


def _preserving_order(shape: Sequence[int], operands: Sequence[Sequence[int]]) -> list[int]:
    """Axes outermost first; broadcast axes (stride 0) keep their place, as in TensorIterator."""
    order = list(range(len(shape) - 1, -1, -1))

    def should_swap(a: int, b: int) -> int:
        for strides in operands:
            if strides[a] == 0 or strides[b] == 0:
                continue
            if strides[a] != strides[b]:
                return -1 if strides[a] < strides[b] else 1
            if shape[a] > shape[b]:
                return 1
        return 0

    for i in range(1, len(order)):
        at = i
        for j in range(i - 1, -1, -1):
            comparison = should_swap(order[j], order[at])
            if comparison > 0:
                order[j], order[at] = order[at], order[j]
                at = j
            elif comparison < 0:
                break
    return order[::-1]


def storage_extent(shape: Sequence[int], strides: Sequence[int]) -> int:
    """How many elements from its first a layout reaches (0 for an empty one)."""
    reach = 1
    for extent, stride in zip(shape, strides, strict=True):
        if extent == 0:
            return 0
        reach += (extent - 1) * stride
    return reach


def overlaps_partly(first: tuple[Shape, Strides, int], second: tuple[Shape, Strides, int]) -> bool:
    """Whether two layouts of one storage share some elements but are not the same (dense ones
    only).
    """
    return first != second and overlaps(first, second)


def overlaps(first: tuple[Shape, Strides, int], second: tuple[Shape, Strides, int]) -> bool:
    """Whether two layouts of one storage share some elements (dense ones only)."""
    if not (is_dense(*first[:2]) and is_dense(*second[:2])):
        return False
    sizes = element_count(first[0]), element_count(second[0])
    return 0 not in sizes and first[2] < second[2] + sizes[1] and second[2] < first[2] + sizes[0]


def overlaps_itself(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether two places of the layout may share an element (exact for views, bar as_strided)."""
    if 0 in shape:
        return False
    axes = sorted(
        (stride, extent) for extent, stride in zip(shape, strides, strict=True) if extent > 1
    )
    reach = 0
    for stride, extent in axes:
        if stride <= reach:
            return True
        reach += (extent - 1) * stride
    return False


def view_strides(shape: Shape, strides: Strides, new_shape: Shape) -> Strides | None:
    """Strides that show `new_shape` of the same elements without a copy, or None."""
    if element_count(shape) == 0:
        return contiguous_strides(new_shape) if shape != new_shape else strides
    result = [0] * len(new_shape)
    at = len(new_shape) - 1
    chunk_stride = strides[-1] if strides else 1
    chunk, covered = 1, 1
    for axis in range(len(shape) - 1, -1, -1):
        chunk *= shape[axis]
        merges = axis > 0 and (shape[axis - 1] == 1 or strides[axis - 1] == chunk * chunk_stride)
        if merges:
            continue
        while at >= 0 and (covered < chunk or new_shape[at] == 1):
            result[at] = covered * chunk_stride
            covered *= new_shape[at]
            at -= 1
        if covered != chunk:
            return None
        if axis > 0:
            chunk_stride, chunk, covered = strides[axis - 1], 1, 1
    if not shape:
        for axis in range(len(new_shape)):
            result[axis] = 1
        return tuple(result)
    return tuple(result) if at == -1 else None


def infer_size(shape: Sequence[int], count: int) -> Shape:
    """Replaces a single -1; RuntimeError where the sizes do not fit `count` elements."""
    known, hole = 1, None
    for axis, extent in enumerate(shape):
        if extent == -1:
            if hole is not None:
                raise RuntimeError("only one dimension can be inferred")
            hole = axis
        elif extent < 0:
            raise RuntimeError(f"invalid shape dimension {extent}")
        else:
            known *= extent
    result = list(shape)
    if hole is not None:
        if known == 0:
            raise RuntimeError(
                f"cannot reshape tensor of {count} elements into shape {list(shape)} because "
                "the unspecified dimension size -1 can be any value and is ambiguous"
            )
        if count % known == 0:
            result[hole] = count // known
            known = count
    if known != count or -1 in result:
        raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {count}")
    return tuple(result)


def wrap_axis(axis: int, rank: int) -> int:
    """A non-negative axis; IndexError in PyTorch's words when out of range."""
    bound = rank or 1
    if not -bound <= axis < bound:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-bound}, {bound - 1}], "
            f"but got {axis})"
        )
    return axis + bound if axis < 0 else axis


def wrap_axes(axes: int | Sequence[int] | None, rank: int) -> tuple[int, ...]:
    """Sorted distinct axes; None or () means all of them. RuntimeError for more than 64 axes."""
    if axes is None:
        return tuple(range(rank))
    if isinstance(axes, int):
        return (wrap_axis(axes, rank),) if rank else ((), wrap_axis(axes, rank))[0]
    wrapped = [wrap_axis(a, rank) for a in axes]
    if rank > 64:
        raise RuntimeError("only tensors with up to 64 dims are supported")
    if len(set(wrapped)) != len(wrapped):
        repeated = next(a for a in wrapped if wrapped.count(a) > 1)
        raise RuntimeError(f"dim {repeated} appears multiple times in the list of dims")
    if not wrapped or not rank:
        return tuple(range(rank))
    return tuple(sorted(wrapped))
