"""Answers to questions as SQuAD counts them."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor, float32, int32, tensor
from flambeau.metrics.functional.text.squad import squad_counts
from flambeau.metrics.metric import Metric


class SQuAD(Metric):
    """Percentages of exact answers, and of the words that answers share with true ones."""

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    plot_lower_bound = 0.0
    plot_upper_bound = 100.0
    f1_score: Tensor
    exact_match: Tensor
    total: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for state, dtype in (("f1_score", float32), ("exact_match", float32), ("total", int32)):
            self.add_state(state, tensor(0, dtype=dtype), dist_reduce_fx="sum")

    def update(self, preds: Any, target: Any) -> None:
        """Adds answers and questions, as for functional.text.squad."""
        overlap, exact, total = squad_counts(preds, target)
        self.f1_score += overlap
        self.exact_match += exact
        self.total += total

    def compute(self) -> dict[str, Tensor]:
        """The percentages of all questions."""
        exact, overlap = (100.0 * x / self.total for x in (self.exact_match, self.f1_score))
        return {"exact_match": exact, "f1": overlap}
