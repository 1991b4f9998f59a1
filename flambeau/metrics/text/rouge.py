"""ROUGE: what summaries share with those that are meant."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

from flambeau.metrics._torch import Tensor, stack, tensor
from flambeau.metrics.functional.text.rouge import (
    ACCUMULATE,
    KEYS,
    KINDS,
    Reader,
    rouge_scores,
    stemmer_of,
)
from flambeau.metrics.metric import Metric


class ROUGEScore(Metric):
    """F-measure, precision and recall of what texts share, by the keys of rouge_score.

    ModuleNotFoundError for use_stemmer and rougeLsum without nltk, ValueError for unknown keys.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    def __init__(
        self,
        use_stemmer: bool = False,
        normalizer: Callable[[str], str] | None = None,
        tokenizer: Callable[[str], Sequence[str]] | None = None,
        accumulate: str = "best",
        rouge_keys: Any = ("rouge1", "rouge2", "rougeL", "rougeLsum"),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if use_stemmer or "rougeLsum" in rouge_keys:
            try:
                importlib.import_module("nltk")
            except ImportError:
                raise ModuleNotFoundError(
                    "Stemmer and/or `rougeLsum` requires that `nltk` is installed. Use "
                    "`pip install nltk`."
                ) from None
        keys = rouge_keys if isinstance(rouge_keys, tuple) else (rouge_keys,)
        for key in keys:
            if key not in KEYS:
                raise ValueError(f"Got unknown rouge key {key}. Expected to be one of {KEYS}")
        if accumulate not in ACCUMULATE:
            raise ValueError(
                f"Got unknown accumulate value {accumulate}. Expected to be one of {ACCUMULATE}"
            )
        self.rouge_keys = keys
        self.stemmer = stemmer_of(use_stemmer)
        self.normalizer = normalizer
        self.tokenizer = tokenizer
        self.accumulate = accumulate
        for key in keys:
            for kind in KINDS:
                self.add_state(f"{key}_{kind}", [], dist_reduce_fx=None)

    def update(self, preds: Any, target: Any) -> None:
        """Adds texts, and for each one text or several that are meant."""
        reader = Reader(self.stemmer, self.normalizer, self.tokenizer)
        found = rouge_scores(preds, target, self.rouge_keys, self.accumulate, reader)
        for key, scores in found.items():
            for one in scores:
                for kind in KINDS:
                    getattr(self, f"{key}_{kind}").append(tensor(one[kind]))

    def compute(self) -> dict[str, Tensor]:
        """The means of all texts."""
        names = [f"{key}_{kind}" for key in self.rouge_keys for kind in KINDS]
        return {name: stack(list(getattr(self, name))).mean() for name in names}
