"""What a user hands to a SummaryWriter, as arrays; pictures, sounds and films as bytes."""

from __future__ import annotations

import io
import wave
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.tensor.tensor import Tensor


def array_of(value: Any) -> Any:
    """A tensor, array, number or list as a NumPy array. NotImplementedError for other types."""
    if isinstance(value, Tensor):
        array = value.detach()._values()
        return array.astype(np.float32) if value.dtype is dtypes.bfloat16 else array
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, (list, tuple)):
        if any(isinstance(part, Tensor) for part in value):
            return np.stack([array_of(part) for part in value])
        return np.asarray(value)
    if np.isscalar(value):
        return np.array([value])
    raise NotImplementedError(f"Got {type(value)}, but numpy array or torch tensor are expected.")


def number_of(value: Any) -> float:
    """A one-element value as a float."""
    array = array_of(value).squeeze()
    if array.ndim != 0:
        raise AssertionError("scalar should be 0D")
    return float(array)


def pixels(array: Any, axes: str) -> Any:
    """An image (or images: N, tiled) with the given axes as (height, width, 3 or 4), uint8."""
    axes = axes.upper()
    if len(set(axes)) != len(axes):
        raise AssertionError(
            f"You can not use the same dimension shordhand twice. input_format: {axes}"
        )
    if array.ndim != len(axes):
        raise AssertionError(
            "size of input tensor and input format are different. "
            f"tensor shape: {array.shape}, input_format: {axes}"
        )
    scale = 1 if array.dtype == np.uint8 else 255
    if "N" in axes:
        many = np.transpose(array, [axes.index(axis) for axis in "NCHW"])
        array, axes = grid(many), "HWC"
    if axes in ("HW", "WH"):
        plane = array if axes == "HW" else array.T
        array = np.stack([plane] * 3, 2)
    else:
        array = np.transpose(array, [axes.index(axis) for axis in "HWC"])
        if array.shape[2] == 1:
            array = np.concatenate([array] * 3, 2)
    return np.clip(array.astype(np.float32) * scale, 0, 255).astype(np.uint8)


def grid(images: Any, columns: int = 8) -> Any:
    """Images (N, C, H, W) side by side, `columns` in a row: (height, width, C)."""
    if images.ndim != 4 or images.shape[1] not in (1, 3, 4):
        raise AssertionError("images must be of the shape (N, 1 or 3 or 4, H, W)")
    if images.shape[1] == 1:
        images = np.concatenate([images] * 3, 1)
    count, channels, height, width = images.shape
    columns = min(count, columns)
    rows = -(-count // columns)
    whole = np.zeros((rows * height, columns * width, channels), images.dtype)
    for number, image in enumerate(images):
        top, left = number // columns * height, number % columns * width
        whole[top : top + height, left : left + width] = image.transpose(1, 2, 0)
    return whole


def _pillow() -> Any:
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise ImportError(
            "images need the package Pillow: pip install 'flambeau[vision]'"
        ) from error
    return Image


def png(image: Any, rescale: float = 1) -> tuple[bytes, int, int, int]:
    """The PNG file of (height, width, channels) uint8, and its height, width and channels."""
    height, width, channels = image.shape
    picture = _pillow().fromarray(image)
    if rescale != 1:
        height, width = int(height * rescale), int(width * rescale)
        picture = picture.resize((width, height), _pillow().LANCZOS)
    file = io.BytesIO()
    picture.save(file, format="PNG")
    return file.getvalue(), height, width, channels


def with_boxes(image: Any, boxes: Any, labels: Any) -> Any:
    """The image with red frames (x from, y from, x to, y to), and labels at their corners."""
    from PIL import ImageDraw

    picture = _pillow().fromarray(image)
    draw = ImageDraw.Draw(picture)
    for number, box in enumerate(np.asarray(boxes).reshape(-1, 4).tolist()):
        draw.rectangle(box, outline="red", width=2)
        if labels is not None:
            draw.text((box[0] + 2, box[1] + 2), str(labels[number]), fill="red")
    return np.asarray(picture)


def gif(frames: Any, fps: float) -> tuple[bytes, int, int, int]:
    """The GIF file of frames (time, height, width, channels), uint8; height, width, channels."""
    image = _pillow()
    pictures = [image.fromarray(frame) for frame in frames]
    file = io.BytesIO()
    pictures[0].save(
        file,
        format="GIF",
        save_all=True,
        append_images=pictures[1:],
        duration=round(1000 / fps),
        loop=0,
    )
    return file.getvalue(), *frames.shape[1:]


def film(videos: Any) -> Any:
    """Videos (N, T, C, H, W) side by side, as (T, height, width, C) uint8."""
    if videos.ndim != 5:
        raise AssertionError("a video must be of the shape (N, T, C, H, W)")
    scale = 1 if videos.dtype == np.uint8 else 255
    count = videos.shape[0]
    columns = 1 << ((max(count, 1) - 1).bit_length() + 1) // 2
    frames = np.stack([grid(videos[:, t], columns) for t in range(videos.shape[1])])
    return np.clip(frames.astype(np.float32) * scale, 0, 255).astype(np.uint8)


def wav(samples: Any, rate: int) -> tuple[bytes, int]:
    """The WAV file (16 bits, one channel) of samples in [-1, 1], and how many there are."""
    flat = samples.squeeze()
    if flat.ndim != 1:
        raise AssertionError("input tensor should be 1 dimensional.")
    if abs(flat).max(initial=0) > 1:
        flat = flat.clip(-1, 1)
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes((flat * np.iinfo(np.int16).max).astype("<i2").tobytes())
    return file.getvalue(), len(flat)
