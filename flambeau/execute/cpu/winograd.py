"""Convolutions of 3 x 3 with fewer products: Program -> Program.

Note [Winograd]
Four neighbouring results of a 3 x 3 kernel (a tile) take 36 products of an image's 16 elements with
the kernel's 9. Winograd's form F(2x2, 3x3) takes 16: with the matrices

    B' = [1  0 -1  0]    G = [ 1    0    0 ]    A' = [1  1  1  0]
         [0  1  1  0]        [1/2  1/2  1/2]         [0  1 -1 -1]
         [0 -1  1  0]        [1/2 -1/2  1/2]
         [0  1  0 -1]        [ 0    0    1 ]

a tile d and a kernel g make A' ((G g G') * (B' d B)) A, where * goes element by element. Summed
over channels each of the 16 elements is a matrix product of its own, [outs, channels] by [channels,
tiles]. The rewrite says no more than that, in other primitives: the 16 parts of B' d B and of
G g G' are joined in place by one kernel each, what A' and A make of the products is interleaved
(see phases.py), and the rest of the compiler does what it does everywhere.

The products' operands and results pass through memory, 16 elements for each tile and channel.
Layers of many channels by themselves took up to 1.9 times less in this form, but networks of them
hardly less (bench/winograd.py): so it is taken only where `tune` has found a whole program faster.
Kernels that keep them in the caches: Note [Winograd in strips] in winograd_plan.py.
Errors are about twice those of a plain sum. What is no number spreads to the four results of a tile
(a plain convolution keeps it to its reach).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flambeau.execute.cpu.phases import LEAD, interleave
from flambeau.graph.program import Program
from flambeau.graph.simplify import Rewriter, simplify
from flambeau.ops import contraction, elementwise, source, view
from flambeau.ops.value import Shape, Value

TILE, TAPS = 2, 3
READ = TILE + TAPS - 1  # a tile's elements of the image, along each axis
# Where a layer by itself can gain: the fewest channels and outputs, and the most bytes of operands
# and results of the products.
CHANNELS, BYTES = 128, 48 << 20
Combine = Callable[[Sequence[Value]], list[Value]]
LEAST_ROW = 7  # tiles side by side: kernels' vectors go along them


def by_winograd(program: Program, chosen: Callable[[Value], bool] | None = None) -> Program:
    """The program with its 3 x 3 convolutions in that form, where `chosen` says so (`can_gain`)."""
    choice = can_gain if chosen is None else chosen
    wanted = {v for v in program.nodes() if possible(v) and choice(v)}
    if not wanted:
        return program

    def rule(v: Value, inputs: tuple[Value, ...]) -> Value | None:
        return in_tiles(*inputs) if v in wanted else None

    return simplify(Rewriter(rule).program(program))


def possible(v: Value) -> bool:
    """Whether a value is a convolution with such a form: of images, 3 x 3, dense, in one group."""
    if v.primitive.name != "conv" or v.ndim != LEAD + 2:
        return False
    x, weights = v.inputs
    plain = all(n == 1 for n in (*v.attrs["strides"], *v.attrs["dilations"], x.shape[1]))
    sizes = weights.shape[LEAD:] == (TAPS, TAPS) and v.size > 0 and x.size > 0
    return plain and sizes and v.dtype.name in ("float32", "float64")


def can_gain(v: Value) -> bool:
    """Whether a layer like this was ever seen to take less time in this form."""
    channels, outs = v.inputs[0].shape[2], v.shape[2]
    rows, columns = [-(-n // TILE) for n in v.shape[LEAD:]]
    moved = READ * READ * (channels + outs) * v.shape[0] * rows * columns * v.dtype.itemsize
    return min(channels, outs) >= CHANNELS and columns >= LEAST_ROW and moved <= BYTES


def in_tiles(x: Value, weights: Value) -> Value:
    """The convolution of x [N, 1, C, H, W] with weights [1, K, C, 3, 3]."""
    batch, _, channels, *extents = x.shape
    outs = weights.shape[1]
    space = [n - TAPS + 1 for n in extents]
    rows, columns = [-(-n // TILE) for n in space]
    x = _reaching(x, (TILE * rows + TAPS - 1, TILE * columns + TAPS - 1))
    seen = [
        [_every(x, (i, j), (batch, 1, channels, rows, columns)) for j in range(READ)]
        for i in range(READ)
    ]
    seen = [[view.permute(d, order=(1, 2, 0, 3, 4)) for d in line] for line in seen]
    taps = [[_tap(weights, (i, j)) for j in range(TAPS)] for i in range(TAPS)]
    flat = (1, channels, batch * rows * columns)
    left = view.concat(*_both(taps, _of_kernel), axis=0)
    right = view.concat(*[view.reshape(d, shape=flat) for d in _both(seen, _of_image)], axis=0)
    products = contraction.dot(left, right)
    image = (1, outs, batch, rows, columns)
    grid = [[_product(products, READ * i + j, image) for j in range(READ)] for i in range(READ)]
    parts = []
    for number, part in enumerate(_both(grid, _of_result)):
        first = divmod(number, TILE)
        ends = [len(range(a, n, TILE)) for a, n in zip(first, space, strict=True)]
        part = view.permute(part, order=(2, 0, 1, 3, 4))
        parts.append(_cut(part, (0,) * 5, (batch, 1, outs, *ends), (1,) * 5))
    return interleave(*parts, steps=(TILE, TILE), extents=tuple(space))


def _both(grid: Sequence[Sequence[Value]], combine: Combine) -> list[Value]:
    """What `combine` makes of a grid's columns, then of the rows of that; in row-major order."""
    columns = [combine([line[j] for line in grid]) for j in range(len(grid[0]))]
    return [v for row in zip(*columns, strict=True) for v in combine(row)]


