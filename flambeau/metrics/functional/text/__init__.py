"""The functions of text."""

from __future__ import annotations

from flambeau.metrics.functional.text.bleu import bleu_score
from flambeau.metrics.functional.text.cer import char_error_rate
from flambeau.metrics.functional.text.perplexity import perplexity
from flambeau.metrics.functional.text.wer import word_error_rate

__all__ = ["bleu_score", "char_error_rate", "perplexity", "word_error_rate"]
