"""F scores: the harmonic mean of precision and recall, with recall `beta` times as important."""

from __future__ import annotations

import functools
from typing import Any

from flambeau.metrics._torch import Tensor
from flambeau.metrics.functional.classification import family as f
from flambeau.metrics.utilities.compute import averaged, safe_divide


def check_beta(beta: Any) -> None:
    """ValueError unless beta is a positive float."""
    if not (isinstance(beta, float) and beta > 0):
        raise ValueError(f"Expected argument `beta` to be a float larger than 0, but got {beta}.")


def _fbeta_reduce(
    tp: Tensor,
    fp: Tensor,
    tn: Tensor,
    fn: Tensor,
    average: str | None,
    beta: float,
    multidim_average: str = "global",
    multilabel: bool = False,
    top_k: int = 1,
    zero_division: float = 0,
) -> Tensor:
    """(1 + beta^2) tp / ((1 + beta^2) tp + beta^2 fn + fp)."""
    if average == "micro":
        dim = 0 if multidim_average == "global" else 1
        tp, fp, fn = (x.sum(dim=dim) for x in (tp, fp, fn))
    square = beta**2
    part = (1 + square) * tp
    score = safe_divide(part, part + square * fn + fp, zero_division)
    if average in ("binary", "micro"):
        return score
    return averaged(score, average, multilabel, tp, fp, fn)


def _f1_reduce(
    tp: Tensor, fp: Tensor, tn: Tensor, fn: Tensor, average: str | None, **options: Any
) -> Tensor:
    """The F score of beta 1."""
    return _fbeta_reduce(tp, fp, tn, fn, average, 1.0, **options)


def binary_fbeta_score(
    preds: Tensor,
    target: Tensor,
    beta: float,
    threshold: float = 0.5,
    multidim_average: str = "global",
    ignore_index: int | None = None,
    validate_args: bool = True,
    zero_division: float = 0,
) -> Tensor:
    """The F score, for targets of 0 and 1. ValueError for arguments that are not known."""
    if validate_args:
        check_beta(beta)
    reduce = functools.partial(_fbeta_reduce, beta=beta)
    given = (threshold, multidim_average, ignore_index, validate_args)
    return f._binary(reduce, preds, target, *given, zero_division=zero_division)


def multiclass_fbeta_score(
    preds: Tensor,
    target: Tensor,
    beta: float,
    num_classes: int,
    average: str | None = "macro",
    top_k: int = 1,
    multidim_average: str = "global",
    ignore_index: int | None = None,
    validate_args: bool = True,
    zero_division: float = 0,
) -> Tensor:
    """The F score, for several classes. ValueError for arguments that are not known."""
    if validate_args:
        check_beta(beta)
    reduce = functools.partial(_fbeta_reduce, beta=beta)
    given = (num_classes, average, top_k, multidim_average, ignore_index, validate_args)
    return f._multiclass(reduce, preds, target, *given, zero_division=zero_division)


def multilabel_fbeta_score(
    preds: Tensor,
    target: Tensor,
    beta: float,
    num_labels: int,
    threshold: float = 0.5,
    average: str | None = "macro",
    multidim_average: str = "global",
    ignore_index: int | None = None,
    validate_args: bool = True,
    zero_division: float = 0,
) -> Tensor:
    """The F score, for several labels. ValueError for arguments that are not known."""
    if validate_args:
        check_beta(beta)
    reduce = functools.partial(_fbeta_reduce, beta=beta)
    given = (num_labels, threshold, average, multidim_average, ignore_index, validate_args)
    return f._multilabel(reduce, preds, target, *given, zero_division=zero_division)


def fbeta_score(
    preds: Tensor,
    target: Tensor,
    task: str,
    beta: float = 1.0,
    threshold: float = 0.5,
    num_classes: int | None = None,
    num_labels: int | None = None,
    average: str | None = "micro",
    multidim_average: str = "global",
    top_k: int = 1,
    ignore_index: int | None = None,
    validate_args: bool = True,
    zero_division: float = 0,
) -> Tensor:
    """The F score; `task`: "binary", "multiclass" or "multilabel"."""
    three = (binary_fbeta_score, multiclass_fbeta_score, multilabel_fbeta_score)
    given = (threshold, num_classes, num_labels, average, multidim_average, top_k)
    end = (ignore_index, validate_args, zero_division)
    return f.chosen(three, f._NEEDED, preds, target, task, (beta,), *given, *end)


binary_f1_score, multiclass_f1_score, multilabel_f1_score, f1_score = f.family_with_zero(
    "f1_score", "harmonic mean of precision and recall", _f1_reduce
)
