"""Images on their way into detectors, and what is found on its way back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import flambeau.nn as nn
from flambeau.functional.creation import empty
from flambeau.functional.from_data import as_tensor
from flambeau.functional.joining import stack
from flambeau.tensor.tensor import Tensor
from flambeau.vision.models.detection.image_list import ImageList
from flambeau.vision.models.detection.pasting import paste_masks_in_image

Target = dict[str, Any]
Size = tuple[int, int]


def _ratios(original: Any, new: Any) -> tuple[float, float]:
    """How much larger (height, width) become, as float32 has it."""
    down, across = (np.float32(b) / np.float32(a) for a, b in zip(original, new, strict=True))
    return float(down), float(across)


def resize_boxes(boxes: Tensor, original_size: Any, new_size: Any) -> Tensor:
    """Corners (N, 4) on an image of another size (height, width)."""
    down, across = _ratios(original_size, new_size)
    left, top, right, bottom = boxes.unbind(1)
    return stack([left * across, top * down, right * across, bottom * down], 1)


def resize_keypoints(keypoints: Tensor, original_size: Any, new_size: Any) -> Tensor:
    """Points (N, K, 3) on an image of another size; the third column stays."""
    down, across = _ratios(original_size, new_size)
    x, y, *rest = keypoints.unbind(-1)
    return stack([x * across, y * down, *rest], -1)


class GeneralizedRCNNTransform(nn.Module):
    """Images (C, H, W) in 0..1, normalised, resized and padded to one batch; targets likewise.

    The shorter side becomes min_size (drawn of several in training), the longer at most max_size,
    or both fixed_size (width, height); sides of the batch are multiples of size_divisible.
    """

    def __init__(
        self,
        min_size: int | tuple[int, ...] | list[int],
        max_size: int,
        image_mean: list[float],
        image_std: list[float],
        size_divisible: int = 32,
        fixed_size: Size | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self.min_size = min_size if isinstance(min_size, (list, tuple)) else (min_size,)
        self.max_size = max_size
        self.image_mean = image_mean
        self.image_std = image_std
        self.size_divisible = size_divisible
        self.fixed_size = fixed_size
        self._skip_resize = kwargs.pop("_skip_resize", False)
        if kwargs:
            raise TypeError(f"unexpected keyword arguments: {sorted(kwargs)}")

    def forward(
        self, images: list[Tensor], targets: list[Target] | None = None
    ) -> tuple[ImageList, list[Target] | None]:
        resized: list[Tensor] = []
        changed: list[Target] | None = None if targets is None else []
        for index, image in enumerate(images):
            if image.dim() != 3:
                raise ValueError(
                    "images is expected to be a list of 3d tensors of shape [C, H, W], "
                    f"got {image.shape}"
                )
            target = None if targets is None else dict(targets[index])
            image, target = self.resize(self.normalize(image), target)
            resized.append(image)
            if changed is not None and target is not None:
                changed.append(target)
        sizes = [(int(image.shape[-2]), int(image.shape[-1])) for image in resized]
        return ImageList(self.batch_images(resized, self.size_divisible), sizes), changed

    def normalize(self, image: Tensor) -> Tensor:
        """An image (C, H, W) less the mean, over the deviation. TypeError where it is not float."""
        if not image.is_floating_point():
            raise TypeError(
                "Expected input images to be of floating type (in range [0, 1]), "
                f"but found type {image.dtype} instead"
            )
        mean, std = (as_tensor(v, dtype=image.dtype) for v in (self.image_mean, self.image_std))
        return (image - mean[:, None, None]) / std[:, None, None]

    def torch_choice(self, k: Any) -> int:
        """One of several sizes, drawn."""
        chosen: int = k[int(empty(1).uniform_(0.0, float(len(k))).item())]
        return chosen

    def resize(self, image: Tensor, target: Target | None = None) -> tuple[Tensor, Target | None]:
        """An image and its target (changed in place) of the size that the model sees."""
        before = tuple(image.shape[-2:])
        if self.training:
            if self._skip_resize:
                return image, target
            shorter = self.torch_choice(self.min_size)
        else:
            shorter = self.min_size[-1]
        told: dict[str, Any] = {}
        if self.fixed_size is not None:
            told["size"] = (self.fixed_size[1], self.fixed_size[0])
        else:
            told["scale_factor"] = min(shorter / min(before), self.max_size / max(before))
            told["recompute_scale_factor"] = True
        F = nn.functional
        image = F.interpolate(image[None], mode="bilinear", align_corners=False, **told)[0]
        if target is None:
            return image, target
        after = tuple(image.shape[-2:])
        if "masks" in target:
            target["masks"] = F.interpolate(target["masks"][:, None].float(), **told)[:, 0].byte()
        target["boxes"] = resize_boxes(target["boxes"], before, after)
        if "keypoints" in target:
            target["keypoints"] = resize_keypoints(target["keypoints"], before, after)
        return image, target

    def batch_images(self, images: list[Tensor], size_divisible: int = 32) -> Tensor:
        """Images as one batch, zeros below and to the right of smaller ones."""
        sides = [max(image.shape[axis] for image in images) for axis in range(3)]
        for axis in (1, 2):
            sides[axis] = math.ceil(sides[axis] / size_divisible) * size_divisible
        padded = []
        for image in images:
            missing = [side - held for side, held in zip(sides, image.shape, strict=True)]
            widths = [0, missing[2], 0, missing[1], 0, missing[0]]
            padded.append(nn.functional.pad(image, widths) if any(missing) else image)
        return stack(padded, 0)

    def postprocess(
        self, result: list[Target], image_shapes: list[Size], original_image_sizes: list[Size]
    ) -> list[Target]:
        """What was found, on the images as they were given; in training, as it is."""
        if self.training:
            return result
        pairs = zip(result, image_shapes, original_image_sizes, strict=False)
        for found, seen, original in pairs:
            found["boxes"] = resize_boxes(found["boxes"], seen, original)
            if "masks" in found:
                found["masks"] = paste_masks_in_image(found["masks"], found["boxes"], original)
            if "keypoints" in found:
                found["keypoints"] = resize_keypoints(found["keypoints"], seen, original)
        return result

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}("
            f"\n    Normalize(mean={self.image_mean}, std={self.image_std})"
            f"\n    Resize(min_size={self.min_size}, max_size={self.max_size}, mode='bilinear')\n)"
        )
