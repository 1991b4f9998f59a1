"""The character error rate."""

from __future__ import annotations

from flambeau.metrics.text.wer import _ErrorRate


class CharErrorRate(_ErrorRate):
    """The edits that make the targets, over their characters."""

    _by_words = False
