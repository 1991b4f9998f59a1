"""v2: transforms of kind and values."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from flambeau.vision._torch import Tensor, dtype, float32
from flambeau.vision._torch import dtype as DType
from flambeau.vision.pillow import is_pil_image
from flambeau.vision.transforms import draws
from flambeau.vision.transforms import values as v1
from flambeau.vision.transforms.arguments import check_sequence
from flambeau.vision.transforms.v2 import functional as F
from flambeau.vision.transforms.v2.transform import RandomTransform, Transform


def _no_pillow(leaves: list[Any], name: str) -> None:
    if any(is_pil_image(leaf) for leaf in leaves):
        raise TypeError(f"{name}() does not support PIL images.")


class ToTensor(Transform):
    """Pillow images and arrays as float tensors in [0, 1]; ToImage and ToDtype replace it."""

    def __init__(self) -> None:
        warnings.warn(
            "The transform `ToTensor()` is deprecated and will be removed in a future release. "
            "Instead, please use `v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, "
            "scale=True)])`.Output is equivalent up to float precision.",
            stacklevel=2,
        )
        super().__init__()

    def _takes(self, leaf: Any) -> bool:
        return is_pil_image(leaf) or isinstance(leaf, np.ndarray)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Tensor:
        return F.to_tensor(inpt)


class PILToTensor(Transform):
    """Pillow images as tensors of their own dtype."""

    def _takes(self, leaf: Any) -> bool:
        return is_pil_image(leaf)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Tensor:
        return F.pil_to_tensor(inpt)


class ToImage(Transform):
    """Pillow images and arrays as tensors (C, H, W) of their own dtype."""

    def _takes(self, leaf: Any) -> bool:
        return is_pil_image(leaf) or isinstance(leaf, (np.ndarray, Tensor))

    def transform(self, inpt: Any, params: dict[str, Any]) -> Tensor:
        return F.to_image(inpt)


class ToPILImage(Transform):
    """Tensors (C, H, W) and arrays (H, W, C) as Pillow images."""

    def __init__(self, mode: str | None = None) -> None:
        super().__init__()
        self.mode = mode

    def _takes(self, leaf: Any) -> bool:
        return isinstance(leaf, (np.ndarray, Tensor))

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return F.to_pil_image(inpt, self.mode)


class ToPureTensor(Transform):
    """Tensors as they are: there are no other kinds of them here."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return inpt


class ToDtype(Transform):
    """Tensors in another dtype; `scale` keeps black and white. A dictionary says it by type."""

    def __init__(self, dtype: Any, scale: bool = False) -> None:
        super().__init__()
        if not isinstance(dtype, (dict, DType)):
            raise ValueError(f"dtype must be a dict or a torch.dtype, got {type(dtype)} instead")
        self.dtype = dtype
        self.scale = scale

    def _takes(self, leaf: Any) -> bool:
        return isinstance(leaf, Tensor)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        kind: Any = self.dtype
        if isinstance(kind, dict):
            if type(inpt) not in kind and "others" not in kind:
                raise ValueError(f"No dtype was specified for type {type(inpt)}.")
            kind = kind.get(type(inpt), kind.get("others"))
        return inpt if kind is None else F.to_dtype(inpt, kind, self.scale)


class ConvertImageDtype(Transform):
    """Tensors in another dtype, scaled so that black and white stay."""

    def __init__(self, dtype: dtype = float32) -> None:
        super().__init__()
        self.dtype = dtype

    def _takes(self, leaf: Any) -> bool:
        return isinstance(leaf, Tensor)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Tensor:
        return F.to_dtype(inpt, self.dtype, scale=True)


class Normalize(Transform):
    """(tensor - mean) / std, channel by channel."""

    def __init__(self, mean: Any, std: Any, inplace: bool = False) -> None:
        super().__init__()
        self.mean = list(mean)
        self.std = list(std)
        self.inplace = inplace

    def check_inputs(self, flat_inputs: list[Any]) -> None:
        _no_pillow(flat_inputs, type(self).__name__)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Tensor:
        return F.normalize(inpt, self.mean, self.std, self.inplace)


class LinearTransformation(Transform):
    """The flattened image minus `mean_vector`, times `transformation_matrix` (whitening)."""

    def __init__(self, transformation_matrix: Tensor, mean_vector: Tensor) -> None:
        super().__init__()
        self._whole = v1.LinearTransformation(transformation_matrix, mean_vector)
        self.transformation_matrix = transformation_matrix
        self.mean_vector = mean_vector

    def check_inputs(self, flat_inputs: list[Any]) -> None:
        _no_pillow(flat_inputs, type(self).__name__)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._whole(inpt)


class GaussianNoise(Transform):
    """The image with normal noise; `sigma` is in units of white."""

    def __init__(self, mean: float = 0.0, sigma: float = 0.1, clip: bool = True) -> None:
        super().__init__()
        self.mean = mean
        self.sigma = sigma
        self.clip = clip

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return F.gaussian_noise(inpt, self.mean, self.sigma, self.clip)


class RandomErasing(RandomTransform):
    """A random window of a tensor image replaced, with probability `p`."""

    get_params = staticmethod(v1.RandomErasing.get_params)

    def __init__(
        self,
        p: float = 0.5,
        scale: Any = (0.02, 0.33),
        ratio: Any = (0.3, 3.3),
        value: Any = 0.0,
        inplace: bool = False,
    ) -> None:
        super().__init__(p=p)
        checked = v1.RandomErasing(p, scale, ratio, value, inplace)
        self.scale = checked.scale
        self.ratio = checked.ratio
        self.value: list[float] | None = None
        if not isinstance(value, str):
            values = value if isinstance(value, (list, tuple)) else [value]
            self.value = [float(each) for each in values]
        self.inplace = inplace

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        channels = F.get_num_channels(flat_inputs[0])
        if self.value is not None and len(self.value) not in (1, channels):
            raise ValueError(
                "If value is a sequence, it should have either a single value or "
                f"{channels} (number of inpt channels)"
            )
        return {"window": self.get_params(flat_inputs[0], self.scale, self.ratio, self.value)}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        top, left, height, width, value = params["window"]
        return F.erase(inpt, top, left, height, width, value, self.inplace)


class JPEG(Transform):
    """The image as JPEG at a random quality shows it."""

    def __init__(self, quality: Any) -> None:
        super().__init__()
        if isinstance(quality, bool):
            raise TypeError("quality can't be bool")
        if isinstance(quality, int):
            quality = [quality, quality]
        else:
            check_sequence(quality, "quality", (2,))
        low, high = quality
        if not (isinstance(low, int) and isinstance(high, int) and 1 <= low <= high <= 100):
            raise ValueError(f"quality must be an integer from 1 to 100, got quality ={quality!r}")
        self.quality: Sequence[int] = quality

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"quality": draws.integer(self.quality[0], self.quality[1] + 1)}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return F.jpeg(inpt, params["quality"])


class UniformTemporalSubsample(Transform):
    """`num_samples` frames of a video (..., T, C, H, W), evenly spaced."""

    def __init__(self, num_samples: int) -> None:
        super().__init__()
        self.num_samples = num_samples

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return F.uniform_temporal_subsample(inpt, self.num_samples)
