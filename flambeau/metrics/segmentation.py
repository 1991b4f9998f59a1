"""How well places are given classes: torchmetrics.segmentation, but for HausdorffDistance."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor, zeros
from flambeau.metrics.functional import segmentation as F
from flambeau.metrics.metric import Metric
from flambeau.metrics.utilities.data import dim_zero_cat
from flambeau.metrics.utilities.prints import rank_zero_warn

__all__ = ["DiceScore", "GeneralizedDiceScore", "MeanIoU"]


class DiceScore(Metric):
    """The mean of dice_score over samples."""

    full_state_update = False
    is_differentiable = False
    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    numerator: list[Tensor]
    denominator: list[Tensor]
    support: list[Tensor]

    def __init__(
        self,
        num_classes: int,
        include_background: bool = True,
        average: str | None = "macro",
        aggregation_level: str | None = "samplewise",
        input_format: str = "one-hot",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if average == "micro":
            rank_zero_warn(f"DiceScore{F.OLD_DEFAULT}", UserWarning)
        F.check_dice(num_classes, include_background, average, input_format, aggregation_level)
        self.num_classes = num_classes
        self.include_background = include_background
        self.average = average
        self.aggregation_level = aggregation_level
        self.input_format = input_format
        for state in ("numerator", "denominator", "support"):
            self.add_state(state, [], dist_reduce_fx="cat")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds a batch, in the input_format."""
        both, said, meant = F.overlaps(
            preds, target, self.num_classes, self.include_background, self.input_format
        )
        self.numerator.append(2 * both)
        self.denominator.append(said + meant)
        self.support.append(meant)

    def compute(self) -> Tensor:
        """The value of all batches."""
        scores = F.dice_values(
            dim_zero_cat(self.numerator),
            dim_zero_cat(self.denominator),
            self.average,
            self.aggregation_level,
            dim_zero_cat(self.support),
        )
        return scores.nanmean(dim=0)


class GeneralizedDiceScore(Metric):
    """The mean of generalized_dice_score over samples."""

    full_state_update = False
    is_differentiable = False
    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    score: Tensor
    samples: Tensor

    def __init__(
        self,
        num_classes: int,
        include_background: bool = True,
        per_class: bool = False,
        weight_type: str = "square",
        input_format: str = "one-hot",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        F.check_generalized(num_classes, include_background, per_class, weight_type, input_format)
        self.num_classes = num_classes
        self.include_background = include_background
        self.per_class = per_class
        self.weight_type = weight_type
        self.input_format = input_format
        count = (num_classes - (not include_background)) if per_class else 1
        self.add_state("score", zeros(count), dist_reduce_fx="sum")
        self.add_state("samples", zeros(1), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds a batch, in the input_format."""
        sums = F.generalized_sums(
            preds,
            target,
            self.num_classes,
            self.include_background,
            self.weight_type,
            self.input_format,
        )
        self.score += F.generalized_values(*sums, self.per_class).sum(dim=0)
        self.samples += preds.shape[0]

    def compute(self) -> Tensor:
        """The value of all batches."""
        return self.score / self.samples


class MeanIoU(Metric):
    """What is in both over what is in either, the mean of samples and the classes in them."""

    full_state_update = False
    is_differentiable = False
    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    score: Tensor
    num_batches: Tensor

    def __init__(
        self,
        num_classes: int | None = None,
        include_background: bool = True,
        per_class: bool = False,
        input_format: str = "one-hot",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        F.check_iou(num_classes, include_background, per_class, input_format)
        self.num_classes = num_classes
        self.include_background = include_background
        self.per_class = per_class
        self.input_format = input_format
        self._begin(num_classes)

    def _begin(self, num_classes: int | None) -> None:
        count = 1 if num_classes is None else num_classes - (not self.include_background)
        size = count if self.per_class else 1
        self.add_state("score", zeros(size), dist_reduce_fx="sum")
        self.add_state("num_batches", zeros(size), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds a batch, in the input_format."""
        if self.num_classes is None:
            self.num_classes = max((preds, target), key=lambda t: t.dim()).shape[1]
            self._begin(self.num_classes)
        both, either = F.iou_sums(
            preds, target, self.num_classes, self.include_background, self.input_format
        )
        scores, there = F._share(both, either, 0.0), either > 0
        if self.per_class:
            self.score += scores.sum(dim=0)
            self.num_batches += there.sum(dim=0)
        else:
            self.score += scores.sum()
            self.num_batches += there.sum()

    def compute(self) -> Tensor:
        """The value of all batches; -1 for classes that were not there."""
        value = self.score / self.num_batches
        return value.nan_to_num(-1.0) if self.per_class else value.nanmean()
