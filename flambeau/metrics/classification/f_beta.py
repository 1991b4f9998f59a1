"""F scores: the harmonic mean of precision and recall, weighted by `beta`."""

from __future__ import annotations

from typing import Any

from flambeau.metrics.classification.stat_scores import (
    BinaryStatScores,
    MulticlassStatScores,
    MultilabelStatScores,
    _AbstractStatScores,
    _StatScoresByTask,
)
from flambeau.metrics.functional.classification.f_beta import _fbeta_reduce, check_beta
from flambeau.metrics.metric import Metric


class _FBetaScore(_AbstractStatScores):
    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    beta: float
    _options = ("beta", "zero_division")
    _reduce = staticmethod(_fbeta_reduce)

    def _set_beta(self, beta: float) -> None:
        if self.validate_args:
            check_beta(beta)
        self.beta = beta


class BinaryFBetaScore(_FBetaScore, BinaryStatScores):
    """The F score, for targets of 0 and 1. Options as for `BinaryStatScores`."""

    def __init__(
        self,
        beta: float,
        threshold: float = 0.5,
        multidim_average: str = "global",
        ignore_index: int | None = None,
        validate_args: bool = True,
        zero_division: float = 0,
        **kwargs: Any,
    ) -> None:
        kwargs["zero_division"] = zero_division
        super().__init__(threshold, multidim_average, ignore_index, validate_args, **kwargs)
        self._set_beta(beta)


class MulticlassFBetaScore(_FBetaScore, MulticlassStatScores):
    """The F score, for several classes. Options as for `MulticlassStatScores`."""

    plot_legend_name = "Class"

    def __init__(
        self,
        beta: float,
        num_classes: int,
        top_k: int = 1,
        average: str | None = "macro",
        multidim_average: str = "global",
        ignore_index: int | None = None,
        validate_args: bool = True,
        zero_division: float = 0,
        **kwargs: Any,
    ) -> None:
        given = (num_classes, top_k, average, multidim_average, ignore_index, validate_args)
        super().__init__(*given, zero_division=zero_division, **kwargs)
        self._set_beta(beta)


class MultilabelFBetaScore(_FBetaScore, MultilabelStatScores):
    """The F score, for several labels. Options as for `MultilabelStatScores`."""

    plot_legend_name = "Label"

    def __init__(
        self,
        beta: float,
        num_labels: int,
        threshold: float = 0.5,
        average: str | None = "macro",
        multidim_average: str = "global",
        ignore_index: int | None = None,
        validate_args: bool = True,
        zero_division: float = 0,
        **kwargs: Any,
    ) -> None:
        given = (num_labels, threshold, average, multidim_average, ignore_index, validate_args)
        super().__init__(*given, zero_division=zero_division, **kwargs)
        self._set_beta(beta)


class BinaryF1Score(BinaryFBetaScore):
    """The F score of beta 1, for targets of 0 and 1. Options as for `BinaryStatScores`."""

    def __init__(
        self,
        threshold: float = 0.5,
        multidim_average: str = "global",
        ignore_index: int | None = None,
        validate_args: bool = True,
        zero_division: float = 0,
        **kwargs: Any,
    ) -> None:
        given = (threshold, multidim_average, ignore_index, validate_args, zero_division)
        super().__init__(1.0, *given, **kwargs)


class MulticlassF1Score(MulticlassFBetaScore):
    """The F score of beta 1, for several classes. Options as for `MulticlassStatScores`."""

    def __init__(
        self,
        num_classes: int,
        top_k: int = 1,
        average: str | None = "macro",
        multidim_average: str = "global",
        ignore_index: int | None = None,
        validate_args: bool = True,
        zero_division: float = 0,
        **kwargs: Any,
    ) -> None:
        given = (num_classes, top_k, average, multidim_average, ignore_index, validate_args)
        super().__init__(1.0, *given, zero_division, **kwargs)


class MultilabelF1Score(MultilabelFBetaScore):
    """The F score of beta 1, for several labels. Options as for `MultilabelStatScores`."""

    def __init__(
        self,
        num_labels: int,
        threshold: float = 0.5,
        average: str | None = "macro",
        multidim_average: str = "global",
        ignore_index: int | None = None,
        validate_args: bool = True,
        zero_division: float = 0,
        **kwargs: Any,
    ) -> None:
        given = (num_labels, threshold, average, multidim_average, ignore_index, validate_args)
        super().__init__(1.0, *given, zero_division, **kwargs)


class FBetaScore(_StatScoresByTask):
    """The F score of a task: "binary", "multiclass" or "multilabel"."""

    _forms = (BinaryFBetaScore, MulticlassFBetaScore, MultilabelFBetaScore)

    def __new__(  # type: ignore[misc]
        cls,
        task: str,
        beta: float = 1.0,
        threshold: float = 0.5,
        num_classes: int | None = None,
        num_labels: int | None = None,
        average: str | None = "micro",
        multidim_average: str = "global",
        top_k: int | None = 1,
        ignore_index: int | None = None,
        validate_args: bool = True,
        zero_division: float = 0,
        **kwargs: Any,
    ) -> Metric:
        given = (threshold, num_classes, num_labels, average, top_k)
        kwargs["multidim_average"] = multidim_average
        kwargs["ignore_index"] = ignore_index
        kwargs["validate_args"] = validate_args
        return cls._form(task, (beta,), *given, zero_division=zero_division, **kwargs)


class F1Score(_StatScoresByTask):
    """The F score of beta 1 of a task: "binary", "multiclass" or "multilabel"."""

    _forms = (BinaryF1Score, MulticlassF1Score, MultilabelF1Score)

    def __new__(  # type: ignore[misc]
        cls,
        task: str,
        threshold: float = 0.5,
        num_classes: int | None = None,
        num_labels: int | None = None,
        average: str | None = "micro",
        multidim_average: str = "global",
        top_k: int | None = 1,
        ignore_index: int | None = None,
        validate_args: bool = True,
        zero_division: float = 0,
        **kwargs: Any,
    ) -> Metric:
        given = (threshold, num_classes, num_labels, average, top_k)
        kwargs["multidim_average"] = multidim_average
        kwargs["ignore_index"] = ignore_index
        kwargs["validate_args"] = validate_args
        return cls._form(task, (), *given, zero_division=zero_division, **kwargs)
