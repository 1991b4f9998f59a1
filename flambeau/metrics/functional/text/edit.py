"""Edits between texts, and rates of words that go lost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flambeau.metrics._torch import Tensor, float32, from_array, int32, tensor
from flambeau.metrics.functional.text.wer import Texts
from flambeau.metrics.functional.text.wer import edit_distance as levenshtein

REDUCTIONS = (None, "mean", "sum", "none")


def _listed(texts: Texts) -> list[str]:
    return [texts] if isinstance(texts, str) else list(texts)


def _weighted(said: str, meant: str, cost: int) -> int:
    """As levenshtein, where a replacement costs so much."""
    row = list(range(len(meant) + 1))
    for i, x in enumerate(said, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(meant, 1):
            least = min(row[j] + 1, row[j - 1] + 1, before + cost * (x != y))
            before, row[j] = row[j], least
    return row[-1]


def distances(preds: Texts, target: Texts, substitution_cost: int) -> Tensor:
    """The edits, in characters, of each pair: int32. ValueError for what are no texts."""
    said, meant = _listed(preds), _listed(target)
    for name, texts in (("preds", said), ("target", meant)):
        if not all(isinstance(text, str) for text in texts):
            raise ValueError(
                f"Expected all values in argument `{name}` to be string type, but got {texts}"
            )
    if len(said) != len(meant):
        raise ValueError(
            "Expected argument `preds` and `target` to have same length, but got "
            f"{len(said)} and {len(meant)}"
        )
    found = [_weighted(a, b, substitution_cost) for a, b in zip(said, meant, strict=True)]
    return from_array(np.array(found, np.int32), int32)


def reduced(scores: Tensor, count: Tensor | int, reduction: str | None) -> Tensor:
    """Distances as their mean, their sum, or as they are. ValueError for other reductions."""
    if reduction not in REDUCTIONS:
        raise ValueError("Expected argument `reduction` to either be 'sum', 'mean', 'none' or None")
    if not scores.numel():
        return tensor(0, dtype=int32)
    if reduction == "mean":
        return scores.sum() / count
    return scores.sum() if reduction == "sum" else scores


def edit_distance(
    preds: Texts,
    target: Texts,
    substitution_cost: int = 1,
    reduction: str | None = "mean",
) -> Tensor:
    """How many characters are inserted, deleted or replaced to make the targets."""
    found = distances(preds, target, substitution_cost)
    return reduced(found, found.numel(), reduction)


def match_counts(preds: Texts, target: Texts) -> tuple[Tensor, Tensor]:
    """The edits of all pairs in words, and the words of the longer text of each."""
    errors = total = 0
    for said, meant in zip(_listed(preds), _listed(target)):
        a, b = said.split(), meant.split()
        errors += levenshtein(a, b)
        total += max(len(a), len(b))
    return tensor(errors, dtype=float32), tensor(total, dtype=float32)


def match_error_rate(preds: Texts, target: Texts) -> Tensor:
    """The edits that make the targets, over the words of the longer texts."""
    errors, total = match_counts(preds, target)
    return errors / total


def information_counts(preds: Texts, target: Texts) -> tuple[Tensor, Tensor, Tensor]:
    """Edits less words of the longer texts, and the words of the targets and of the others."""

    def words(texts: Sequence[str]) -> Tensor:
        return tensor(sum(len(text.split()) for text in texts), dtype=float32)

    pairs = list(zip(_listed(preds), _listed(target)))
    errors, total = match_counts(preds, target)
    return errors - total, words([b for _, b in pairs]), words([a for a, _ in pairs])


def word_information_preserved(preds: Texts, target: Texts) -> Tensor:
    """The share of the targets' words that is right, times that of the others' words."""
    kept, of_target, of_preds = information_counts(preds, target)
    return kept / of_target * (kept / of_preds)


def word_information_lost(preds: Texts, target: Texts) -> Tensor:
    """1 less word_information_preserved."""
    return 1 - word_information_preserved(preds, target)
