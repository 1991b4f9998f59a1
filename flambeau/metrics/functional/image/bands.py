"""Images band by band and place by place: variation, quality, spectral angles, ERGAS."""

from __future__ import annotations

from collections.abc import Sequence

from flambeau.metrics._torch import F, Tensor, cat, finfo
from flambeau.metrics.functional.image.psnr import reduced
from flambeau.metrics.functional.image.ssim import _gaussian
from flambeau.metrics.utilities.checks import check_same_shape


def paired_images(preds: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """TypeError for other dtypes, RuntimeError for other shapes, ValueError if not (N, C, H, W)."""
    if preds.dtype != target.dtype:
        raise TypeError(
            "Expected `preds` and `target` to have the same data type. Got preds: "
            f"{preds.dtype} and target: {target.dtype}."
        )
    check_same_shape(preds, target)
    if preds.ndim != 4:
        raise ValueError(
            "Expected `preds` and `target` to have BxCxHxW shape. Got preds: "
            f"{preds.shape} and target: {target.shape}."
        )
    return preds, target


# ---- variation -----------------------------------------------------------------------------------


def variations(img: Tensor) -> Tensor:
    """How much neighbours differ, the sum over each image: (N,)."""
    if img.ndim != 4:
        raise RuntimeError(f"Expected input `img` to be an 4D tensor, but got {img.shape}")
    down = (img[..., 1:, :] - img[..., :-1, :]).abs().sum([1, 2, 3])
    across = (img[..., :, 1:] - img[..., :, :-1]).abs().sum([1, 2, 3])
    return down + across


def varied(score: Tensor, count: Tensor | int, reduction: str | None) -> Tensor:
    """Variations as their mean, their sum, or as they are. ValueError for other reductions."""
    if reduction == "mean":
        return score.sum() / count
    if reduction == "sum":
        return score.sum()
    if reduction is None or reduction == "none":
        return score
    raise ValueError("Expected argument `reduction` to either be 'sum', 'mean', 'none' or None")


def total_variation(img: Tensor, reduction: str | None = "sum") -> Tensor:
    """How much neighbours in images (N, C, H, W) differ. RuntimeError for other shapes."""
    return varied(variations(img), img.shape[0], reduction)


def image_gradients(img: Tensor) -> tuple[Tensor, Tensor]:
    """What every place of (N, C, H, W) lacks of the next one down and across; 0 at the border."""
    if not isinstance(img, Tensor):
        raise TypeError(f"The `img` expects a value of <Tensor> type but got {type(img)}")
    if img.ndim != 4:
        raise RuntimeError(f"The `img` expects a 4D tensor but got {img.ndim}D tensor")
    down = F.pad(img[..., 1:, :] - img[..., :-1, :], [0, 0, 0, 1])
    across = F.pad(img[..., :, 1:] - img[..., :, :-1], [0, 1])
    return down, across


# ---- quality -------------------------------------------------------------------------------------


def qualities(
    preds: Tensor, target: Tensor, kernel_size: Sequence[int], sigma: Sequence[float]
) -> Tensor:
    """The quality around every place, borders left out: (N, C, h, w)."""
    if len(kernel_size) != 2 or len(sigma) != 2:
        raise ValueError(
            "Expected `kernel_size` and `sigma` to have the length of two. Got kernel_size: "
            f"{len(kernel_size)} and sigma: {len(sigma)}."
        )
    if any(size % 2 == 0 or size <= 0 for size in kernel_size):
        raise ValueError(f"Expected `kernel_size` to have odd positive number. Got {kernel_size}.")
    if any(one <= 0 for one in sigma):
        raise ValueError(f"Expected `sigma` to have positive number. Got {sigma}.")
    channels, dtype = preds.shape[1], preds.dtype
    down, across = (_gaussian(n, s, dtype) for n, s in zip(kernel_size, sigma, strict=True))
    window = (down.unsqueeze(1) * across.unsqueeze(0)).expand(channels, 1, *kernel_size)
    high, wide = (kernel_size[0] - 1) // 2, (kernel_size[1] - 1) // 2
    x, y = (F.pad(image, (high, high, wide, wide), mode="reflect") for image in (preds, target))
    means = F.conv2d(cat([x, y, x * x, y * y, x * y]), window, groups=channels)
    mx, my, mxx, myy, mxy = means.split(preds.shape[0])
    spread = (mxx - mx * mx).clamp(min=0.0) + (myy - my * my).clamp(min=0.0)
    above = 2 * mx * my * (2 * (mxy - mx * my))
    quality = above / ((mx * mx + my * my) * spread + finfo(dtype).eps)
    inner: Tensor = quality[..., high:-high, wide:-wide]
    return inner


def universal_image_quality_index(
    preds: Tensor,
    target: Tensor,
    kernel_size: Sequence[int] = (11, 11),
    sigma: Sequence[float] = (1.5, 1.5),
    reduction: str | None = "elementwise_mean",
) -> Tensor:
    """Correlation, luminance and contrast of images (N, C, H, W) as one (Wang and Bovik, 2002)."""
    preds, target = paired_images(preds, target)
    return reduced(qualities(preds, target, kernel_size, sigma), reduction)


# ---- bands ---------------------------------------------------------------------------------------


def angles(preds: Tensor, target: Tensor) -> Tensor:
    """The angle between both at every place: (N, H, W)."""
    preds, target = paired_images(preds, target)
    if preds.shape[1] <= 1:
        raise ValueError(
            "Expected channel dimension of `preds` and `target` to be larger than 1. Got preds: "
            f"{preds.shape[1]} and target: {target.shape[1]}."
        )
    product = (preds * target).sum(dim=1)
    return (product / (preds.norm(dim=1) * target.norm(dim=1))).clamp(-1, 1).acos()


def spectral_angle_mapper(
    preds: Tensor, target: Tensor, reduction: str | None = "elementwise_mean"
) -> Tensor:
    """The angle between the bands of images (N, C, H, W), in radians. ValueError for one band."""
    return reduced(angles(preds, target), reduction)


def synthesis_errors(preds: Tensor, target: Tensor, ratio: float) -> Tensor:
    """ERGAS of each image: (N,)."""
    preds, target = paired_images(preds, target)
    error = (preds - target).square().flatten(2).mean(2).sqrt()
    return 100 / ratio * (error / target.flatten(2).mean(2)).square().mean(1).sqrt()


def error_relative_global_dimensionless_synthesis(
    preds: Tensor,
    target: Tensor,
    ratio: float = 4,
    reduction: str | None = "elementwise_mean",
) -> Tensor:
    """ERGAS: errors of bands of images (N, C, H, W) over their means; ratio is of resolutions."""
    return reduced(synthesis_errors(preds, target, ratio), reduction)
