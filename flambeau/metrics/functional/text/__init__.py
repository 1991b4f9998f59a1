"""The functions of text."""

from __future__ import annotations

from flambeau.metrics.functional.text.perplexity import perplexity

__all__ = ["perplexity"]
