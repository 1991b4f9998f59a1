"""The word error rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau.metrics._torch import Tensor, float32, tensor

Texts = Any  # a string or a list of strings


def edit_distance(a: Sequence[Any], b: Sequence[Any]) -> int:
    """How many insertions, deletions and replacements make b of a (Levenshtein)."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]


def error_counts(preds: Texts, target: Texts, by_words: bool) -> tuple[Tensor, Tensor]:
    """The edits of all pairs, and the length of the targets, in words or characters."""
    preds = [preds] if isinstance(preds, str) else preds
    target = [target] if isinstance(target, str) else target
    errors = total = 0
    for said, meant in zip(preds, target):
        a, b = (said.split(), meant.split()) if by_words else (said, meant)
        errors += edit_distance(a, b)
        total += len(b)
    return tensor(errors, dtype=float32), tensor(total, dtype=float32)


def word_error_rate(preds: Texts, target: Texts) -> Tensor:
    """The edits that make the targets, over their words."""
    errors, total = error_counts(preds, target, by_words=True)
    return errors / total
