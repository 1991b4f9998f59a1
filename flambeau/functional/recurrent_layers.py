"""Whole recurrent networks: layers and directions over sequences; torch.lstm, torch.gru and theirs.

torch's functions take the weights of all layers in one list and come in two forms: for padded
sequences (input, hx, .., batch_first), and for packed ones (data, batch_sizes, hx, ..).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flambeau.functional.dropout import dropout as dropped
from flambeau.functional.joining import cat, stack
from flambeau.functional.recurrent import recurrent_layer
from flambeau.functional.shaping import reshape, select, transpose, unsqueeze
from flambeau.tensor.tensor import Tensor


def run_layers(
    mode: str,
    rows: Tensor,
    sizes: Sequence[int],
    state: Sequence[Tensor],
    weights: Sequence[Sequence[Tensor | None]],
    directions: int,
    dropout: float,
) -> tuple[Tensor, list[Tensor]]:
    """All layers over packed rows: (packed rows, the states after the last step).

    `weights` are (w_ih, w_hh, b_ih, b_hh, w_hr) of each layer and direction, `state` is h (and c)
    with all of these in the first dimension; dropout lies between layers.
    """
    ends: list[list[Tensor]] = [[] for _ in state]
    layers = len(weights) // directions
    for layer in range(layers):
        outputs = []
        for direction in range(directions):
            place = layer * directions + direction
            before = [select(h, 0, place) for h in state]
            output, *after = recurrent_layer(
                mode, rows, before, weights[place], sizes, direction == 1
            )
            outputs.append(output)
            for end, value in zip(ends, after):
                end.append(value)
        rows = cat(outputs, 1) if directions > 1 else outputs[0]
        if dropout and layer < layers - 1:
            rows = dropped(rows, dropout, True)
    if layers * directions == 1:
        return rows, [unsqueeze(end[0], 0) for end in ends]
    return rows, [stack(end) for end in ends]


def _grouped(
    params: Sequence[Tensor], has_biases: bool, count: int
) -> list[tuple[Tensor | None, ...]]:
    """The flat list of weights, five to each layer and direction."""
    each = len(params) // max(count, 1)
    usual = 4 if has_biases else 2
    if each * count != len(params) or each not in (usual, usual + 1):
        raise RuntimeError(f"expected {usual * count} weights, got {len(params)}")
    groups: list[tuple[Tensor | None, ...]] = []
    for place in range(count):
        own = list(params[place * each : (place + 1) * each])
        biases = own[2:4] if has_biases else [None, None]
        groups.append((*own[:2], *biases, own[-1] if each > usual else None))
    return groups


def _padded(
    mode: str, input: Tensor, hx: Any, params: Any, has_biases: bool, num_layers: int,
    dropout: float, train: bool, bidirectional: bool, batch_first: bool,
) -> tuple[Tensor, list[Tensor]]:  # fmt: skip
    x = transpose(input, 0, 1) if batch_first else input
    steps, batch = x.shape[0], x.shape[1]
    directions = 2 if bidirectional else 1
    weights = _grouped(params, has_biases, num_layers * directions)
    rows = reshape(x, (steps * batch, x.shape[2]))
    sizes = (batch,) * steps
    output, state = run_layers(
        mode, rows, sizes, hx, weights, directions, dropout if train else 0.0
    )
    output = reshape(output, (steps, batch, output.shape[-1]))
    return (transpose(output, 0, 1) if batch_first else output), state


def _packed(
    mode: str, data: Tensor, batch_sizes: Tensor, hx: Any, params: Any, has_biases: bool,
    num_layers: int, dropout: float, train: bool, bidirectional: bool,
) -> tuple[Tensor, list[Tensor]]:  # fmt: skip
    directions = 2 if bidirectional else 1
    weights = _grouped(params, has_biases, num_layers * directions)
    sizes = tuple(int(n) for n in batch_sizes.tolist())
    return run_layers(mode, data, sizes, hx, weights, directions, dropout if train else 0.0)


_COMMON = ["hx", "params", "has_biases", "num_layers", "dropout", "train", "bidirectional"]
_PADDED = ["input", *_COMMON, "batch_first"]
_PACKED = ["data", "batch_sizes", *_COMMON]


def _network(mode: str, name: str) -> Callable[..., tuple[Tensor, ...]]:
    """torch's function of a mode; which form is meant, the second argument says."""

    def call(*args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
        packed = "data" in kwargs or (len(args) > 3 and not isinstance(args[3], (bool, int)))
        names = _PACKED if packed else _PADDED
        given = {**dict(zip(names, args)), **kwargs}
        missing = [n for n in names if n not in given]
        if len(args) > len(names) or missing or len(given) > len(names):
            raise TypeError(
                f"{name}() received an invalid combination of arguments - expected "
                f"({', '.join(_PADDED)}) or ({', '.join(_PACKED)})"
            )
        hx = given.pop("hx")
        given["hx"] = list(hx) if mode == "LSTM" else [hx]
        output, state = (_packed if packed else _padded)(mode, **given)
        return (output, *state)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"The outputs and last states of a network ({name}), padded or packed."
    return call


lstm = _network("LSTM", "lstm")
gru = _network("GRU", "gru")
rnn_tanh = _network("RNN_TANH", "rnn_tanh")
rnn_relu = _network("RNN_RELU", "rnn_relu")

METHODS: dict[str, Callable[..., Any]] = {}
__all__ = ["gru", "lstm", "rnn_relu", "rnn_tanh"]
