"""The metrics of text."""

from __future__ import annotations

from flambeau.metrics.text.bleu import BLEUScore
from flambeau.metrics.text.cer import CharErrorRate
from flambeau.metrics.text.edit import (
    EditDistance,
    MatchErrorRate,
    WordInfoLost,
    WordInfoPreserved,
)
from flambeau.metrics.text.perplexity import Perplexity
from flambeau.metrics.text.rouge import ROUGEScore
from flambeau.metrics.text.squad import SQuAD
from flambeau.metrics.text.wer import WordErrorRate

__all__ = [
    "BLEUScore", "CharErrorRate", "EditDistance", "MatchErrorRate", "Perplexity", "ROUGEScore",
    "SQuAD", "WordErrorRate", "WordInfoLost", "WordInfoPreserved",
]  # fmt: skip
