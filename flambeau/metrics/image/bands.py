"""Images band by band and place by place: variation, quality, spectral angles, ERGAS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau.metrics._torch import Tensor, int32, tensor
from flambeau.metrics.functional.image import bands as F
from flambeau.metrics.functional.image.psnr import reduced
from flambeau.metrics.metric import Metric
from flambeau.metrics.utilities.data import dim_zero_cat

REDUCTIONS = ("elementwise_mean", "sum", "none", None)


class TotalVariation(Metric):
    """How much neighbours in images differ."""

    full_state_update = False
    is_differentiable = True
    higher_is_better = False
    plot_lower_bound = 0.0
    num_elements: Tensor
    score_list: list[Tensor]
    score: Tensor

    def __init__(self, reduction: str | None = "sum", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if reduction not in ("sum", "mean", "none", None):
            raise ValueError(
                "Expected argument `reduction` to either be 'sum', 'mean', 'none' or None"
            )
        self.reduction = reduction
        self.add_state("score_list", default=[], dist_reduce_fx="cat")
        self.add_state("score", default=tensor(0.0), dist_reduce_fx="sum")
        self.add_state("num_elements", default=tensor(0, dtype=int32), dist_reduce_fx="sum")

    def update(self, img: Tensor) -> None:
        """Adds a batch (N, C, H, W)."""
        score = F.variations(img)
        if self.reduction in (None, "none"):
            self.score_list.append(score)
        else:
            self.score += score.sum()
        self.num_elements += img.shape[0]

    def compute(self) -> Tensor:
        """The value of all batches."""
        each = self.reduction in (None, "none")
        score = dim_zero_cat(self.score_list) if each else self.score
        return F.varied(score, self.num_elements, self.reduction)


class _Averaged(Metric):
    """States: a sum of values and their number, or with reduction None all values."""

    is_differentiable = True
    higher_is_better = True
    full_state_update = False
    plot_lower_bound = 0.0
    values: list[Tensor]
    sum_values: Tensor
    numel: Tensor

    def __init__(self, reduction: str | None = "elementwise_mean", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if reduction not in REDUCTIONS:
            raise ValueError(
                f"The `reduction` {reduction} is not valid. Valid options are `elementwise_mean`, "
                "`sum`, `none`, None."
            )
        self.reduction = reduction
        self._each = reduction in (None, "none")
        if self._each:
            self.add_state("values", default=[], dist_reduce_fx="cat")
        else:
            self.add_state("sum_values", tensor(0.0), dist_reduce_fx="sum")
            self.add_state("numel", tensor(0), dist_reduce_fx="sum")

    def _values_of(self, preds: Tensor, target: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__}._values_of")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds a batch (N, C, H, W)."""
        found = self._values_of(preds, target)
        if self._each:
            self.values.append(found)
        else:
            self.sum_values += found.sum()
            self.numel += found.numel()

    def compute(self) -> Tensor:
        """The value of all batches."""
        if self._each:
            return reduced(dim_zero_cat(self.values), self.reduction)
        return self.sum_values / self.numel if self.reduction != "sum" else self.sum_values


class UniversalImageQualityIndex(_Averaged):
    """Correlation, luminance and contrast as one."""

    plot_upper_bound = 1.0

    def __init__(
        self,
        kernel_size: Sequence[int] = (11, 11),
        sigma: Sequence[float] = (1.5, 1.5),
        reduction: str | None = "elementwise_mean",
        **kwargs: Any,
    ) -> None:
        super().__init__(reduction, **kwargs)
        self.kernel_size = kernel_size
        self.sigma = sigma

    def _values_of(self, preds: Tensor, target: Tensor) -> Tensor:
        return F.qualities(*F.paired_images(preds, target), self.kernel_size, self.sigma)


class SpectralAngleMapper(_Averaged):
    """The angle between the bands of images, in radians."""

    higher_is_better = False

    def _values_of(self, preds: Tensor, target: Tensor) -> Tensor:
        return F.angles(preds, target)


class ErrorRelativeGlobalDimensionlessSynthesis(_Averaged):
    """ERGAS: errors of bands over their means."""

    higher_is_better = False

    def __init__(
        self, ratio: float = 4, reduction: str | None = "elementwise_mean", **kwargs: Any
    ) -> None:
        super().__init__(reduction, **kwargs)
        self.ratio = ratio

    def _values_of(self, preds: Tensor, target: Tensor) -> Tensor:
        return F.synthesis_errors(preds, target, self.ratio)
