"""The functions of images."""

from __future__ import annotations

from flambeau.metrics.functional.image.psnr import peak_signal_noise_ratio
from flambeau.metrics.functional.image.ssim import structural_similarity_index_measure

__all__ = ["peak_signal_noise_ratio", "structural_similarity_index_measure"]
