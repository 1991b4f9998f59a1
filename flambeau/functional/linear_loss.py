"""The cross-entropy of a linear layer's outputs, and the convolution of sequences, time first."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flambeau.core import dtypes
from flambeau.core.calls import refuse_misgiven
from flambeau.core.dtypes import DType
from flambeau.functional.class_loss import cross_entropy
from flambeau.functional.convolution import conv1d, linear
from flambeau.functional.shaping import permute, reshape
from flambeau.tensor.tensor import Tensor


def _check(input: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    if input.ndim not in (1, 2):
        raise RuntimeError(f"expected input with dimensionality 1 or 2, got {input.ndim}")
    if weight.ndim < 2:
        raise RuntimeError(
            f"expected linear_weight with dimensionality at least 2, got {weight.ndim}"
        )
    if input.shape[-1] != weight.shape[-1]:
        raise RuntimeError(
            "expected equal input and linear_weight last dimensions (in_features), got "
            f"{input.shape[-1]} and {weight.shape[-1]}, respectively"
        )
    classes = tuple(weight.shape[:-1])
    if bias is not None and tuple(bias.shape) != classes:
        raise RuntimeError(f"expected linear_bias shape {classes}, got {tuple(bias.shape)}")
    if len(classes) > 1 and input.ndim == 1:
        raise RuntimeError(
            f"K-dimensional loss defined by linear_weight shape {tuple(weight.shape)} requires "
            f"batched input, (N, {input.shape[-1]}), got unbatched input with shape "
            f"{tuple(input.shape)}"
        )


@dataclass(frozen=True)
class LinearCrossEntropyOptions:
    """How PyTorch cuts `linear_cross_entropy` into chunks. ValueError for what it does not know.

    Here programs are compiled as a whole, so that the choice changes neither memory nor results.
    """

    allow_retain_graph: bool = False
    batch_chunk_size: int | None = None
    chunking_method: str | None = "auto"
    acc_policy: str = "auto"
    acc_dtype: DType | None = None

    def __post_init__(self) -> None:
        if self.acc_policy not in ("auto", "accurate", "balanced", "compact"):
            raise ValueError(f"invalid acc_policy: {self.acc_policy!r}")
        method = self.chunking_method
        if method not in (None, "auto"):
            name, cut, factor = str(method).partition(":")
            count = factor if cut else "1"
            if name != "aspect_ratio" or not count.isdigit() or int(count) < 1:
                raise ValueError(f"invalid chunking_method: {method!r}")
        size = self.batch_chunk_size
        if size is not None and not (isinstance(size, int) and size > 0):
            raise ValueError(f"batch_chunk_size must be positive int or None, got {size!r}")
        floats = (dtypes.float16, dtypes.bfloat16, dtypes.float32, dtypes.float64)
        if self.acc_dtype is not None and self.acc_dtype not in floats:
            raise ValueError(
                "acc_dtype must be one of {None, torch.float16, torch.bfloat16, torch.float32, "
                f"torch.float64}}, got {self.acc_dtype!r}. Pass acc_dtype=None to let the op pick "
                "automatically."
            )


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
) -> Tensor:
    """cross_entropy(linear(input, linear_weight, linear_bias), target, ..).

    input [N, E] or [E]; linear_weight [C, *K, E] gives logits [N, C, *K]. Raises RuntimeError for
    shapes that do not fit; `options` choose how PyTorch computes it, not what.
    """
    try:
        if options is not None and not isinstance(options, LinearCrossEntropyOptions):
            raise TypeError(
                "options must be LinearCrossEntropyOptions or None, got " + type(options).__name__
            )
        _check(input, linear_weight, linear_bias)
        classes, features = tuple(linear_weight.shape[:-1]), linear_weight.shape[-1]
        shape = (*input.shape[:-1], *classes)
        if ignore_index is not None and tuple(target.shape) == shape:
            raise RuntimeError(
                "ignore_index cannot be specified when target contains probabilities"
            )
        if len(classes) > 1:
            linear_weight = reshape(linear_weight, (math.prod(classes), features))
            linear_bias = (
                None if linear_bias is None else reshape(linear_bias, (math.prod(classes),))
            )
        logits = reshape(linear(input, linear_weight, linear_bias), shape)
        return cross_entropy(
            logits,
            target,
            weight=weight,
            reduction=reduction,
            ignore_index=-100 if ignore_index is None else ignore_index,
            label_smoothing=label_smoothing,
        )
    except Exception:
        refuse_misgiven()
        raise


def conv_tbc(input: Tensor, weight: Tensor, bias: Tensor, pad: int = 0) -> Tensor:
    """The convolution of sequences [T, N, C] with weight [K, C, O] and bias [O]: [T', N, O]."""
    for name, given in (("Input", input), ("Weight", weight)):
        if given.ndim != 3:
            raise RuntimeError(f"{name} must have 3 dims: time, batch, in_channel")
    if bias.ndim != 1:
        raise RuntimeError("Bias must be 1-D")
    kernel = permute(weight, (2, 1, 0))
    result = conv1d(permute(input, (1, 2, 0)), kernel, bias, padding=int(pad))
    returned: Tensor = permute(result, (2, 0, 1))
    return returned


METHODS: dict[str, Callable[..., Any]] = {}

# Names of torch.nn.functional.
__all__ = ["conv_tbc", "linear_cross_entropy"]
