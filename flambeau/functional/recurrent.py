"""Recurrent layers and cells over values: a whole layer, or one step of a cell, is one event.

Gates stand one after another in the rows of the weights, in PyTorch's order: input, forget, cell,
output for LSTM; reset, update, new for GRU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Any

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.functional.conversion import clone
from flambeau.ops import arithmetic as ar
from flambeau.ops import recurrence as rc
from flambeau.ops import view
from flambeau.ops.contraction import dot, swap_last
from flambeau.ops.value import Value
from flambeau.record import recorder
from flambeau.record.events import PureOp
from flambeau.tensor.tensor import Tensor

GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


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


def _input_share(mode: str, x: Value, w_ih: Value, b_ih: Value | None, b_hh: Value | None) -> Value:
    """What the input adds to the gates; with the recurrent bias unless that is gated itself."""
    product = _product(x, w_ih)
    return _biased(product, b_ih) if mode == "GRU" else _biased(product, b_ih, b_hh)


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
    if len(sizes) == 1 or w_hr is not None:
        bias = b_hh if mode == "GRU" else None
        result, state = rc.written_out(
            mode,
            share,
            turned,
            state,
            bias,
            sizes,
            reverse,
            (lambda h: h) if w_hr is None else lambda h: _product(h, w_hr),
        )
        return tuple(ar.cast(v, dtype) for v in (result, *state))
    operands = [share, turned, *state]
    if mode == "GRU":
        operands.append(ar.full((share.shape[1],), 0, share.dtype) if b_hh is None else b_hh)
    whole = rc.recurrence(*operands, mode=mode, sizes=sizes, reverse=reverse)
    starts = [0, *accumulate((share.shape[0], *[sizes[0]] * len(state)))]
    parts = [
        view.slice_(whole, starts=(start, 0), sizes=(end - start, whole.shape[1]), steps=(1, 1))
        for start, end in pairwise(starts)
    ]
    return tuple(ar.cast(v, dtype) for v in parts)


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
    made: list[Tensor] = recorder.record_many(LAYERS[mode], operands, (mode, tuple(sizes), reverse))
    if len(sizes) == 1 and mode.startswith("RNN"):
        # The derivative reads what tanh or relu has given, and not what may be written over it.
        return [clone(tensor) for tensor in made]
    return made


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
