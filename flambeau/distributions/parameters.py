"""How distributions take their parameters: broadcasting, probabilities and logits, laziness."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from flambeau.distributions._torch import (
    F,
    Size,
    Tensor,
    broadcast_tensors,
    enable_grad,
    finfo,
    get_default_dtype,
    rand,
    randn,
    tensor,
)

euler_constant = 0.57721566490153286060
T = TypeVar("T")
NUMBERS = (bool, int, float)


def broadcast_all(*values: Any) -> tuple[Tensor, ...]:
    """Numbers and tensors as tensors of one shape; ValueError for anything else.

    Numbers take the dtype of the first tensor, or the default dtype.
    """
    if not all(isinstance(v, (Tensor, *NUMBERS)) for v in values):
        raise ValueError(
            "Input arguments must all be instances of Number, torch.Tensor or objects "
            "implementing __torch_function__."
        )
    first = next((v for v in values if isinstance(v, Tensor)), None)
    dtype = get_default_dtype() if first is None else first.dtype
    made = [v if isinstance(v, Tensor) else tensor(v, dtype=dtype) for v in values]
    return tuple(broadcast_tensors(*made))


def logits_to_probs(logits: Tensor, is_binary: bool = False) -> Tensor:
    """Probabilities of log-odds, or of unnormalised log-probabilities along the last axis."""
    return logits.sigmoid() if is_binary else F.softmax(logits, dim=-1)


def clamp_probs(probs: Tensor) -> Tensor:
    """Probabilities kept off 0 and 1 by the dtype's epsilon."""
    eps = finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


def probs_to_logits(probs: Tensor, is_binary: bool = False) -> Tensor:
    """Log-odds, or log-probabilities."""
    clamped = clamp_probs(probs)
    return clamped.log() - (-clamped).log1p() if is_binary else clamped.log()


def binary_cross_entropy_with_logits(logits: Tensor, target: Tensor) -> Tensor:
    """Minus the log-probability of each target under a Bernoulli of these log-odds."""
    return F.binary_cross_entropy_with_logits(logits, target, reduction="none")


def standard_normal(shape: Any, like: Tensor) -> Tensor:
    """Normal numbers of a shape in the dtype of another tensor."""
    return randn(tuple(shape), dtype=like.dtype)


def _standard_normal(shape: Any, dtype: Any, device: Any) -> Tensor:
    """Normal numbers of a shape (what PyTorch's own distributions draw with)."""
    return randn(tuple(shape), dtype=dtype, device=device)


def _sum_rightmost(value: Tensor, dim: int) -> Tensor:
    return sum_rightmost(value, dim)


def uniform(shape: Any, like: Tensor) -> Tensor:
    """Numbers in [0, 1) of a shape in the dtype of another tensor."""
    return rand(tuple(shape), dtype=like.dtype)


def open_uniform(shape: Any, like: Tensor, low: float | None = None) -> Tensor:
    """Numbers in [low, 1), low the smallest normal number: their logarithm is finite."""
    tiny = finfo(like.dtype).tiny if low is None else low
    return uniform(shape, like) * (1 - tiny) + tiny


def sum_rightmost(value: Tensor, dims: int) -> Tensor:
    """The sum over the last `dims` axes."""
    if dims == 0:
        return value
    return value.reshape(*value.shape[: value.dim() - dims], -1).sum(-1)


class lazy_property(Generic[T]):
    """An attribute computed when first read, and kept from then on."""

    def __init__(self, wrapped: Callable[[Any], T]) -> None:
        self.wrapped = wrapped
        self.__doc__ = wrapped.__doc__

    def __set_name__(self, owner: Any, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: Any = None) -> T:
        if instance is None:
            return self  # type: ignore[return-value]
        with enable_grad():
            value = self.wrapped(instance)
        instance.__dict__[self.name] = value
        return value


def given_one(**values: Any) -> str:
    """Which one of two parameters was given; ValueError for both or none."""
    (first, a), (second, b) = values.items()
    if (a is None) == (b is None):
        raise ValueError(f"Either `{first}` or `{second}` must be specified, but not both.")
    return second if a is None else first


def shape_of(*values: Any) -> Size:
    """The batch shape of parameters: that of the first tensor, () where all are numbers."""
    for value in values:
        if isinstance(value, Tensor):
            return value.size()
    return Size()
