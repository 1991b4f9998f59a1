"""The metrics of text."""

from __future__ import annotations

from flambeau.metrics.text.bleu import BLEUScore
from flambeau.metrics.text.cer import CharErrorRate
from flambeau.metrics.text.perplexity import Perplexity
from flambeau.metrics.text.wer import WordErrorRate

__all__ = ["BLEUScore", "CharErrorRate", "Perplexity", "WordErrorRate"]
