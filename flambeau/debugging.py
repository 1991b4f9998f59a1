"""`flambeau.debug`: finds numbers that have gone wrong."""

from __future__ import annotations

from typing import Any

from flambeau.record import watching
from flambeau.record.options import OPTIONS


class debug:
    """Switches looking for NaN on or off; as a context manager, for its block.

    While it is on, each program that runs (a training step, say) checks all at once that nothing it
    gives has NaN. One that would raises RuntimeError before it has changed any tensor, naming the
    op that made NaN out of numbers, the ranges of its operands, the module that called it and the
    line of the program.

        >>> import flambeau as torch
        >>> with torch.debug(nan=True):
        ...     torch.tensor([4.0, -1.0]).sqrt().sum().item()  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        flambeau.core.errors.FoundNaN: sqrt has made NaN out of numbers: sqrt(...)
          recorded at ...
    """

    def __init__(self, *, nan: bool) -> None:
        self.before = OPTIONS.watch_nan
        watching.watch(bool(nan))

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: Any) -> None:
        watching.watch(self.before)
