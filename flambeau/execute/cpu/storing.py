"""Which values are stored: they get a buffer; everything else is recomputed where it is used."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flambeau.execute.cpu import elements
from flambeau.execute.cpu.body import view_position
from flambeau.execute.cpu.draws import is_native_draw
from flambeau.execute.cpu.index import Position, Variable, space_position
from flambeau.execute.cpu.padding import padding_of
from flambeau.execute.cpu.recurrences import is_native_recurrence
from flambeau.ops.indexed import WITHIN
from flambeau.ops.primitive import (
    ATTENTION,
    CONTRACTION,
    ELEMENTWISE,
    HOST,
    RANDOM,
    RECURRENCE,
    REDUCTION,
    SCAN,
    SORT,
    SOURCE,
    WINDOW,
)
from flambeau.ops.value import Value

# Inlined code larger than this (vector instructions, loads) gets a buffer.
LARGEST_BODY, MOST_LEAVES = 120, 16
# How many values may be nested in inlined code: tracing it recurses.
DEEPEST_BODY = 80
# What may be recomputed by every reader instead of stored.
CHEAP_BODY = 3
# The same for what is larger than caches (bytes), whose writing costs more than this many
# instructions for each vector, all readers but one taken together.
BEYOND_CACHES, CHEAP_BESIDE_MEMORY = 1 << 22, 36
# An operand this many times smaller than what reads it costs nothing to read again.
SMALL_OPERAND = 8
ALIASES = ("reshape", "detach", "leaf", "history", "relink")
WINDOWED = ("max_pool", "max_pool_index", "max_pool_take", "windows", "fold", "pool_scatter")
MOST_WINDOW_ELEMENTS = 64
SCATTERS = ("put_add", "put_set", "strided_scatter", "strided_sum")
# A kernel asks for each element which part it is of, one after another, however many there are.
MOST_PARTS = 128


def is_host(v: Value) -> bool:
    """Whether the reference executor computes this value (between native kernels)."""
    family, name = v.primitive.family, v.primitive.name
    if name == "input":
        return False
    if v.dtype.is_complex or any(x.dtype.is_complex for x in v.inputs):
        return True
    if family == HOST:
        return True
    if family == RANDOM:
        return not is_native_draw(v)
    if family == RECURRENCE:
        return not is_native_recurrence(v)
    if family == REDUCTION:
        return name not in ("sum", "prod") and not v.inputs[0].size
    if family == ELEMENTWISE:
        return not has_code(v)
    if name == "concat":
        return len(v.inputs) > MOST_PARTS
    if name in WINDOWED and name != "windows":
        count = 1
        for extent in v.attrs["sizes"]:
            count *= extent
        return count > MOST_WINDOW_ELEMENTS
    return False


def has_code(v: Value) -> bool:
    name, dtype = v.primitive.name, v.dtype
    if name in ("cast", "where", "later", "beats") or dtype.kind != "f":
        return True
    if (
        name in elements.COMPARISONS
        or name in elements.FLOAT_INSTRUCTIONS
        or name in elements.FLOAT_INTRINSICS
        or name in elements.FLOAT_RULES
        or name == "neg"
    ):
        return True
    from flambeau.execute.cpu.math_functions import FUNCTIONS

    return name in FUNCTIONS


def same_elements(v: Value) -> Value:
    """The value that `v` shows in the same row-major order (reshapes and autograd's links
    removed).
    """
    while v.primitive.name in ALIASES:
        v = v.inputs[0]
    return v


def must_store(v: Value) -> bool:
    family, name = v.primitive.family, v.primitive.name
    whole = (CONTRACTION, REDUCTION, RANDOM, RECURRENCE, ATTENTION, SCAN, SORT)
    if family in whole or name in SCATTERS:
        return True
    return name == "interleave" or is_host(v)


def choose_stored(
    nodes: Sequence[Value], outputs: Sequence[Value], unpadded: set[Value]
) -> set[Value]:
    """The values that are computed into a buffer; `unpadded` convolutions need no padded images."""
    stored: set[Value] = set()
    cost: dict[Value, int] = {}
    leaves: dict[Value, int] = {}
    depth: dict[Value, int] = {}

    def store(v: Value) -> None:
        v = same_elements(v)
        if v.primitive.name == "input" and v.attrs["role"] == "base":
            return
        stored.add(v)
        cost[v], leaves[v], depth[v] = 0, 1, 0

    for v in nodes:
        _operands_stored(v, store, cost, unpadded)
        cost[v], leaves[v] = _inlined_size(v, cost, leaves)
        depth[v] = 1 + max((depth[x] for x in v.inputs), default=0)
        if (
            must_store(v)
            or cost[v] > LARGEST_BODY
            or leaves[v] > MOST_LEAVES
            or (depth[v] > DEEPEST_BODY)
        ):
            store(v)
    for v in outputs:
        store(v)
    _store_shared(nodes, stored, cost, leaves)
    return stored


def _inlined_size(v: Value, cost: dict[Value, int], leaves: dict[Value, int]) -> tuple[int, int]:
    name = v.primitive.name
    if v.primitive.family == SOURCE:
        return 0, 1 if name == "input" else 0
    own = elements.cost_of(name) if v.primitive.family == ELEMENTWISE else 0
    times = 1
    if name in WINDOWED and name != "windows":
        for extent in v.attrs["sizes"]:
            times *= extent
    # The same operand twice is computed once, but not at two places (the parts of a concatenation).
    seen = dict.fromkeys(v.inputs) if v.primitive.family == ELEMENTWISE else v.inputs
    total = own + times * (sum(cost[x] for x in seen) + (1 if times > 1 else 0))
    reads = sum(leaves[x] for x in seen)
    if name == "expand" and v.inputs[0].size * SMALL_OPERAND <= v.size:
        reads = 0  # a broadcast operand stays in registers or in the nearest cache
    return total + (1 if name in ("pad", "concat", "take") else 0), reads


def _operands_stored(
    v: Value, store: Callable[[Value], None], cost: dict[Value, int], unpadded: set[Value]
) -> None:
    """Marks the operands that the kernel of `v` must find in memory."""
    name = v.primitive.name
    if is_host(v) or v.primitive.family in (RANDOM, RECURRENCE):
        for x in v.inputs:
            store(x)
    elif v.primitive.family == ATTENTION:
        for x in v.inputs:
            store(contraction_core(x, 4))  # queries, keys and values are often of one product
    elif v.primitive.family == CONTRACTION:
        padding = padding_of(v) if v in unpadded else None
        if padding is not None:
            store(padding.image)
        for x in v.inputs[padding is not None :]:
            store(contraction_core(x))
    elif v.primitive.family == WINDOW or name in WINDOWED:
        for x in v.inputs:
            core = _below_views(x)
            places = core.primitive.name == "max_pool_index"
            dear = cost[core] > (0 if name == "pool_scatter" else 2)
            if places or (dear and core.primitive.family == ELEMENTWISE):
                store(core)
    elif name == "put_set" and v.attrs["what"] == WITHIN:
        store(v.inputs[2])  # they may be made of what they replace
    elif name == "take":
        core = _below_views(v.inputs[0])
        if cost[core] > 8:
            store(core)
    elif name == "expand":
        x = same_elements(v.inputs[0])
        if cost[x] >= 10 and 1 < x.size * 8 <= v.size and x.size > 1:
            store(x)


def _below_views(v: Value) -> Value:
    while v.primitive.family == "view" and len(v.inputs) == 1 and v.primitive.name != "fold":
        v = v.inputs[0]
    return v


def contraction_core(v: Value, times: int = 2) -> Value:
    """What to store so that `v` can be read with strides: below the views as far as they are
    plain, unless that is more than so many times as large.
    """
    core = best = v
    position: Position | None = space_position(v.shape)
    plain = ("reshape", "permute", "expand", "slice", "flip", "as_strided", *ALIASES)
    while core.primitive.name in plain:
        assert position is not None
        position = view_position(core, position)
        if position is None:
            break
        core = core.inputs[0]
        affine = all(isinstance(a, Variable) for a, _ in position.flat.terms)
        if affine and (core.size <= times * v.size or core.primitive.name == "input"):
            best = core
    return best


def _store_shared(
    nodes: Sequence[Value],
    stored: set[Value],
    cost: dict[Value, int],
    leaves: dict[Value, int],
) -> None:
    """Stores what several stored values would recompute, unless it is cheap."""
    readers: dict[Value, set[Value]] = {}
    chosen: set[Value] = set()
    for v in reversed(nodes):
        mine = readers.get(v, set())
        pooled = v.primitive.name == "max_pool"  # of several, and what they are need not stay
        shared = len(mine) > 1 and (v.primitive.family == ELEMENTWISE or pooled) and v.size > 1
        cheap = cost[v] <= CHEAP_BODY or _beside_memory(v, cost[v], len(mine))
        if shared and v not in stored and (not cheap or leaves[v] > 1):
            stored.add(v)
            chosen.add(v)
        source = {v} if v in stored else mine
        for x in v.inputs:
            readers.setdefault(x, set()).update(source)
    # Readers were decided before their operands: what is cheap now that those are stored is not.
    for v in nodes:
        if v in stored and v not in chosen:
            continue
        cost[v], leaves[v] = _inlined_size(v, cost, leaves)
        if v in chosen:
            if cost[v] <= CHEAP_BODY and leaves[v] <= 1:
                stored.discard(v)
            else:
                cost[v], leaves[v] = 0, 1


def _beside_memory(v: Value, cost: int, readers: int) -> bool:
    """Whether every reader computes a large value anew in less time than storing it takes."""
    large = v.size * v.dtype.itemsize >= BEYOND_CACHES
    return large and cost * (readers - 1) <= CHEAP_BESIDE_MEMORY