def _of_image(d: Sequence[Value]) -> list[Value]:
    sub, add = elementwise.sub, elementwise.add
    return [sub(d[0], d[2]), add(d[1], d[2]), sub(d[2], d[1]), sub(d[1], d[3])]


def _of_kernel(g: Sequence[Value]) -> list[Value]:
    ends = elementwise.add(g[0], g[2])
    middle = [elementwise.add(ends, g[1]), elementwise.sub(ends, g[1])]
    return [g[0], *[_half(v) for v in middle], g[2]]


def _of_result(m: Sequence[Value]) -> list[Value]:
    sub, add = elementwise.sub, elementwise.add
    return [add(add(m[0], m[1]), m[2]), sub(sub(m[1], m[2]), m[3])]


def _half(v: Value) -> Value:
    half = view.reshape(source.constant(0.5, v.dtype), shape=(1,) * v.ndim)
    return elementwise.mul(v, view.expand(half, shape=v.shape))


def _reaching(x: Value, extents: Shape) -> Value:
    """x with zeros behind its elements, up to these spatial extents."""
    more = [wanted - n for wanted, n in zip(extents, x.shape[LEAD:], strict=True)]
    if not any(more):
        return x
    none = (0,) * x.ndim
    return view.pad(x, low=none, high=(0,) * LEAD + tuple(more), interior=none, value=0)


def _every(x: Value, starts: tuple[int, int], shape: Shape) -> Value:
    """One element of each tile."""
    return _cut(x, (0,) * LEAD + starts, shape, (1,) * LEAD + (TILE, TILE))


def _tap(weights: Value, place: tuple[int, int]) -> Value:
    """One tap of all kernels: [1, K, C]."""
    lead = weights.shape[:LEAD]
    found = _cut(weights, (0,) * LEAD + place, (*lead, 1, 1), (1,) * weights.ndim)
    return view.reshape(found, shape=lead)


def _product(products: Value, number: int, shape: Shape) -> Value:
    size = (1, *products.shape[1:])
    return view.reshape(_cut(products, (number, 0, 0), size, (1, 1, 1)), shape=shape)


def _cut(x: Value, starts: Shape, sizes: Shape, steps: Shape) -> Value:
    if sizes == x.shape:
        return x
    return view.slice_(x, starts=starts, sizes=sizes, steps=steps)
