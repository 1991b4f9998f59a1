"""Kendall's rank correlation: pairs in the same order against pairs in opposite order."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from flambeau.metrics._torch import Tensor, float32, from_array
from flambeau.metrics.functional.regression.sums import check_outputs, outputs_of
from flambeau.metrics.utilities.enums import EnumStr


class Variant(EnumStr):
    """How ties count."""

    A = "a"
    B = "b"
    C = "c"

    @staticmethod
    def _name() -> str:
        return "variant"


class Alternative(EnumStr):
    """The hypothesis beside that of no correlation."""

    TWO_SIDED = "two-sided"
    LESS = "less"
    GREATER = "greater"

    @staticmethod
    def _name() -> str:
        return "alternative"


def check_arguments(
    variant: Any, t_test: Any, alternative: Any
) -> tuple[Variant, Alternative | None]:
    """The choices. ValueError for what is not known."""
    if not isinstance(t_test, bool):
        raise ValueError(
            f"Argument `t_test` is expected to be of a type `bool`, but got {type(t_test)}."
        )
    if t_test and alternative is None:
        raise ValueError("Argument `alternative` is required if `t_test=True` but got `None`.")
    kind = Variant.from_str(str(variant))
    return kind, Alternative.from_str(str(alternative)) if t_test else None


def _pairs(x: Any, y: Any) -> tuple[int, int]:
    """How many pairs have the same and how many the opposite order."""
    same = opposite = 0
    for i in range(len(x) - 1):
        order = np.sign(x[i + 1 :] - x[i]) * np.sign(y[i + 1 :] - y[i])
        same += int((order > 0).sum())
        opposite += int((order < 0).sum())
    return same, opposite


def _ties(x: Any) -> tuple[int, float, float]:
    """Sums over groups of n equal values: n(n-1)/2, n(n-1)(n-2), n(n-1)(2n+5)."""
    n = np.unique(x, return_counts=True)[1].astype(np.int64)
    two = n * (n - 1)
    return int(two.sum() // 2), float((two * (n - 2)).sum()), float((two * (2 * n + 5)).sum())


def _tau(x: Any, y: Any, variant: Variant, same: int, opposite: int) -> float:
    apart, n = same - opposite, len(x)
    if variant is Variant.A:
        return apart / (same + opposite) if same + opposite else math.nan
    if variant is Variant.B:
        pairs = n * (n - 1) // 2
        below = float(pairs - _ties(x)[0]) * float(pairs - _ties(y)[0])
        return apart / math.sqrt(below) if below else math.nan
    least = min(np.unique(x).size, np.unique(y).size)
    return 2 * apart / ((least - 1) / least * n**2) if least > 1 else math.nan


def _p_value(x: Any, y: Any, variant: Variant, how: Alternative, apart: int) -> float:
    n = len(x)
    base = n * (n - 1) * (2 * n + 5)
    if variant is Variant.A:
        t = 3 * apart / math.sqrt(base / 2)
    else:
        (tx, tx1, tx2), (ty, ty1, ty2) = _ties(x), _ties(y)
        below = (base - tx2 - ty2) / 18 + 2 * tx * ty / (n * (n - 1))
        below += tx1 * ty1 / (9 * n * (n - 1) * (n - 2)) if n > 2 else math.nan
        t = apart / math.sqrt(below) if below > 0 else math.nan
    if how is Alternative.TWO_SIDED:
        return math.erfc(abs(t) / math.sqrt(2))
    return 0.5 * math.erfc((t if how is Alternative.GREATER else -t) / math.sqrt(2))


def check_batch(preds: Tensor, target: Tensor, num_outputs: int) -> tuple[Tensor, Tensor]:
    """The batch as (N, D). RuntimeError, ValueError for shapes that do not fit."""
    check_outputs(preds, target, num_outputs)
    if preds.ndim == 1:
        preds, target = preds.unsqueeze(1), target.unsqueeze(1)
    return preds, target


def _kendall_corrcoef_compute(
    preds: Tensor, target: Tensor, variant: Variant, alternative: Alternative | None = None
) -> tuple[Tensor, Tensor | None]:
    """tau and (with an alternative) the p-value of each output (N, D). Reads the data."""
    x, y = preds._values(), target._values()
    taus, p_values = [], []
    for i in range(x.shape[1]):
        same, opposite = _pairs(x[:, i], y[:, i])
        taus.append(_tau(x[:, i], y[:, i], variant, same, opposite))
        if alternative is not None:
            apart = same - opposite
            p_values.append(_p_value(x[:, i], y[:, i], variant, alternative, apart))
    made: list[Any] = [
        from_array(np.asarray(part[0] if len(part) == 1 else part, np.float32), float32)
        for part in (np.clip(taus, -1, 1), p_values)
        if len(part)
    ]
    return made[0], made[1] if alternative is not None else None


def kendall_rank_corrcoef(
    preds: Tensor,
    target: Tensor,
    variant: str = "b",
    t_test: bool = False,
    alternative: str | None = "two-sided",
) -> Any:
    """tau of (N,) or of each output (N, D); with `t_test` also the p-value. ValueError."""
    kind, other = check_arguments(variant, t_test, alternative)
    given = check_batch(preds, target, outputs_of(preds))
    tau, p_value = _kendall_corrcoef_compute(*given, kind, other)
    return tau if p_value is None else (tau, p_value)
