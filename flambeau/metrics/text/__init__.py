"""The metrics of text."""

from __future__ import annotations

from flambeau.metrics.text.perplexity import Perplexity

__all__ = ["Perplexity"]
