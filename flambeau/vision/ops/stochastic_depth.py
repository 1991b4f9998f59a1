"""Residual branches left out at random in training (Huang et al., arXiv:1603.09382)."""

from __future__ import annotations

import flambeau.nn as nn
from flambeau.tensor.tensor import Tensor


def stochastic_depth(input: Tensor, p: float, mode: str, training: bool = True) -> Tensor:
    """The input with rows ("row") or all of it ("batch") zero with probability p, else / (1 - p).

    ValueError where p is not in 0..1 or the mode is another.
    """
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"drop probability has to be between 0 and 1, but got {p}")
    if mode not in ("batch", "row"):
        raise ValueError(f"mode has to be either 'batch' or 'row', but got {mode}")
    if not training or p == 0.0:
        return input
    rows = input.shape[0] if mode == "row" else 1
    kept = 1.0 - p
    noise = input.new_empty((rows, *[1] * (input.ndim - 1))).bernoulli_(kept)
    if kept > 0.0:
        noise.div_(kept)
    return input * noise


class StochasticDepth(nn.Module):
    """stochastic_depth as a layer: nothing happens outside of training."""

    def __init__(self, p: float, mode: str) -> None:
        super().__init__()
        self.p = p
        self.mode = mode

    def forward(self, input: Tensor) -> Tensor:
        return stochastic_depth(input, self.p, self.mode, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}, mode={self.mode}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.extra_repr()})"
