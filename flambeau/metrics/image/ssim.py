"""The structural similarity of images."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor, tensor
from flambeau.metrics.functional.image.ssim import _ssim_check_inputs, _ssim_update
from flambeau.metrics.metric import Metric
from flambeau.metrics.utilities.data import dim_zero_cat


class StructuralSimilarityIndexMeasure(Metric):
    """The similarity of images (N, C, H, W), and the image or contrast asked for.

    ValueError for unknown options; NotImplementedError for volumes.
    """

    is_differentiable = True
    higher_is_better = True
    full_state_update = False
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    similarity: Any
    total: Tensor

    def __init__(
        self,
        gaussian_kernel: bool = True,
        sigma: Any = 1.5,
        kernel_size: Any = 11,
        reduction: str | None = "elementwise_mean",
        data_range: Any = None,
        k1: float = 0.01,
        k2: float = 0.03,
        return_full_image: bool = False,
        return_contrast_sensitivity: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        allowed = ("elementwise_mean", "sum", "none", None)
        if reduction not in allowed:
            raise ValueError(f"Argument `reduction` must be one of {allowed}, but got {reduction}")
        self._summed = reduction in ("elementwise_mean", "sum")
        if self._summed:
            self.add_state("similarity", default=tensor(0.0), dist_reduce_fx="sum")
        else:
            self.add_state("similarity", default=[], dist_reduce_fx=None)
        self.add_state("total", default=tensor(0.0), dist_reduce_fx="sum")
        self._pictured = return_full_image or return_contrast_sensitivity
        if self._pictured:
            self.add_state("image_return", default=[], dist_reduce_fx="cat")
        self.gaussian_kernel = gaussian_kernel
        self.sigma = sigma
        self.kernel_size = kernel_size
        self.reduction = reduction
        self.data_range = data_range
        self.k1 = k1
        self.k2 = k2
        self.return_full_image = return_full_image
        self.return_contrast_sensitivity = return_contrast_sensitivity

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds a batch (N, C, H, W)."""
        preds, target = _ssim_check_inputs(preds, target)
        options = (self.gaussian_kernel, self.sigma, self.kernel_size, self.data_range)
        more = (self.k1, self.k2, self.return_full_image, self.return_contrast_sensitivity)
        similarity, image = _ssim_update(preds, target, *options, *more)
        if image is not None:
            self.image_return.append(image)
        if self._summed:
            self.similarity += similarity.sum()
            self.total += preds.shape[0]
        else:
            self.similarity.append(similarity)

    def compute(self) -> Any:
        """The value of all batches."""
        value = self.similarity if self._summed else dim_zero_cat(self.similarity)
        if self.reduction == "elementwise_mean":
            value = value / self.total
        return (value, dim_zero_cat(self.image_return)) if self._pictured else value
