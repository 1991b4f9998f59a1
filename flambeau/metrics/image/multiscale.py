"""The structural similarity of images at several scales."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor
from flambeau.metrics.functional.image.multiscale import BETAS, check_options, similarities
from flambeau.metrics.functional.image.ssim import _ssim_check_inputs
from flambeau.metrics.image.ssim import StructuralSimilarityIndexMeasure


class MultiScaleStructuralSimilarityIndexMeasure(StructuralSimilarityIndexMeasure):
    """The similarity of images (N, C, H, W) at halved sizes. ValueError for unknown options."""

    def __init__(
        self,
        gaussian_kernel: bool = True,
        kernel_size: Any = 11,
        sigma: Any = 1.5,
        reduction: str | None = "elementwise_mean",
        data_range: Any = None,
        k1: float = 0.01,
        k2: float = 0.03,
        betas: tuple[float, ...] = BETAS,
        normalize: str | None = "relu",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            gaussian_kernel, sigma, kernel_size, reduction, data_range, k1, k2, **kwargs
        )
        check_options(betas, normalize)
        self.betas = betas
        self.normalize = normalize

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds a batch (N, C, H, W)."""
        preds, target = _ssim_check_inputs(preds, target)
        options = (self.gaussian_kernel, self.sigma, self.kernel_size, self.data_range)
        found = similarities(preds, target, *options, self.k1, self.k2, self.betas, self.normalize)
        if self._summed:
            self.similarity += found.sum()
            self.total += preds.shape[0]
        else:
            self.similarity.append(found)
