"""Perplexity: how many words a language model hesitates between."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor, tensor
from flambeau.metrics.functional.text.perplexity import _perplexity_compute, _perplexity_update
from flambeau.metrics.metric import Metric


class Perplexity(Metric):
    """exp of the mean of -log p(target). ValueError for an index that is no integer."""

    is_differentiable = True
    higher_is_better = False
    full_state_update = False
    _update_depends_on = ("ignore_index",)
    total_log_probs: Tensor
    count: Tensor

    def __init__(self, ignore_index: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if ignore_index is not None and not isinstance(ignore_index, int):
            raise ValueError(
                "Argument `ignore_index` expected to either be `None` or an `int` but got "
                f"{ignore_index}"
            )
        self.ignore_index = ignore_index
        self.add_state("total_log_probs", default=tensor(0.0), dist_reduce_fx="sum")
        self.add_state("count", default=tensor(0.0), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds a batch: logits (N, T, V) and targets (N, T)."""
        total, count = _perplexity_update(preds, target, self.ignore_index)
        self.total_log_probs += total
        self.count += count

    def compute(self) -> Tensor:
        """The value of all batches."""
        return _perplexity_compute(self.total_log_probs, self.count)
