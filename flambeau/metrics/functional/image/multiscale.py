"""The structural similarity of images at several scales (Wang, Simoncelli and Bovik, 2003)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau.metrics._torch import F, Tensor, stack, tensor
from flambeau.metrics.functional.image.psnr import reduced
from flambeau.metrics.functional.image.ssim import _ssim_check_inputs, _ssim_update

BETAS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def check_options(betas: Any, normalize: str | None) -> None:
    """ValueError for betas that are no tuple of floats, and unknown normalisations."""
    if not isinstance(betas, tuple):
        raise ValueError("Argument `betas` is expected to be of a type tuple.")
    if not all(isinstance(beta, float) for beta in betas):
        raise ValueError("Argument `betas` is expected to be a tuple of floats.")
    if normalize and normalize not in ("relu", "simple"):
        raise ValueError(
            "Argument `normalize` to be expected either `None` or one of 'relu' or 'simple'"
        )


def _check_sides(preds: Tensor, kernel_size: Any, scales: int) -> None:
    sizes = list(kernel_size) if isinstance(kernel_size, Sequence) else 2 * [kernel_size]
    least = 2**scales
    if preds.shape[-1] < least or preds.shape[-2] < least:
        raise ValueError(
            f"For a given number of `betas` parameters {scales}, the image height and width "
            f"dimensions must be larger than or equal to {least}."
        )
    shrunk = max(1, scales - 1) ** 2
    for name, side, size in zip(("height", "width"), preds.shape[-2:], sizes, strict=True):
        if side // shrunk <= size - 1:
            raise ValueError(
                f"For a given number of `betas` parameters {scales} and kernel size {size}, the "
                f"image {name} must be larger than {(size - 1) * shrunk}."
            )


def similarities(
    preds: Tensor,
    target: Tensor,
    gaussian_kernel: bool,
    sigma: Any,
    kernel_size: Any,
    data_range: Any,
    k1: float,
    k2: float,
    betas: tuple[float, ...],
    normalize: str | None,
) -> Tensor:
    """The similarity of each image: (N,)."""
    _check_sides(preds, kernel_size, len(betas))
    factors: list[Tensor] = []
    similar = contrast = preds.new_zeros(())
    for _ in betas:
        options = (gaussian_kernel, sigma, kernel_size, data_range, k1, k2)
        similar, found = _ssim_update(preds, target, *options, return_contrast_sensitivity=True)
        assert found is not None
        contrast = found
        if normalize == "relu":
            similar, contrast = similar.relu(), contrast.relu()
        factors.append(contrast)
        preds, target = (F.avg_pool2d(image, (2, 2)) for image in (preds, target))
    table = stack([*factors[:-1], similar])
    if normalize == "simple":
        table = (table + 1) / 2
    powers = tensor(list(betas)).view(-1, 1)
    return (table**powers).prod(0)


def multiscale_structural_similarity_index_measure(
    preds: Tensor,
    target: Tensor,
    gaussian_kernel: bool = True,
    sigma: Any = 1.5,
    kernel_size: Any = 11,
    reduction: str | None = "elementwise_mean",
    data_range: Any = None,
    k1: float = 0.01,
    k2: float = 0.03,
    betas: tuple[float, ...] = BETAS,
    normalize: str | None = "relu",
) -> Tensor:
    """The product of the contrasts of images (N, C, H, W) at halved sizes, each to its beta.

    ValueError for unknown options and for images that are too small.
    """
    check_options(betas, normalize)
    preds, target = _ssim_check_inputs(preds, target)
    found = similarities(
        preds, target, gaussian_kernel, sigma, kernel_size, data_range, k1, k2, betas, normalize
    )
    return reduced(found, reduction)
