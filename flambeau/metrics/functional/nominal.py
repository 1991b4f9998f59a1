"""How much categories say about each other: torchmetrics.functional.nominal.

preds and target are categories (N,) or scores (N, C); NaN in them is replaced by
nan_replace_value (nan_strategy "replace") or left out ("drop"). Matrices compare the columns of
(N, D). Computed on the host.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flambeau.metrics._torch import F, Tensor, float32, from_array
from flambeau.metrics.utilities.prints import rank_zero_warn

Array = NDArray[Any]

__all__ = [
    "cramers_v", "cramers_v_matrix", "fleiss_kappa", "pearsons_contingency_coefficient",
    "pearsons_contingency_coefficient_matrix", "theils_u", "theils_u_matrix", "tschuprows_t",
    "tschuprows_t_matrix",
]  # fmt: skip


def check_nan(nan_strategy: str, nan_replace_value: float | None) -> None:
    """ValueError for other strategies and values."""
    if nan_strategy not in ("replace", "drop"):
        raise ValueError(
            "Argument `nan_strategy` is expected to be one of `['replace', 'drop']`, but got "
            f"{nan_strategy}"
        )
    if nan_strategy == "replace" and not isinstance(nan_replace_value, (float, int)):
        raise ValueError(
            "Argument `nan_replace` is expected to be of a type `int` or `float` when "
            f"`nan_strategy = 'replace`, but got {nan_replace_value}"
        )


def _decided(x: Tensor) -> Array:
    values: Array = x.detach()._values()
    return values.argmax(1) if values.ndim == 2 else values


def _kinds(*arrays: Array) -> int:
    """How many values there are; every NaN is one of its own."""
    return np.unique(np.concatenate(arrays), equal_nan=False).size


def table(
    preds: Array, target: Array, num_classes: int, nan_strategy: str, nan_replace: float | None
) -> Array:
    """How often categories meet: (target, preds)."""
    absent = np.zeros(preds.shape, bool)
    columns = []
    for values in (preds, target):
        if values.dtype.kind == "f":
            missing = np.isnan(values)
            absent |= missing
            values = np.where(missing, 0.0 if nan_replace is None else nan_replace, values)
        columns.append(values.astype(np.int64))
    kept = ~absent if nan_strategy == "drop" else np.ones(preds.shape, bool)
    found = np.zeros((num_classes, num_classes))
    np.add.at(found, (columns[1][kept], columns[0][kept]), 1)
    return found


def _filled(counts: Array) -> Array:
    counts = counts[counts.sum(1) != 0]
    return counts[:, counts.sum(0) != 0]


def _phi(counts: Array, corrected: bool) -> float:
    """Chi squared over how many there are."""
    total = counts.sum()
    expected = np.outer(counts.sum(1), counts.sum(0)) / total
    freedom = (counts.shape[0] - 1) * (counts.shape[1] - 1)
    if freedom == 0:
        return 0.0
    if freedom == 1 and corrected:
        # Yates's correction: every count half of a unit nearer to what is expected.
        apart = np.sign(expected - counts)
        counts = counts + apart * np.minimum(0.5, np.abs(apart))
    return float(((counts - expected) ** 2 / expected).sum() / total)


def _single(value: Any) -> Tensor:
    return from_array(np.float32(value), float32)


def _symmetric(counts: Array, corrected: bool, name: str, scale: Callable[[Any, Any], Any]) -> Any:
    counts = _filled(counts)
    rows, columns = counts.shape
    phi, total = _phi(counts, corrected), counts.sum()
    if corrected:
        phi = max(0.0, phi - (rows - 1) * (columns - 1) / (total - 1))
        rows -= (rows - 1) ** 2 / (total - 1)
        columns -= (columns - 1) ** 2 / (total - 1)
        if min(rows, columns) == 1:
            rank_zero_warn(
                f"Unable to compute {name} using bias correction. Please consider to set "
                "`bias_correction=False`."
            )
            return np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.clip(np.sqrt(np.float64(phi) / scale(rows - 1, columns - 1)), 0, 1)


def cramers_value(counts: Array, bias_correction: bool) -> Any:
    """Cramer's V of a table."""
    return _symmetric(counts, bias_correction, "Cramer's V", min)


def tschuprows_value(counts: Array, bias_correction: bool) -> Any:
    """Tschuprow's T of a table."""

    def scale(rows: Any, columns: Any) -> Any:
        return np.sqrt(rows * columns)

    return _symmetric(counts, bias_correction, "Tschuprow's T", scale)


def pearsons_value(counts: Array) -> Any:
    """Pearson's contingency coefficient of a table."""
    phi = _phi(_filled(counts), False)
    return np.clip(np.sqrt(phi / (1 + phi)), 0, 1)


def theils_value(counts: Array) -> Any:
    """Theil's U of a table: the share of preds' entropy that target explains."""
    counts = _filled(counts)
    total = counts.sum()
    share, own = counts / total, counts.sum(0) / total
    entropy = -(own * np.log(own)).sum()
    if entropy == 0:
        return 0
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.nansum(share * np.log(share.sum(1, keepdims=True) / share))
    return (entropy - left) / entropy


Value = Callable[[Array], Any]


def _pair(
    preds: Tensor, target: Tensor, nan_strategy: str, replace: float | None, value: Value
) -> Tensor:
    check_nan(nan_strategy, replace)
    given = preds._values(), target._values()
    kinds = _kinds(*(one.reshape(-1) for one in given))
    return _single(value(table(_decided(preds), _decided(target), kinds, nan_strategy, replace)))


