"""The structural similarity of images (Wang, Bovik, Sheikh and Simoncelli, 2004)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau.metrics._torch import F, Tensor, arange, cat, ones
from flambeau.metrics._torch import dtype as DType
from flambeau.metrics.functional.image.psnr import clamped, reduced
from flambeau.metrics.utilities.checks import check_same_shape


def _ssim_check_inputs(preds: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The images in one dtype. RuntimeError, ValueError for shapes that are not (N, C, H, W)."""
    if preds.dtype != target.dtype:
        target = target.to(preds.dtype)
    check_same_shape(preds, target)
    if preds.ndim not in (4, 5):
        raise ValueError(
            "Expected `preds` and `target` to have BxCxHxW or BxCxDxHxW shape. Got preds: "
            f"{preds.shape} and target: {target.shape}."
        )
    if preds.ndim == 5:
        raise NotImplementedError("structural similarity of volumes (BxCxDxHxW)")
    return preds, target


def _checked(sigma: Any, kernel_size: Any) -> tuple[list[float], list[int]]:
    sizes = list(kernel_size) if isinstance(kernel_size, Sequence) else 2 * [kernel_size]
    sigmas = list(sigma) if isinstance(sigma, Sequence) else 2 * [sigma]
    for given in (sizes, sigmas):
        if len(given) != 2:
            raise ValueError(
                f"`kernel_size` has dimension {len(sizes)}, but expected to be two less that "
                "target dimensionality, which is: 4"
            )
    if any(size % 2 == 0 or size <= 0 for size in sizes):
        raise ValueError(f"Expected `kernel_size` to have odd positive number. Got {sizes}.")
    if any(s <= 0 for s in sigmas):
        raise ValueError(f"Expected `sigma` to have positive number. Got {sigmas}.")
    return sigmas, sizes


def _gaussian(size: int, sigma: float, dtype: DType) -> Tensor:
    """Weights (size,) of sum 1."""
    place: Any = arange(size, dtype=dtype) - (size - 1) / 2
    weight: Any = (-0.5 * (place / sigma) ** 2).exp()
    result: Tensor = weight / weight.sum()
    return result


def _window(
    gaussian_kernel: bool, sigmas: list[float], sizes: list[int], channels: int, dtype: DType
) -> Tensor:
    """The weights (C, 1, h, w) over which means are taken."""
    if not gaussian_kernel:
        return ones((channels, 1, *sizes), dtype=dtype) / (sizes[0] * sizes[1])
    h, w = (_gaussian(int(3.5 * s + 0.5) * 2 + 1, s, dtype) for s in sigmas)
    return (h.unsqueeze(1) * w.unsqueeze(0)).expand(channels, 1, h.numel(), w.numel())


def _ssim_update(
    preds: Tensor,
    target: Tensor,
    gaussian_kernel: bool = True,
    sigma: Any = 1.5,
    kernel_size: Any = 11,
    data_range: Any = None,
    k1: float = 0.01,
    k2: float = 0.03,
    return_full_image: bool = False,
    return_contrast_sensitivity: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """The similarity of each image (N,), and the image or the contrast asked for."""
    sigmas, sizes = _checked(sigma, kernel_size)
    if return_full_image and return_contrast_sensitivity:
        raise ValueError(
            "Arguments `return_full_image` and `return_contrast_sensitivity` are mutually "
            "exclusive."
        )
    extent: Any
    if data_range is None:
        extent = (preds.amax() - preds.amin()).maximum(target.amax() - target.amin())
    else:
        extent, (preds, target) = clamped(data_range, preds, target)
    c1, c2 = (k1 * extent) ** 2, (k2 * extent) ** 2
    window = _window(gaussian_kernel, sigmas, sizes, preds.shape[1], preds.dtype)
    high, wide = (window.shape[2] - 1) // 2, (window.shape[3] - 1) // 2
    x, y = (F.pad(i, (wide, wide, high, high), mode="reflect") for i in (preds, target))
    means = F.conv2d(cat([x, y, x * x, y * y, x * y]), window, groups=preds.shape[1])
    mx, my, mxx, myy, mxy = means.split(preds.shape[0])
    both, square = mx * my, mx * mx + my * my
    spread = (mxx - mx * mx).clamp(min=0.0) + (myy - my * my).clamp(min=0.0)
    above, below = 2 * (mxy - both) + c2, spread + c2
    image = (2 * both + c1) * above / ((square + c1) * below)
    similarity = image.flatten(1).mean(-1)
    if return_contrast_sensitivity:
        contrast = (above / below)[..., high:-high, wide:-wide]
        return similarity, contrast.flatten(1).mean(-1)
    return similarity, image if return_full_image else None


def structural_similarity_index_measure(
    preds: Tensor,
    target: Tensor,
    gaussian_kernel: bool = True,
    sigma: Any = 1.5,
    kernel_size: Any = 11,
    reduction: str | None = "elementwise_mean",
    data_range: Any = None,
    k1: float = 0.01,
    k2: float = 0.03,
    return_full_image: bool = False,
    return_contrast_sensitivity: bool = False,
) -> Any:
    """The similarity of images (N, C, H, W), and the image or contrast asked for. ValueError."""
    preds, target = _ssim_check_inputs(preds, target)
    options = (gaussian_kernel, sigma, kernel_size, data_range, k1, k2)
    more = (return_full_image, return_contrast_sensitivity)
    similarity, image = _ssim_update(preds, target, *options, *more)
    value = reduced(similarity, reduction)
    return value if image is None else (value, image)
