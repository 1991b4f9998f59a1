"""What metrics share, and what programs with metrics of their own import."""

from __future__ import annotations

from flambeau.metrics.utilities.prints import rank_zero_only, rank_zero_warn

__all__ = ["rank_zero_only", "rank_zero_warn"]
