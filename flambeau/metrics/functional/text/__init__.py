"""The functions of text."""

from __future__ import annotations

from flambeau.metrics.functional.text.bleu import bleu_score
from flambeau.metrics.functional.text.cer import char_error_rate
from flambeau.metrics.functional.text.edit import (
    edit_distance,
    match_error_rate,
    word_information_lost,
    word_information_preserved,
)
from flambeau.metrics.functional.text.perplexity import perplexity
from flambeau.metrics.functional.text.rouge import rouge_score
from flambeau.metrics.functional.text.squad import squad
from flambeau.metrics.functional.text.wer import word_error_rate

__all__ = [
    "bleu_score", "char_error_rate", "edit_distance", "match_error_rate", "perplexity",
    "rouge_score", "squad", "word_error_rate", "word_information_lost",
    "word_information_preserved",
]  # fmt: skip
