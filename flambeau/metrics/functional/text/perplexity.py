"""Perplexity: how many words a language model hesitates between."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import F, Tensor, int64, tensor


def _check(preds: Tensor, target: Tensor) -> None:
    if preds.ndim != 3:
        raise ValueError(
            "Input tensor `preds` is expected to have 3 dimensions, [batch_size, seq_len, "
            f"vocab_size], but got {preds.ndim}."
        )
    if target.ndim != 2:
        raise ValueError(
            "Input tensor `target` is expected to have 2 dimensions, [batch_size, seq_len], but "
            f"got {target.ndim}."
        )
    if preds.shape[:2] != target.shape:
        raise ValueError(
            "Input tensors `preds` and `target` are expected to have equaling first two "
            f"dimensions, [batch_size, seq_len], but got {preds.shape[:2]} and {target.shape}."
        )
    if not preds.is_floating_point():
        raise TypeError(
            f"Input tensor `preds` is expected to be of floating point type but got {preds.dtype}."
        )
    if target.dtype is not int64:
        raise TypeError(
            f"Input tensor `target` is expected to be of a type {int64} but got {target.dtype}."
        )


def _perplexity_update(
    preds: Tensor, target: Tensor, ignore_index: int | None = None
) -> tuple[Tensor, Tensor]:
    """The sum of -log p(target), and of how many. ValueError, TypeError for what does not fit."""
    _check(preds, target)
    scores = F.log_softmax(preds.reshape(-1, preds.shape[-1]), dim=1)
    target = target.reshape(-1)
    if ignore_index is None:
        found: Any = scores.gather(1, target.unsqueeze(1))
        return -found.sum(), tensor(target.numel())
    kept = target != ignore_index
    found = scores.gather(1, (target * kept).unsqueeze(1)).squeeze(1)
    return -found.masked_fill(~kept, 0.0).sum(), kept.sum()


def _perplexity_compute(total: Tensor, count: Tensor) -> Tensor:
    """exp(total / count)."""
    mean: Any = total / count
    result: Tensor = mean.exp()
    return result


def perplexity(preds: Tensor, target: Tensor, ignore_index: int | None = None) -> Tensor:
    """exp of the mean of -log p(target); logits (N, T, V), targets (N, T). ValueError."""
    return _perplexity_compute(*_perplexity_update(preds, target, ignore_index))
