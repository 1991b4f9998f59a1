"""What published weights expect of their images: torchvision.transforms._presets."""

from __future__ import annotations

from typing import Any

import flambeau.nn as nn
from flambeau.tensor.tensor import Tensor
from flambeau.vision.transforms import functional as VF
from flambeau.vision.transforms.functional import InterpolationMode


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
        names = ("crop_size", "resize_size", "mean", "std", "interpolation")
        lines = [f"\n    {name}={getattr(self, name)}" for name in names]
        return f"{type(self).__name__}({''.join(lines)}\n)"
