"""Image files as tensors and back."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("PIL")
from PIL import Image

import flambeau
from flambeau.vision import io as files
from flambeau.vision.io import ImageReadMode

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 9, 7), dtype=np.uint8)


def as_bytes(image: Any, kind: str, **options: Any) -> flambeau.Tensor:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return flambeau.tensor(list(file.getvalue()), dtype=flambeau.uint8)


def picture(mode: str = "RGB") -> Any:
    return Image.fromarray(np.ascontiguousarray(PIXELS.transpose(1, 2, 0))).convert(mode)


def test_png_there_and_back(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    files.write_png(flambeau.from_numpy(PIXELS.copy()), path)
    for found in (files.read_image(path), files.decode_image(str(path))):
        assert found.dtype is flambeau.uint8
        np.testing.assert_array_equal(np.asarray(found), PIXELS)
    gray = files.decode_png(files.encode_png(flambeau.from_numpy(PIXELS[:1].copy()), 9))
    np.testing.assert_array_equal(np.asarray(gray), PIXELS[:1])


def test_jpeg(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    smooth = np.broadcast_to(np.arange(0, 160, 5, dtype=np.uint8), (3, 16, 32)).copy()
    files.write_jpeg(flambeau.from_numpy(smooth), path, quality=95)
    found = files.read_image(path)
    assert np.abs(np.asarray(found).astype(int) - smooth).max() < 6
    np.testing.assert_array_equal(
        np.asarray(found).transpose(1, 2, 0), np.asarray(Image.open(path))
    )
    pair = files.decode_jpeg([files.read_file(path)] * 2, "gray")
    assert [each.shape for each in pair] == [(1, 16, 32)] * 2


@pytest.mark.parametrize(
    "mode, read, channels",
    [
        ("RGB", ImageReadMode.UNCHANGED, 3), ("L", "unchanged", 1), ("LA", "UNCHANGED", 2),
        ("RGBA", "UNCHANGED", 4), ("P", "UNCHANGED", 3), ("1", "UNCHANGED", 1),
        ("RGB", ImageReadMode.GRAY, 1), ("L", ImageReadMode.RGB, 3), ("RGB", "RGB_ALPHA", 4),
        ("RGBA", "GRAY_ALPHA", 2), ("LA", ImageReadMode.RGBA, 4),
    ],
)  # fmt: skip
def test_modes(mode: str, read: Any, channels: int) -> None:
    found = files.decode_image(as_bytes(picture(mode), "png"), read)
    assert found.shape == (channels, 9, 7) and found.dtype is flambeau.uint8


def test_deep_turned_and_moving_images() -> None:
    deep = np.arange(63, dtype=np.uint16).reshape(9, 7) * 1000
    found = files.decode_png(as_bytes(Image.fromarray(deep), "png"))
    assert found.dtype is flambeau.uint16
    np.testing.assert_array_equal(np.asarray(found)[0], deep)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    data = as_bytes(picture(), "png", exif=exif)
    assert files.decode_image(data).shape == (3, 9, 7)
    turned = files.decode_image(data, apply_exif_orientation=True)
    np.testing.assert_array_equal(np.asarray(turned), np.rot90(PIXELS, -1, (1, 2)))
    frames = [picture(), picture().transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    moving = as_bytes(frames[0], "gif", save_all=True, append_images=frames[1:])
    assert files.decode_gif(moving).shape == files.decode_image(moving).shape == (2, 3, 9, 7)


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="No such file"):
        files.read_image(tmp_path / "none.png")
    with pytest.raises(RuntimeError, match="Unsupported image file"):
        files.decode_image(flambeau.tensor([1, 2, 3], dtype=flambeau.uint8))
    with pytest.raises(RuntimeError, match="non empty 1-dimensional"):
        files.decode_image(flambeau.zeros(2, 2, dtype=flambeau.uint8))
    with pytest.raises(RuntimeError, match="dtype should be uint8"):
        files.encode_png(flambeau.rand(3, 4, 4))
    with pytest.raises(RuntimeError, match="should be 1 or 3, got: 2"):
        files.encode_jpeg(flambeau.zeros(2, 4, 4, dtype=flambeau.uint8))
    with pytest.raises(ValueError, match="between 1 and 100"):
        files.encode_jpeg(flambeau.zeros(3, 4, 4, dtype=flambeau.uint8), 0)
