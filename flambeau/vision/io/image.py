"""Image files and their bytes as tensors (C, H, W) of uint8, by Pillow."""

from __future__ import annotations

import io
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from flambeau.vision._torch import Tensor, dtype_of_array, from_array, uint8
from flambeau.vision.pillow import image_from_array, pillow


class ImageReadMode(Enum):
    """The channels that an image is read with."""

    UNCHANGED = 0
    GRAY = 1
    GRAY_ALPHA = 2
    RGB = 3
    RGB_ALPHA = 4
    RGBA = RGB_ALPHA


_PIL_MODES = {
    ImageReadMode.GRAY: "L",
    ImageReadMode.GRAY_ALPHA: "LA",
    ImageReadMode.RGB: "RGB",
    ImageReadMode.RGB_ALPHA: "RGBA",
}
# As they are decoded where no mode is asked for: palettes and bits become levels.
_UNCHANGED = {"1": "L", "PA": "RGBA"}


def read_file(path: Any) -> Tensor:
    """The bytes of a file. RuntimeError if it cannot be read."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise RuntimeError(f"[Errno {error.errno}] {error.strerror}: '{path}'") from error
    return from_array(np.frombuffer(data, np.uint8), uint8)


def write_file(filename: Any, data: Tensor) -> None:
    """Writes a 1-d tensor of bytes."""
    _check_bytes(data)
    Path(filename).write_bytes(data._array().tobytes())


def _check_bytes(data: Any) -> None:
    if not isinstance(data, Tensor):
        raise TypeError(f"Expected a tensor of bytes, got {type(data)}")
    if data.dtype is not uint8:
        raise RuntimeError(f"Input tensor must have uint8 data type, got {data.dtype}")
    if data.ndim != 1 or not data.numel():
        raise RuntimeError("Expected a non empty 1-dimensional tensor")


def _mode(mode: Any) -> ImageReadMode:
    return ImageReadMode[mode.upper()] if isinstance(mode, str) else mode


def _opened(data: Tensor, formats: list[str] | None) -> Any:
    _check_bytes(data)
    Image = pillow()
    try:
        return Image.open(io.BytesIO(data._array().tobytes()), formats=formats)
    except Image.UnidentifiedImageError:
        known = "jpeg, png, gif or webp" if formats is None else formats[0].lower()
        raise RuntimeError(f"Unsupported image file: its bytes are no {known} image.") from None


def _decoded(image: Any, mode: ImageReadMode, upright: bool = False) -> Any:
    """The pixels (C, H, W)."""
    wanted = _PIL_MODES.get(mode)
    if wanted is None:
        wanted = _UNCHANGED.get(image.mode, image.mode)
        if image.mode == "P":
            wanted = "RGBA" if "transparency" in image.info else "RGB"
    elif wanted == "L" and image.format == "JPEG":
        image.draft("L", image.size)  # the luma as it is in the file
    if upright:
        image = pillow("ImageOps").exif_transpose(image)
    if image.mode != wanted:
        image = image.convert(wanted)
    array = np.array(image)
    if image.mode.startswith("I"):
        array = array.astype(np.uint16)
    return (array[:, :, None] if array.ndim == 2 else array).transpose(2, 0, 1)


def _tensor(array: Any) -> Tensor:
    return from_array(array, dtype_of_array(array.dtype))


def decode_image(
    input: Any,
    mode: Any = ImageReadMode.UNCHANGED,
    apply_exif_orientation: bool = False,
) -> Tensor:
    """The image in a tensor of bytes, or in a file; its format is found from its first bytes."""
    data = input if isinstance(input, Tensor) else read_file(input)
    image = _opened(data, None)
    if image.format == "GIF":
        return decode_gif(data)
    return _tensor(_decoded(image, _mode(mode), apply_exif_orientation))


def read_image(
    path: Any, mode: Any = ImageReadMode.UNCHANGED, apply_exif_orientation: bool = False
) -> Tensor:
    """The image in a file."""
    return decode_image(read_file(path), mode, apply_exif_orientation)


def decode_png(
    input: Tensor, mode: Any = ImageReadMode.UNCHANGED, apply_exif_orientation: bool = False
) -> Tensor:
    """The PNG image in a tensor of bytes; 16-bit ones become uint16."""
    return _tensor(_decoded(_opened(input, ["PNG"]), _mode(mode), apply_exif_orientation))


def decode_jpeg(
    input: Any,
    mode: Any = ImageReadMode.UNCHANGED,
    device: Any = "cpu",
    apply_exif_orientation: bool = False,
) -> Any:
    """The JPEG image in a tensor of bytes; a list of images for a list of tensors."""
    if str(device) != "cpu":
        raise NotImplementedError(f"decode_jpeg on the device {device} is not supported")
    if isinstance(input, list):
        if not input:
            raise ValueError("Input list must contain at least one element")
        if not all(isinstance(each, Tensor) for each in input):
            raise ValueError("All elements of the input list must be tensors.")
        return [decode_jpeg(each, mode, device, apply_exif_orientation) for each in input]
    return _tensor(_decoded(_opened(input, ["JPEG"]), _mode(mode), apply_exif_orientation))


def decode_webp(input: Tensor, mode: Any = ImageReadMode.UNCHANGED) -> Tensor:
    """The WebP image in a tensor of bytes."""
    return _tensor(_decoded(_opened(input, ["WEBP"]), _mode(mode)))


def decode_gif(input: Tensor) -> Tensor:
    """The GIF image in a tensor of bytes, in RGB: (C, H, W), or (N, C, H, W) if it moves."""
    image = _opened(input, ["GIF"])
    frames = []
    for number in range(getattr(image, "n_frames", 1)):
        image.seek(number)
        frames.append(np.array(image.convert("RGB")).transpose(2, 0, 1))
    return _tensor(frames[0] if len(frames) == 1 else np.stack(frames))


def _encoded(image: Any, kind: str, **options: Any) -> Tensor:
    if not isinstance(image, Tensor) or image.dtype is not uint8:
        raise RuntimeError("Input tensor dtype should be uint8")
    if image.ndim != 3:
        raise RuntimeError("Input data should be a 3-dimensional tensor")
    if image.shape[0] not in (1, 3):
        raise RuntimeError(f"The number of channels should be 1 or 3, got: {image.shape[0]}")
    array = image._array()
    array, mode = (array[0], "L") if len(array) == 1 else (array.transpose(1, 2, 0), "RGB")
    file = io.BytesIO()
    image_from_array(np.ascontiguousarray(array), mode).save(file, kind, **options)
    return from_array(np.frombuffer(file.getvalue(), np.uint8), uint8)


def encode_png(input: Tensor, compression_level: int = 6) -> Tensor:
    """An image (1 or 3, H, W) as the bytes of a PNG file; the level is 0 (large) to 9 (small)."""
    if not 0 <= compression_level <= 9:
        raise RuntimeError("Compression level should be between 0 and 9")
    return _encoded(input, "PNG", compress_level=compression_level)


def encode_jpeg(input: Any, quality: int = 75) -> Any:
    """An image (1 or 3, H, W) as the bytes of a JPEG file; a list of them for a list."""
    if quality < 1 or quality > 100:
        raise ValueError("Image quality should be a positive number between 1 and 100")
    if isinstance(input, list):
        if not input:
            raise ValueError("encode_jpeg requires at least one input tensor when a list is passed")
        return [encode_jpeg(each, quality) for each in input]
    return _encoded(input, "JPEG", quality=quality)


def write_png(input: Tensor, filename: Any, compression_level: int = 6) -> None:
    """Writes an image (1 or 3, H, W) as a PNG file."""
    write_file(filename, encode_png(input, compression_level))


def write_jpeg(input: Tensor, filename: Any, quality: int = 75) -> None:
    """Writes an image (1 or 3, H, W) as a JPEG file."""
    write_file(filename, encode_jpeg(input, quality))
