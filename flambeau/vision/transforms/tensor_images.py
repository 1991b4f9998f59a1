"""What the transforms do to tensor images [..., C, H, W]: sizes, borders, dtypes, normalisation.

Note [on the host]. A tensor that holds its data and needs no gradient is a sample on its way to a
batch: its crop, its flip, its scaled values are made with NumPy at once. Recorded, each place of a
crop would be an event never seen before. Any other tensor is recorded as usual.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from flambeau.functional.array_resize import resize_array
from flambeau.vision._torch import (
    F,
    Tensor,
    as_tensor,
    dtype,
    float32,
    float64,
    from_array,
    from_storage,
    int8,
    int16,
    int32,
    int64,
    meta_of,
    tensor,
    uint8,
    uint16,
)
from flambeau.vision.transforms.pil_images import check_padding, sides

_MAXIMA = {
    uint8: 255,
    int8: 127,
    int16: 32767,
    uint16: 65535,
    int32: 2**31 - 1,
    int64: 2**63 - 1,
}
_INTEGERS = (uint8, int8, int16, int32, int64)


def check(img: Any) -> None:
    """TypeError unless `img` has a height and a width."""
    if img.ndim < 2:
        raise TypeError("Tensor is not a torch image.")


def dimensions(img: Tensor) -> list[int]:
    """Channels, height and width."""
    check(img)
    return [1 if img.ndim == 2 else img.shape[-3], img.shape[-2], img.shape[-1]]


def check_channels(img: Tensor, permitted: tuple[int, ...] = (1, 3)) -> None:
    """TypeError for another number of channels."""
    channels = dimensions(img)[0]
    if channels not in permitted:
        raise TypeError(
            f"Input image tensor permitted channel values are {list(permitted)}, but found "
            f"{channels}"
        )


def check_rank(img: Tensor) -> None:
    """TypeError without a dimension for channels."""
    check(img)
    if img.ndim < 3:
        raise TypeError(
            f"Input image tensor should have at least 3 dimensions, but found {img.ndim}"
        )


def largest(kind: dtype) -> int:
    """White: the largest value of an integer dtype, 1 for floats."""
    return _MAXIMA.get(kind, 1)


def on_host(img: Tensor) -> Any:
    """The data as an array where it is there and needs no gradient (else None)."""
    storage = img._storage
    if storage is None or storage.recording is not None or img.requires_grad:
        return None
    return img._array()


# ---- dtypes --------------------------------------------------------------------------------------


def convert_image_dtype(image: Tensor, kind: dtype = float32) -> Tensor:
    """The image in another dtype, black and white kept. RuntimeError where values would not fit."""
    source = image.dtype
    if source is kind:
        return image
    if source.is_floating_point:
        if kind.is_floating_point:
            return image.to(kind)
        if (source is float32 and kind in (int32, int64)) or (source is float64 and kind is int64):
            raise RuntimeError(f"The cast from {source} to {kind} cannot be performed safely.")
        return image.mul(float(largest(kind)) + 1.0 - 1e-3).to(kind)
    if kind.is_floating_point:
        host = on_host(image)
        if host is not None and source is uint8 and kind in (float32, float64):
            return from_array(np.divide(host, 255, dtype=kind.numpy), kind)
        return image.to(kind) / float(largest(source))
    whole, to = largest(source), largest(kind)
    if whole > to:
        return image.div((whole + 1) // (to + 1), rounding_mode="floor").to(kind)
    # As in double precision, where the largest int64 and its successor are one number.
    return image.to(kind) * int((float(to) + 1) // (whole + 1))


def normalize(img: Tensor, mean: Any, std: Any, inplace: bool = False) -> Tensor:
    """(img - mean) / std, channel by channel. ValueError for a deviation of zero."""
    check(img)
    if not img.is_floating_point():
        raise TypeError(f"Input tensor should be a float tensor. Got {img.dtype}.")
    if img.ndim < 3:
        raise ValueError(
            "Expected tensor to be a tensor image of size (..., C, H, W). Got tensor.size() = "
            f"{img.size()}"
        )
    kind = img.dtype
    if not inplace and kind in (float32, float64) and not isinstance(mean, Tensor):
        host = on_host(img) if not isinstance(std, Tensor) and img.is_contiguous() else None
        if host is not None:
            low, scale = statistics(mean, std, kind)
            out = host - low
            out /= scale
            return from_array(out, kind)
    low, scale = as_tensor(mean, dtype=kind), as_tensor(std, dtype=kind)
    if bool((scale == 0).any()):
        raise ValueError(_zero(kind))
    if low.ndim == 1:
        low = low.view(-1, 1, 1)
    if scale.ndim == 1:
        scale = scale.view(-1, 1, 1)
    return (img if inplace else img.clone()).sub_(low).div_(scale)


def statistics(mean: Any, std: Any, kind: dtype) -> tuple[Any, Any]:
    """Mean and deviation as arrays (channels, 1, 1). ValueError for a deviation of zero."""
    given = [tuple(each) if isinstance(each, list) else each for each in (mean, std)]
    try:
        return _known_statistics(given[0], given[1], kind)
    except TypeError:  # arrays
        return _known_statistics.__wrapped__(mean, std, kind)


@lru_cache(maxsize=256)
def _known_statistics(mean: Any, std: Any, kind: dtype) -> tuple[Any, Any]:
    pair = []
    for given in (mean, std):
        array = np.asarray(given, kind.numpy)
        pair.append(array.reshape(-1, 1, 1) if array.ndim == 1 else array)
    if (pair[1] == 0).any():
        raise ValueError(_zero(kind))
    return pair[0], pair[1]


def _zero(kind: dtype) -> str:
    return f"std evaluated to zero after conversion to {kind}, leading to division by zero."


# ---- places --------------------------------------------------------------------------------------


def hflip(img: Tensor) -> Tensor:
    check(img)
    host = on_host(img)
    return img.flip(-1) if host is None else from_array(host[..., ::-1], img.dtype)


def vflip(img: Tensor) -> Tensor:
    check(img)
    host = on_host(img)
    return img.flip(-2) if host is None else from_array(host[..., ::-1, :], img.dtype)


def _window(img: Tensor, top: int, left: int, bottom: int, right: int) -> Tensor:
    """A view of the rows and columns; the bounds lie within the image."""
    if on_host(img) is None:
        return img[..., top:bottom, left:right]
    strides = img.stride()
    shape = (*img.shape[:-2], max(bottom - top, 0), max(right - left, 0))
    offset = img._offset + top * strides[-2] + left * strides[-1]
    assert img._storage is not None
    return from_storage(img._storage, meta_of(img.dtype, shape, strides), offset)


def crop(img: Tensor, top: int, left: int, height: int, width: int) -> Tensor:
    """The window at (top, left); zeros where it leaves the image."""
    _, rows, columns = dimensions(img)
    bottom, right = top + height, left + width
    if left >= 0 and top >= 0 and right <= columns and bottom <= rows:
        return _window(img, top, left, bottom, right)
    outside = (
        max(-left + min(0, right), 0),
        max(-top + min(0, bottom), 0),
        max(right - max(columns, left), 0),
        max(bottom - max(rows, top), 0),
    )
    return pad(img[..., max(top, 0) : bottom, max(left, 0) : right], outside)


def pad(img: Tensor, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> Tensor:
    """The image with borders; negative ones cut it."""
    check(img)
    if fill is None:
        fill = 0
    if not isinstance(fill, (int, float)):
        raise TypeError("Got inappropriate fill arg")
    check_padding(padding, fill, padding_mode)
    left, top, right, bottom = sides(padding)
    host = on_host(img)
    if host is not None and padding_mode == "constant" and min(left, top, right, bottom) >= 0:
        shape = (host.shape[-2] + top + bottom, host.shape[-1] + left + right)
        out = np.full((*host.shape[:-2], *shape), float(fill), host.dtype)
        out[..., top : top + host.shape[-2], left : left + host.shape[-1]] = host
        return from_array(out, img.dtype)
    if padding_mode == "symmetric":
        return _pad_symmetric(img, left, top, right, bottom)
    whole = img.unsqueeze(0) if img.ndim < 4 else img
    if padding_mode == "constant":
        whole = F.pad(whole, [left, right, top, bottom], value=float(fill))
    else:
        mode = "replicate" if padding_mode == "edge" else padding_mode
        floating = whole.dtype in (float32, float64)
        whole = F.pad(whole if floating else whole.to(float32), [left, right, top, bottom], mode)
        whole = whole.to(img.dtype)
    return whole.squeeze(0) if img.ndim < 4 else whole


def _pad_symmetric(img: Tensor, left: int, top: int, right: int, bottom: int) -> Tensor:
    """Mirrored borders, the edge repeated."""
    if img.ndim not in (3, 4):
        raise RuntimeError("Symmetric padding of N-D tensors are not supported yet")
    rows, columns = img.shape[-2:]
    img = img[
        ...,
        max(-top, 0) : rows + min(bottom, 0),
        max(-left, 0) : columns + min(right, 0),
    ]
    rows, columns = img.shape[-2:]
    y = np.pad(np.arange(rows), (max(top, 0), max(bottom, 0)), "symmetric")
    x = np.pad(np.arange(columns), (max(left, 0), max(right, 0)), "symmetric")
    return img.index_select(-2, tensor(y)).index_select(-1, tensor(x))


def unsqueezed(img: Tensor, kinds: tuple[dtype, ...]) -> Tensor:
    """The image as a batch in one of the dtypes (the first unless it has one)."""
    batch = img.unsqueeze(0) if img.ndim < 4 else img
    return batch if batch.dtype in kinds else batch.to(kinds[0])


def squeezed(batch: Tensor, img: Tensor) -> Tensor:
    """A result with the dimensions and the dtype of the image it was made from."""
    out = batch.squeeze(0) if img.ndim < 4 else batch
    if out.dtype is img.dtype:
        return out
    return (out.round() if img.dtype in _INTEGERS else out).to(img.dtype)


def resize(img: Tensor, size: list[int], mode: str, antialias: bool | None) -> Tensor:
    """The image at another size; antialiasing is for the modes bilinear and bicubic."""
    check(img)
    smooth = mode in ("bilinear", "bicubic")
    host = on_host(img) if antialias and smooth and img.dtype in (uint8, float32) else None
    if host is not None and host.size and min(size) > 0:
        made = resize_array(host.astype(np.float32, copy=False), list(size), mode)
        if img.dtype is uint8:
            made = made.clip(0, 255).round()
        return from_array(made, img.dtype)
    batch = F.interpolate(
        unsqueezed(img, (float32, float64)),
        size=list(size),
        mode=mode,
        align_corners=False if smooth else None,
        antialias=bool(antialias) and smooth,
    )
    if mode == "bicubic" and img.dtype is uint8:
        batch = batch.clamp(0, 255)
    return squeezed(batch, img)


def erase(
    img: Tensor, top: int, left: int, height: int, width: int, value: Tensor, inplace: bool
) -> Tensor:
    check(img)
    host = None if inplace or on_host(value) is None else on_host(img)
    if host is not None:
        out = host.copy()
        out[..., top : top + height, left : left + width] = value._array()
        return from_array(out, img.dtype)
    out = img if inplace else img.clone()
    out[..., top : top + height, left : left + width] = value
    return out
