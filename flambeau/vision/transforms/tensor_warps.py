"""Tensor images [..., C, H, W] read at other places: rotation, affine maps, perspective, waves."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from flambeau.vision._torch import F, Tensor, cat, float32, from_array, ones, tensor, where
from flambeau.vision.transforms.tensor_images import check, dimensions, squeezed, unsqueezed


def _check_arguments(img: Tensor, mode: str, fill: Any) -> None:
    check(img)
    if fill is not None and not isinstance(fill, (int, float, tuple, list)):
        warnings.warn("Argument fill should be either int, float, tuple or list", stacklevel=3)
    channels = dimensions(img)[0]
    if isinstance(fill, (tuple, list)) and len(fill) > 1 and len(fill) != channels:
        raise ValueError(
            "The number of elements in 'fill' cannot broadcast to match the number of channels of "
            f"the image ({len(fill)} != {channels})"
        )
    if mode not in ("nearest", "bilinear"):
        raise ValueError(f"Interpolation mode '{mode}' is unsupported with Tensor input")


def _kind(img: Tensor) -> Any:
    return img.dtype if img.is_floating_point() else float32


def _read(img: Tensor, grid: Tensor, mode: str, fill: Any) -> Tensor:
    """The image at the places of `grid` [1, H, W, 2]; `fill` outside of it."""
    batch = unsqueezed(img, (grid.dtype,))
    count, _, rows, columns = batch.shape
    grid = grid.expand(count, -1, -1, -1)
    if fill is None:
        out = F.grid_sample(batch, grid, mode=mode, padding_mode="zeros", align_corners=False)
        return squeezed(out, img)
    inside = ones(count, 1, rows, columns, dtype=batch.dtype)
    both = F.grid_sample(
        cat((batch, inside), dim=1), grid, mode=mode, padding_mode="zeros", align_corners=False
    )
    out, share = both[:, :-1], both[:, -1:]
    values = list(fill) if isinstance(fill, (tuple, list)) else [fill]
    color = tensor([float(v) for v in values], dtype=batch.dtype).view(1, -1, 1, 1)
    if mode == "nearest":
        return squeezed(where(share < 0.5, color.expand(out.shape), out), img)
    return squeezed(out * share + (1.0 - share) * color, img)


def _plane(rows: int, columns: int, shift: tuple[float, float], kind: Any) -> Any:
    """Homogeneous coordinates [rows * columns, 3] of the pixels' centres, from (x, y) on."""
    out = np.ones((rows, columns, 3), kind.numpy)
    out[..., 0] = shift[0] + np.arange(columns)
    out[..., 1] = (shift[1] + np.arange(rows))[:, None]
    return out.reshape(-1, 3)


def _affine_grid(img: Tensor, matrix: list[float], rows: int, columns: int) -> Tensor:
    kind = _kind(img)
    height, width = img.shape[-2:]
    half = np.array([0.5 * width, 0.5 * height], kind.numpy)
    theta = np.array(matrix, kind.numpy).reshape(2, 3).T / half
    plane = _plane(rows, columns, (0.5 - columns * 0.5, 0.5 - rows * 0.5), kind)
    return from_array((plane @ theta).reshape(1, rows, columns, 2), kind)


def affine(img: Tensor, matrix: list[float], mode: str, fill: Any) -> Tensor:
    """`matrix` takes places of the result to places of the image, from the centre."""
    _check_arguments(img, mode, fill)
    return _read(img, _affine_grid(img, matrix, *img.shape[-2:]), mode, fill)


def _turned_size(matrix: list[float], width: int, height: int) -> tuple[int, int]:
    """Rows and columns that hold the whole turned image."""
    corners = np.array(
        [
            [x * width, y * height, 1.0]
            for x, y in ((-0.5, -0.5), (-0.5, 0.5), (0.5, 0.5), (0.5, -0.5))
        ],
        np.float32,
    )
    theta = np.array(matrix, np.float32).reshape(2, 3)
    half = np.array([width * 0.5, height * 0.5], np.float32)
    places = corners @ theta.T
    tolerance = np.float32(1e-4)  # what is rounding and not a pixel more
    high = np.ceil(np.trunc((places.max(0) + half) / tolerance) * tolerance)
    low = np.floor(np.trunc((places.min(0) + half) / tolerance) * tolerance)
    columns, rows = (int(n) for n in high - low)
    return rows, columns


def rotate(img: Tensor, matrix: list[float], mode: str, expand: bool, fill: Any) -> Tensor:
    _check_arguments(img, mode, fill)
    rows, columns = img.shape[-2:]
    if expand:
        rows, columns = _turned_size(matrix, columns, rows)
    return _read(img, _affine_grid(img, matrix, rows, columns), mode, fill)


def perspective(img: Tensor, coefficients: list[float], mode: str, fill: Any) -> Tensor:
    """`coefficients`: eight numbers that take places of the result to places of the image."""
    _check_arguments(img, mode, fill)
    if len(coefficients) != 8:
        raise ValueError("Argument coeffs should have 8 float values")
    kind = _kind(img)
    rows, columns = img.shape[-2:]
    numbers = np.array([*coefficients, 1.0], kind.numpy).reshape(3, 3)
    half = np.array([0.5 * columns, 0.5 * rows], kind.numpy)
    plane = _plane(rows, columns, (0.5, 0.5), kind)
    grid = (plane @ (numbers[:2].T / half)) / (plane @ numbers[2:].T) - kind.numpy.type(1)
    return _read(img, from_array(grid.reshape(1, rows, columns, 2), kind), mode, fill)


def elastic_transform(img: Tensor, displacement: Tensor, mode: str, fill: Any) -> Tensor:
    """`displacement` [1, H, W, 2] is added to the places, in units of half the image."""
    _check_arguments(img, mode, fill)
    y, x = (np.linspace((1 - n) / n, (n - 1) / n, n).astype(np.float32) for n in img.shape[-2:])
    places = np.stack(np.broadcast_arrays(x[None, :], y[:, None]), -1)[None]
    return _read(img, from_array(places, float32) + displacement, mode, fill)
