"""Recurrent cells: one step of RNN, LSTM and GRU."""

from __future__ import annotations

import math
from typing import Any

from flambeau.functional.recurrent import recurrent_cell
from flambeau.nn import init
from flambeau.nn._torch import Parameter, Tensor, empty, zeros_recorded
from flambeau.nn.modules.module import Module

__all__ = ["GRUCell", "LSTMCell", "RNNCell", "RNNCellBase"]


class RNNCellBase(Module):
    """Weights and their initialisation, for `num_chunks` gates."""

    bias_ih: Tensor | None
    bias_hh: Tensor | None
    weight_ih: Tensor
    weight_hh: Tensor

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = num_chunks * hidden_size
        self.weight_ih = Parameter(empty((rows, input_size), device=device, dtype=dtype))
        self.weight_hh = Parameter(empty((rows, hidden_size), device=device, dtype=dtype))
        for name in ("bias_ih", "bias_hh"):
            value = Parameter(empty(rows, device=device, dtype=dtype)) if bias else None
            self.register_parameter(name, value)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew, uniform in +-1/sqrt(hidden_size)."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def extra_repr(self) -> str:
        """Return the sizes and options."""
        text = f"{self.input_size}, {self.hidden_size}"
        if not self.bias:
            text += f", bias={self.bias}"
        nonlinearity = getattr(self, "nonlinearity", "tanh")
        return text if nonlinearity == "tanh" else f"{text}, nonlinearity={nonlinearity}"

    def _check_rank(self, given: Tensor, what: str) -> None:
        if given.dim() not in (1, 2):
            raise ValueError(
                f"{self._get_name()}: Expected {what} to be 1D or 2D, got {given.dim()}D instead"
            )

    def _step(self, mode: str, input: Tensor, state: list[Tensor] | None) -> list[Tensor]:
        """One step with or without a batch dimension; a missing state is zero."""
        batched = input.dim() == 2
        if not batched:
            input = input.unsqueeze(0)
        if state is None:
            shape = (input.size(0), self.hidden_size)
            none = zeros_recorded(shape, input.dtype)
            state = [none, none] if mode == "LSTM" else [none]
        elif not batched:
            state = [h.unsqueeze(0) for h in state]
        weights = (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        after = recurrent_cell(mode, input, state, *weights)
        return after if batched else [h.squeeze(0) for h in after]


class RNNCell(RNNCellBase):
    """h' = tanh (or relu) of W_ih x + b_ih + W_hh h + b_hh."""

    nonlinearity: str

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """Return the next hidden state: [N, i], [N, h] -> [N, h]; also without N."""
        self._check_rank(input, "input")
        if hx is not None:
            self._check_rank(hx, "hidden")
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        mode = f"RNN_{self.nonlinearity.upper()}"
        return self._step(mode, input, None if hx is None else [hx])[0]


class LSTMCell(RNNCellBase):
    """One step of an LSTM."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the next (h, c): [N, i], ([N, h], [N, h]) -> ([N, h], [N, h])."""
        self._check_rank(input, "input")
        for place, state in enumerate(hx or ()):
            self._check_rank(state, f"hx[{place}]")
        h, c = self._step("LSTM", input, None if hx is None else list(hx))
        return h, c


class GRUCell(RNNCellBase):
    """One step of a GRU."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """Return the next hidden state: [N, i], [N, h] -> [N, h]; also without N."""
        self._check_rank(input, "input")
        if hx is not None:
            self._check_rank(hx, "hidden")
        return self._step("GRU", input, None if hx is None else [hx])[0]
