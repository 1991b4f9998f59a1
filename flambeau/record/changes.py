"""A counter of edits that recordings cannot see: modules changed, hooks added, train or eval
switched.
"""

from __future__ import annotations


class Changes:
    """`count` grows with every edit."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


CHANGES = Changes()
