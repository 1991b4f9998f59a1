"""What published weights expect of their images: torchvision.transforms._presets."""

from __future__ import annotations

from typing import Any

import flambeau.nn as nn
from flambeau.tensor.tensor import Tensor
from flambeau.vision.transforms import functional as VF
from flambeau.vision.transforms.functional import InterpolationMode


def _shown(preset: nn.Module, *names: str) -> str:
    lines = [f"\n    {name}={getattr(preset, name)}" for name in names]
    return f"{type(preset).__name__}({''.join(lines)}\n)"


class ObjectDetection(nn.Module):
    """PIL images or byte tensors (..., 3, H, W) as float32 in 0..1."""

    def forward(self, img: Any) -> Tensor:
        if not isinstance(img, Tensor):
            img = VF.pil_to_tensor(img)
        scaled: Tensor = VF.convert_image_dtype(img)
        return scaled

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class ImageClassification(nn.Module):
    """PIL images or byte tensors (..., 3, H, W), resized, cropped and normalised to float32."""

    def __init__(
        self,
        *,
        crop_size: int,
        resize_size: int = 256,
        mean: tuple[float, ...] = (0.485, 0.456, 0.406),
        std: tuple[float, ...] = (0.229, 0.224, 0.225),
        interpolation: InterpolationMode = InterpolationMode.BILINEAR,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.crop_size = [crop_size]
        self.resize_size = [resize_size]
        self.mean = list(mean)
        self.std = list(std)
        self.interpolation = interpolation
        self.antialias = antialias

    def forward(self, img: Any) -> Tensor:
        img = VF.resize(
            img, self.resize_size, interpolation=self.interpolation, antialias=self.antialias
        )
        img = VF.center_crop(img, self.crop_size)
        if not isinstance(img, Tensor):
            img = VF.pil_to_tensor(img)
        img = VF.convert_image_dtype(img)
        normal: Tensor = VF.normalize(img, mean=self.mean, std=self.std)
        return normal

    def __repr__(self) -> str:
        return _shown(self, "crop_size", "resize_size", "mean", "std", "interpolation")


class SemanticSegmentation(nn.Module):
    """PIL images or byte tensors (..., 3, H, W), resized (None: not) and normalised to float32."""

    def __init__(
        self,
        *,
        resize_size: int | None,
        mean: tuple[float, ...] = (0.485, 0.456, 0.406),
        std: tuple[float, ...] = (0.229, 0.224, 0.225),
        interpolation: InterpolationMode = InterpolationMode.BILINEAR,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.resize_size = None if resize_size is None else [resize_size]
        self.mean = list(mean)
        self.std = list(std)
        self.interpolation = interpolation
        self.antialias = antialias

    def forward(self, img: Any) -> Tensor:
        if self.resize_size is not None:
            img = VF.resize(
                img, self.resize_size, interpolation=self.interpolation, antialias=self.antialias
            )
        if not isinstance(img, Tensor):
            img = VF.pil_to_tensor(img)
        img = VF.convert_image_dtype(img)
        normal: Tensor = VF.normalize(img, mean=self.mean, std=self.std)
        return normal

    def __repr__(self) -> str:
        return _shown(self, "resize_size", "mean", "std", "interpolation")


class VideoClassification(nn.Module):
    """Clips of bytes (..., T, 3, H, W), resized, cropped and normalised to (..., 3, T, h, w)."""

    def __init__(
        self,
        *,
        crop_size: tuple[int, int],
        resize_size: tuple[int] | tuple[int, int],
        mean: tuple[float, ...] = (0.43216, 0.394666, 0.37645),
        std: tuple[float, ...] = (0.22803, 0.22145, 0.216989),
        interpolation: InterpolationMode = InterpolationMode.BILINEAR,
    ) -> None:
        super().__init__()
        self.crop_size = list(crop_size)
        self.resize_size = list(resize_size)
        self.mean = list(mean)
        self.std = list(std)
        self.interpolation = interpolation

    def forward(self, vid: Tensor) -> Tensor:
        frames: Any = vid.reshape(-1, *vid.shape[-3:])
        # The weights were trained on frames that were resized without antialiasing.
        frames = VF.resize(
            frames, self.resize_size, interpolation=self.interpolation, antialias=False
        )
        frames = VF.convert_image_dtype(VF.center_crop(frames, self.crop_size))
        frames = VF.normalize(frames, mean=self.mean, std=self.std)
        clips: Tensor = frames.view(*vid.shape[:-2], *self.crop_size).transpose(-3, -4)
        return clips

    def __repr__(self) -> str:
        return _shown(self, "crop_size", "resize_size", "mean", "std", "interpolation")
