"""BLEU (Papineni and others, 2002): shared n-grams, and a penalty for brevity."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from flambeau.metrics._torch import Tensor, tensor

Tokenizer = Callable[[str], Sequence[str]]


def _tokenize_fn(sentence: str) -> Sequence[str]:
    return sentence.split()


def _ngrams(words: Sequence[str], n_gram: int) -> Counter[tuple[str, ...]]:
    return Counter(
        tuple(words[j : j + n]) for n in range(1, n_gram + 1) for j in range(len(words) - n + 1)
    )


def ngram_counts(
    preds: Sequence[str],
    target: Sequence[Sequence[str]],
    n_gram: int = 4,
    tokenizer: Tokenizer = _tokenize_fn,
) -> tuple[list[int], list[int], int, int]:
    """For each n the n-grams shared and said; the words said, and of the closest targets."""
    shared, said = [0] * n_gram, [0] * n_gram
    said_words = target_words = 0
    for sentence, references in zip(preds, target):
        words = tokenizer(sentence) if sentence else []
        others = [tokenizer(line) if line else [] for line in references]
        said_words += len(words)
        target_words += min((len(o) for o in others), key=lambda n: abs(len(words) - n))
        own = _ngrams(words, n_gram)
        known: Counter[tuple[str, ...]] = Counter()
        for other in others:
            known |= _ngrams(other, n_gram)
        for gram, count in (own & known).items():
            shared[len(gram) - 1] += count
        for gram, count in own.items():
            said[len(gram) - 1] += count
    return shared, said, said_words, target_words


def check_weights(n_gram: int, weights: Sequence[float] | None) -> Sequence[float]:
    """The weights, or equal ones. ValueError for another number of them."""
    if weights is not None and len(weights) != n_gram:
        raise ValueError(
            f"List of weights has different weights than `n_gram`: {len(weights)} != {n_gram}"
        )
    return weights if weights is not None else [1.0 / n_gram] * n_gram


def bleu_of(
    shared: Sequence[float],
    said: Sequence[float],
    said_words: float,
    target_words: float,
    weights: Sequence[float],
    smooth: bool,
) -> Tensor:
    """The score of counts."""
    if min(shared) == 0:
        return tensor(0.0)
    add = 1 if smooth else 0
    precision = [(a + add) / (b + add) for a, b in zip(shared, said)]
    if smooth:  # single words are not smoothed
        precision[0] = shared[0] / said[0]
    mean = math.exp(sum(w * math.log(p) for w, p in zip(weights, precision)))
    brevity = 1.0 if said_words > target_words else math.exp(1 - target_words / said_words)
    return tensor(brevity * mean)


def bleu_score(
    preds: Any,
    target: Sequence[Any],
    n_gram: int = 4,
    smooth: bool = False,
    weights: Sequence[float] | None = None,
) -> Tensor:
    """BLEU of sentences, each against a list of references. ValueError for other lengths."""
    preds = [preds] if isinstance(preds, str) else preds
    references = [[t] if isinstance(t, str) else t for t in target]
    if len(preds) != len(references):
        raise ValueError(f"Corpus has different size {len(preds)} != {len(references)}")
    return bleu_of(*ngram_counts(preds, references, n_gram), check_weights(n_gram, weights), smooth)
