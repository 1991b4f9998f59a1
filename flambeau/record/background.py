"""Compiling beside the program (FLAMBEAU_BACKGROUND=1): a thread compiles what is worth it, while
the reference executor goes on.

The last bits of results then hang on the clock, which is why it has to be asked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from flambeau.core.workers import Workers


def _background() -> Workers:
    """One piece of work after the other. When the program ends, the piece under way is finished."""
    return Workers("flambeau-background", drops=True)


class _Holder:
    """The process's thread for it: another one after a fork, where the old one does not exist."""

    background = _background()


def _after_fork() -> None:
    _Holder.background = _background()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Pending:
    """What is being made in the background."""

    __slots__ = ("_by", "_outcome")

    def __init__(self, work: Callable[[], Any]) -> None:
        self._by = _Holder.background
        self._outcome = self._by.ask(work)

    def ready(self) -> bool:
        return self._outcome.done()

    def lost(self) -> bool:
        """Whether it was asked for before a fork, in whose child nobody makes it."""
        return self._by is not _Holder.background and not self._outcome.done()

    def result(self) -> Any:
        """What was made; raises what came of it."""
        return self._outcome.result()
