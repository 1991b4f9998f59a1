"""torch.nn._reduction: reductions of losses as numbers and by their old arguments, for programs
that import it.
"""

from __future__ import annotations

import warnings

from flambeau.functional.neural import chosen_reduction

ENUM = {"none": 0, "mean": 1, "sum": 2}


def get_enum(reduction: str) -> int:
    """0, 1, 2 for "none", "mean", "sum". ValueError for other words."""
    if reduction == "elementwise_mean":
        warnings.warn(
            "reduction='elementwise_mean' is deprecated. Please use reduction='mean' instead.",
            stacklevel=2,
        )
        return ENUM["mean"]
    if reduction not in ENUM:
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return ENUM[reduction]


def legacy_get_string(
    size_average: bool | None, reduce: bool | None, emit_warning: bool = True
) -> str:
    """The word that the old arguments of a loss stand for, with PyTorch's warning."""
    given = True if size_average is None else size_average
    with warnings.catch_warnings():
        if not emit_warning:
            warnings.simplefilter("ignore")
        return chosen_reduction(given, reduce, "mean")


def legacy_get_enum(
    size_average: bool | None, reduce: bool | None, emit_warning: bool = True
) -> int:
    """`get_enum` of the same."""
    return get_enum(legacy_get_string(size_average, reduce, emit_warning))
