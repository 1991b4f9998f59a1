"""Recurrent layers and cells over values: a whole layer, or one step of a cell, is one event.

Gates stand one after another in the rows of the weights, in PyTorch's order: input, forget, cell,
output for LSTM; reset, update, new for GRU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import view
from flambeau.ops.contraction import dot, swap_last
from flambeau.ops.value import Value
from flambeau.record import recorder
from flambeau.record.events import PureOp
from flambeau.tensor.tensor import Tensor

GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


def _parts(x: Value, count: int) -> list[Value]:
    """[n, count * h] cut into `count` parts [n, h]."""
    rows, width = x.shape
    size = width // count
    return [
        view.slice_(x, starts=(0, k * size), sizes=(rows, size), steps=(1, 1)) for k in range(count)
    ]


def _product(x: Value, weight: Value) -> Value:
    """x [n, i] times weight [o, i] transposed."""
    return dot(x, swap_last(weight))


def _biased(x: Value, *biases: Value | None) -> Value:
    """x [n, o] plus the biases [o] that are there; those are added up first."""
    given = [b for b in biases if b is not None]
    if not given:
        return x
    total = given[0]
    for bias in given[1:]:
        total = total + bias
    return x + ar.expand(total, x.shape)


# One step. Each takes the input's share of the gates [n, gates * h], the state and the recurrent
# weights (that of the state transposed), and gives the new state: (h,) or (h, c).


def _lstm_step(gates: Value, state: Sequence[Value], weights: Sequence[Any]) -> tuple[Value, ...]:
    h, c = state
    turned, _, w_hr = weights
    i, f, g, o = _parts(gates + dot(h, turned), 4)
    c = el.sigmoid(f) * c + el.sigmoid(i) * el.tanh(g)
    h = el.sigmoid(o) * el.tanh(c)
    return (h if w_hr is None else _product(h, w_hr)), c


def _gru_step(gates: Value, state: Sequence[Value], weights: Sequence[Any]) -> tuple[Value, ...]:
    h = state[0]
    turned, b_hh, _ = weights
    reset, update, new = _parts(gates, 3)
    h_reset, h_update, h_new = _parts(_biased(dot(h, turned), b_hh), 3)
    update = el.sigmoid(update + h_update)
    new = el.tanh(new + el.sigmoid(reset + h_reset) * h_new)
    return ((h - new) * update + new,)


def _simple_step(function: Callable[[Value], Value]) -> Callable[..., tuple[Value, ...]]:
    def step(gates: Value, state: Sequence[Value], weights: Sequence[Any]) -> tuple[Value, ...]:
        return (function(gates + dot(state[0], weights[0])),)

    return step


def _relu(x: Value) -> Value:
    zero = ar.zeros_like(x)
    return el.where(el.le(x, zero), zero, x)


STEPS = {
    "LSTM": _lstm_step,
    "GRU": _gru_step,
    "RNN_TANH": _simple_step(el.tanh),
    "RNN_RELU": _simple_step(_relu),
}


def _input_share(mode: str, x: Value, w_ih: Value, b_ih: Value | None, b_hh: Value | None) -> Value:
    """What the input adds to the gates; with the recurrent bias unless that is gated itself."""
    product = _product(x, w_ih)
    return _biased(product, b_ih) if mode == "GRU" else _biased(product, b_ih, b_hh)


def _frozen(now: Value, before: Value, valid: int) -> Value:
    """The rows of `now` for the first `valid` sequences, those of `before` for the ended ones."""
    if valid == before.shape[0]:
        return now
    width = before.shape[1]
    rest = view.slice_(
        before, starts=(valid, 0), sizes=(before.shape[0] - valid, width), steps=(1, 1)
    )
    return view.concat(now, rest, axis=0)


def _first(x: Value, count: int) -> Value:
    if x.shape[0] == count:
        return x
    return view.slice_(x, starts=(0, 0), sizes=(count, x.shape[1]), steps=(1, 1))


def _layer(
    x: Value,
    state: list[Value],
    w_ih: Value,
    w_hh: Value,
    b_ih: Value | None,
    b_hh: Value | None,
    w_hr: Value | None,
    mode: str,
    sizes: tuple[int, ...],
    reverse: bool,
) -> tuple[Value, ...]:
    """One direction of one layer: (outputs, h, c).

    x [rows, i] holds sizes[t] rows for each step t, one for each sequence that is still going on.
    """
    dtype = x.dtype
    x, w_ih, w_hh = (_wide(v) for v in (x, w_ih, w_hh))
    b_ih, b_hh, w_hr = (None if v is None else _wide(v) for v in (b_ih, b_hh, w_hr))
    state = [_wide(v) for v in state]
    share = _input_share(mode, x, w_ih, b_ih, b_hh)
    # Once, so that its gradient is one sum of products.
    turned = swap_last(w_hh)
    starts = [0]
    for size in sizes:
        starts.append(starts[-1] + size)
    steps = range(len(sizes))
    outputs: dict[int, Value] = {}
    for t in reversed(steps) if reverse else steps:
        count = sizes[t]
        gates = share
        if len(sizes) > 1:
            gates = view.slice_(
                share, starts=(starts[t], 0), sizes=(count, share.shape[1]), steps=(1, 1)
            )
        before = [_first(v, count) for v in state]
        now = STEPS[mode](gates, before, (turned, b_hh, w_hr))
        outputs[t] = now[0]
        state = [_frozen(new, old, count) for new, old in zip(now, state)]
    parts = [outputs[t] for t in steps]
    result = view.concat(*parts, axis=0) if len(parts) > 1 else parts[0]
    return tuple(ar.cast(v, dtype) for v in (result, *state))


def _wide(x: Value) -> Value:
    return ar.cast(x, dtypes.float32) if x.dtype in (dtypes.float16, dtypes.bfloat16) else x


def _by_mode(function: Callable[..., Any], ending: str) -> dict[str, PureOp]:
    """The event of each mode, which PyTorch names after the mode and the ending."""
    named = {mode: mode.lower() + ending for mode in ("LSTM", "GRU", "RNN_TANH", "RNN_RELU")}
    return {
        mode: PureOp(name, function, f"{name.title().replace('_', '')}Backward0")
        for mode, name in named.items()
    }


LAYERS = _by_mode(_layer, "")


def recurrent_layer(
    mode: str,
    x: Tensor,
    state: Sequence[Tensor],
    weights: Sequence[Tensor | None],
    sizes: Sequence[int],
    reverse: bool = False,
) -> list[Tensor]:
    """One direction of one layer over x [rows, i], sizes[t] rows a step: [outputs, h(, c)].

    `weights` are w_ih, w_hh, b_ih, b_hh, w_hr (None where there is none); `state` is h (and c).
    """
    operands = (x, list(state), *weights)
    return recorder.record_many(LAYERS[mode], operands, (mode, tuple(sizes), reverse))


# ---- cells ---------------------------------------------------------------------------------------


def _cell(
    x: Value,
    state: list[Value],
    w_ih: Value,
    w_hh: Value,
    b_ih: Value | None,
    b_hh: Value | None,
    mode: str,
) -> tuple[Value, ...]:
    _check_cell(x, state, w_ih, w_hh)
    weights = (w_ih, w_hh, b_ih, b_hh, None)
    return _layer(x, state, *weights, mode, (x.shape[0],), False)[1:]


def _dtype_name(dtype: DType) -> str:
    return dtype.scalar_name


def _check_cell(x: Value, state: Sequence[Value], w_ih: Value, w_hh: Value) -> None:
    for value, weight in ((x, w_ih), (state[0], w_hh)):
        if value.dtype is not weight.dtype:
            raise RuntimeError(
                "mat1 and mat2 must have the same dtype, but got "
                f"{_dtype_name(value.dtype)} and {_dtype_name(weight.dtype)}"
            )
    if x.shape[1] != w_ih.shape[1]:
        raise RuntimeError(
            f"input has inconsistent input_size: got {x.shape[1]} expected {w_ih.shape[1]}"
        )
    hidden = w_hh.shape[1]
    for place, h in enumerate(state):
        if h.shape[0] != x.shape[0]:
            raise RuntimeError(
                f"Input batch size {x.shape[0]} doesn't match hidden{place} batch size {h.shape[0]}"
            )
        if h.shape[1] != hidden:
            raise RuntimeError(
                f"hidden{place} has inconsistent hidden_size: got {h.shape[1]}, expected {hidden}"
            )


CELLS = _by_mode(_cell, "_cell")


def recurrent_cell(
    mode: str,
    x: Tensor,
    state: Sequence[Tensor],
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
) -> list[Tensor]:
    """One step of a cell: x [n, i], state [n, h] each; gives [h(, c)]."""
    return recorder.record_many(CELLS[mode], (x, list(state), w_ih, w_hh, b_ih, b_hh), (mode,))


def lstm_cell(
    input: Tensor,
    hx: Sequence[Tensor],
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """One step of an LSTM: (h, c), each [n, h]."""
    h, c = recurrent_cell("LSTM", input, hx, w_ih, w_hh, b_ih, b_hh)
    return h, c


def _single(mode: str, name: str) -> Callable[..., Tensor]:
    def cell(
        input: Tensor,
        hx: Tensor,
        w_ih: Tensor,
        w_hh: Tensor,
        b_ih: Tensor | None = None,
        b_hh: Tensor | None = None,
    ) -> Tensor:
        return recurrent_cell(mode, input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]

    cell.__name__ = cell.__qualname__ = name
    cell.__doc__ = f"One step ({name}): the new state [n, h]."
    return cell


gru_cell = _single("GRU", "gru_cell")
rnn_tanh_cell = _single("RNN_TANH", "rnn_tanh_cell")
rnn_relu_cell = _single("RNN_RELU", "rnn_relu_cell")

METHODS: dict[str, Callable[..., Any]] = {}
__all__ = ["gru_cell", "lstm_cell", "rnn_relu_cell", "rnn_tanh_cell"]
