"""The functions of images."""

from __future__ import annotations

from flambeau.metrics.functional.image.bands import (
    error_relative_global_dimensionless_synthesis,
    image_gradients,
    spectral_angle_mapper,
    total_variation,
    universal_image_quality_index,
)
from flambeau.metrics.functional.image.multiscale import (
    multiscale_structural_similarity_index_measure,
)
from flambeau.metrics.functional.image.psnr import peak_signal_noise_ratio
from flambeau.metrics.functional.image.ssim import structural_similarity_index_measure

__all__ = [
    "error_relative_global_dimensionless_synthesis",
    "image_gradients",
    "spectral_angle_mapper",
    "total_variation",
    "universal_image_quality_index",
    "multiscale_structural_similarity_index_measure",
    "peak_signal_noise_ratio",
    "structural_similarity_index_measure",
]
