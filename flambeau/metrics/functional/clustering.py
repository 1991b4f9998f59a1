"""How good a clustering is: torchmetrics.functional.clustering. Computed on the host.

Of labels: preds and target (N,) of integers; ValueError for others. Of data: (N, D) of floats
and labels (N,); ValueError where there are not more than one cluster, and fewer than rows.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flambeau.metrics._torch import Tensor, float32, from_array
from flambeau.metrics.utilities.checks import check_same_shape

Array = NDArray[Any]

__all__ = [
    "adjusted_mutual_info_score", "adjusted_rand_score", "calinski_harabasz_score",
    "completeness_score", "davies_bouldin_score", "dunn_index", "fowlkes_mallows_index",
    "homogeneity_score", "mutual_info_score", "normalized_mutual_info_score", "rand_score",
    "v_measure_score",
]  # fmt: skip

MEANS: dict[str, Callable[[Any], Any]] = {
    "min": np.min,
    "geometric": lambda x: np.exp(np.mean(np.log(x))),
    "arithmetic": np.mean,
    "max": np.max,
}


def _single(value: Any) -> Tensor:
    return from_array(np.float32(value), float32)


def _table(preds: Tensor, target: Tensor) -> Array:
    """How many belong to each true cluster and each found one: float64."""
    check_same_shape(preds, target)
    for labels in (preds, target):
        if labels.ndim != 1:
            raise ValueError(
                f"Expected arguments to be 1-d tensors but got {labels.ndim}-d tensors."
            )
    if any(labels.is_floating_point() or labels.is_complex() for labels in (preds, target)):
        raise ValueError(
            f"Expected real, discrete values for x but received {preds.dtype} and {target.dtype}."
        )
    found, column = np.unique(preds._values(), return_inverse=True)
    true, row = np.unique(target._values(), return_inverse=True)
    table = np.zeros((true.size, found.size))
    np.add.at(table, (row, column), 1)
    return table


def _entropy(counts: Array) -> float:
    if not counts.size:
        return 1.0
    share = counts / counts.sum()
    return float(-(share * np.log(share)).sum())


def _shared(table: Array) -> float:
    """The mutual information, in nats."""
    total = table.sum()
    row, column = np.nonzero(table)
    counts = table[row, column]
    outer = np.log(table.sum(1)[row]) + np.log(table.sum(0)[column])
    return float((counts / total * (np.log(total) + np.log(counts) - outer)).sum())


def mutual_info_score(preds: Tensor, target: Tensor) -> Tensor:
    """What labels say about true labels, in nats."""
    return _single(_shared(_table(preds, target)))


def _mean(table: Array, average_method: str) -> Any:
    if average_method not in MEANS:
        raise ValueError(
            "Expected argument `average_method` to be one of  `min`, `geometric`, `arithmetic`, "
            f"`max`,but got {average_method}"
        )
    with np.errstate(divide="ignore"):
        return MEANS[average_method]([_entropy(table.sum(0)), _entropy(table.sum(1))])


def normalized_mutual_info_score(
    preds: Tensor, target: Tensor, average_method: str = "arithmetic"
) -> Tensor:
    """The mutual information over a mean of both entropies."""
    table = _table(preds, target)
    shared, mean = _shared(table), _mean(table, average_method)
    return _single(shared if abs(shared) <= np.finfo(np.float32).eps else shared / mean)


def _expected(table: Array) -> float:
    """The mutual information of labels at random with as many in every cluster."""
    rows, columns = table.sum(1), table.sum(0)
    if rows.size == 1 or columns.size == 1:
        return 0.0
    total, sum_ = int(table.sum()), 0.0
    log = [math.lgamma(count + 1) for count in range(total + 1)]
    for a, b in itertools.product(rows.astype(int).tolist(), columns.astype(int).tolist()):
        fixed = log[a] + log[b] + log[total - a] + log[total - b] - log[total]
        for n in range(max(1, a + b - total), min(a, b) + 1):
            chance = fixed - log[n] - log[a - n] - log[b - n] - log[total - a - b + n]
            sum_ += n / total * math.log(total * n / (a * b)) * math.exp(chance)
    return sum_


def adjusted_mutual_info_score(
    preds: Tensor, target: Tensor, average_method: str = "arithmetic"
) -> Tensor:
    """The mutual information above that of chance, 1 for the same clustering."""
    table = _table(preds, target)
    mean, expected = _mean(table, average_method), _expected(table)
    least = float(np.finfo(np.float32).eps)
    below = mean - expected
    below = min(below, -least) if below < 0 else max(below, least)
    return _single((_shared(table) - expected) / below)


def _measures(preds: Tensor, target: Tensor) -> tuple[float, float]:
    table = _table(preds, target)
    if not table.size:
        return 0.0, 0.0
    shared, of_target, of_preds = _shared(table), _entropy(table.sum(1)), _entropy(table.sum(0))
    return (shared / of_target if of_target else 1.0, shared / of_preds if of_preds else 1.0)


def homogeneity_score(preds: Tensor, target: Tensor) -> Tensor:
    """1 where every cluster holds one true label only."""
    return _single(_measures(preds, target)[0])


def completeness_score(preds: Tensor, target: Tensor) -> Tensor:
    """1 where every true label is in one cluster only."""
    return _single(_measures(preds, target)[1])


def v_measure_score(preds: Tensor, target: Tensor, beta: float = 1.0) -> Tensor:
    """The harmonic mean of homogeneity and completeness; beta above 1 favours the latter."""
    homogeneity, completeness = _measures(preds, target)
    if homogeneity + completeness == 0.0:
        return _single(1)
    return _single((1 + beta) * homogeneity * completeness / (beta * homogeneity + completeness))


def _pairs(table: Array) -> tuple[float, float, float, float]:
    """Pairs apart in both, in preds only together, in target only, together in both."""
    total, squares = table.sum(), (table**2).sum()
    together = squares - total
    in_target = (table * table.sum(0)).sum() - squares
    in_preds = (table.T * table.sum(1)).sum() - squares
    return total**2 - in_preds - in_target - squares, in_preds, in_target, together


def rand_score(preds: Tensor, target: Tensor) -> Tensor:
    """The share of pairs that both clusterings treat alike."""
    apart, first, second, together = _pairs(_table(preds, target))
    total = apart + first + second + together
    return _single(1 if total in (0, apart + together) else (apart + together) / total)


def adjusted_rand_score(preds: Tensor, target: Tensor) -> Tensor:
    """rand_score above that of chance, 1 for the same clustering."""
    tn, fp, fn, tp = _pairs(_table(preds, target))
    if fn == 0 and fp == 0:
        return _single(1)
    return _single(2.0 * (tp * tn - fn * fp) / ((tp + fn) * (fn + tn) + (tp + fp) * (fp + tn)))


def fowlkes_mallows_index(preds: Tensor, target: Tensor) -> Tensor:
    """The geometric mean of precision and recall of pairs."""
    table = _table(preds, target)
    total = table.sum()
    both = (table**2).sum() - total
    if both == 0:
        return _single(0)
    sides = [(table.sum(axis) ** 2).sum() - total for axis in (0, 1)]
    return _single(math.sqrt(both / sides[0]) * math.sqrt(both / sides[1]))


# ---- of data -------------------------------------------------------------------------------------


def _clusters(data: Tensor, labels: Tensor, checked: bool = True) -> list[Array]:
    rows = data.detach()._values()
    kinds, index = np.unique(labels._values(), return_inverse=True)
    if checked:
        if data.ndim != 2:
            raise ValueError(f"Expected 2D data, got {data.ndim}D data instead")
        if not data.is_floating_point():
            raise ValueError(f"Expected floating point data, got {data.dtype} data instead")
        if labels.ndim != 1:
            raise ValueError(f"Expected 1D labels, got {labels.ndim}D labels instead")
        if not 1 < kinds.size < len(rows):
            raise ValueError(
                "Number of detected clusters must be greater than one and less than the number of "
                f"samples.Got {kinds.size} clusters and {len(rows)} samples."
            )
    return [rows[index == kind].astype(np.float64) for kind in range(kinds.size)]


def calinski_harabasz_score(data: Tensor, labels: Tensor) -> Tensor:
    """How far clusters lie apart over how far they spread."""
    clusters = _clusters(data, labels)
    whole = np.concatenate(clusters)
    means = [own.mean(0) for own in clusters]
    pairs = list(zip(clusters, means, strict=True))
    between = sum(((mean - whole.mean(0)) ** 2).sum() * len(own) for own, mean in pairs)
    within = sum(((own - mean) ** 2).sum() for own, mean in pairs)
    if within == 0:
        return _single(1)
    count = len(clusters)
    return _single(between * (len(whole) - count) / (within * (count - 1.0)))


def davies_bouldin_score(data: Tensor, labels: Tensor) -> Tensor:
    """How much every cluster is like the one that it is most like; 0 is best."""
    clusters = _clusters(data, labels)
    centres = np.stack([own.mean(0) for own in clusters])
    spread = np.array([
        np.sqrt(((own - centre) ** 2).sum(1)).mean()
        for own, centre in zip(clusters, centres, strict=True)
    ])  # fmt: skip
    apart = np.sqrt(((centres[:, None] - centres[None]) ** 2).sum(-1))
    if np.allclose(spread, 0) or np.allclose(apart, 0):
        return _single(0)
    apart[apart == 0] = np.inf
    return _single(((spread[None] + spread[:, None]) / apart).max(1).mean())


def dunn_index(data: Tensor, labels: Tensor, p: float = 2) -> Tensor:
    """The least distance of two centres over the greatest within a cluster."""
    clusters = _clusters(data, labels, checked=False)
    centres = [own.mean(0) for own in clusters]
    apart = [np.linalg.norm(a - b, p) for a, b in itertools.combinations(centres, 2)]
    pairs = zip(clusters, centres, strict=True)
    within = [np.linalg.norm(own - centre, p, axis=1).max() for own, centre in pairs]
    return _single(min(apart) / max(within))
