"""Edits between texts, and rates of words that go lost."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor, tensor
from flambeau.metrics.functional.text.edit import (
    REDUCTIONS,
    distances,
    information_counts,
    match_counts,
    reduced,
)
from flambeau.metrics.functional.text.wer import Texts
from flambeau.metrics.metric import Metric
from flambeau.metrics.text.wer import _ErrorRate
from flambeau.metrics.utilities.data import dim_zero_cat


class EditDistance(Metric):
    """How many characters are inserted, deleted or replaced to make the targets."""

    higher_is_better = False
    is_differentiable = False
    full_state_update = False
    plot_lower_bound = 0.0
    edit_scores_list: list[Tensor]
    edit_scores: Tensor
    num_elements: Tensor

    def __init__(
        self, substitution_cost: int = 1, reduction: str | None = "mean", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if not (isinstance(substitution_cost, int) and substitution_cost >= 0):
            raise ValueError(
                "Expected argument `substitution_cost` to be a positive integer, but got "
                f"{substitution_cost}"
            )
        self.substitution_cost = substitution_cost
        if reduction not in REDUCTIONS:
            raise ValueError(
                f"Expected argument `reduction` to be one of {REDUCTIONS}, but got {reduction}"
            )
        self.reduction = reduction
        self._each = reduction in (None, "none")
        if self._each:
            self.add_state("edit_scores_list", default=[], dist_reduce_fx="cat")
        else:
            self.add_state("edit_scores", default=tensor(0), dist_reduce_fx="sum")
            self.add_state("num_elements", default=tensor(0), dist_reduce_fx="sum")

    def update(self, preds: Texts, target: Texts) -> None:
        """Adds texts: strings or lists of strings."""
        found = distances(preds, target, self.substitution_cost)
        if self._each:
            self.edit_scores_list.append(found)
        else:
            self.edit_scores += found.sum()
            self.num_elements += found.shape[0]

    def compute(self) -> Tensor:
        """The value of all texts."""
        if self._each:
            return reduced(dim_zero_cat(self.edit_scores_list), 1, self.reduction)
        return reduced(self.edit_scores, self.num_elements, self.reduction)


class MatchErrorRate(_ErrorRate):
    """The edits that make the targets, over the words of the longer texts."""

    def update(self, preds: Texts, target: Texts) -> None:
        """Adds texts: strings or lists of strings."""
        errors, total = match_counts(preds, target)
        self.errors += errors
        self.total += total


class WordInfoLost(Metric):
    """1 less WordInfoPreserved."""

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    errors: Tensor
    target_total: Tensor
    preds_total: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for state in ("errors", "target_total", "preds_total"):
            self.add_state(state, tensor(0.0), dist_reduce_fx="sum")

    def update(self, preds: Texts, target: Texts) -> None:
        """Adds texts: strings or lists of strings."""
        errors, of_target, of_preds = information_counts(preds, target)
        self.errors += errors
        self.target_total += of_target
        self.preds_total += of_preds

    def _kept(self) -> Tensor:
        return self.errors / self.target_total * (self.errors / self.preds_total)

    def compute(self) -> Tensor:
        """The value of all texts."""
        return 1 - self._kept()


class WordInfoPreserved(WordInfoLost):
    """The share of the targets' words that is right, times that of the others' words."""

    higher_is_better = True

    def compute(self) -> Tensor:
        """The value of all texts."""
        return self._kept()
