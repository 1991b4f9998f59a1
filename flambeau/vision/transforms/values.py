"""Transforms of kind and values: to tensors and back, dtypes, normalisation, erasing."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from flambeau.vision._torch import Module, Tensor, dtype, from_array, randn
from flambeau.vision._torch import float32 as float32
from flambeau.vision.transforms import draws
from flambeau.vision.transforms import functional as F
from flambeau.vision.transforms.arguments import check_ranges


class ToTensor:
    """A Pillow image or an array (H, W, C) as a tensor (C, H, W); bytes become [0, 1]."""

    def __call__(self, pic: Any) -> Tensor:
        return F.to_tensor(pic)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class PILToTensor:
    """A Pillow image as a tensor (C, H, W) of its own dtype, unscaled."""

    def __call__(self, pic: Any) -> Tensor:
        return F.pil_to_tensor(pic)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class ToPILImage:
    """A tensor (C, H, W) or an array (H, W, C) as a Pillow image."""

    def __init__(self, mode: str | None = None) -> None:
        self.mode = mode

    def __call__(self, pic: Any) -> Any:
        return F.to_pil_image(pic, self.mode)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'' if self.mode is None else f'mode={self.mode}'})"


class ConvertImageDtype(Module):
    """A tensor image in another dtype, scaled so that black and white stay."""

    def __init__(self, dtype: dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, image: Tensor) -> Tensor:
        return F.convert_image_dtype(image, self.dtype)


class Normalize(Module):
    """(tensor - mean) / std, channel by channel."""

    def __init__(self, mean: Any, std: Any, inplace: bool = False) -> None:
        super().__init__()
        self.mean = mean
        self.std = std
        self.inplace = inplace

    def forward(self, tensor: Tensor) -> Tensor:
        return F.normalize(tensor, self.mean, self.std, self.inplace)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(mean={self.mean}, std={self.std})"


class LinearTransformation(Module):
    """The flattened image minus `mean_vector`, times `transformation_matrix` (whitening)."""

    def __init__(self, transformation_matrix: Tensor, mean_vector: Tensor) -> None:
        super().__init__()
        shape = tuple(transformation_matrix.size())
        if shape[0] != shape[1]:
            raise ValueError(
                f"transformation_matrix should be square. Got {shape} rectangular matrix."
            )
        if mean_vector.size(0) != shape[0]:
            raise ValueError(
                f"mean_vector should have the same length {mean_vector.size(0)} as any one of the "
                f"dimensions of the transformation_matrix [{shape}]"
            )
        if transformation_matrix.dtype is not mean_vector.dtype:
            raise ValueError(
                "Input tensors should have the same dtype. Got "
                f"{transformation_matrix.dtype} and {mean_vector.dtype}"
            )
        self.transformation_matrix = transformation_matrix
        self.mean_vector = mean_vector

    def forward(self, tensor: Tensor) -> Tensor:
        shape = tensor.shape
        count = math.prod(shape[-3:])
        rows = self.transformation_matrix.shape[0]
        if count != rows:
            raise ValueError(
                "Input tensor and transformation matrix have incompatible shape."
                f"[{shape[-3]} x {shape[-2]} x {shape[-1]}] != {rows}"
            )
        flat = tensor.view(-1, count) - self.mean_vector
        return flat.mm(self.transformation_matrix.to(flat.dtype)).view(shape)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(transformation_matrix={self.transformation_matrix.tolist()}, "
            f"mean_vector={self.mean_vector.tolist()})"
        )


def log_ratio(ratio: Any) -> tuple[float, float]:
    """The logarithms of a range of aspect ratios, as float32 has them."""
    low, high = np.log(np.array(ratio, np.float32).astype(np.float64)).astype(np.float32).tolist()
    return low, high


def drawn_shape(area: int, scale: Any, logarithms: tuple[float, float]) -> tuple[float, float]:
    """A random area and aspect ratio."""
    size = area * draws.uniform(scale[0], scale[1])
    return size, float(np.float32(math.exp(draws.uniform(*logarithms))))


class RandomErasing(Module):
    """A random window of a tensor image replaced, with probability `p`."""

    def __init__(
        self,
        p: float = 0.5,
        scale: Any = (0.02, 0.33),
        ratio: Any = (0.3, 3.3),
        value: Any = 0,
        inplace: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(value, (numbers.Number, str, tuple, list)):
            raise TypeError("Argument value should be either a number or str or a sequence")
        if isinstance(value, str) and value != "random":
            raise ValueError("If value is str, it should be 'random'")
        check_ranges(scale, ratio)
        if scale[0] < 0 or scale[1] > 1:
            raise ValueError("Scale should be between 0 and 1")
        if p < 0 or p > 1:
            raise ValueError("Random erasing probability should be between 0 and 1")
        self.p = p
        self.scale = scale
        self.ratio = ratio
        self.value = value
        self.inplace = inplace

    @staticmethod
    def get_params(
        img: Tensor, scale: Any, ratio: Any, value: Sequence[float] | None = None
    ) -> tuple[int, int, int, int, Tensor]:
        """Row, column, height and width of the window, and what fills it."""
        channels, rows, columns = img.shape[-3:]
        logarithms = log_ratio(ratio)
        for _ in range(10):
            size, aspect = drawn_shape(rows * columns, scale, logarithms)
            height, width = round(math.sqrt(size * aspect)), round(math.sqrt(size / aspect))
            if not (height < rows and width < columns):
                continue
            if value is None:
                filling = randn(channels, height, width, dtype=float32)
                filling = from_array(filling._array(), float32)
            else:
                filling = from_array(np.array(value, np.float32)[:, None, None], float32)
            top = draws.integer(0, rows - height + 1)
            return top, draws.integer(0, columns - width + 1), height, width, filling
        return 0, 0, rows, columns, img

    def forward(self, img: Tensor) -> Tensor:
        if not draws.happens(self.p):
            return img
        value: Any = self.value
        if isinstance(value, (int, float)):
            value = [float(value)]
        elif isinstance(value, str):
            value = None
        elif isinstance(value, (list, tuple)):
            value = [float(each) for each in value]
        if value is not None and len(value) not in (1, img.shape[-3]):
            raise ValueError(
                "If value is a sequence, it should have either a single value or "
                f"{img.shape[-3]} (number of input channels)"
            )
        return F.erase(img, *self.get_params(img, self.scale, self.ratio, value), self.inplace)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(p={self.p}, scale={self.scale}, ratio={self.ratio}, "
            f"value={self.value}, inplace={self.inplace})"
        )
