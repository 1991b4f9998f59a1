"""The metrics of images."""

from __future__ import annotations

from flambeau.metrics.image.psnr import PeakSignalNoiseRatio
from flambeau.metrics.image.ssim import StructuralSimilarityIndexMeasure

__all__ = ["PeakSignalNoiseRatio", "StructuralSimilarityIndexMeasure"]
