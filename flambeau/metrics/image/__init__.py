"""The metrics of images."""

from __future__ import annotations

from flambeau.metrics.image.bands import (
    ErrorRelativeGlobalDimensionlessSynthesis,
    SpectralAngleMapper,
    TotalVariation,
    UniversalImageQualityIndex,
)
from flambeau.metrics.image.multiscale import (
    MultiScaleStructuralSimilarityIndexMeasure,
)
from flambeau.metrics.image.psnr import PeakSignalNoiseRatio
from flambeau.metrics.image.ssim import StructuralSimilarityIndexMeasure

__all__ = [
    "ErrorRelativeGlobalDimensionlessSynthesis",
    "SpectralAngleMapper",
    "TotalVariation",
    "UniversalImageQualityIndex",
    "MultiScaleStructuralSimilarityIndexMeasure",
    "PeakSignalNoiseRatio",
    "StructuralSimilarityIndexMeasure",
]
