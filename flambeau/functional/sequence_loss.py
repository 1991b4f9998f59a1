"""The loss of label sequences without given alignments: ctc_loss."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from flambeau.core import dtypes
from flambeau.core.calls import refuse_misgiven
from flambeau.functional import from_data
from flambeau.functional.neural import (
    REDUCTIONS,
    NamedOp,
    axis,
    mean,
    named,
    record,
    whole,
)
from flambeau.functional.options import not_implemented
from flambeau.ops import alignment, view
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import reduction as rd
from flambeau.ops.value import Value
from flambeau.tensor.tensor import Tensor


def _check(scores: Value, labels: Value, times: Value, lengths: Value, blank: int) -> None:
    if scores.ndim != 3:
        rank = scores.ndim + (scores.ndim == 1)  # of a batch of one
        raise RuntimeError(
            f"Expected 3-dimensional tensor, but got {rank}-dimensional tensor for argument "
            f"#1 'log_probs' {alignment.CHECKING}"
        )
    for name, given in (("input_lengths", times), ("target_lengths", lengths)):
        if given.dtype.kind not in "iu":
            raise RuntimeError(f"{name} must be integral")
    if scores.dtype not in (dtypes.float32, dtypes.float64):
        raise not_implemented("ctc_loss_cpu", scores.dtype)
    if not 0 <= blank < scores.shape[2]:
        raise RuntimeError("blank must be in label range")
    if labels.ndim not in (1, 2):
        raise RuntimeError(
            f"Expected 1 to 2 dimensions, but got {labels.ndim}-dimensional tensor for argument #2 "
            f"'targets' {alignment.CHECKING}"
        )
    batch = scores.shape[1]
    for name, given in (("input_lengths", times), ("target_lengths", lengths)):
        if given.shape != (batch,):
            raise RuntimeError(f"{name} must be of size batch_size")
    if labels.ndim == 2 and labels.shape[0] != batch:
        raise RuntimeError(
            f"Expected tensor to have size {batch} at dimension 0, but got size {labels.shape[0]} "
            f"for argument #2 'targets' {alignment.CHECKING}"
        )


def _ctc(
    scores: Value,
    labels: Value,
    times: Value,
    lengths: Value,
    reduction: str,
    blank: int,
    zero_infinity: bool,
) -> Value:
    blank = whole("ctc_loss", "blank", blank)
    single = scores.ndim == 2
    if not scores.ndim:
        axis(1, 0)
    if not scores.size:
        raise RuntimeError("log_probs tensor must not be empty")
    if single:
        scores = view.reshape(scores, shape=(scores.shape[0], 1, scores.shape[1]))
        times, lengths = (view.reshape(v, shape=(v.size,)) for v in (times, lengths))
        if labels.ndim == 1:
            labels = view.reshape(labels, shape=(1, labels.size))
    _check(scores, labels, times, lengths, blank)
    labels, times, lengths = (ar.cast(v, dtypes.int64) for v in (labels, times, lengths))
    losses = alignment.ctc_loss(
        scores, labels, times, lengths, blank=blank, zero_infinity=zero_infinity
    )
    if zero_infinity:
        losses = el.where(ar.eq(losses, math.inf), ar.zeros_like(losses), losses)
    if reduction == "mean":
        counts = ar.cast(ar.maximum(lengths, 1), losses.dtype)
        return mean(losses / counts, (0,))
    if reduction == "sum":
        return rd.sum_(losses, axes=(0,))
    return view.reshape(losses, shape=()) if single else losses


def _name(*parts: Any) -> str:
    none = "WhereBackward0" if parts[-1] else "CtcLossBackward0"
    return named(none, "MeanBackward0", "SumBackward0")(*parts)


CTC = NamedOp("ctc_loss", _ctc, _name)


def _lengths(given: Any) -> Tensor:
    return given if isinstance(given, Tensor) else from_data.tensor(given, dtype=dtypes.int64)


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """-log of the probability of targets under log_probs [T, N, C] (or [T, C]), all alignments
    counted; targets are [N, S] or, in a row, [sum of target_lengths].

    "mean" divides each loss by its target's length first. The gradient is PyTorch's: right for
    log_probs that come from log_softmax. RuntimeError, when run, for lengths that do not fit.
    """
    operands = (log_probs, targets, input_lengths, target_lengths)
    if (
        not all(isinstance(part, Tensor) for part in operands)
        or zero_infinity.__class__ is not bool
    ):
        refuse_misgiven()
    if reduction not in REDUCTIONS:
        raise ValueError(f"{reduction} is not a valid value for reduction")
    try:
        operands = (log_probs, targets, _lengths(input_lengths), _lengths(target_lengths))
        return record(CTC, operands, (reduction, blank, bool(zero_infinity)))
    except Exception:
        refuse_misgiven()
        raise


METHODS: dict[str, Callable[..., Any]] = {}

# Names of torch.nn.functional (torch.ctc_loss takes its reduction as a number and is left out).
__all__ = ["ctc_loss"]
