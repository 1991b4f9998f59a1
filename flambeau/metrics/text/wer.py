"""The word error rate."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor, tensor
from flambeau.metrics.functional.text.wer import Texts, error_counts
from flambeau.metrics.metric import Metric


class _ErrorRate(Metric):
    """States `errors` and `total`."""

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    errors: Tensor
    total: Tensor
    _by_words = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("errors", tensor(0.0), dist_reduce_fx="sum")
        self.add_state("total", tensor(0.0), dist_reduce_fx="sum")

    def update(self, preds: Texts, target: Texts) -> None:
        """Adds texts: strings or lists of strings."""
        errors, total = error_counts(preds, target, self._by_words)
        self.errors += errors
        self.total += total

    def compute(self) -> Tensor:
        """The value of all texts."""
        return self.errors / self.total


class WordErrorRate(_ErrorRate):
    """The edits that make the targets, over their words."""
