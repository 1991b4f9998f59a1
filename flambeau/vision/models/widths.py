"""Numbers of channels."""

from __future__ import annotations


def divisible(width: float, divisor: int = 8, least: int | None = None) -> int:
    """The multiple of a divisor nearest to a width, never more than a tenth below it."""
    rounded = int(width + divisor / 2) // divisor * divisor
    rounded = max(divisor if least is None else least, rounded)
    return rounded + divisor if rounded < 0.9 * width else rounded
