"""Rewrites of programs that never change a result: Program -> Program.

One walk, operands first: each value is rebuilt from its rewritten operands, the rules of its
primitive are tried until none applies, and equal values become one. Every rule is exact, NaN,
infinities and the sign of zero included.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.core.shapes import is_contiguous, is_dense, memory_order
from flambeau.graph.program import Program, Update
from flambeau.ops import elementwise, source, view
from flambeau.ops.primitive import CONTRACTION, ELEMENTWISE, REDUCTION, SCAN, SORT, VIEW, WINDOW
from flambeau.ops.value import Value

# A rule gives the replacement of a value whose operands have been rewritten, or None to keep it.
Rule = Callable[[Value, tuple[Value, ...]], "Value | None"]


class Origins:
    """Which recorded value each rewritten one comes from, while `of` is a dictionary."""

    of: dict[Value, Value] | None = None

    @classmethod
    def note(cls, old: Value, new: Value) -> None:
        """Says that `new`, and what was made on the way to it, comes from `old`."""
        known = cls.of
        if known is None:
            return
        origin, stack = known.setdefault(old, old), [new]
        while stack:
            value = stack.pop()
            if value not in known:
                known[value] = origin
                stack += value.inputs


class Rewriter:
    """Applies a rule to every value of a program, operands first; what does not change stays as it
    is.
    """

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.new: dict[Value, Value] = {}

    def program(self, program: Program) -> Program:
        for v in program.nodes():
            self.new[v] = self.value(v)
            if Origins.of is not None:
                Origins.note(v, self.new[v])
        if all(self.new[v] is v for v in program.outputs()):
            return program
        updates = tuple(Update(u.base, self.new[u.value]) for u in program.updates)
        return Program(
            program.bases, program.scalars, tuple(self.new[v] for v in program.results), updates
        )

    def value(self, v: Value) -> Value:
        inputs = tuple([self.new[x] for x in v.inputs])
        replaced = self.rule(v, inputs)
        if replaced is not None:
            return replaced
        return rebuilt(v, inputs)


def rebuilt(v: Value, inputs: tuple[Value, ...]) -> Value:
    """`v` on other operands (itself if they are the same)."""
    if all(a is b for a, b in zip(inputs, v.inputs, strict=True)):
        return v
    return Value(v.primitive, inputs, v.attrs, v.shape, v.dtype, v.tracked)


def simplify(program: Program) -> Program:
    """The program with links removed, constants folded, trivial operations gone and equal values
    joined.
    """
    return Rewriter(_Simplifier()).program(program)


class _Simplifier:
    """The rule of `simplify`; remembers the values it has seen, by content."""

    def __init__(self) -> None:
        self.seen: dict[Any, Value] = {}

    def __call__(self, v: Value, inputs: tuple[Value, ...]) -> Value | None:
        return self.unique(rebuilt(v, inputs))

    def unique(self, v: Value) -> Value:
        while True:
            better = simpler(v)
            if better is None:
                break
            if better.inputs:
                better = rebuilt(better, tuple([self.unique(x) for x in better.inputs]))
            v = better
        key = (
            v.primitive.name,
            tuple([x.order for x in v.inputs]),
            v.shape,
            v.dtype.index,
            tuple(
                [(k, repr(a) if isinstance(a, (float, complex)) else a) for k, a in v.attrs.items()]
            ),
        )
        try:
            return self.seen.setdefault(key, v)
        except TypeError:  # an attribute without a hash
            return v


def simpler(v: Value) -> Value | None:
    """One step of simplification of a value whose operands are simple; None if there is none."""
    if not v.size or not all(x.size for x in v.inputs):
        better = _without_elements(v)
        if better is not None:
            return better
    rule = RULES.get(v.primitive.name)
    better = rule(v) if rule is not None else None
    if better is None and v.primitive.family == ELEMENTWISE:
        better = _folded(v)
    return better


# ---- constants ----------------------------------------------------------------------------------


def constant_of(v: Value) -> Any:
    """The number that every element of `v` is, or None if it is not a constant."""
    while v.primitive.name in ("expand", "reshape"):
        v = v.inputs[0]
    return v.attrs["value"] if v.primitive.name == "constant" else None


def full(value: Any, v: Value) -> Value:
    """`value` in the shape and dtype of `v`."""
    result = source.constant(value, v.dtype)
    if v.shape:
        result = view.expand(view.reshape(result, shape=(1,) * v.ndim), shape=v.shape)
    return result


def _folded(v: Value) -> Value | None:
    """An elementwise primitive of constants only."""
    if v.dtype.is_complex or not v.inputs:
        return None
    numbers = [constant_of(x) for x in v.inputs]
    if any(n is None for n in numbers) or any(x.dtype.is_complex for x in v.inputs):
        return None
    arrays = [_array(n, x.dtype) for n, x in zip(numbers, v.inputs, strict=True)]
    try:
        with np.errstate(all="ignore"):
            result = v.primitive.reference(*arrays, **v.attrs)
    except RuntimeError:  # a division by zero: left to run time
        return None
    return full(_stored(result, v.dtype).item(), v)


def _array(number: Any, dtype: DType) -> Any:
    array = source.constant_.reference(value=number, dtype=dtype)
    return _stored(array, dtype)


def _stored(array: Any, dtype: DType) -> Any:
    """Rounded as storing would round, in computing form."""
    if dtype.name == "bfloat16":
        bits = dtypes.bfloat16_from_float32(np.asarray(array, np.float32))
        return dtypes.float32_from_bfloat16(bits)
    return np.asarray(array).astype(dtype.numpy)


def _is(v: Value, number: float) -> bool:
    """Whether `v` is the constant `number` everywhere (0.0 is not -0.0)."""
    value = constant_of(v)
    if value is None or isinstance(value, complex) or value != number:
        return False
    return bool(value) or v.dtype.kind != "f" or not np.signbit(float(value))


# ---- nothing at all ------------------------------------------------------------------------------

EMPTY_FAMILIES = (ELEMENTWISE, VIEW, REDUCTION, CONTRACTION, WINDOW, SCAN, SORT)


def _without_elements(v: Value) -> Value | None:
    """A value without elements is a constant; so is what is folded from such values.

    Loops over nothing must not survive: what does not change in them is loaded before they begin.
    """
    name, family = v.primitive.name, v.primitive.family
    if name in ("put_add", "put_set") and not v.inputs[1].size:
        return v.inputs[0]
    if constant_of(v) is not None or not v.inputs:
        return None
    if not v.size:
        no_index = name == "take" and not v.inputs[1].size
        return full(_number(0, v.dtype), v) if family in EMPTY_FAMILIES or no_index else None
    if name == "concat":
        return view.concat(*[x for x in v.inputs if x.size], axis=v.attrs["axis"])
    if name in ("sum", "dot", "conv", "strided_sum", "fold"):
        return full(_number(0, v.dtype), v)
    return full(_number(1, v.dtype), v) if name == "prod" else None


def _number(value: int, dtype: DType) -> Any:
    return np.asarray(value).astype(dtype.numpy).item()


# ---- arithmetic ---------------------------------------------------------------------------------


def _mul(v: Value) -> Value | None:
    a, b = v.inputs
    if v.dtype.kind == "b":
        return None
    return a if _is(b, 1) else b if _is(a, 1) else None


def _add(v: Value) -> Value | None:
    a, b = v.inputs
    if v.dtype.kind != "i":
        return None
    return a if _is(b, 0) else b if _is(a, 0) else None


def _sub(v: Value) -> Value | None:
    return v.inputs[0] if v.dtype.kind in "if" and _is(v.inputs[1], 0) else None


def _div(v: Value) -> Value | None:
    return v.inputs[0] if v.dtype.kind == "f" and _is(v.inputs[1], 1) else None


def _neg(v: Value) -> Value | None:
    x = v.inputs[0]
    return x.inputs[0] if x.primitive.name == "neg" else None


def _where(v: Value) -> Value | None:
    condition = constant_of(v.inputs[0])
    if v.inputs[1] is v.inputs[2]:
        return v.inputs[1]
    return None if condition is None else v.inputs[1] if condition else v.inputs[2]


def _cast(v: Value) -> Value | None:
    x = v.inputs[0]
    if x.dtype is v.dtype:
        return x
    if x.primitive.name == "cast" and _holds(x.inputs[0].dtype, x.dtype):
        return elementwise.cast(x.inputs[0], dtype=v.dtype)
    return None


def _holds(inner: DType, outer: DType) -> bool:
    """Whether every value of `inner` survives in `outer`, and casts on from there as from `inner`
    itself.
    """
    if inner.kind == "f" and outer.kind == "f":
        if outer.itemsize == inner.itemsize:
            return inner is outer
        return outer.itemsize > inner.itemsize
    if inner.kind == "i" and outer.kind == "i":
        return outer.itemsize > inner.itemsize and (outer.is_signed or not inner.is_signed)
    return False


# ---- views --------------------------------------------------------------------------------------


def _link(v: Value) -> Value | None:
    return v.inputs[0]


def _reshape(v: Value) -> Value | None:
    x = v.inputs[0]
    if x.shape == v.shape:
        return x
    return view.reshape(x.inputs[0], shape=v.shape) if x.primitive.name == "reshape" else None


def _permute(v: Value) -> Value | None:
    x, order = v.inputs[0], v.attrs["order"]
    if order == tuple(range(len(order))):
        return x
    if x.primitive.name == "permute":
        inner = x.attrs["order"]
        return view.permute(x.inputs[0], order=tuple(inner[a] for a in order))
    return None


def _expand(v: Value) -> Value | None:
    x = v.inputs[0]
    if x.shape == v.shape:
        return x
    return view.expand(x.inputs[0], shape=v.shape) if x.primitive.name == "expand" else None


def _slice(v: Value) -> Value | None:
    x, attrs = v.inputs[0], v.attrs
    if x.shape == v.shape and not any(attrs["starts"]) and all(s == 1 for s in attrs["steps"]):
        return x
    if x.primitive.name == "slice":
        inner = x.attrs
        starts = tuple(
            s + t * a
            for s, t, a in zip(inner["starts"], inner["steps"], attrs["starts"], strict=True)
        )
        steps = tuple(t * b for t, b in zip(inner["steps"], attrs["steps"], strict=True))
        return view.slice_(x.inputs[0], starts=starts, steps=steps, sizes=attrs["sizes"])
    return None


def _pad(v: Value) -> Value | None:
    none = not any(v.attrs["low"]) and not any(v.attrs["high"])
    return v.inputs[0] if none and v.shape == v.inputs[0].shape else None


def _flip(v: Value) -> Value | None:
    return v.inputs[0] if all(v.shape[a] <= 1 for a in v.attrs["axes"]) else None


def _concat(v: Value) -> Value | None:
    return v.inputs[0] if len(v.inputs) == 1 else None


def _as_strided(v: Value) -> Value | None:
    x, attrs = v.inputs[0], v.attrs
    strides = attrs["strides"]
    if not v.size:
        return None
    if x.primitive.name == "strided_scatter" and _same_layout(
        x.inputs[1].shape, x.attrs, v.shape, attrs
    ):
        return x.inputs[1]
    whole = x.size == v.size and not attrs["offset"]
    if whole and is_contiguous(v.shape, strides):
        return view.reshape(x, shape=v.shape)
    if whole and is_dense(v.shape, strides):
        order = memory_order(v.shape, strides)
        rows = view.reshape(x, shape=tuple(v.shape[a] for a in order))
        return view.permute(rows, order=tuple(order.index(a) for a in range(v.ndim)))
    return None


def _strided_scatter(v: Value) -> Value | None:
    x, rows = v.inputs
    strides, offset = v.attrs["strides"], v.attrs["offset"]
    if not rows.size:
        return x
    if rows.size == v.size and not offset and is_dense(rows.shape, strides):
        order = memory_order(rows.shape, strides)
        return view.reshape(view.permute(rows, order=order), shape=v.shape)
    if x.primitive.name == "strided_scatter" and _same_layout(
        x.inputs[1].shape, x.attrs, rows.shape, v.attrs
    ):
        return view.strided_scatter(x.inputs[0], rows, strides=strides, offset=offset)
    if (
        rows.primitive.name == "as_strided"
        and rows.inputs[0] is x
        and _same_layout(rows.shape, rows.attrs, rows.shape, v.attrs)
    ):
        return x
    return None


def _same_layout(
    shape: tuple[int, ...], attrs: dict[str, Any], other: tuple[int, ...], others: dict[str, Any]
) -> bool:
    if shape != other or attrs["offset"] != others["offset"]:
        return False
    return all(
        n == 1 or a == b for n, a, b in zip(shape, attrs["strides"], others["strides"], strict=True)
    )


RULES: dict[str, Callable[[Value], Value | None]] = {
    "detach": _link,
    "leaf": _link,
    "history": _link,
    "relink": _link,
    "mul": _mul,
    "add": _add,
    "sub": _sub,
    "div": _div,
    "neg": _neg,
    "where": _where,
    "cast": _cast,
    "reshape": _reshape,
    "permute": _permute,
    "expand": _expand,
    "slice": _slice,
    "pad": _pad,
    "flip": _flip,
    "concat": _concat,
    "as_strided": _as_strided,
    "strided_scatter": _strided_scatter,
}
