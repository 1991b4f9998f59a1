"""What an op tells compilers of NumPy's inner loops that compute it: which, and how they go through
its operands and its result.

An inner loop is the C function behind a (generalised) ufunc, which knows nothing of arrays.
Operands and results lie row by row; steps and places are in bytes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from flambeau.ops.value import Value

RESULT = -1
# As NumPy's functions do, loops over matrices compute in double precision.
WIDE = {"f": "d", "d": "d", "D": "D"}
BYTES = {"f": 4, "d": 8, "F": 8, "D": 16}


class Walk(NamedTuple):
    """How a loop goes through a value: `step` from one round to the next, `inner` along the core
    dimensions, and `call` from one call to the next. `of` is the operand's number; RESULT is what
    earlier loops have left in the result.
    """

    of: int
    step: int
    inner: tuple[int, ...] = ()
    start: int = 0
    call: int = 0


class Loop(NamedTuple):
    """`calls` calls of the loop of `ufunc` ("linalg.solve") of these `kinds` ("dd->d"), of so many
    `rounds` each, over core dimensions of these sizes. An operand that is not read is the number 1.

    `checked`: a round whose first result is NaN has failed.
    """

    ufunc: str
    kinds: str
    rounds: int
    sizes: tuple[int, ...]
    reads: tuple[Walk, ...]
    writes: tuple[Walk, ...]
    calls: int = 1
    checked: bool = False


class Loops(NamedTuple):
    """The loops that make a value, one after the other, in numbers of NumPy's type `kind`, which
    are rounded to the value's at the end. `work` is roughly how many operations that takes;
    `cleared`: what they do not write is 0.
    """

    loops: tuple[Loop, ...]
    kind: str
    work: int
    cleared: bool = False


# ---- matrices ------------------------------------------------------------------------------------


def matrices(
    ufunc: str,
    v: Value,
    sizes: Sequence[int],
    results: Sequence[tuple[str, tuple[int, ...]]],
    *,
    work: int,
    checked: bool = True,
    turned: bool = False,
    info: bool = False,
) -> Loops | None:
    """The loop over the matrices of v's operands, whose results (their types, "" that of the
    operands, and their core shapes) lie side by side in v; behind them, where there is `info`, is
    0. `turned`: the operand is transposed.
    """
    kinds = {WIDE.get(x.dtype.numpy.char, "") for x in v.inputs}
    batch = v.inputs[0].shape[:-2]
    shapes = [x.shape[-2:] for x in v.inputs]
    if len(kinds) > 1 or "" in kinds or not v.size or not all(math.prod(s) for s in shapes):
        return None
    if any(x.shape[:-2] != batch for x in v.inputs):
        return None
    (kind,) = kinds
    target = "d" if v.dtype.numpy.char in "fd" else "D"
    size, place = BYTES[kind], 0
    reads = []
    for number, (rows, columns) in enumerate(shapes):
        steps = (size, columns * size) if turned else (columns * size, size)
        reads.append(Walk(number, rows * columns * size, steps))
    each = (sum(math.prod(shape) for _, shape in results) + info) * BYTES[target]
    writes = []
    for _, shape in results:
        inner = tuple(math.prod(shape[axis + 1 :]) * BYTES[target] for axis in range(len(shape)))
        writes.append(Walk(RESULT, each, inner, place))
        place += math.prod(shape) * BYTES[target]
    made = "".join(a or kind for a, _ in results)
    count = math.prod(batch)
    loop = Loop(
        f"linalg.{ufunc}", f"{kind * len(reads)}->{made}", count, tuple(sizes), tuple(reads),
        tuple(writes), checked=checked,
    )  # fmt: skip
    return Loops((loop,), target, count * work, info or any(a not in ("", target) for a in made))


# ---- Fourier transforms --------------------------------------------------------------------------


def transforms(ufunc: str, v: Value, axes: Sequence[int]) -> Loops | None:
    """One-dimensional transforms of v's operand along some axes, each within the result of the one
    before.
    """
    x = v.inputs[0]
    given, made = x.dtype.numpy.char, v.dtype.numpy.char
    if given not in BYTES or made not in BYTES or not x.size or not v.size:
        return None
    loops, work, source, of = [], 0, x, 0
    for axis in axes:
        before, after = math.prod(v.shape[:axis]), math.prod(v.shape[axis + 1 :])
        walks = []
        for value, number in ((source, of), (v, RESULT)):
            size = BYTES[value.dtype.numpy.char]
            line = value.shape[axis] * after * size
            steps = (size, line) if after > 1 else (line, 0)
            walks.append(Walk(number, steps[0], (after * size,), 0, steps[1]))
        count, calls = (after, before) if after > 1 else (before, 1)
        sizes = source.shape[axis], v.shape[axis]
        kinds = f"{source.dtype.numpy.char}{made.lower()}->{made}"
        loops.append(Loop(f"fft.{ufunc}", kinds, count, sizes, (walks[0],), (walks[1],), calls))
        work += 5 * before * after * max(sizes) * max(sizes).bit_length()
        source, of = v, RESULT
    return Loops(tuple(loops), made, work)


# ---- complex numbers -----------------------------------------------------------------------------


def elements(function: Any, v: Value) -> Loops | None:
    """A ufunc of complex operands of one shape; None for other functions."""
    ufunc = getattr(function, "ufunc", function)
    chars = [x.dtype.numpy.char for x in v.inputs]
    if not isinstance(ufunc, np.ufunc) or not any(c in "FD" for c in chars) or not v.size:
        return None
    reads = [Walk(n, x.dtype.itemsize) for n, x in enumerate(v.inputs)]
    writes = (Walk(RESULT, v.dtype.itemsize),)
    kinds = f"{''.join(chars)}->{v.dtype.numpy.char}"
    loop = Loop(f"numpy.{ufunc.__name__}", kinds, v.size, (), tuple(reads), writes)
    return Loops((loop,), v.dtype.numpy.char, 8 * v.size)


def parts(v: Value, *copies: tuple[int, str, str]) -> Loops | None:
    """Real numbers copied, each from a part of an operand to one of the result (its number, "real",
    "imag" or "" where it is real; the same of the result). What is not written is 0.
    """
    chars = {x.dtype.numpy.char.lower() for x in (*v.inputs, v)}
    if not v.size or chars not in ({"f"}, {"d"}):
        return None
    (kind,) = chars
    loops = []
    for number, part, target in copies:
        x, size = v.inputs[number], BYTES[kind]
        read = Walk(number, x.dtype.itemsize, (), size * (part == "imag"))
        write = Walk(RESULT, v.dtype.itemsize, (), size * (target == "imag"))
        loops.append(Loop("numpy.positive", f"{kind}->{kind}", v.size, (), (read,), (write,)))
    whole = len(copies) == 2 or not v.dtype.is_complex
    return Loops(tuple(loops), v.dtype.numpy.char, v.size, not whole)
