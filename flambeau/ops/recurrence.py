"""Recurrent layers as single primitives: a loop over time whose length is data of the kernel.

Note [Recurrences]
    An unrolled layer of a hundred steps is thousands of values, and another program for every new
    length. So one direction of one layer is one value, `recurrence`, and its gradient another,
    `recurrence_grad`; a kernel takes the steps as numbers. What the gradient needs of each step
    (`recurrence_saved`) comes from the same kernel as the outputs. Derivatives of higher order
    are those of the loops written out in other primitives (`over_steps`, `back_over_steps`).

    Rows are packed: step t has sizes[t] of them, one for each sequence that is still going on,
    and sizes never grow. Row r of all steps belongs to sequence r. Parts of a row (gates) stand
    one after another, each as wide as the state.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from flambeau.core.dtypes import DType
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import source, view
from flambeau.ops.contraction import dot, swap_last
from flambeau.ops.primitive import RECURRENCE, Array, Cotangents, Primitive
from flambeau.ops.value import Shape, Value

# ---- the cells -----------------------------------------------------------------------------------
# Their arithmetic is written once, with operators and `m`, for values, arrays and vector registers.


class Cell(NamedTuple):
    """One step of a layer, forwards and backwards.

    forward(m, gates, product, state): the new state and what is saved. `gates` are the input's
    parts; where `joint`, the recurrent product is added already, else `product` has its parts.
    backward(m, saved, d): from the gradients `d` of the new state those of the parts, and what of
    them reaches the old state directly (None: nothing). `multiplied` says which of the parts, in
    order, are the gradient of the recurrent product.
    """

    gates: int
    states: int
    saved: int
    parts: int
    multiplied: tuple[int, ...]
    joint: bool
    forward: Callable[..., tuple[list[Any], list[Any]]]
    backward: Callable[..., tuple[list[Any], list[Any]]]


def _lstm(m: Any, gates: Any, product: Any, state: Any) -> tuple[list[Any], list[Any]]:
    h, c = state
    i, f, o = m.sigmoid(gates[0]), m.sigmoid(gates[1]), m.sigmoid(gates[3])
    g = m.tanh(gates[2])
    new = f * c + i * g
    return [o * m.tanh(new), new], [i, f, g, o, c, h]


def _lstm_back(m: Any, saved: Any, d: Any) -> tuple[list[Any], list[Any]]:
    i, f, g, o, c, _ = saved
    dh, dc = d
    t = m.tanh(f * c + i * g)
    dc = dc + dh * o * (1 - t * t)
    di, df = dc * g * i * (1 - i), dc * c * f * (1 - f)
    return [di, df, dc * i * (1 - g * g), dh * t * o * (1 - o)], [None, dc * f]


def _gru(m: Any, gates: Any, product: Any, state: Any) -> tuple[list[Any], list[Any]]:
    h = state[0]
    reset, update = m.sigmoid(gates[0] + product[0]), m.sigmoid(gates[1] + product[1])
    new = m.tanh(gates[2] + reset * product[2])
    return [(h - new) * update + new], [reset, update, new, product[2], h]


def _gru_back(m: Any, saved: Any, d: Any) -> tuple[list[Any], list[Any]]:
    reset, update, new, inner, h = saved
    dh = d[0]
    dn = dh * (1 - update) * (1 - new * new)
    dr = dn * inner * reset * (1 - reset)
    return [dr, dh * (h - new) * update * (1 - update), dn, dn * reset], [dh * update]


def _tanh(m: Any, gates: Any, product: Any, state: Any) -> tuple[list[Any], list[Any]]:
    y = m.tanh(gates[0])
    return [y], [y, state[0]]


def _tanh_back(m: Any, saved: Any, d: Any) -> tuple[list[Any], list[Any]]:
    return [d[0] * (1 - saved[0] * saved[0])], [None]


def _relu(m: Any, gates: Any, product: Any, state: Any) -> tuple[list[Any], list[Any]]:
    y = m.where_above(gates[0], gates[0])
    return [y], [y, state[0]]


def _relu_back(m: Any, saved: Any, d: Any) -> tuple[list[Any], list[Any]]:
    return [m.where_above(saved[0], d[0])], [None]


CELLS = {
    "LSTM": Cell(4, 2, 6, 4, (0, 1, 2, 3), True, _lstm, _lstm_back),
    "GRU": Cell(3, 1, 5, 4, (0, 1, 3), False, _gru, _gru_back),
    "RNN_TANH": Cell(1, 1, 2, 1, (0,), True, _tanh, _tanh_back),
    "RNN_RELU": Cell(1, 1, 2, 1, (0,), True, _relu, _relu_back),
}


class _Values:
    """The arithmetic of cells and loops over values."""

    sigmoid, tanh = staticmethod(el.sigmoid), staticmethod(el.tanh)
    dot = staticmethod(dot)

    @staticmethod
    def where_above(x: Value, y: Value) -> Value:
        """y, and 0 where x is 0 or less."""
        return el.where(el.le(x, ar.zeros_like(x)), ar.zeros_like(x), y)

    @staticmethod
    def rows(x: Value, start: int, count: int) -> Value:
        if count == x.shape[0]:
            return x
        return view.slice_(x, starts=(start, 0), sizes=(count, x.shape[1]), steps=(1, 1))

    @staticmethod
    def parts(x: Value, count: int) -> list[Value]:
        rows, size = x.shape[0], x.shape[1] // count
        if count == 1:
            return [x]
        return [
            view.slice_(x, starts=(0, k * size), sizes=(rows, size), steps=(1, 1))
            for k in range(count)
        ]

    @staticmethod
    def joined(parts: Sequence[Value], axis: int) -> Value:
        return view.concat(*parts, axis=axis) if len(parts) > 1 else parts[0]

    @staticmethod
    def zeros(rows: int, width: int, like: Value) -> Value:
        return ar.full((rows, width), 0, like.dtype)

    @staticmethod
    def biased(x: Value, bias: Value) -> Value:
        return x + ar.expand(bias, x.shape)


class _Arrays:
    """The arithmetic of cells and loops over NumPy arrays."""

    tanh = staticmethod(np.tanh)
    dot = staticmethod(np.matmul)

    @staticmethod
    def sigmoid(x: Array) -> Array:
        return np.asarray(el.sigmoid.reference(x))

    @staticmethod
    def where_above(x: Array, y: Array) -> Array:
        return np.where(x <= 0, np.zeros_like(y), y)

    @staticmethod
    def rows(x: Array, start: int, count: int) -> Array:
        return x[start : start + count]

    @staticmethod
    def parts(x: Array, count: int) -> list[Array]:
        return np.split(x, count, axis=1)

    @staticmethod
    def joined(parts: Sequence[Array], axis: int) -> Array:
        return np.concatenate(parts, axis=axis)

    @staticmethod
    def zeros(rows: int, width: int, like: Array) -> Array:
        return np.zeros((rows, width), like.dtype)

    @staticmethod
    def biased(x: Array, bias: Array) -> Array:
        return np.asarray(x + bias)


# ---- the loops -----------------------------------------------------------------------------------


def order_of(sizes: Sequence[int], reverse: bool) -> list[tuple[int, int, int]]:
    """(step, its first row, its rows), in the order in which the steps are taken."""
    steps = list(zip(range(len(sizes)), [0, *accumulate(sizes)], sizes))
    return steps[::-1] if reverse else steps


def _frozen(m: Any, now: Any, before: Any) -> Any:
    """The rows of `now`, and those of `before` for the sequences behind them."""
    count = now.shape[0]
    if count == before.shape[0]:
        return now
    return m.joined([now, m.rows(before, count, before.shape[0] - count)], 0)


def over_steps(
    m: Any,
    mode: str,
    share: Any,
    turned: Any,
    state: Sequence[Any],
    bias: Any,
    sizes: Sequence[int],
    reverse: bool,
    projected: Callable[[Any], Any] = lambda h: h,
) -> tuple[Any, Any, list[Any]]:
    """A layer written out: (outputs [N, h], what is saved [N, ..], the last state).

    share [N, gates * h] is the input's part of the gates; turned [h, gates * h] the recurrent
    weights, transposed; bias that of a GRU's recurrent product, or None.
    """
    cell = CELLS[mode]
    outputs: dict[int, Any] = {}
    saved: dict[int, Any] = {}
    for t, start, count in order_of(sizes, reverse):
        gates = m.rows(share, start, count)
        before = [m.rows(s, 0, count) for s in state]
        product = m.dot(before[0], turned)
        if bias is not None:
            product = m.biased(product, bias)
        if cell.joint:
            gates, product = gates + product, None
        now, kept = cell.forward(
            m,
            m.parts(gates, cell.gates),
            None if product is None else m.parts(product, cell.gates),
            before,
        )
        now[0] = projected(now[0])
        outputs[t], saved[t] = now[0], kept
        state = [_frozen(m, new, old) for new, old in zip(now, state)]
    steps = range(len(sizes))
    rows = m.joined([m.joined(saved[t], 1) for t in steps], 0)
    return m.joined([outputs[t] for t in steps], 0), rows, list(state)


def back_over_steps(
    m: Any, mode: str, ct: Any, weight: Any, saved: Any, sizes: Sequence[int], reverse: bool
) -> Any:
    """The gradient of a layer written out: see RecurrenceGrad."""
    cell = CELLS[mode]
    total, batch = sum(sizes), sizes[0]
    carried = [m.rows(ct, total + k * batch, batch) for k in range(cell.states)]
    found: dict[int, Any] = {}
    for t, start, count in order_of(sizes, not reverse):
        d = [m.rows(c, 0, count) for c in carried]
        d[0] = d[0] + m.rows(ct, start, count)
        parts, direct = cell.backward(m, m.parts(m.rows(saved, start, count), cell.saved), d)
        product = m.dot(m.joined([parts[k] for k in cell.multiplied], 1), weight)
        direct[0] = product if direct[0] is None else product + direct[0]
        carried = [_frozen(m, new, old) for new, old in zip(direct, carried)]
        found[t] = m.joined(parts, 1)
    if rest := cell.parts - cell.states:
        carried.append(m.zeros(batch, rest * carried[0].shape[1], ct))
    return m.joined([*[found[t] for t in range(len(sizes))], m.joined(carried, 1)], 0)


def written_out(
    mode: str,
    share: Value,
    turned: Value,
    state: Sequence[Value],
    bias: Value | None,
    sizes: Sequence[int],
    reverse: bool,
    projected: Callable[[Value], Value] = lambda h: h,
) -> tuple[Value, list[Value]]:
    """A layer in other primitives: (outputs, the last state)."""
    outputs, _, last = over_steps(
        _Values, mode, share, turned, state, bias, sizes, reverse, projected
    )
    return outputs, last


# ---- the primitives ------------------------------------------------------------------------------


def _states(mode: str, inputs: Sequence[Any]) -> tuple[list[Any], Any]:
    """(the state, the recurrent bias) among the operands of `recurrence`."""
    if mode == "GRU":
        return [inputs[2]], inputs[3]
    return list(inputs[2:]), None


class Recurrence(Primitive):
    """One direction of a recurrent layer: share [N, gates * h], turned [h, gates * h], the state
    [B, h] each (GRU: then the bias of the recurrent product [gates * h]).

    Gives the outputs [N, h], then the last state, B rows each. attrs: mode, sizes, reverse.
    """

    name, family = "recurrence", RECURRENCE

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        cell = CELLS[attrs["mode"]]
        share, turned, state = inputs[:3]
        batch, width = state.shape
        assert share.shape == (sum(attrs["sizes"]), cell.gates * width), (inputs, attrs)
        assert turned.shape == (width, cell.gates * width) and batch == attrs["sizes"][0], inputs
        return (share.shape[0] + cell.states * batch, width), share.dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        mode = attrs["mode"]
        share, turned, state = inputs[:3]
        cell, (total, (batch, width)) = CELLS[mode], (share.shape[0], state.shape)
        saved = recurrence_saved(*inputs, **attrs)
        found = recurrence_grad(ct, swap_last(turned), saved, **attrs)
        gates = view.slice_(found, starts=(0, 0), sizes=(total, cell.gates * width), steps=(1, 1))
        parts = _Values.parts(_Values.rows(found, total, batch), cell.parts)[: cell.states]
        before = swap_last(_Values.parts(saved, cell.saved)[-1])
        if mode != "GRU":
            return gates, dot(before, gates), *parts
        inner = _Values.parts(_Values.rows(found, 0, total), cell.parts)[3]
        first = view.slice_(gates, starts=(0, 0), sizes=(total, 2 * width), steps=(1, 1))
        weights = view.concat(dot(before, first), dot(before, inner), axis=1)
        sums = [reduction.sum_(x, axes=(0,)) for x in (first, inner)]
        return gates, weights, *parts, view.concat(*sums, axis=0)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        outputs, _, last = _over_arrays(arrays, attrs)
        return np.concatenate([outputs, *last], axis=0)


class RecurrenceSaved(Primitive):
    """What the gradient needs of each row of `recurrence`, which has the same operands: its
    cell's saved parts [N, saved * h].
    """

    name, family = "recurrence_saved", RECURRENCE

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        width = inputs[2].shape[1]
        return (inputs[0].shape[0], CELLS[attrs["mode"]].saved * width), inputs[0].dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        def rows(share: Value, turned: Value, *rest: Value) -> Value:
            state, bias = _states(attrs["mode"], (share, turned, *rest))
            values = (attrs["mode"], share, turned, state, bias, attrs["sizes"], attrs["reverse"])
            return over_steps(_Values, *values)[1]  # type: ignore[no-any-return]

        return pulled_back(rows, ct, inputs)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        return np.asarray(_over_arrays(arrays, attrs)[1])


class RecurrenceGrad(Primitive):
    """The gradient of `recurrence`: its cotangent [N + states * B, h], weight [gates * h, h] and
    the saved rows give the gradients of the parts [N, parts * h], then B rows that begin with
    those of the first state.
    """

    name, family = "recurrence_grad", RECURRENCE

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        ct, _, saved = inputs
        cell = CELLS[attrs["mode"]]
        return (saved.shape[0] + attrs["sizes"][0], cell.parts * ct.shape[1]), ct.dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        def rows(*operands: Value) -> Value:
            mode, sizes, reverse = attrs["mode"], attrs["sizes"], attrs["reverse"]
            weight, saved = operands[1:]
            found: Value = back_over_steps(
                _Values, mode, operands[0], weight, saved, sizes, reverse
            )
            return found

        return pulled_back(rows, ct, inputs)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        mode, sizes, reverse = attrs["mode"], attrs["sizes"], attrs["reverse"]
        ct, weight, saved = arrays
        return np.asarray(back_over_steps(_Arrays, mode, ct, weight, saved, sizes, reverse))


def _over_arrays(arrays: Sequence[Array], attrs: dict[str, Any]) -> tuple[Any, Any, list[Any]]:
    mode, sizes, reverse = attrs["mode"], attrs["sizes"], attrs["reverse"]
    state, bias = _states(mode, arrays)
    return over_steps(_Arrays, mode, arrays[0], arrays[1], state, bias, sizes, reverse)


def pulled_back(
    function: Callable[..., Value], ct: Value, inputs: Sequence[Value]
) -> list[Value | None]:
    """The cotangents of `inputs` for that of function(*inputs), by the rules of its primitives.

    Of all inputs: those that an earlier program has saved are not tracked in this one, and yet
    their cotangents lead back there.
    """
    own = [_as_tracked(x) for x in inputs]
    result = function(*own)
    found: dict[Value, Value] = {result: ct}
    heap = [(-result.order, result)]
    ends = set(own)
    while heap:
        value = heapq.heappop(heap)[1]
        if value in ends:
            continue
        here = found.pop(value)
        for operand, part in zip(
            value.inputs, value.primitive.vjp(here, value, *value.inputs, **value.attrs)
        ):
            if part is None or not operand.tracked:
                continue
            if operand in found:
                found[operand] = found[operand] + part
            else:
                found[operand] = part
                heapq.heappush(heap, (-operand.order, operand))
    if not any(x.tracked for x in (ct, *inputs)):  # what comes of them is no more so than they are
        found = {x: source.detach(part) for x, part in found.items()}
    return [found.get(x) for x in own]


def _as_tracked(x: Value) -> Value:
    """The same numbers as a value of its own, so that none is met on the way twice."""
    own = view.reshape(x, shape=x.shape)
    return Value(own.primitive, own.inputs, own.attrs, own.shape, own.dtype, True)


recurrence = Recurrence()
recurrence_saved = RecurrenceSaved()
recurrence_grad = RecurrenceGrad()

from flambeau.ops import reduction  # noqa: E402  (derivatives)
