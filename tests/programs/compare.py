"""Two runs of one program compared, within what rounding can explain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .program import SAVED, UNDEFINED, Program, Seen, in_double, run, texts

TOLERANCES = {"float32": (1e-4, 1e-5), "float64": (2e-6, 1e-7)}
JITTERS = 3
FLIPS = 12  # how often what hangs on a rounding is tried
AMPLIFIED = 100.0  # how much more than inputs wrong by 1e-6 a right result may be off
ROUNDED = 10.0  # and how much more than results in between that are off by a rounding


def difference(
    expected: list[Any],
    actual: list[Any],
    jittered: Callable[[], list[list[Any]]] = list,
    roundings: Callable[[int], list[list[Any]]] = lambda count: [],
) -> str | None:
    """The first observation that differs, in words; None where all agree.

    `jittered` runs the reference on inputs with small errors, and in double precision: what those
    change is no mismatch. `roundings` runs it with so many other roundings in between; what is
    decided otherwise there says nothing, but where the reference itself shows what was seen.
    """
    others: list[list[Any]] | None = None
    rounded: list[list[Any]] | None = None
    for place, (want, got) in enumerate(zip(expected, actual)):
        if want[1] == UNDEFINED or (want[1] == SAVED and got == (want[0], None)):
            return None  # (saving less than PyTorch does, Flambeau may go on where it cannot)
        if want[0] == "flags" and want == got:
            continue
        if not _differs(want, got, 0.0):
            continue
        if others is None:
            others = jittered()
        runs = [other[place] for other in others if place < len(other)]
        if any(_differs(want, other, np.inf) for other in runs):
            return None  # a decision hangs on rounding: what follows cannot be compared
        spread = max((_spread(want, other) for other in runs), default=0.0)
        slack = AMPLIFIED * spread
        if not _differs(want, got, slack):
            continue
        if rounded is None:
            rounded = roundings(JITTERS)
        rounded = [other for other in rounded if _decides_alike(expected, other, place)]
        spread = max((_spread(want, other[place]) for other in rounded), default=0.0)
        slack = max(slack, ROUNDED * spread)
        words = _differs(want, got, slack)
        if words is None:
            continue
        flipped = [other for other in roundings(FLIPS) if place < len(other)]
        flipped = [other for other in flipped if not _decides_alike(expected, other, place)]
        if any(not _differs(other[place], got, slack) for other in flipped):
            return None  # a decision hangs on a rounding
        return f"after observation {place}, {want[0]!r}: {words}"
    if len(expected) != len(actual):
        return f"{len(actual)} observations instead of {len(expected)}"
    return None


def _decides_alike(expected: list[Any], other: list[Any], place: int) -> bool:
    """Whether two runs differ in no more than numbers up to an observation."""
    if len(other) <= place:
        return False
    pairs = zip(expected[: place + 1], other)
    return not any(_differs(want, got, np.inf) for want, got in pairs)


def mismatch(program: Program, reference: Any, module: Any, runs: int = 1) -> str | None:
    """Runs the program with both modules, `runs` times each; the first difference or None."""
    for number in range(runs):
        words = check_run(program, reference, run(program, reference, number), module, number)
        if words:
            return f"run {number}: {words}"
    return None


def check_run(
    program: Program, reference: Any, expected: list[Any], module: Any, number: int
) -> str | None:
    """One run of the program with `module` against what the reference has shown."""

    def jittered() -> list[list[Any]]:
        found = [run(program, reference, number, jitter) for jitter in range(JITTERS)]
        usual = reference.get_default_dtype()
        reference.set_default_dtype(reference.float64)
        try:
            # (How far off roundings in between make the result, which small errors of inputs miss:
            # 1 - tanh(x)^2 of a large x, say.)
            wide = in_double(program)
            said = dict(zip(texts(wide.statements), texts(program.statements), strict=True))
            seen = run(wide, reference, number)
            return [*found, [(said.get(where, where), what) for where, what in seen]]
        finally:
            reference.set_default_dtype(usual)

    def roundings(count: int) -> list[list[Any]]:
        from .rounding import rounded

        found = []
        for seed in range(count):
            with rounded(seed):
                found.append(run(program, reference, number))
        return found

    def compared() -> list[Any]:
        ends = bool(expected) and expected[-1][1] == UNDEFINED
        return run(program, module, number, until=len(expected) - 1 if ends else np.inf)

    actual = compared()
    words = difference(expected, actual, jittered, roundings)
    if words and any(".numpy()" in text for text in texts(program.statements)):
        # PyTorch does not notice that NumPy has changed what a graph saved, and computes the
        # gradient of another function; Flambeau keeps the values that were used.
        hooks = reference.autograd.graph.saved_tensors_hooks
        with hooks(lambda saved: saved.clone(), lambda kept: kept):
            expected = run(program, reference, number)
        words = difference(expected, compared(), jittered, roundings)
    return words


def _differs(want: Any, got: Any, slack: float) -> str | None:
    """In which way two observations differ, or None; numbers may be off by `slack` more than
    rounding.
    """
    if isinstance(want, (tuple, list)) and isinstance(got, (tuple, list)):
        if len(want) != len(got):
            return f"expected {want}, got {got}"
        for a, b in zip(want, got):
            words = _differs(a, b, slack)
            if words:
                return words
        return None
    if isinstance(want, Seen) and isinstance(got, Seen):
        return _seen_differs(want, got, slack)
    if isinstance(want, float) and isinstance(got, float):
        return _array_differs(np.float32(want), np.float32(got), slack)
    if isinstance(want, str) and isinstance(got, str):
        want, got = want.replace(SAVED, "RuntimeError"), got.replace(SAVED, "RuntimeError")
    if type(want) is not type(got) or want != got:
        return f"expected {want!r}, got {got!r}"
    return None


def _seen_differs(want: Seen, got: Seen, slack: float) -> str | None:
    for name in ("dtype", "shape", "strides", "requires_grad", "is_leaf"):
        a, b = getattr(want, name), getattr(got, name)
        if name in ("dtype", "strides") and slack == np.inf:
            continue  # one of them may be in double precision (and strides of arrays are bytes)
        if name == "dtype":
            a, b = a.split(".")[-1], b.split(".")[-1]
        if name == "strides":
            # Extents of 1 (and tensors without elements) may have any stride.
            a, b = _walked(want.shape, a), _walked(got.shape, b)
        if a != b:
            return f"{name}: expected {a}, got {b}"
    words = _array_differs(want.values, got.values, slack)
    if words is None and (want.grad is None) != (got.grad is None):
        words = f"expected {'no' if want.grad is None else 'a'} .grad, got {got.grad}"
    if words is None and want.grad is not None:
        words = _seen_differs(want.grad, got.grad, slack)
        words = words and f".grad: {words}"
    return words


def _walked(shape: tuple[int, ...], strides: tuple[int, ...]) -> tuple[int, ...]:
    if 0 in shape:
        return ()
    return tuple(s for n, s in zip(shape, strides) if n != 1)


def _array_differs(want: Any, got: Any, slack: float) -> str | None:
    if want.dtype.kind != "f":
        return None if np.array_equal(want, got) else f"expected {want}, got {got}"
    if slack == np.inf:
        return None if np.array_equal(np.isfinite(want), np.isfinite(got)) else "finite in one"
    if np.array_equal(want, got):
        return None
    rtol, atol = TOLERANCES[want.dtype.name]
    # Where a sum overflows, its order decides between infinity and NaN.
    lost = ~np.isfinite(want) & ~np.isfinite(got)
    if np.allclose(want[~lost], got[~lost], rtol, atol + slack, equal_nan=True):
        return None
    return f"expected {want.tolist()}, got {got.tolist()}"


def _spread(want: Any, other: Any) -> float:
    """The largest difference between numbers in two observations of the same form."""
    if isinstance(want, (tuple, list)) and isinstance(other, (tuple, list)):
        return max((_spread(a, b) for a, b in zip(want, other)), default=0.0)
    if isinstance(want, Seen) and isinstance(other, Seen):
        grad = 0.0 if want.grad is None or other.grad is None else _spread(want.grad, other.grad)
        return max(grad, _largest(want.values, other.values))
    if isinstance(want, float) and isinstance(other, float):
        return _largest(np.float64(want), np.float64(other))
    return 0.0


def _largest(a: Any, b: Any) -> float:
    if a.dtype.kind == "b" or a.shape != b.shape or not a.size:
        return 0.0
    with np.errstate(all="ignore"):
        gaps = np.abs(a.astype(np.float64) - b.astype(np.float64))
    gaps = gaps[np.isfinite(gaps)]
    return float(gaps.max()) if gaps.size else 0.0