def _matrix(
    matrix: Tensor, nan_strategy: str, replace: float | None, value: Value, symmetric: bool = True
) -> Tensor:
    check_nan(nan_strategy, replace)
    columns = matrix.detach()._values().T
    found = np.ones((len(columns), len(columns)), np.float32)
    for i, j in itertools.combinations(range(len(columns)), 2):
        kinds = _kinds(columns[i], columns[j])
        counts = table(columns[i], columns[j], kinds, nan_strategy, replace)
        found[i, j] = value(counts)
        found[j, i] = found[i, j] if symmetric else value(counts.T)
    return from_array(found, float32)


def cramers_v(
    preds: Tensor,
    target: Tensor,
    bias_correction: bool = True,
    nan_strategy: str = "replace",
    nan_replace_value: float | None = 0.0,
) -> Tensor:
    """Cramer's V: 0 where categories say nothing about each other, 1 where everything."""
    value = partial(cramers_value, bias_correction=bias_correction)
    return _pair(preds, target, nan_strategy, nan_replace_value, value)


def cramers_v_matrix(
    matrix: Tensor,
    bias_correction: bool = True,
    nan_strategy: str = "replace",
    nan_replace_value: float | None = 0.0,
) -> Tensor:
    """cramers_v of every two columns."""
    value = partial(cramers_value, bias_correction=bias_correction)
    return _matrix(matrix, nan_strategy, nan_replace_value, value)


def tschuprows_t(
    preds: Tensor,
    target: Tensor,
    bias_correction: bool = True,
    nan_strategy: str = "replace",
    nan_replace_value: float | None = 0.0,
) -> Tensor:
    """Tschuprow's T: as Cramer's V, scaled by both numbers of categories."""
    value = partial(tschuprows_value, bias_correction=bias_correction)
    return _pair(preds, target, nan_strategy, nan_replace_value, value)


def tschuprows_t_matrix(
    matrix: Tensor,
    bias_correction: bool = True,
    nan_strategy: str = "replace",
    nan_replace_value: float | None = 0.0,
) -> Tensor:
    """tschuprows_t of every two columns."""
    value = partial(tschuprows_value, bias_correction=bias_correction)
    return _matrix(matrix, nan_strategy, nan_replace_value, value)


def pearsons_contingency_coefficient(
    preds: Tensor,
    target: Tensor,
    nan_strategy: str = "replace",
    nan_replace_value: float | None = 0.0,
) -> Tensor:
    """Pearson's contingency coefficient."""
    return _pair(preds, target, nan_strategy, nan_replace_value, pearsons_value)


def pearsons_contingency_coefficient_matrix(
    matrix: Tensor, nan_strategy: str = "replace", nan_replace_value: float | None = 0.0
) -> Tensor:
    """pearsons_contingency_coefficient of every two columns."""
    return _matrix(matrix, nan_strategy, nan_replace_value, pearsons_value)


def theils_u(
    preds: Tensor,
    target: Tensor,
    nan_strategy: str = "replace",
    nan_replace_value: float | None = 0.0,
) -> Tensor:
    """Theil's U: the share of preds' entropy that target explains."""
    return _pair(preds, target, nan_strategy, nan_replace_value, theils_value)


def theils_u_matrix(
    matrix: Tensor, nan_strategy: str = "replace", nan_replace_value: float | None = 0.0
) -> Tensor:
    """theils_u of every two columns, in both directions."""
    return _matrix(matrix, nan_strategy, nan_replace_value, theils_value, symmetric=False)


# ---- raters --------------------------------------------------------------------------------------


def rating_counts(ratings: Tensor, mode: str) -> Tensor:
    """How many raters chose each category: (N, C). ValueError for other shapes and kinds."""
    if mode == "probs":
        if ratings.ndim != 3 or not ratings.is_floating_point():
            raise ValueError(
                "If argument ``mode`` is 'probs', ratings must have 3 dimensions with the format "
                "[n_samples, n_categories, n_raters] and be floating point."
            )
        chosen = ratings.argmax(dim=1)
        counts: Tensor = F.one_hot(chosen, num_classes=chosen.shape[1]).sum(dim=1)
        return counts
    if ratings.ndim != 2 or ratings.is_floating_point():
        raise ValueError(
            "If argument ``mode`` is `counts`, ratings must have 2 dimensions with the format "
            "[n_samples, n_categories] and be none floating point."
        )
    return ratings


def agreement(counts: Tensor) -> Tensor:
    """Fleiss's kappa of counts (N, C)."""
    raters = counts.sum(1).max()
    share = counts.sum(dim=0) / (counts.shape[0] * raters)
    pairs = ((counts**2).sum(dim=1) - raters) / (raters * (raters - 1))
    chance = (share**2).sum()
    above: Tensor = (pairs.mean() - chance) / (1 - chance + 1e-5)
    return above


def fleiss_kappa(ratings: Tensor, mode: str = "counts") -> Tensor:
    """How much raters agree above chance: ratings are counts (N, C), or scores (N, C, raters)."""
    if mode not in ("counts", "probs"):
        raise ValueError("Argument ``mode`` must be one of ['counts', 'probs'].")
    return agreement(rating_counts(ratings, mode))
