"""torch.nn.grad: the gradients of convolutions by input and by weight."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.autograd.engine import grad
from flambeau.autograd.modes import enable_grad
from flambeau.nn._torch import F, Tensor, zeros

__all__ = [
    "conv1d_input", "conv1d_weight", "conv2d_input", "conv2d_weight", "conv3d_input",
    "conv3d_weight",
]  # fmt: skip


def _input(rank: int) -> Callable[..., Tensor]:
    def gradient(
        input_size: Any, weight: Tensor, grad_output: Tensor, stride: Any = 1, padding: Any = 0,
        dilation: Any = 1, groups: int = 1,
    ) -> Tensor:  # fmt: skip
        with enable_grad():
            x = zeros(tuple(input_size), dtype=grad_output.dtype).requires_grad_()
            convolve = getattr(F, f"conv{rank}d")
            made = convolve(x, weight, None, stride, padding, dilation, groups)
        found: Tensor = grad(made, x, grad_output)[0]
        return found

    gradient.__name__ = gradient.__qualname__ = f"conv{rank}d_input"
    gradient.__doc__ = f"The gradient of conv{rank}d by its input, of shape `input_size`."
    return gradient


def _weight(rank: int) -> Callable[..., Tensor]:
    def gradient(
        input: Tensor, weight_size: Any, grad_output: Tensor, stride: Any = 1, padding: Any = 0,
        dilation: Any = 1, groups: int = 1,
    ) -> Tensor:  # fmt: skip
        with enable_grad():
            w = zeros(tuple(weight_size), dtype=grad_output.dtype).requires_grad_()
            convolve = getattr(F, f"conv{rank}d")
            made = convolve(input, w, None, stride, padding, dilation, groups)
        found: Tensor = grad(made, w, grad_output)[0]
        return found

    gradient.__name__ = gradient.__qualname__ = f"conv{rank}d_weight"
    gradient.__doc__ = f"The gradient of conv{rank}d by its weight, of shape `weight_size`."
    return gradient


conv1d_input, conv2d_input, conv3d_input = _input(1), _input(2), _input(3)
conv1d_weight, conv2d_weight, conv3d_weight = _weight(1), _weight(2), _weight(3)
