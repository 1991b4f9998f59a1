"""Images of several sizes as one batch."""

from __future__ import annotations

from typing import Any

from flambeau.tensor.tensor import Tensor


class ImageList:
    """A padded batch (N, C, H, W), and the size (height, width) of every image in it."""

    def __init__(self, tensors: Tensor, image_sizes: list[tuple[int, int]]) -> None:
        self.tensors = tensors
        self.image_sizes = image_sizes

    def to(self, device: Any) -> ImageList:
        """The batch on a device."""
        return ImageList(self.tensors.to(device), self.image_sizes)
