"""BLEU: shared n-grams, and a penalty for brevity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau.metrics._torch import Tensor, tensor, zeros
from flambeau.metrics.functional.text.bleu import bleu_of, check_weights, ngram_counts
from flambeau.metrics.metric import Metric


class BLEUScore(Metric):
    """BLEU of sentences, each against a list of references. ValueError for other weights."""

    is_differentiable = False
    higher_is_better = True
    full_state_update = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    preds_len: Tensor
    target_len: Tensor
    numerator: Tensor
    denominator: Tensor

    def __init__(
        self,
        n_gram: int = 4,
        smooth: bool = False,
        weights: Sequence[float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.n_gram = n_gram
        self.smooth = smooth
        self.weights = check_weights(n_gram, weights)
        for name in ("preds_len", "target_len"):
            self.add_state(name, tensor(0.0), dist_reduce_fx="sum")
        for name in ("numerator", "denominator"):
            self.add_state(name, zeros(n_gram), dist_reduce_fx="sum")

    def update(self, preds: Sequence[str], target: Sequence[Any]) -> None:
        """Adds sentences, and for each its references."""
        references = [[t] if isinstance(t, str) else t for t in target]
        shared, said, said_words, target_words = ngram_counts(preds, references, self.n_gram)
        self.numerator = self.numerator + tensor(shared)
        self.denominator = self.denominator + tensor(said)
        self.preds_len = self.preds_len + said_words
        self.target_len = self.target_len + target_words

    def compute(self) -> Tensor:
        """The score of all sentences."""
        counts = (self.numerator.tolist(), self.denominator.tolist())
        words = (self.preds_len.item(), self.target_len.item())
        return bleu_of(*counts, *words, self.weights, self.smooth)
