"""The character error rate."""

from __future__ import annotations

from flambeau.metrics._torch import Tensor
from flambeau.metrics.functional.text.wer import Texts, error_counts


def char_error_rate(preds: Texts, target: Texts) -> Tensor:
    """The edits that make the targets, over their characters."""
    errors, total = error_counts(preds, target, by_words=False)
    return errors / total
